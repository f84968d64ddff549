//! The list of hosts that are asked without a proxy, as `no_proxy` has it.

use std::net::IpAddr;

use crate::http::client::url::Url;

/// One entry of a list such as `no_proxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    hosts: Hosts,
    /// None stands for every port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// A name, in lower case, and those below it.
    Name(String),
    /// The addresses that begin with the first so many bits of this one.
    Network(IpAddr, u32),
}

/// The host of a URL.
enum Host<'a> {
    Name(&'a str),
    Addr(IpAddr),
}

/// The entries of a list with commas or blanks between them. Malformed entries are skipped.
pub(crate) fn entries(list: &str) -> impl Iterator<Item = Entry> {
    let parts = list.split(|c: char| c == ',' || c.is_ascii_whitespace());
    parts
        .filter(|part| !part.is_empty())
        .filter_map(Entry::read)
}

/// Whether one of `entries` stands for the host of `url`.
pub(crate) fn includes(entries: &[Entry], url: &Url) -> bool {
    if entries.is_empty() {
        return false;
    }
    let host = Host::read(url.host());
    let port = url.port();
    let is_meant = |entry: &Entry| entry.port.is_none_or(|only| only == port);
    entries
        .iter()
        .any(|entry| is_meant(entry) && entry.hosts.include(&host))
}

impl Entry {
    fn read(text: &str) -> Option<Self> {
        if let Some((base, bits)) = text.split_once('/') {
            let hosts = Hosts::Network(read_addr(base)?, read_number(bits)?);
            return Some(Self {
                hosts: hosts.canonical()?,
                port: None,
            });
        }
        // An address of IPv6 has colons of its own, and brackets where a port follows.
        let (host, port) = match (read_addr(text), text.rsplit_once(':')) {
            (None, Some((host, ""))) => (host, None),
            (None, Some((host, port))) => (host, Some(read_number(port)?.try_into().ok()?)),
            _ => (text, None),
        };
        let hosts = match read_addr(host) {
            Some(addr) => Hosts::Network(addr, bits_of(addr)).canonical()?,
            None if host == "*" => Hosts::All,
            None => {
                let name = host.strip_prefix("*.").unwrap_or(host);
                let name = without_last_dot(name.trim_start_matches('.'));
                if name.is_empty() || name.contains(['*', ':', '[', ']']) {
                    return None;
                }
                Hosts::Name(name.to_ascii_lowercase())
            }
        };
        Some(Self { hosts, port })
    }
}

impl Hosts {
    /// Addresses of IPv4 in the form of IPv6 are those of IPv4. None when there are more bits than
    /// an address has.
    fn canonical(self) -> Option<Self> {
        let Self::Network(addr, bits) = self else {
            return Some(self);
        };
        let shorter = addr.to_canonical();
        let lost = bits_of(addr) - bits_of(shorter);
        match bits.checked_sub(lost) {
            _ if bits > bits_of(addr) => None,
            Some(bits) => Some(Self::Network(shorter, bits)),
            None => Some(Self::Network(addr, bits)),
        }
    }

    fn include(&self, host: &Host<'_>) -> bool {
        match (self, host) {
            (Self::All, _) => true,
            (Self::Name(name), Host::Name(host)) => {
                let rest = host.strip_suffix(name.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Self::Network(base, bits), Host::Addr(addr)) => match (base, addr) {
                (IpAddr::V4(base), IpAddr::V4(addr)) => {
                    let differing = base.to_bits() ^ addr.to_bits();
                    differing.leading_zeros() >= *bits
                }
                (IpAddr::V6(base), IpAddr::V6(addr)) => {
                    let differing = base.to_bits() ^ addr.to_bits();
                    differing.leading_zeros() >= *bits
                }
                _ => false,
            },
            (Self::Name(_), Host::Addr(_)) | (Self::Network(..), Host::Name(_)) => false,
        }
    }
}

impl<'a> Host<'a> {
    /// Reads the host of a URL, which is in lower case.
    fn read(host: &'a str) -> Self {
        match read_addr(host) {
            Some(addr) => Self::Addr(addr.to_canonical()),
            None => Self::Name(without_last_dot(host)),
        }
    }
}

/// An address, which may stand in brackets if it is of IPv6, and may end with the dot of a name.
fn read_addr(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(rest) => Some(IpAddr::V6(rest.strip_suffix(']')?.parse().ok()?)),
        None => without_last_dot(text).parse().ok(),
    }
}

fn read_number(digits: &str) -> Option<u32> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

fn bits_of(addr: IpAddr) -> u32 {
    if addr.is_ipv4() { 32 } else { 128 }
}

