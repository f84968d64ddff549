//! The client behind proxies, as the fields of trusted ones tell.
//!
//! Each proxy adds what it knows of its own peer at the end: `a, b` says that the last proxy was
//! connected to from `b`, and that `b` says it was from `a`. So the list is read from its end, for
//! as long as the addresses are those of trusted proxies.

use std::net::IpAddr;

use crate::http::{
    TrustedProxies,
    h1::{RequestHead, is_host, trim},
    trusted_proxies::{Fields, Peer},
};

/// The addresses of a request that are looked at. More are a loop of proxies, or an attack.
const HOPS_MAX: usize = 32;

/// The client that a request came from, by the word of trusted proxies.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Client<'a> {
    /// The address, of the last proxy that is known where the client's is not.
    pub(super) addr: Option<IpAddr>,
    /// Whether it spoke TLS, where that is known.
    pub(super) is_secure: Option<bool>,
    /// The host and port that it asked for, where that is known.
    pub(super) host: Option<&'a str>,
}

/// Returns the client of a request that came from `peer`.
pub(super) fn client<'a>(
    head: &'a RequestHead,
    peer: Peer,
    proxies: &TrustedProxies,
) -> Client<'a> {
    let nearest = Client {
        addr: peer.addr().map(|peer| peer.ip().to_canonical()),
        ..Client::default()
    };
    if !proxies.trusts(peer) {
        return nearest;
    }
    match proxies.fields() {
        Fields::Usual => by_usual(head, nearest, proxies),
        Fields::Forwarded => by_forwarded(head, nearest, proxies),
    }
}

fn by_usual<'a>(
    head: &'a RequestHead,
    mut client: Client<'a>,
    proxies: &TrustedProxies,
) -> Client<'a> {
    let mut hops: usize = 0;
    for entry in items_from_end(head, "x-forwarded-for", false) {
        let Some(addr) = node(entry) else { break };
        client.addr = Some(addr);
        hops += 1;
        if !proxies.contains(addr) {
            break;
        }
    }
    // The proxy that has seen the client wrote these; most write one value over the others.
    let of_hop = |name| {
        let values = items_from_end(head, name, false);
        let hop = hops.max(1).min(values.len());
        values.get(hop.checked_sub(1)?).copied()
    };
    client.is_secure = of_hop("x-forwarded-proto").and_then(is_secure);
    client.host = of_hop("x-forwarded-host").and_then(host);
    client
}

fn by_forwarded<'a>(
    head: &'a RequestHead,
    mut client: Client<'a>,
    proxies: &TrustedProxies,
) -> Client<'a> {
    for element in items_from_end(head, "forwarded", true) {
        let Some(element) = Element::read(element) else {
            break;
        };
        client.is_secure = element.proto.and_then(is_secure);
        client.host = element.host.and_then(host);
        let Some(addr) = element.node.and_then(node) else {
            break;
        };
        client.addr = Some(addr);
        if !proxies.contains(addr) {
            break;
        }
    }
    client
}

/// The items of a list in all fields called `name`, the last first.
///
/// Only the end of the list is known to be well formed: a client may have begun it by a quote
/// without an end, which must not hide what the proxies have added. So it is split from its end.
fn items_from_end<'a>(head: &'a RequestHead, name: &str, has_quotes: bool) -> Vec<&'a [u8]> {
    let mut lines: Vec<&[u8]> = head.field_all(name).collect();
    lines.reverse();
    let mut items = Vec::new();
    for mut rest in lines {
        loop {
            let comma = last_comma(rest, has_quotes);
            let item = trim(&rest[comma.map_or(0, |comma| comma + 1)..]);
            if !item.is_empty() {
                items.push(item);
            }
            match comma {
                Some(_) if items.len() == HOPS_MAX => return items,
                Some(comma) => rest = &rest[..comma],
                None => break,
            }
        }
    }
    items.truncate(HOPS_MAX);
    items
}

/// The place of the last comma, outside of quotes where there may be any.
fn last_comma(text: &[u8], has_quotes: bool) -> Option<usize> {
    let mut is_quoted = false;
    (0..text.len()).rev().find(|&at| {
        let is_escaped = at > 0 && text[at - 1] == b'\\';
        if text[at] == b'"' && has_quotes && !is_escaped {
            is_quoted = !is_quoted;
        }
        text[at] == b',' && !is_quoted
    })
}

/// The place of the first `byte` outside of quotes. Quotes without an end reach to the end.
fn unquoted(text: &[u8], byte: u8) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.iter().position(|&found| {
        if is_escaped {
            is_escaped = false;
        } else if is_quoted && found == b'\\' {
            is_escaped = true;
        } else if found == b'"' {
            is_quoted = !is_quoted;
        }
        !is_quoted && found == byte
    })
}

