//! Properties of every input, for tests with random frames and for the fuzzer, which includes this
//! file.

use ::http::Method;

use super::{
    inflating::check_inflated,
    oracle::expected,
    play::{Setting, Told, play},
};
use crate::http::{
    h1::{RequestHead, ResponseHead, Rules},
    ws::{
        ClientHandshake, CloseCode, CloseFrame, Handshake, Limits, Origins, Payload, Role,
        encode_close, encode_message, encode_ping, encode_pong,
    },
};

/// The circumstances that a byte stands for.
pub(super) fn setting(byte: u8) -> Setting {
    Setting {
        role: if byte & 1 == 0 {
            Role::Server
        } else {
            Role::Client
        },
        deflate: byte & 2 != 0,
        limits: Limits {
            message_bytes_max: if byte & 4 == 0 { 1 << 20 } else { 40 },
            fragments_max: if byte & 8 == 0 { 1024 } else { 3 },
        },
    }
}

/// A number that depends on all of `input`, to choose pieces by.
fn hash(input: &[u8]) -> usize {
    input.iter().fold(17, |hash, &byte| {
        hash.wrapping_mul(31).wrapping_add(usize::from(byte))
    })
}

/// Checks everything that holds for the bytes of a peer. The first byte chooses the circumstances.
pub(super) fn check(input: &[u8]) {
    let Some((&first, input)) = input.split_first() else {
        return;
    };
    let setting = setting(first);
    let told = play([input], &setting);
    assert_eq!(told, expected(input, &setting), "by the slow decoder");
    assert_eq!(play(input.chunks(1), &setting), told, "byte by byte");
    let size = hash(input) % 40 + 2;
    assert_eq!(play(input.chunks(size), &setting), told, "by {size}");
    let (start, end) = input.split_at(hash(input) / 64 % (input.len() + 1));
    assert_eq!(play([start, end], &setting), told, "in two pieces");
    assert!(told.iter().map(bytes).sum::<usize>() <= input.len());
    for one in &told {
        if let Told::Deflated(_, payload) = one {
            check_inflated(payload, &setting.limits);
        }
    }
    check_again(&told, &setting);
}

/// Checks that a request with `fields` is judged, and that the answer fits.
pub(super) fn check_handshake(fields: &[u8]) {
    let start = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut head = RequestHead::new();
    let text = [&start[..], fields, b"\r\n\r\n"].concat();
    let Ok(Some(_)) = head.read(&text, &Rules::default()) else {
        return;
    };
    let Ok(handshake) = Handshake::check(&head, &Origins::Same) else {
        return;
    };
    let ours: Vec<&str> = handshake.subprotocols().collect();
    let chosen = handshake.choose_subprotocol(&ours);
    assert_eq!(chosen, ours.first().copied());
    let acceptance = handshake.accept(chosen, true);
    let mut answer = "HTTP/1.1 101\r\nUpgrade: websocket\r\nConnection: upgrade\r\n".to_owned();
    for (name, value) in acceptance.fields() {
        answer.push_str(&format!("{name}: {}\r\n", value.to_str().expect("ASCII")));
    }
    answer.push_str("\r\n");
    let mut head = ResponseHead::new();
    head.read(answer.as_bytes(), &Method::GET, &Rules::default())
        .expect("an answer");
    let client = ClientHandshake::new(*b"the sample nonce", &ours, true).expect("names");
    let agreement = client.check(head.status(), head.fields()).expect("it fits");
    assert_eq!(agreement.subprotocol.as_deref(), chosen);
    assert_eq!(agreement.deflate.is_some(), acceptance.deflate.is_some());
}

/// Checks that all that was told survives being written and read again.
fn check_again(told: &[Told], setting: &Setting) {
    let mut out = Vec::new();
    let key = (setting.role == Role::Server).then_some([0x81, 0, 0xff, 0x7e]);
    let mut written = Vec::new();
    for one in told {
        match one {
            Told::Text(text) => encode_message(&mut out, Payload::Text(text), key),
            Told::Binary(bytes) => encode_message(&mut out, Payload::Binary(bytes), key),
            Told::Deflated(kind, bytes) => {
                encode_message(&mut out, Payload::Deflated(*kind, bytes), key);
            }
            Told::Ping(bytes) => encode_ping(&mut out, bytes, key).unwrap(),
            Told::Pong(bytes) => encode_pong(&mut out, bytes, key).unwrap(),
            Told::Close(frame) => {
                let frame = frame.as_ref().map(|(code, reason)| CloseFrame {
                    code: CloseCode::new(*code).unwrap(),
                    reason,
                });
                encode_close(&mut out, frame, key);
            }
            Told::Error(_) => break,
        }
        written.push(one.clone());
    }
    assert_eq!(play([&out[..]], setting), written);
}

fn bytes(told: &Told) -> usize {
    match told {
        Told::Text(text) => text.len(),
        Told::Binary(bytes) | Told::Deflated(_, bytes) | Told::Ping(bytes) | Told::Pong(bytes) => {
            bytes.len()
        }
        Told::Close(frame) => frame.as_ref().map_or(0, |(_, reason)| 2 + reason.len()),
        Told::Error(_) => 0,
    }
}
