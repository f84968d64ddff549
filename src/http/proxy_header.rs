//! The header of the PROXY protocol, by which a proxy tells the addresses of the connection that it
//! carries on (HAProxy's `proxy-protocol.txt`, versions 1 and 2).
//!
//! The header stands before everything else, TLS included. It is read from bytes that arrive in
//! pieces of any size, and what follows it is left alone.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str,
};

/// The first bytes of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The first bytes of version 1.
const WORD: &[u8; 6] = b"PROXY ";
/// The bytes of a line of version 1, with its end (section 2.1).
const LINE_BYTES_MAX: usize = 107;
/// The bytes of version 2 before those that its length counts.
const FIXED_BYTES: usize = 16;
/// The bytes that are taken of what version 2's length counts: addresses and values. The format
/// would allow 65,535; a client's certificate is the largest value in use.
pub(crate) const VALUE_BYTES_MAX: usize = 16 * 1024;

const TYPE_ALPN: u8 = 0x01;
const TYPE_AUTHORITY: u8 = 0x02;

/// The header that a connection began with, by the PROXY protocol. Given by
/// [`Request::proxy_header`](crate::http::Request::proxy_header).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyHeader {
    /// The address of the proxy itself; none on a Unix socket.
    pub proxy: Option<SocketAddr>,
    /// The client's address. None where the proxy does not tell one: for a connection of its own
    /// (`LOCAL`), such as a health check, for a client on a Unix socket, and for an unknown one.
    pub source: Option<SocketAddr>,
    /// The address that the client has connected to. None where the header does not have it.
    pub destination: Option<SocketAddr>,
    /// The host that the client asked for by SNI, where the proxy has ended TLS and tells it.
    pub authority: Option<Box<str>>,
    /// The protocol that the client and the proxy agreed on by ALPN.
    pub alpn: Option<Box<[u8]>>,
}

/// The bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a header of the PROXY protocol, found other bytes")
    }
}

impl std::error::Error for Malformed {}

/// Reads the header at the start of `bytes`; returns it with its length. None when more of it has
/// to come.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, Malformed> {
    let begins = |start: &[u8]| {
        bytes
            .iter()
            .zip(start)
            .all(|(found, expected)| found == expected)
    };
    if begins(SIGNATURE) {
        read_binary(bytes)
    } else if begins(WORD) {
        read_line(bytes)
    } else {
        Err(Malformed)
    }
}

fn read_line(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, Malformed> {
    let first = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = first.windows(2).position(|two| two == b"\r\n") else {
        return if first.len() == LINE_BYTES_MAX {
            Err(Malformed)
        } else {
            Ok(None)
        };
    };
    let line = str::from_utf8(&first[..end]).map_err(|_| Malformed)?;
    let words: Vec<&str> = line.split(' ').collect();
    let mut header = ProxyHeader::default();
    match words[..] {
        // The rest of the line is ignored (section 2.1).
        [_, "UNKNOWN", ..] => {}
        [_, family @ ("TCP4" | "TCP6"), source, destination, from, to] => {
            let is_v4 = family == "TCP4";
            let addr = |addr: &str, port: &str| {
                let addr: IpAddr = addr
                    .parse()
                    .ok()
                    .filter(|addr: &IpAddr| addr.is_ipv4() == is_v4)?;
                Some(SocketAddr::new(addr, self::port(port)?))
            };
            header.source = Some(addr(source, from).ok_or(Malformed)?);
            header.destination = Some(addr(destination, to).ok_or(Malformed)?);
        }
        _ => return Err(Malformed),
    }
    Ok(Some((header, end + 2)))
}

fn port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn read_binary(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, Malformed> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
        return Ok(None);
    };
    let [.., command, family, high, low] = *fixed;
    let len = usize::from(u16::from_be_bytes([high, low]));
    if !matches!(command, 0x20 | 0x21) || len > VALUE_BYTES_MAX {
        return Err(Malformed);
    }
    let Some(told) = rest.get(..len) else {
        return Ok(None);
    };
    let mut header = ProxyHeader::default();
    // The addresses of a connection of the proxy's own are of no use (section 2.2).
    if command == 0x21 {
        header.read_told(family, told).ok_or(Malformed)?;
    }
    Ok(Some((header, FIXED_BYTES + len)))
}

