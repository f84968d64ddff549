//! Masks, and frames as they are written.

use super::play::{CLIENT, DEFLATE, SERVER, Told, masked, play, unmasked};
use crate::http::ws::{
    CloseCode, CloseFrame, FrameHeader, MessageKind, Opcode, Payload,
    close_frame::REASON_BYTES_MAX,
    encode_close, encode_message, encode_ping, encode_pong,
    encoder::ControlTooLong,
    frame_header::{CONTROL_BYTES_MAX, LONGEST_HEADER_BYTES},
    mask, message_header,
};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

#[test]
fn masks_at_every_alignment_and_length() {
    let plain: Vec<u8> = (0..200).map(|index| (index * 7) as u8).collect();
    for start in 0..16 {
        for len in 0..100 {
            let mut bytes = plain.clone();
            mask(&mut bytes[start..start + len], KEY);
            for (index, byte) in bytes.iter().enumerate() {
                let is_inside = (start..start + len).contains(&index);
                let key = if is_inside {
                    KEY[(index - start) % 4]
                } else {
                    0
                };
                assert_eq!(*byte, plain[index] ^ key, "{start} {len} {index}");
            }
            mask(&mut bytes[start..start + len], KEY);
            assert_eq!(bytes, plain);
        }
    }
}

#[test]
fn messages_are_written_as_the_rfc_shows() {
    let mut out = Vec::new();
    encode_message(&mut out, Payload::Text("Hello"), None);
    assert_eq!(out, b"\x81\x05Hello");
    out.clear();
    encode_message(&mut out, Payload::Text("Hello"), Some(KEY));
    assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    out.clear();
    encode_message(
        &mut out,
        Payload::Deflated(MessageKind::Text, b"\xf2\0"),
        None,
    );
    assert_eq!(out, b"\xc1\x02\xf2\0");
}

#[test]
fn headers_have_the_shortest_length() {
    for len in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
        let payload = vec![7; len];
        let mut out = b"before".to_vec();
        encode_message(&mut out, Payload::Binary(&payload), Some(KEY));
        assert_eq!(out[6..], masked(0x82, &payload));
        out.clear();
        encode_message(&mut out, Payload::Binary(&payload), None);
        assert_eq!(out, unmasked(0x82, &payload));
        assert_eq!(play([&out[..]], &CLIENT), [Told::Binary(payload.clone())]);
        let header = message_header(Payload::Binary(&payload), None).to_bytes();
        assert_eq!(out[..out.len() - len], *header.as_slice());
    }
    let header = FrameHeader {
        opcode: Opcode::Continuation,
        is_final: false,
        is_compressed: false,
        len: u64::MAX >> 1,
        key: Some(KEY),
    };
    let bytes = header.to_bytes();
    assert_eq!(
        bytes.as_slice(),
        b"\0\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x37\xfa\x21\x3d"
    );
    assert_eq!(bytes.as_slice().len(), LONGEST_HEADER_BYTES);
}

#[test]
fn control_frames_are_written() {
    let mut out = Vec::new();
    encode_ping(&mut out, b"Hello", None).unwrap();
    encode_pong(&mut out, b"", None).unwrap();
    assert_eq!(out, b"\x89\x05Hello\x8a\0");
    out.clear();
    let long = [7; CONTROL_BYTES_MAX + 1];
    assert_eq!(encode_ping(&mut out, &long, Some(KEY)), Err(ControlTooLong));
    assert_eq!(encode_pong(&mut out, &long, Some(KEY)), Err(ControlTooLong));
    assert!(out.is_empty());
    encode_ping(&mut out, &long[1..], Some(KEY)).unwrap();
    assert_eq!(play([&out[..]], &SERVER), [Told::Ping(long[1..].to_vec())]);
}

#[test]
fn close_frames_are_written() {
    let told = |reason: &str| {
        let mut out = Vec::new();
        let code = CloseCode::GOING_AWAY;
        encode_close(&mut out, Some(CloseFrame { code, reason }), Some(KEY));
        play([&out[..]], &DEFLATE)
    };
    let close = |reason: &str| [Told::Close(Some((1001, reason.to_owned())))];
    assert_eq!(told(""), close(""));
    assert_eq!(told("the server stops"), close("the server stops"));
    // A reason is cut after a whole character.
    let long = "x".repeat(REASON_BYTES_MAX - 1);
    assert_eq!(told(&format!("{long}yz")), close(&format!("{long}y")));
    assert_eq!(told(&format!("{long}é")), close(&long));
    let mut out = Vec::new();
    encode_close(&mut out, None, None);
    assert_eq!(out, b"\x88\0");
}