fn without_last_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stands_for_these_hosts_and_no_others() {
        for (list, is_included, is_not) in [
            // Names stand for themselves and those below them.
            (
                "a.test",
                "a.test b.a.test c.b.a.test:81",
                "ba.test test a.test.b",
            ),
            (".a.test", "a.test b.a.test", "ba.test"),
            ("*.a.test", "a.test b.a.test", "ba.test"),
            ("A.Test", "a.test B.A.TEST", "b.test"),
            ("a.test.", "a.test a.test. b.a.test.", "b.test."),
            ("a.test", "a.test.", "a.test.."),
            ("test", "test a.test", "atest 1.2.3.4"),
            (
                "localhost",
                "localhost localhost:80 a.localhost",
                "127.0.0.1 [::1]",
            ),
            // A port is only that port, the scheme's own included.
            ("a.test:81", "a.test:81 b.a.test:81", "a.test a.test:82"),
            ("a.test:80", "a.test a.test:80", "a.test:81"),
            ("a.test:", "a.test a.test:81", "b.test"),
            ("1.2.3.4:81", "1.2.3.4:81", "1.2.3.4"),
            ("*:81", "a.test:81 1.2.3.4:81", "a.test"),
            // Addresses stand for themselves, in any way of writing them.
            (
                "127.0.0.1",
                "127.0.0.1 127.0.0.1:81 127.0.0.1.",
                "127.0.0.2 1.127.0.0.1",
            ),
            ("0.0.1", "a.0.0.1.test.0.0.1", "127.0.0.1"),
            ("::1", "[::1] [0:0::1]:81", "[::2] 0.0.0.1"),
            ("[::1]", "[::1]", "[::2]"),
            ("[::1]:81", "[::1]:81", "[::1]"),
            ("FD00::A", "[fd00::a] [FD00:0::A]", "[fd00::b]"),
            (
                "::ffff:1.2.3.4",
                "1.2.3.4 [::ffff:1.2.3.4] [::ffff:102:304]",
                "1.2.3.5",
            ),
            ("1.2.3.4", "[::ffff:1.2.3.4]", "[::1.2.3.4]"),
            // Networks stand for the addresses in them.
            (
                "127.0.0.0/8",
                "127.0.0.1 127.255.0.9:81 [::ffff:127.1.2.3]",
                "128.0.0.1 [::1] a.test",
            ),
            ("10.1.2.3/8", "10.9.9.9", "11.0.0.0"),
            ("1.2.3.4/32", "1.2.3.4", "1.2.3.5"),
            ("0.0.0.0/0", "1.2.3.4 255.0.0.0", "[::1] a.test"),
            ("10.0.0.0/9", "10.127.0.1", "10.128.0.1"),
            (
                "fd00::/8",
                "[fd00::1] [fdff::1]:81",
                "[fc00::1] [fe80::1] 253.0.0.1",
            ),
            ("[fd00::]/8", "[fd12::1]", "[fe80::1]"),
            ("::/0", "[::1] [fd00::1]", "1.2.3.4 a.test"),
            (
                "::ffff:10.0.0.0/104",
                "10.2.3.4 [::ffff:10.9.9.9]",
                "11.0.0.1",
            ),
            ("fe80::1/128", "[fe80::1]", "[fe80::2]"),
            // All.
            ("*", "a.test 1.2.3.4 [::1]:81", ""),
            ("a.test, *", "b.test", ""),
            // Commas, blanks or both stand between entries.
            ("a.test b.test", "a.test b.test", "c.test"),
            (
                " a.test ,\tb.test,,c.test, ",
                "a.test b.test c.test",
                "d.test",
            ),
            // Malformed entries are skipped.
            ("", "", "a.test"),
            (". , *. , ..", "", "a.test"),
            (
                "10.0.0.0/33 10.0.0.0/ 10.0.0.0/+8 10.0.0.0/-1 10.0.0.0/x",
                "",
                "10.0.0.0",
            ),
            ("fd00::/129 a.test/8 /8", "", "[fd00::] a.test"),
            (
                "a.test:x a.test:65536 a.test:+81 a*.test",
                "",
                "a.test:81 ab.test",
            ),
            ("http://a.test", "", "a.test"),
        ] {
            let entries: Vec<Entry> = entries(list).collect();
            for (hosts, expected) in [(is_included, true), (is_not, false)] {
                for host in hosts.split_ascii_whitespace() {
                    let url = Url::parse(&format!("http://{host}/")).unwrap();
                    assert_eq!(includes(&entries, &url), expected, "{list:?} {host}");
                }
            }
        }
    }
}
