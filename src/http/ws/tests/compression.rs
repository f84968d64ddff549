//! Messages that are compressed.

use crate::http::ws::{Deflate, Deflater, FrameError, Inflater, Limits};

const LARGEST: Deflate = Deflate { window_bits: 15 };

fn limits(message_bytes_max: u64) -> Limits {
    Limits {
        message_bytes_max,
        ..Limits::default()
    }
}

/// Examples of RFC 7692, section 7.2.3, and others.
#[test]
fn payloads_are_inflated() {
    let mut inflater = Inflater::new();
    for (payload, expected) in [
        (&b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..], &b"Hello"[..]),
        // A block without compression.
        (b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", b"Hello"),
        // A block that says it is the last.
        (b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", b"Hello"),
        // Two blocks.
        (
            b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
            b"Hello",
        ),
        (b"\x00", b""),
        (b"", b""),
    ] {
        let inflated = inflater.inflate(payload, &limits(5));
        assert_eq!(inflated.as_deref(), Ok(expected), "{payload:x?}");
    }
}

#[test]
fn payloads_that_are_no_deflate_are_refused() {
    let mut inflater = Inflater::new();
    for payload in [&b"\xff\xff"[..], b"\x07", b"\x01\x05\x00\xfa\xfe"] {
        let inflated = inflater.inflate(payload, &limits(100));
        assert_eq!(inflated, Err(FrameError::DeflateInvalid), "{payload:x?}");
        // The next one is not spoilt.
        let inflated = inflater.inflate(b"\xf2\x48\xcd\xc9\xc9\x07\x00", &limits(5));
        assert_eq!(inflated.as_deref(), Ok(&b"Hello"[..]));
    }
}

/// Each costs as much as thousands of bytes: a message of a MiB of them took 17 s.
#[test]
fn last_blocks_are_limited() {
    let mut inflater = Inflater::new();
    let ended = b"\xf3\x48\xcd\xc9\xc9\x07\x00";
    let inflated = inflater.inflate(&ended.repeat(16), &limits(100));
    assert_eq!(inflated, Ok(b"Hello".repeat(16)));
    for payload in [ended.repeat(17), b"\x03\x00".repeat(1 << 19)] {
        let inflated = inflater.inflate(&payload, &limits(100));
        assert_eq!(inflated, Err(FrameError::DeflateInvalid));
    }
}

/// An inflater serves many connections, whose bytes are not for each other.
#[test]
fn no_byte_of_another_message_is_told() {
    let mut inflater = Inflater::new();
    let secret = vec![b'x'; 100_000];
    let deflated = Deflater::new(6).deflate(&secret, LARGEST).unwrap();
    inflater.inflate(&deflated, &limits(100_000)).unwrap();
    // The second "Hello" of RFC 7692, section 7.2.3.2, which refers to the first.
    match inflater.inflate(b"\xf2\x00\x11\x00\x00", &limits(100)) {
        Ok(inflated) => assert_eq!(inflated, b"H\0\0\0\0"),
        Err(error) => assert_eq!(error, FrameError::DeflateInvalid),
    }
}

#[test]
fn the_inflated_size_is_limited() {
    let bomb = Deflater::new(6)
        .deflate(&vec![0; 1 << 20], LARGEST)
        .unwrap();
    assert!(bomb.len() < 2000);
    let mut inflater = Inflater::new();
    for bytes_max in [0, 1, 5000, (1 << 20) - 1] {
        let inflated = inflater.inflate(&bomb, &limits(bytes_max));
        assert_eq!(inflated, Err(FrameError::MessageTooLarge));
    }
    let inflated = inflater.inflate(&bomb, &limits(1 << 20)).unwrap();
    assert!(inflated.len() == 1 << 20 && inflated.capacity() <= (1 << 20) + 1);
}

#[test]
fn messages_come_back_for_each_window() {
    let mut inflater = Inflater::new();
    let mut deflater = Deflater::new(6);
    let text = "The same words, the same words and others. ".repeat(2000);
    for window_bits in 8..=15 {
        for len in [40, 43, 86, 255, 256, 257, 512, 1000, 32_768, 32_769, 80_000] {
            let message = &text.as_bytes()[..len];
            let Some(deflated) = deflater.deflate(message, Deflate { window_bits }) else {
                assert!(len < 86, "{window_bits} {len}");
                continue;
            };
            assert!(deflated.len() < len);
            let inflated = inflater.inflate(&deflated, &limits(len as u64));
            assert_eq!(inflated.as_deref(), Ok(message), "{window_bits} {len}");
        }
    }
}

/// No reference goes further back than the window: so each of its parts is inflated alone.
#[test]
fn references_stay_in_the_window() {
    let mut deflater = Deflater::new(9);
    let part: Vec<u8> = (0..256_u32)
        .map(|index| (index * index / 7) as u8)
        .collect();
    let message = part.repeat(8);
    let far = deflater.deflate(&message, LARGEST).unwrap();
    let near = deflater.deflate(&message, Deflate { window_bits: 8 });
    // Without references to the part before, the parts do not become smaller.
    assert!(near.is_none_or(|near| near.len() > 4 * far.len()));
}

#[test]
fn messages_that_do_not_become_smaller_are_left() {
    let mut deflater = Deflater::new(6);
    for message in [&b""[..], b"a", b"0123456789"] {
        assert_eq!(deflater.deflate(message, LARGEST), None);
    }
}

/// The last bytes of a message are those that a full buffer held back.
#[test]
fn messages_of_any_entropy_and_length_come_back_whole() {
    let (mut deflater, mut inflater) = (Deflater::new(6), Inflater::new());
    let limits = Limits {
        message_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    // A block of data that hardly becomes smaller has 31 KiB, and the last bytes are held back
    // when one ends shortly before them.
    let lens = (0..120).map(|round| 63_000 + round * 10);
    for (round, len) in lens
        .chain([1, 300, 4096, 33_000, 65_536, 70_000])
        .enumerate()
    {
        let letters = [200, 100, 60, 150, 2, 1][round % 6];
        let message: Vec<u8> = (0..len).map(|_| (random() % letters) as u8).collect();
        for window_bits in [15, 9] {
            if let Some(deflated) = deflater.deflate(&message, Deflate { window_bits }) {
                assert!(deflated.len() < message.len());
                let inflated = inflater.inflate(&deflated, &limits).unwrap();
                assert!(inflated == message, "{len} bytes of {letters} letters");
            }
        }
    }
}