impl ProxyHeader {
    /// Makes the header of a proxy whose client has connected from `source` to `destination`.
    #[must_use]
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            source: Some(source),
            destination: Some(destination),
            ..Self::default()
        }
    }

    /// Returns the header in the form of version 2, to be sent ahead of everything else.
    /// Without both addresses it is that of a connection of the proxy's own (`LOCAL`). The values
    /// `authority` and `alpn` are not sent.
    ///
    /// # Examples
    ///
    /// A client whose connections tell where they come from:
    ///
    /// ```
    /// use annulus::{http::{Client, ProxyHeader}, net::TcpStream};
    ///
    /// let header = ProxyHeader::new("203.0.113.7:5123".parse()?, "198.51.100.1:443".parse()?);
    /// let client = Client::builder()
    ///     .connect_by(move |_url| {
    ///         let bytes = header.to_bytes();
    ///         async move {
    ///             let stream = TcpStream::connect("127.0.0.1:8080").await?;
    ///             stream.write_all(bytes).await?;
    ///             Ok(stream)
    ///         }
    ///     })
    ///     .build();
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        let (Some(source), Some(destination)) = (self.source, self.destination) else {
            out.extend([0x20, 0x00, 0, 0]);
            return out;
        };
        match (source.ip(), destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                out.extend([0x21, 0x11, 0, 12]);
                out.extend(from.octets());
                out.extend(to.octets());
            }
            (from, to) => {
                out.extend([0x21, 0x21, 0, 36]);
                for ip in [from, to] {
                    let ip = match ip {
                        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                        IpAddr::V6(ip) => ip,
                    };
                    out.extend(ip.octets());
                }
            }
        }
        out.extend(source.port().to_be_bytes());
        out.extend(destination.port().to_be_bytes());
        out
    }

    /// Reads the addresses and the values after them.
    fn read_told(&mut self, family: u8, told: &[u8]) -> Option<()> {
        let values = match family >> 4 {
            0x1 => {
                let (addrs, values) = told.split_first_chunk::<12>()?;
                let [a, b, c, d, e, f, g, h, ports @ ..] = *addrs;
                let (source, destination) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
                self.set(family, source.into(), destination.into(), ports);
                values
            }
            0x2 => {
                let (addrs, values) = told.split_first_chunk::<36>()?;
                let (source, rest) = addrs.split_first_chunk::<16>()?;
                let (destination, ports) = rest.split_first_chunk::<16>()?;
                let (source, destination) = (Ipv6Addr::from(*source), Ipv6Addr::from(*destination));
                let ports = ports.try_into().ok()?;
                self.set(family, source.into(), destination.into(), ports);
                values
            }
            // Two paths.
            0x3 => told.get(216..)?,
            // Of an unknown family, where nothing is known of the addresses either.
            0x0 => return Some(()),
            _ => return None,
        };
        self.read_values(values)
    }

    /// Sets the addresses of a stream; those of datagrams are no connection.
    fn set(&mut self, family: u8, source: IpAddr, destination: IpAddr, ports: [u8; 4]) {
        if family & 0xf != 0x1 {
            return;
        }
        let [a, b, c, d] = ports;
        let at = |addr: IpAddr, port| SocketAddr::new(addr.to_canonical(), port);
        self.source = Some(at(source, u16::from_be_bytes([a, b])));
        self.destination = Some(at(destination, u16::from_be_bytes([c, d])));
    }

    fn read_values(&mut self, mut values: &[u8]) -> Option<()> {
        while let Some((&[kind, high, low], rest)) = values.split_first_chunk::<3>() {
            let len = usize::from(u16::from_be_bytes([high, low]));
            let value = rest.get(..len)?;
            match kind {
                TYPE_ALPN => self.alpn = Some(value.into()),
                TYPE_AUTHORITY => self.authority = str::from_utf8(value).ok().map(Box::from),
                _ => {}
            }
            values = &rest[len..];
        }
        // Less than the head of a value.
        values.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(command: u8, family: u8, told: &[u8]) -> Vec<u8> {
        let len = u16::try_from(told.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &len, told].concat()
    }

    fn v4() -> Vec<u8> {
        [
            &[203, 0, 113, 7, 10, 0, 0, 1][..],
            &5123_u16.to_be_bytes(),
            &443_u16.to_be_bytes(),
        ]
        .concat()
    }

    /// At each split the answer is that more has to come, and what follows is not looked at.
    fn check(header: &[u8], source: Option<&str>, destination: Option<&str>) -> ProxyHeader {
        for end in 0..header.len() {
            assert_eq!(read(&header[..end]), Ok(None), "{:?}", &header[..end]);
        }
        let followed = [header, b"GET / HTTP/1.1\r\n\r\n"].concat();
        let (found, len) = read(&followed).unwrap().unwrap();
        assert_eq!(len, header.len());
        let addr = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        assert_eq!(
            (found.source, found.destination),
            (addr(source), addr(destination))
        );
        found
    }

    #[test]
    fn a_line_of_version_1_tells_addresses_or_that_they_are_unknown() {
        let (source, destination) = (Some("203.0.113.7:5123"), Some("10.0.0.1:443"));
        check(
            b"PROXY TCP4 203.0.113.7 10.0.0.1 5123 443\r\n",
            source,
            destination,
        );
        let (source, destination) = (Some("[2001:db8::7]:65535"), Some("[::1]:1"));
        check(
            b"PROXY TCP6 2001:db8::7 ::1 65535 1\r\n",
            source,
            destination,
        );
        check(b"PROXY UNKNOWN\r\n", None, None);
        check(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None, None);
    }

    #[test]
    fn version_2_tells_addresses_of_each_family_and_values() {
        let (source, destination) = (Some("203.0.113.7:5123"), Some("10.0.0.1:443"));
        check(&binary(0x21, 0x11, &v4()), source, destination);
        let values = b"\x01\0\x02h2\x02\0\x05a.com\xe0\0\x01x\x04\0\0";
        let told = [&v4()[..], values].concat();
        let found = check(&binary(0x21, 0x11, &told), source, destination);
        assert_eq!(found.authority.as_deref(), Some("a.com"));
        assert_eq!(found.alpn.as_deref(), Some(&b"h2"[..]));

        let mut v6 = [0; 36];
        (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 80, 90);
        check(&binary(0x21, 0x21, &v6), Some("[::1]:80"), Some("[::2]:90"));
        check(&binary(0x21, 0x31, &[b'/'; 216]), None, None);
        check(&binary(0x21, 0x12, &v4()), None, None);
        check(&binary(0x21, 0x00, b"anything"), None, None);
        check(&binary(0x20, 0x00, b""), None, None);
        check(&binary(0x20, 0x11, &v4()), None, None);
    }

    #[test]
    fn a_header_that_is_written_is_read() {
        for (source, destination) in [
            ("203.0.113.7:1", "10.0.0.1:2"),
            ("[2001:db8::7]:1", "[::1]:65535"),
            ("203.0.113.7:1", "[2001:db8::1]:2"),
        ] {
            let header = ProxyHeader::new(source.parse().unwrap(), destination.parse().unwrap());
            check(&header.to_bytes(), Some(source), Some(destination));
        }
        check(&ProxyHeader::default().to_bytes(), None, None);
    }

    #[test]
    fn other_bytes_are_no_header() {
        let long = format!("PROXY TCP4 {}", "1".repeat(100));
        for line in [
            "GET / HTTP/1.1\r\n",
            "proxy UNKNOWN\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 5123\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 5123 443 1\r\n",
            "PROXY TCP4 ::1 ::1 5123 443\r\n",
            "PROXY TCP6 203.0.113.7 10.0.0.1 5123 443\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 65536 443\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 +1 443\r\n",
            "PROXY  UNKNOWN\r\n",
            "PROXY UDP4 203.0.113.7 10.0.0.1 5123 443\r\n",
            &long,
            "\r\n\r\n\r\n",
        ] {
            assert_eq!(read(line.as_bytes()), Err(Malformed), "{line:?}");
        }
        let short_value = [&v4()[..], b"\x01\0\x05h2"].concat();
        let half_value = [&v4()[..], b"\x01\0"].concat();
        for header in [
            binary(0x11, 0x11, &v4()),
            binary(0x22, 0x11, &v4()),
            binary(0x21, 0x11, &v4()[..11]),
            binary(0x21, 0x21, &v4()),
            binary(0x21, 0x31, &v4()),
            binary(0x21, 0x41, &v4()),
            binary(0x21, 0x11, &short_value),
            binary(0x21, 0x11, &half_value),
            binary(0x21, 0x11, &vec![0; VALUE_BYTES_MAX + 1]),
        ] {
            assert_eq!(read(&header), Err(Malformed), "{header:?}");
        }
    }
}
