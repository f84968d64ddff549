//! Each rule about frames, in each split.

use super::{
    oracle::expected,
    play::{CLIENT, DEFLATE, SERVER, Setting, Told, masked, play_all_splits, unmasked},
};
use crate::http::ws::{
    CloseCode, Decoder,
    FrameError::{self, *},
    Limits, MessageKind, Role,
};

/// Checks what `frames` tell, one after the other and in each split.
fn check(setting: &Setting, frames: &[Vec<u8>], told: &[Told]) {
    let input = frames.concat();
    assert_eq!(play_all_splits(&input, setting), told, "{input:x?}");
    assert_eq!(expected(&input, setting), told, "the oracle: {input:x?}");
}

fn check_error(setting: &Setting, frames: &[Vec<u8>], error: FrameError, code: CloseCode) {
    check(setting, frames, &[Told::Error(error)]);
    assert_eq!(error.close_code(), code);
    // It is sent as the reason.
    assert!(error.message().len() <= 123);
}

fn check_violation(setting: &Setting, frames: &[Vec<u8>], error: FrameError) {
    check_error(setting, frames, error, CloseCode::PROTOCOL_ERROR);
}

fn text(text: &str) -> Told {
    Told::Text(text.to_owned())
}

fn binary(bytes: &[u8]) -> Told {
    Told::Binary(bytes.to_vec())
}

#[test]
fn whole_messages() {
    check(&SERVER, &[masked(0x81, b"Hello")], &[text("Hello")]);
    check(&SERVER, &[masked(0x82, b"\xff\0")], &[binary(b"\xff\0")]);
    check(&SERVER, &[masked(0x81, b"")], &[text("")]);
    check(&SERVER, &[masked(0x82, b"")], &[binary(b"")]);
    check(&CLIENT, &[unmasked(0x81, b"Hello")], &[text("Hello")]);
    check(&CLIENT, &[unmasked(0x82, b"")], &[binary(b"")]);
    let frames = [masked(0x81, b"a"), masked(0x82, b"b"), masked(0x81, b"")];
    check(&SERVER, &frames, &[text("a"), binary(b"b"), text("")]);
}

/// The examples of RFC 6455, section 5.7.
#[test]
fn examples_of_the_rfc() {
    let hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec();
    check(&SERVER, &[hello], &[text("Hello")]);
    let fragments = [b"\x01\x03Hel".to_vec(), b"\x80\x02lo".to_vec()];
    check(&CLIENT, &fragments, &[text("Hello")]);
    let ping = b"\x89\x05Hello".to_vec();
    check(&CLIENT, &[ping], &[Told::Ping(b"Hello".to_vec())]);
    let pong = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec();
    check(&SERVER, &[pong], &[Told::Pong(b"Hello".to_vec())]);
}

#[test]
fn lengths_at_the_borders_of_their_encodings() {
    for len in [124, 125, 126, 127, 255, 256, 65_535, 65_536, 65_537] {
        let payload: Vec<u8> = (0..len).map(|index| index as u8).collect();
        for setting in [&SERVER, &CLIENT] {
            let frame = match setting.role {
                Role::Server => masked(0x82, &payload),
                Role::Client => unmasked(0x82, &payload),
            };
            let told = [binary(&payload)];
            if len < 1000 {
                check(setting, &[frame], &told);
            } else {
                for pieces in [1, 7, 13, 4096, len] {
                    assert_eq!(super::play::play(frame.chunks(pieces), setting), told);
                }
            }
        }
    }
}

#[test]
fn lengths_in_too_many_bytes() {
    for len in [0, 1, 125] {
        let frame = vec![0x82, 0xfe, 0, len];
        check_violation(&SERVER, &[frame], LengthNotMinimal);
    }
    for len in [0, 125, 126, 65_535_u64] {
        let frame = [&[0x82, 0x7f][..], &len.to_be_bytes()].concat();
        check_violation(&CLIENT, &[frame], LengthNotMinimal);
    }
    for len in [1 << 63, u64::MAX] {
        let frame = [&[0x82, 0xff][..], &len.to_be_bytes()].concat();
        check_violation(&SERVER, &[frame], LengthTooLarge);
    }
}

#[test]
fn fragments() {
    let frames = [masked(0x01, b"a"), masked(0x00, b"b"), masked(0x80, b"c")];
    check(&SERVER, &frames, &[text("abc")]);
    let frames = [masked(0x02, b""), masked(0x00, b""), masked(0x80, b"")];
    check(&SERVER, &frames, &[binary(b"")]);
    let frames = [masked(0x01, b""), masked(0x80, b"ab")];
    check(&SERVER, &frames, &[text("ab")]);
    let frames = [masked(0x02, b"ab"), masked(0x80, b""), masked(0x81, b"c")];
    check(&SERVER, &frames, &[binary(b"ab"), text("c")]);
}

