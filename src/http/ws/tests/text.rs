//! Text in UTF-8, whole and split, and texts that are not.

use super::play::{SERVER, Told, masked, play, play_all_splits};
use crate::http::ws::{CloseCode, FrameError};

/// Characters of each length, at the borders of each.
const TEXTS: [&str; 7] = [
    "",
    "\0a\u{7f}",
    "\u{80}\u{7ff}",
    "\u{800}\u{d7ff}\u{e000}\u{ffff}",
    "\u{10000}\u{10ffff}",
    "κόσμε and 東京, 😀",
    "ab\u{7ff}c\u{ffff}d\u{10ffff}",
];

/// Bytes that no character has. The last byte of each is the first one that is wrong.
const NOT_TEXTS: [&[u8]; 19] = [
    b"\x80",
    b"\xbf",
    b"\xc0",
    b"\xc1",
    b"\xf5",
    b"\xff",
    b"\xfe",
    b"\xc2\x7f",
    b"\xc2\xc0",
    b"\xe0\x9f",
    b"\xe1\x80\x7f",
    b"\xed\xa0",
    b"\xef\xbf\xc0",
    b"\xf0\x8f",
    b"\xf0\x90\x80\x7f",
    b"\xf1\x80\xc0",
    b"\xf4\x90",
    b"\xf4\x8f\xbf\xff",
    b"\xe2\x82a",
];

const ERROR: Told = Told::Error(FrameError::TextNotUtf8);

#[test]
fn text_in_every_split_and_in_two_fragments() {
    for text in TEXTS {
        let told = [Told::Text(text.to_owned())];
        assert_eq!(
            play_all_splits(&masked(0x81, text.as_bytes()), &SERVER),
            told
        );
        for at in 0..=text.len() {
            let (start, end) = text.as_bytes().split_at(at);
            let frames = [masked(0x01, start), masked(0x89, b""), masked(0x80, end)].concat();
            let told = [Told::Ping(Vec::new()), told[0].clone()];
            assert_eq!(play_all_splits(&frames, &SERVER), told);
        }
    }
}

#[test]
fn text_in_a_fragment_a_byte() {
    let mut setting = SERVER;
    setting.limits.fragments_max = 100;
    for text in TEXTS {
        let mut frames = masked(0x01, b"");
        for byte in text.bytes() {
            frames.extend(masked(0x00, &[byte]));
        }
        frames.extend(masked(0x80, b""));
        let told = [Told::Text(text.to_owned())];
        assert_eq!(play_all_splits(&frames, &setting), told);
    }
}

#[test]
fn the_first_byte_that_is_wrong_fails() {
    assert_eq!(
        FrameError::TextNotUtf8.close_code(),
        CloseCode::INVALID_PAYLOAD
    );
    for bad in NOT_TEXTS {
        for before in TEXTS {
            let payload = [before.as_bytes(), bad, b"and more text"].concat();
            let frame = masked(0x01, &payload);
            let end = frame.len() - b"and more text".len();
            assert_eq!(play_all_splits(&frame, &SERVER), [ERROR]);
            // It fails with this byte, which is in mid-frame.
            assert_eq!(play([&frame[..end]], &SERVER), [ERROR], "{bad:x?}");
            assert_eq!(play([&frame[..end - 1]], &SERVER), [], "{bad:x?}");
        }
    }
}

#[test]
fn text_that_ends_in_a_character() {
    for text in TEXTS {
        for at in 0..text.len() {
            if text.is_char_boundary(at) {
                continue;
            }
            let part = &text.as_bytes()[..at];
            assert_eq!(play_all_splits(&masked(0x81, part), &SERVER), [ERROR]);
            let frames = [masked(0x01, part), masked(0x80, b"")].concat();
            assert_eq!(play_all_splits(&frames, &SERVER), [ERROR]);
            // The next fragment could complete it.
            assert_eq!(play_all_splits(&masked(0x01, part), &SERVER), []);
        }
    }
}

#[test]
fn binary_is_not_checked() {
    for bad in NOT_TEXTS {
        let told = [Told::Binary(bad.to_vec())];
        assert_eq!(play_all_splits(&masked(0x82, bad), &SERVER), told);
    }
}

#[test]
fn long_text_in_pieces() {
    let text: String = TEXTS.concat().repeat(200);
    let frame = masked(0x81, text.as_bytes());
    let told = [Told::Text(text)];
    for size in [2, 3, 5, 63, 64, 65, 1000, 4096] {
        assert_eq!(play(frame.chunks(size), &SERVER), told, "by {size}");
    }
}
