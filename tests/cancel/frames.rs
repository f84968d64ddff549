//! Frames that tell where they belong: whole, in order, without repeats.

use std::sync::OnceLock;

/// A number and a length in front of each.
const HEAD: usize = 8;

pub(super) const PAYLOAD_MAX: usize = 150_000;

/// Each payload is a piece of this, from a place that its number decides.
fn pattern() -> &'static [u8] {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    PATTERN.get_or_init(|| crate::support::random::Random::new(1).bytes(PAYLOAD_MAX + 4099))
}

fn payload(number: u32, len: usize) -> &'static [u8] {
    &pattern()[number as usize % 4099..][..len]
}

pub(super) fn encode(number: u32, len: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEAD + len);
    frame.extend_from_slice(&number.to_be_bytes());
    frame.extend_from_slice(&(len as u32).to_be_bytes());
    frame.extend_from_slice(payload(number, len));
    frame
}

/// The fate of a frame, as far as its sender can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was sent, or its turn had come when it was dropped.
    Sent,
    /// It was dropped when its turn may have come.
    Unknown,
    /// It was never polled.
    NotSent,
}

/// Takes frames apart, and panics at the first byte that is not as it must be.
#[derive(Default)]
pub(super) struct Decoder {
    bytes: Vec<u8>,
    peeked: Vec<u8>,
    numbers: Vec<u32>,
}

impl Decoder {
    /// Takes what was received.
    pub(super) fn push(&mut self, more: &[u8]) {
        let common = self.peeked.len().min(more.len());
        assert!(
            self.peeked[..common] == more[..common],
            "other bytes come than were peeked at"
        );
        self.peeked.drain(..common);
        self.bytes.extend_from_slice(more);
        let mut start = 0;
        while let Some((number, len)) = head(&self.bytes[start..]) {
            let last = self.numbers.last();
            assert!(
                last.is_none_or(|last| *last < number),
                "frame {number} comes behind {last:?}"
            );
            assert!(len <= PAYLOAD_MAX, "frame {number} of {len} bytes");
            let Some(found) = self.bytes[start..].get(HEAD..HEAD + len) else {
                break;
            };
            assert!(
                found == payload(number, len),
                "frame {number} has other bytes than were sent"
            );
            self.numbers.push(number);
            start += HEAD + len;
        }
        self.bytes.drain(..start);
    }

    /// Takes what will be received again.
    pub(super) fn peek(&mut self, bytes: &[u8]) {
        let common = self.peeked.len().min(bytes.len());
        assert!(
            self.peeked[..common] == bytes[..common],
            "a second look shows other bytes"
        );
        if bytes.len() > common {
            self.peeked = bytes.to_vec();
        }
    }

    /// Expects that every frame has met its fate.
    pub(super) fn finish(self, fates: &[Fate]) {
        assert!(self.bytes.is_empty(), "the last frame is not whole");
        assert!(self.peeked.is_empty(), "bytes were seen that never came");
        let mut numbers = self.numbers.into_iter().peekable();
        for (number, fate) in fates.iter().enumerate() {
            let came = numbers.next_if_eq(&(number as u32)).is_some();
            match fate {
                Fate::Sent => assert!(came, "frame {number} is lost"),
                Fate::NotSent => assert!(!came, "frame {number} was never sent"),
                Fate::Unknown => {}
            }
        }
        assert_eq!(numbers.next(), None, "a frame came that there was not");
    }
}

fn head(bytes: &[u8]) -> Option<(u32, usize)> {
    let number = bytes.get(..4)?.try_into().unwrap();
    let len = bytes.get(4..HEAD)?.try_into().unwrap();
    Some((u32::from_be_bytes(number), u32::from_be_bytes(len) as usize))
}

#[test]
fn frames_are_taken_apart_at_any_place() {
    let all: Vec<u8> = [encode(1, 5), encode(2, 0), encode(7, 300)].concat();
    for step in [1, 2, 7, 100, 1000] {
        let mut decoder = Decoder::default();
        all.chunks(step).for_each(|chunk| decoder.push(chunk));
        assert_eq!(decoder.numbers, [1, 2, 7]);
        let mut fates = [Fate::NotSent; 8];
        (fates[1], fates[2], fates[7]) = (Fate::Sent, Fate::Sent, Fate::Unknown);
        decoder.finish(&fates);
    }
}

#[test]
fn a_wrong_a_repeated_and_a_missing_frame_are_found() {
    let fails = |bytes: Vec<u8>, fates: &[Fate]| {
        let result = std::panic::catch_unwind(|| {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            decoder.finish(fates);
        });
        assert!(result.is_err());
    };
    let sent = [Fate::Sent];
    fails([encode(0, 9), encode(0, 9)].concat(), &sent);
    fails(encode(0, 9)[..16].to_vec(), &sent);
    fails(encode(0, 9)[1..].to_vec(), &sent);
    fails(Vec::new(), &sent);
    fails(encode(0, 9), &[Fate::NotSent]);
    let mut wrong = encode(0, 9);
    wrong[12] ^= 1;
    fails(wrong, &sent);
}