#[test]
fn control_frames_between_fragments() {
    let frames = [
        masked(0x01, b"a"),
        masked(0x89, b"p"),
        masked(0x00, b""),
        masked(0x8a, b"q"),
        masked(0x80, b"b"),
        masked(0x88, b""),
    ];
    let told = [
        Told::Ping(b"p".to_vec()),
        Told::Pong(b"q".to_vec()),
        text("ab"),
        Told::Close(None),
    ];
    check(&SERVER, &frames, &told);
}

#[test]
fn order_of_fragments() {
    check_violation(&SERVER, &[masked(0x80, b"a")], ContinuationUnexpected);
    check_violation(&SERVER, &[masked(0x00, b"a")], ContinuationUnexpected);
    let begun = masked(0x01, b"");
    for first in [0x01, 0x02, 0x81, 0x82] {
        let frames = [begun.clone(), masked(first, b"a")];
        check_violation(&SERVER, &frames, ContinuationMissing);
    }
    let ended = [masked(0x81, b"a"), masked(0x80, b"b")];
    let told = [text("a"), Told::Error(ContinuationUnexpected)];
    check(&SERVER, &ended, &told);
}

#[test]
fn reserved_bits() {
    for bit in [0x10, 0x20, 0x40, 0x70] {
        for opcode in [0x1, 0x2, 0x8, 0x9, 0xa] {
            let frame = masked(0x80 | bit | opcode, b"");
            check_violation(&SERVER, &[frame], ReservedBits);
        }
        let frames = [masked(0x01, b""), masked(0x80 | bit, b"")];
        check_violation(&SERVER, &frames, ReservedBits);
    }
}

#[test]
fn reserved_opcodes() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for first in [opcode, 0x80 | opcode] {
            check_violation(&SERVER, &[masked(first, b"")], OpcodeReserved);
            check_violation(&CLIENT, &[unmasked(first, b"")], OpcodeReserved);
        }
    }
}

#[test]
fn masks_by_role() {
    for first in [0x81, 0x82, 0x88, 0x89, 0x8a] {
        check_violation(&SERVER, &[unmasked(first, b"")], Unmasked);
        check_violation(&CLIENT, &[masked(first, b"")], Masked);
    }
}

#[test]
fn control_frames() {
    let long = [7; 125];
    for (first, told) in [
        (0x89, Told::Ping(long.to_vec())),
        (0x8a, Told::Pong(long.to_vec())),
    ] {
        check(&SERVER, &[masked(first, &long)], &[told]);
        check_violation(&SERVER, &[masked(first & 0x0f, b"")], ControlFragmented);
        check_violation(&SERVER, &[masked(first, &[7; 126])], ControlTooLong);
        check_violation(&CLIENT, &[vec![first, 127]], ControlTooLong);
    }
    check(&SERVER, &[masked(0x89, b"")], &[Told::Ping(Vec::new())]);
    check_violation(&SERVER, &[masked(0x08, b"")], ControlFragmented);
    check_violation(&SERVER, &[masked(0x88, &[3; 126])], ControlTooLong);
}

#[test]
fn bytes_after_a_close_are_ignored() {
    let frames = [
        masked(0x88, b"\x03\xe8bye"),
        masked(0x81, b"a"),
        vec![0xff; 9],
    ];
    check(
        &SERVER,
        &frames,
        &[Told::Close(Some((1000, "bye".to_owned())))],
    );
}

#[test]
fn close_frames() {
    check(&SERVER, &[masked(0x88, b"")], &[Told::Close(None)]);
    check_violation(&SERVER, &[masked(0x88, b"\x03")], CloseTooShort);
    let long = [&b"\x0f\xa0"[..], &[b'x'; 123]].concat();
    let told = Told::Close(Some((4000, "x".repeat(123))));
    check(&SERVER, &[masked(0x88, &long)], &[told]);
    for reason in [&b"\xff"[..], b"a\xe2\x82", b"\xed\xa0\x80"] {
        let payload = [&b"\x03\xe8"[..], reason].concat();
        let frames = [masked(0x88, &payload)];
        check_error(
            &SERVER,
            &frames,
            CloseReasonNotUtf8,
            CloseCode::INVALID_PAYLOAD,
        );
    }
}