/// An element of `Forwarded` (RFC 7239, section 4).
#[derive(Default)]
struct Element<'a> {
    node: Option<&'a [u8]>,
    proto: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
}

impl<'a> Element<'a> {
    /// None where it breaks the grammar, or has a parameter twice.
    fn read(element: &'a [u8]) -> Option<Self> {
        let mut read = Self::default();
        let mut rest = element;
        loop {
            let end = unquoted(rest, b';').unwrap_or(rest.len());
            let pair = trim(&rest[..end]);
            if !pair.is_empty() {
                read.add(pair)?;
            }
            match rest.get(end + 1..) {
                Some(next) => rest = next,
                None => return Some(read),
            }
        }
    }

    fn add(&mut self, pair: &'a [u8]) -> Option<()> {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let place = match &pair[..equals].to_ascii_lowercase()[..] {
            b"for" => &mut self.node,
            b"proto" => &mut self.proto,
            b"host" => &mut self.host,
            _ => return Some(()),
        };
        match place.replace(value_of(&pair[equals + 1..])?) {
            Some(_) => None,
            None => Some(()),
        }
    }
}

/// The text of a token or of a quoted string. No value that we read has a byte that has to be
/// escaped, so that one with a backslash is not valid, and none.
fn value_of(value: &[u8]) -> Option<&[u8]> {
    match value {
        [b'"', inner @ .., b'"'] if !inner.iter().any(|byte| b"\"\\".contains(byte)) => Some(inner),
        [] => None,
        _ if value.contains(&b'"') => None,
        _ => Some(value),
    }
}

/// The address of a node: IPv4, or IPv6 with or without brackets, with or without a port. None for
/// `unknown` and for the names that a proxy makes up to hide an address (section 6.3).
fn node(node: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(node).ok()?;
    let addr = match text.parse::<IpAddr>() {
        Ok(addr) => addr,
        Err(_) => match text.strip_prefix('[') {
            Some(inner) => {
                let (addr, port) = inner.split_once(']')?;
                is_port_or_empty(port)?;
                IpAddr::V6(addr.parse().ok()?)
            }
            None => {
                let end = text.find(':')?;
                is_port_or_empty(&text[end..])?;
                IpAddr::V4(text[..end].parse().ok()?)
            }
        },
    };
    Some(addr.to_canonical())
}

/// The port may be hidden as well (section 6.3), and does not matter.
fn is_port_or_empty(text: &str) -> Option<()> {
    let is_port = match text.strip_prefix(':') {
        Some(port) => {
            let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !port.is_empty() && port.bytes().all(is_known)
        }
        None => text.is_empty(),
    };
    is_port.then_some(())
}

fn is_secure(proto: &[u8]) -> Option<bool> {
    match &proto.to_ascii_lowercase()[..] {
        b"https" | b"wss" => Some(true),
        b"http" | b"ws" => Some(false),
        _ => None,
    }
}

