//! The first message of a client, as far as it is needed before rustls sees it.
//!
//! It tells where the message ends, so that a connection costs no state of rustls's before that,
//! and has the names that a server chooses its configuration by (RFC 8446, section 4.1.2). rustls
//! has the alerts for what is wrong with it.

use std::borrow::Cow;

use rustls::pki_types::DnsName;

/// A ClientHello has fewer bytes. A client that needs more is refused.
const HELLO_BYTES_MAX: usize = 64 * 1024;
/// Records of a ClientHello that are put together. rustls puts more of them together by itself.
const HELLO_RECORDS_MAX: usize = 16;
/// Type, version and length of a record.
const RECORD_HEAD_BYTES: usize = 5;
/// Type and length of a message.
const MESSAGE_HEAD_BYTES: usize = 4;
/// The type of the records with handshakes.
const HANDSHAKE: u8 = 22;

/// The first message of a client: the name that it asks for and the protocols that it offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    server_name: Option<Box<str>>,
    alpn: Vec<Vec<u8>>,
}

impl ClientHello {
    /// Reads it from the records of a client.
    pub(super) fn read(records: &[u8]) -> Self {
        let message = message(records);
        let extensions = extensions(&message);
        let server_name = extensions.clone().find(|(kind, _)| *kind == 0);
        let server_name = server_name.and_then(|(_, bytes)| name(bytes));
        let alpn = extensions.clone().find(|(kind, _)| *kind == 16);
        let alpn = alpn.map_or_else(Vec::new, |(_, bytes)| protocols(bytes));
        Self { server_name, alpn }
    }

    /// Returns the host name that the client asks for, in lower case and without a dot at its end.
    /// None when it connects by an address, or tells no name that a host can have.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Returns the protocols that the client offers (ALPN), its preferred one first.
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        self.alpn.iter().map(Vec::as_slice)
    }

    pub(super) fn into_server_name(self) -> Option<Box<str>> {
        self.server_name
    }
}

/// How far a ClientHello has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Part,
    /// The whole of it, or no ClientHello at all.
    Whole,
    /// Its length is more than it may have.
    TooLong,
}

/// Whether a server is to go on with the records: they have a whole message, or one that cannot be.
pub(super) fn is_whole(records: &[u8]) -> bool {
    extent(records) != Extent::Part
}

/// Whether the message is longer than it may be. rustls would wait for its end.
pub(super) fn is_too_long(records: &[u8]) -> bool {
    extent(records) == Extent::TooLong
}

fn extent(records: &[u8]) -> Extent {
    let mut rest = records;
    let mut message_bytes = 0;
    let mut head = [0; MESSAGE_HEAD_BYTES];
    for _ in 0..HELLO_RECORDS_MAX {
        let Some((record, after)) = split_record(rest) else {
            let is_other = rest.first().is_some_and(|kind| *kind != HANDSHAKE);
            return if is_other {
                Extent::Whole
            } else {
                Extent::Part
            };
        };
        if record.is_empty() || rest[0] != HANDSHAKE {
            return Extent::Whole;
        }
        for (to, from) in head.iter_mut().skip(message_bytes).zip(record) {
            *to = *from;
        }
        message_bytes += record.len();
        if message_bytes >= MESSAGE_HEAD_BYTES {
            let [_, length @ ..] = head.map(usize::from);
            let length = (length[0] << 16) + (length[1] << 8) + length[2];
            if length >= HELLO_BYTES_MAX {
                return Extent::TooLong;
            }
            if message_bytes >= length + MESSAGE_HEAD_BYTES {
                return Extent::Whole;
            }
        }
        rest = after;
    }
    Extent::Whole
}

/// The content of the first record, and what comes after it.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = records.split_at_checked(RECORD_HEAD_BYTES)?;
    rest.split_at_checked(usize::from(u16::from_be_bytes([head[3], head[4]])))
}

/// The content of the records, one after the other.
fn message(records: &[u8]) -> Cow<'_, [u8]> {
    let Some((first, mut rest)) = split_record(records) else {
        return Cow::Borrowed(&[]);
    };
    let mut message = Cow::Borrowed(first);
    while let Some((record, after)) = split_record(rest) {
        message.to_mut().extend_from_slice(record);
        rest = after;
    }
    message
}

/// The extensions of a message: type and content. Empty where the message is none.
fn extensions(message: &[u8]) -> impl Iterator<Item = (u16, &[u8])> + Clone {
    // A version and random bytes come after the head.
    let all = message.get(MESSAGE_HEAD_BYTES + 2 + 32..).and_then(|rest| {
        let (_session_id, rest) = split_at_length(rest, 1)?;
        let (_suites, rest) = split_at_length(rest, 2)?;
        let (_compressions, rest) = split_at_length(rest, 1)?;
        Some(split_at_length(rest, 2)?.0)
    });
    let mut rest = all.unwrap_or_default();
    std::iter::from_fn(move || {
        let (kind, after) = rest.split_at_checked(2)?;
        let (content, after) = split_at_length(after, 2)?;
        rest = after;
        Some((u16::from_be_bytes([kind[0], kind[1]]), content))
    })
}