#[test]
fn close_codes() {
    let valid = |code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    for code in [
        0, 1, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012,
        1013, 1014, 1015, 1016, 1100, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65_535,
    ] {
        let frame = unmasked(0x88, &u16::to_be_bytes(code));
        if valid(code) {
            let told = Told::Close(Some((code, String::new())));
            check(&CLIENT, &[frame], &[told]);
        } else {
            check_violation(&CLIENT, &[frame], CloseCodeInvalid);
        }
    }
    for code in 0..=u16::MAX {
        assert_eq!(
            CloseCode::new(code).map(u16::from),
            valid(code).then_some(code)
        );
    }
}

#[test]
fn compressed_messages() {
    let deflated = |kind, bytes: &[u8]| Told::Deflated(kind, bytes.to_vec());
    // The compressed bytes of a text are no text.
    let frames = [
        masked(0xc1, b"\xff\xfe"),
        masked(0x82, b"a"),
        masked(0xc2, b""),
    ];
    let told = [
        deflated(MessageKind::Text, b"\xff\xfe"),
        binary(b"a"),
        deflated(MessageKind::Binary, b""),
    ];
    check(&DEFLATE, &frames, &told);
    let frames = [masked(0x41, b"\xff"), masked(0x89, b""), masked(0x80, b"a")];
    let told = [
        Told::Ping(Vec::new()),
        deflated(MessageKind::Text, b"\xffa"),
    ];
    check(&DEFLATE, &frames, &told);
    for first in [0xc8, 0xc9, 0xca, 0xe1, 0xd1, 0xc0] {
        check_violation(&DEFLATE, &[masked(first, b"")], ReservedBits);
    }
    let frames = [masked(0x41, b""), masked(0xc0, b"")];
    check_violation(&DEFLATE, &frames, ReservedBits);
}

fn limited(message_bytes_max: u64, fragments_max: u32) -> Setting {
    Setting {
        limits: Limits {
            message_bytes_max,
            fragments_max,
        },
        ..DEFLATE
    }
}

#[test]
fn limits_of_messages() {
    let setting = limited(10, 3);
    let code = CloseCode::MESSAGE_TOO_BIG;
    check(&setting, &[masked(0x82, &[1; 10])], &[binary(&[1; 10])]);
    // The header decides, and nothing after it is waited for.
    for len in [11, 125] {
        let header = masked(0x81, &vec![b'x'; len])[..6].to_vec();
        check_error(&setting, &[header], MessageTooLarge, code);
    }
    let huge = [&[0x81, 0xff][..], &(u64::MAX >> 1).to_be_bytes(), &[0; 4]].concat();
    let frames = [huge];
    check_error(&setting, &frames, MessageTooLarge, code);
    let unlimited = limited(u64::MAX, 3);
    check(&unlimited, &frames, &[]);
    let frames = [masked(0x02, &[1; 6]), masked(0x80, &[1; 4])];
    check(&setting, &frames, &[binary(&[1; 10])]);
    let frames = [masked(0x02, &[1; 6]), masked(0x80, &[1; 5])];
    check_error(&setting, &frames, MessageTooLarge, code);
    // Control frames do not count, and each message counts anew.
    let frames = [
        masked(0x02, &[1; 6]),
        masked(0x89, &[2; 9]),
        masked(0x80, &[1; 4]),
    ];
    let told = [Told::Ping(vec![2; 9]), binary(&[1; 10])];
    let twice = [&frames[..], &frames[..]].concat();
    check(&setting, &twice, &[&told[..], &told[..]].concat());
    // Data that cannot be compressed grows a little.
    let told = [Told::Deflated(MessageKind::Binary, vec![0; 74])];
    check(&setting, &[masked(0xc2, &[0; 74])], &told);
    check_error(&setting, &[masked(0xc2, &[0; 75])], MessageTooLarge, code);
}

#[test]
fn limits_of_fragments() {
    let setting = limited(1000, 3);
    let begin = [masked(0x01, b"a"), masked(0x00, b"")];
    let frames = [&begin[..], &[masked(0x80, b"b")]].concat();
    let twice = [&frames[..], &frames[..]].concat();
    check(&setting, &twice, &[text("ab"), text("ab")]);
    let frames = [&begin[..], &[masked(0x00, b""), masked(0x80, b"")]].concat();
    check_error(
        &setting,
        &frames,
        TooManyFragments,
        CloseCode::POLICY_VIOLATION,
    );
    check_error(
        &limited(9, 0),
        &[masked(0x81, b"")],
        TooManyFragments,
        CloseCode::POLICY_VIOLATION,
    );
}

/// An idle connection holds one.
#[test]
fn a_decoder_is_small() {
    let bytes = size_of::<Decoder>();
    println!("a decoder has {bytes} bytes");
    assert!(bytes <= 80, "{bytes}");
}