fn host(host: &[u8]) -> Option<&str> {
    is_host(host).then(|| std::str::from_utf8(host).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::Rules;

    fn check(list: &str, fields: &str, expected: (&str, Option<bool>, Option<&str>)) {
        let text = format!("GET / HTTP/1.1\r\nHost: own\r\n{fields}\r\n\r\n");
        let mut head = RequestHead::new();
        let read = head.read(text.as_bytes(), &Rules::default());
        read.unwrap().unwrap();
        let mut proxies: TrustedProxies = list.parse().unwrap();
        if fields.starts_with("Forwarded") {
            proxies = proxies.forwarded();
        }
        let peer = Peer::Addr("10.0.0.1:4711".parse().unwrap());
        let found = client(&head, peer, &proxies);
        let (addr, is_secure, host) = expected;
        let expected = Client {
            addr: Some(addr.parse().unwrap()),
            is_secure,
            host,
        };
        assert_eq!(found, expected, "{list}: {fields}");
    }

    #[test]
    fn the_address_is_the_last_that_is_not_trusted() {
        let name = "X-Forwarded-For: ";
        let check = |list, value: &str, addr| {
            check(list, &format!("{name}{value}"), (addr, None, None));
        };
        check("10.0.0.1", "203.0.113.7", "203.0.113.7");
        check("10.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7");
        check(
            "private",
            "198.51.100.1, 203.0.113.7, 10.1.1.1",
            "203.0.113.7",
        );
        check("private", "10.3.3.3,10.2.2.2", "10.3.3.3");
        check(
            "private",
            "203.0.113.7\r\nX-Forwarded-For: 10.1.1.1",
            "203.0.113.7",
        );
        check("10.0.0.1", "203.0.113.7:5123", "203.0.113.7");
        check("10.0.0.1", "2001:db8::7", "2001:db8::7");
        check("10.0.0.1", "[2001:db8::7]:80", "2001:db8::7");
        check("10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7");
        check("10.0.0.1", " , 203.0.113.7 ,", "203.0.113.7");
        // A client's quotes hide nothing.
        check("10.0.0.1", "\"x, 203.0.113.7", "203.0.113.7");
        // A peer that is not trusted, and values that are none.
        check("10.0.0.2", "203.0.113.7", "10.0.0.1");
        for bad in [
            "unknown",
            "_hidden",
            "a.b",
            "1.2.3",
            "[::1",
            "1.2.3.4:",
            "1.2.3.4:5 6",
            "\"",
        ] {
            check("10.0.0.1", bad, "10.0.0.1");
            check("10.0.0.1", &format!("203.0.113.7, {bad}"), "10.0.0.1");
            check("private", &format!("{bad}, 10.2.2.2"), "10.2.2.2");
        }
    }

    #[test]
    fn scheme_and_host_are_those_that_the_first_trusted_proxy_saw() {
        let x = |entries: &str, proto: &str, host: &str| {
            format!(
                "X-Forwarded-For: {entries}\r\nX-Forwarded-Proto: {proto}\r\nX-Forwarded-Host: \
                 {host}"
            )
        };
        let client = "203.0.113.7";
        let expected = (client, Some(true), Some("a.test:8443"));
        check("private", &x(client, "https", "a.test:8443"), expected);
        check(
            "private",
            &x(client, "evil, HTTPS", "e, a.test:8443"),
            expected,
        );
        let chain = "203.0.113.7, 10.1.1.1";
        check(
            "private",
            &x(chain, "https, http", "a.test:8443, b"),
            expected,
        );
        check("private", &x(chain, "https", "a.test:8443"), expected);
        check("private", &x(client, "gopher", "a b"), (client, None, None));
        let only = "X-Forwarded-Proto: https";
        check("private", only, ("10.0.0.1", Some(true), None));
        check("loopback", only, ("10.0.0.1", None, None));
    }

    #[test]
    fn forwarded_has_parameters_quotes_and_hidden_nodes() {
        let check = |list, value: &str, expected| {
            check(list, &format!("Forwarded: {value}"), expected);
        };
        let plain = ("203.0.113.7", None, None);
        check("private", "for=203.0.113.7", plain);
        check("private", "For=\"203.0.113.7:47011\"", plain);
        check("private", "for=198.51.100.1, for=203.0.113.7", plain);
        check(
            "private",
            "for=203.0.113.7\r\nForwarded: for=10.2.2.2",
            plain,
        );
        let all = ("2001:db8::7", Some(true), Some("a.test"));
        let value = "for=\"[2001:db8::7]:47011\";proto=https;host=a.test;by=_x;ext=\"a,b;c\\\"\"";
        check("private", value, all);
        let value = "for=\"[2001:db8::7]\" ; proto=https;host=a.test, for=10.9.9.9;proto=http";
        check("private", value, all);
        check("private", "for=\"x, for=203.0.113.7", plain);
        check("private", "for=\"x, for=\"203.0.113.7:1\"", plain);
        let hidden = ("10.0.0.1", Some(true), None);
        check("private", "for=_hidden;proto=https", hidden);
        check("private", "for=unknown;proto=https", hidden);
        check("private", "proto=https;by=10.0.0.9", hidden);
        check("private", "for=1.2.3.4, for=_hidden;proto=https", hidden);
        for bad in [
            "for=1.2.3.4;for=1.2.3.4",
            "for",
            "for=\"1.2.3.4",
            "for=1.2.3.4\"",
            "for=",
        ] {
            check("private", bad, ("10.0.0.1", None, None));
        }
        check(
            "private",
            "for=\"2001:db8::7\\\"\"",
            ("10.0.0.1", None, None),
        );
        check(
            "loopback",
            "for=203.0.113.7;proto=https",
            ("10.0.0.1", None, None),
        );
    }

    #[test]
    fn the_other_kind_of_field_is_ignored() {
        let fields = "Forwarded: for=10.3.3.3\r\nX-Forwarded-For: 203.0.113.7\r\n\
                      X-Forwarded-Proto: https";
        check("private", fields, ("10.3.3.3", None, None));
    }
}