/// The bytes that the first `length_bytes` bytes tell the length of, and what comes after them.
fn split_at_length(bytes: &[u8], length_bytes: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(length_bytes)?;
    let length = length
        .iter()
        .fold(0, |length, byte| (length << 8) + usize::from(*byte));
    rest.split_at_checked(length)
}

/// The host name of the extension `server_name` (RFC 6066, section 3).
fn name(extension: &[u8]) -> Option<Box<str>> {
    let (list, _) = split_at_length(extension, 2)?;
    let (kind, rest) = list.split_first()?;
    let (name, _) = split_at_length(rest, 2)?;
    if *kind != 0 {
        return None;
    }
    let name = DnsName::try_from(name).ok()?;
    Some(without_dot(name.as_ref()).to_ascii_lowercase().into())
}

/// A name without the dot at its end, which no client is to send (RFC 6066, section 3) and some do.
pub(super) fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// The protocols of the extension `application_layer_protocol_negotiation` (RFC 7301, section 3.1).
fn protocols(extension: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = split_at_length(extension, 2).map_or(&[][..], |(list, _)| list);
    let mut protocols = Vec::new();
    while let Some((protocol, after)) = split_at_length(rest, 1) {
        protocols.push(protocol.to_vec());
        rest = after;
    }
    protocols
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Config, session::Session};

    /// The first flight of a client.
    fn records(name: &str) -> Vec<u8> {
        let config = Config::builder()
            .danger_accept_invalid_certificates(true)
            .alpn(["h2", "http/1.1"])
            .build()
            .unwrap();
        Session::client(config.inner, name).unwrap().outgoing
    }

    /// The same message in records of `size` bytes.
    fn in_pieces(records: &[u8], size: usize) -> Vec<u8> {
        let message = message(records);
        let pieces = message.chunks(size).flat_map(|piece| {
            let mut record = vec![HANDSHAKE, 3, 1];
            record.extend_from_slice(&u16::try_from(piece.len()).unwrap().to_be_bytes());
            record.extend_from_slice(piece);
            record
        });
        pieces.collect()
    }

    #[test]
    fn a_clients_names_are_read_from_any_records() {
        let whole = records("Example.test");
        for records in [whole.clone(), in_pieces(&whole, 20), in_pieces(&whole, 100)] {
            let hello = ClientHello::read(&records);
            assert_eq!(hello.server_name(), Some("example.test"));
            assert!(hello.alpn().eq([&b"h2"[..], b"http/1.1"]));
        }
        let hello = ClientHello::read(&records("127.0.0.1"));
        assert_eq!(hello.server_name(), None);
    }

    #[test]
    fn a_name_is_one_that_a_host_can_have() {
        let whole = records("example.test");
        for (sent, expected) in [
            ("exAmple.tesT", Some("example.test")),
            ("example.tes.", Some("example.tes")),
            ("a_b.c-d.test", Some("a_b.c-d.test")),
            ("exam\nle.test", None),
            ("exam le.test", None),
            ("exam\"le.test", None),
            ("exam\u{fc}e.test", None),
            ("example..est", None),
            ("127.0.00.001", None),
            ("............", None),
        ] {
            let at = whole.windows(12).position(|part| part == b"example.test");
            let mut changed = whole.clone();
            changed[at.unwrap()..][..12].copy_from_slice(sent.as_bytes());
            let hello = ClientHello::read(&changed);
            assert_eq!(hello.server_name(), expected, "{sent:?}");
        }
    }

    #[test]
    fn only_a_whole_message_is_one() {
        let whole = records("example.test");
        for records in [whole.clone(), in_pieces(&whole, 100)] {
            for end in 0..records.len() {
                assert!(!is_whole(&records[..end]), "{end}");
            }
            assert!(is_whole(&records));
        }
    }

    #[test]
    fn rustls_sees_what_is_no_hello() {
        let cases: [&[u8]; 5] = [
            b"GET / HTTP/1.1\r\n",
            &[HANDSHAKE, 3, 1, 0, 0],
            &[HANDSHAKE, 3, 1, 0, 4, 1, 255, 255, 255],
            &[21, 3, 1, 0, 2, 1, 0],
            &[HANDSHAKE, 3, 1, 0, 1, 1].repeat(HELLO_RECORDS_MAX),
        ];
        for case in cases {
            assert!(is_whole(case), "{case:?}");
        }
        // A message of 256 bytes, a byte in each record.
        let mut records = Vec::new();
        for byte in [1, 0, 1, 0].into_iter().chain([0; HELLO_RECORDS_MAX - 4]) {
            assert!(!is_whole(&records), "{records:?}");
            records.extend_from_slice(&[HANDSHAKE, 3, 1, 0, 1, byte]);
        }
        assert!(is_whole(&records), "{records:?}");
    }

    #[test]
    fn a_broken_hello_has_no_names() {
        let whole = records("example.test");
        for end in 0..whole.len() {
            let hello = ClientHello::read(&whole[..end]);
            assert_eq!(hello.server_name(), None, "{end}");
        }
        let mut broken = whole;
        for index in 0..broken.len() {
            broken[index] ^= 0x80;
            let _ = ClientHello::read(&broken);
            broken[index] ^= 0x80;
        }
    }
}
