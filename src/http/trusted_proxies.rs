//! The proxies whose word about their clients counts.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// The addresses of the proxies that a server trusts, and the fields that they write.
///
/// For [`Server::trusted_proxies`](crate::http::Server::trusted_proxies) and
/// [`Server::proxy_protocol`](crate::http::Server::proxy_protocol). It is parsed from a list with
/// commas or blanks, whose parts are an address, a range of addresses in CIDR notation, or one of
/// three names: `loopback`, `private` (RFC 1918, RFC 4193 and link-local addresses) and `unix`, for
/// all peers on Unix sockets. An IPv4 address also stands for its IPv6 form, `::ffff:192.0.2.1`.
///
/// # Examples
///
/// ```
/// use annulus::http::TrustedProxies;
///
/// let proxies: TrustedProxies = "loopback, unix, 10.1.0.0/16, 2001:db8::/32".parse()?;
/// assert!(proxies.contains("10.1.2.3".parse().unwrap()));
/// assert!(!proxies.contains("10.2.2.3".parse().unwrap()));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    ranges: Vec<Range>,
    has_unix: bool,
    fields: Fields,
}

/// The fields that the proxies write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fields {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    #[default]
    Usual,
    /// `Forwarded`, of RFC 7239.
    Forwarded,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Peer {
    Addr(SocketAddr),
    /// It has no address: it is on a Unix socket, or on a stream that is no socket.
    Local,
    /// Its address cannot be had any more: its connection was reset.
    #[default]
    Gone,
}

impl Peer {
    pub(crate) fn addr(self) -> Option<SocketAddr> {
        match self {
            Self::Addr(addr) => Some(addr),
            Self::Local | Self::Gone => None,
        }
    }
}

/// The addresses whose first bits are those of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: IpAddr,
    bits: u32,
}

const LOOPBACK: [Range; 2] = [
    Range::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    Range::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
];

const PRIVATE: [Range; 6] = [
    Range::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    Range::new(IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    Range::new(IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    Range::new(IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    Range::new(IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    Range::new(IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
];

impl Range {
    const fn new(first: IpAddr, bits: u32) -> Self {
        Self { first, bits }
    }

    fn contains(&self, addr: IpAddr) -> bool {
        let shift = |width: u32| width - self.bits;
        match (self.first, addr) {
            (IpAddr::V4(first), IpAddr::V4(addr)) => {
                let differ = u32::from(first) ^ u32::from(addr);
                differ.checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(addr)) => {
                let differ = u128::from(first) ^ u128::from(addr);
                differ.checked_shr(shift(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl TrustedProxies {
    /// Makes an empty list: no peer is trusted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the addresses of this machine: `127.0.0.0/8` and `::1`.
    #[must_use]
    pub fn loopback(mut self) -> Self {
        self.ranges.extend(LOOPBACK);
        self
    }

    /// Adds the addresses that no host outside of a private network has.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.ranges.extend(PRIVATE);
        self
    }

    /// Adds all peers on Unix sockets, and on other streams without an address.
    #[must_use]
    pub fn unix(mut self) -> Self {
        self.has_unix = true;
        self
    }

    /// Adds one address.
    #[must_use]
    pub fn addr(mut self, addr: IpAddr) -> Self {
        let addr = addr.to_canonical();
        let bits = if addr.is_ipv4() { 32 } else { 128 };
        self.ranges.push(Range::new(addr, bits));
        self
    }

    /// Reads the field `Forwarded` (RFC 7239) in place of `X-Forwarded-For`, `X-Forwarded-Proto`
    /// and `X-Forwarded-Host`.
    ///
    /// A server reads one kind and ignores the other: a proxy that writes one hands on the other
    /// as the client has sent it, and so a client could choose its address.
    #[must_use]
    pub fn forwarded(mut self) -> Self {
        self.fields = Fields::Forwarded;
        self
    }

    /// Returns whether the peer at `addr` is trusted.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        self.ranges.iter().any(|range| range.contains(addr))
    }

    /// Whether the peer is trusted.
    pub(crate) fn trusts(&self, peer: Peer) -> bool {
        match peer {
            Peer::Addr(addr) => self.contains(addr.ip()),
            Peer::Local => self.has_unix,
            Peer::Gone => false,
        }
    }

    pub(crate) fn fields(&self) -> Fields {
        self.fields
    }

    fn with_part(mut self, part: &str) -> Option<Self> {
        match part {
            "loopback" => return Some(self.loopback()),
            "private" => return Some(self.private()),
            "unix" => return Some(self.unix()),
            _ => {}
        }
        let Some((first, bits)) = part.split_once('/') else {
            return Some(self.addr(part.parse().ok()?));
        };
        let first: IpAddr = first.parse().ok()?;
        let width = if first.is_ipv4() { 32 } else { 128 };
        // A sign is no digit.
        let is_number = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits: u32 = bits.parse().ok().filter(|_| is_number)?;
        if bits > width {
            return None;
        }
        self.ranges.push(Range::new(first, bits));
        Some(self)
    }
}

impl FromStr for TrustedProxies {
    type Err = io::Error;

    /// Parses a list.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput), which names the first part that is none.
    fn from_str(text: &str) -> io::Result<Self> {
        let parts = text.split([',', ' ', '\t', '\n']);
        parts
            .filter(|part| !part.is_empty())
            .try_fold(Self::new(), |proxies, part| {
                proxies.with_part(part).ok_or_else(|| {
                    let text = format!(
                        "expected an address, a range such as 10.0.0.0/8, `loopback`, `private` \
                         or `unix`, found {part:?}"
                    );
                    io::Error::new(io::ErrorKind::InvalidInput, text)
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str, addr: &str, expected: bool) {
        let proxies: TrustedProxies = list.parse().unwrap();
        let addr = addr.parse().unwrap();
        assert_eq!(proxies.contains(addr), expected, "{list}: {addr}");
    }

    #[test]
    fn addresses_are_compared_by_the_bits_of_a_range() {
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("192.0.2.1", "::ffff:192.0.2.1", true);
        check("::ffff:192.0.2.1", "192.0.2.1", true);
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.0", false);
        check("10.1.2.3/31", "10.1.2.2", true);
        check("0.0.0.0/0", "203.0.113.7", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("::/0", "2001:db8::1", true);
        check("2001:db8::/33", "2001:db8:7fff::1", true);
        check("2001:db8::/33", "2001:db8:8000::1", false);
        check("loopback,unix", "127.9.9.9", true);
        check("loopback", "::1", true);
        check("private 2001:db8::7", "172.31.0.1", true);
        check("private 2001:db8::7", "172.32.0.1", false);
        check("private", "fe80::1", true);
        check("", "127.0.0.1", false);
    }

    #[test]
    fn peers_without_an_address_are_those_of_unix_sockets() {
        let addrs: TrustedProxies = "0.0.0.0/0 ::/0".parse().unwrap();
        assert!(TrustedProxies::new().unix().trusts(Peer::Local));
        assert!(!addrs.trusts(Peer::Local));
        assert!(!addrs.unix().trusts(Peer::Gone));
    }

    #[test]
    fn a_part_that_is_none_is_an_error_that_names_it() {
        for part in [
            "10.0.0.0/33",
            "::/129",
            "10.0.0",
            "a",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "/8",
        ] {
            let error = format!("127.0.0.1,{part}").parse::<TrustedProxies>();
            let error = error.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(
                error.to_string().ends_with(&format!("found {part:?}")),
                "{error}"
            );
        }
    }
}
