//! Reading and writing allocates nothing once the parts are warm: the messages of `http::h1`, and
//! the frames of `http::ws`.
//!
//! It has no harness: it includes the core's modules as they are, whose own tests would run again.
#![expect(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "it includes more than it uses"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../../src/http"]
mod http {
    pub(crate) mod base64;
    pub(crate) mod h1;
    pub(crate) mod ws;
}

use ::http::{
    HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, ETAG},
};
use http::{
    h1::*,
    ws::{Decoder, Event, Role, encode_message, encode_pong},
};
use support::counting::{self, Counting};

#[global_allocator]
static COUNTING: Counting = Counting;

/// Number of allocations in the second of two calls.
fn allocation_count_when_warm(mut work: impl FnMut()) -> usize {
    work();
    let before = counting::allocations();
    work();
    counting::allocations() - before
}

fn main() {
    the_count_works();
    reading_a_request_allocates_nothing();
    refusing_a_request_allocates_nothing();
    writing_a_response_allocates_nothing();
    a_client_allocates_nothing();
    reading_and_writing_frames_allocates_nothing();
    println!("no allocation once warm: ok");
}

const REQUEST: &[u8] = b"POST /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x\r\n\
    Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\nAccept: */*\r\n\
    Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n";

fn the_count_works() {
    let count = allocation_count_when_warm(|| {
        std::hint::black_box(Vec::<u8>::with_capacity(10));
    });
    assert_eq!(count, 1);
}

fn reading_a_request_allocates_nothing() {
    let rules = Rules::default();
    let mut head = RequestHead::new();
    let mut body = BodyDecoder::new();
    let mut input = REQUEST.to_vec();
    let mut read = |split: usize| {
        input.copy_from_slice(REQUEST);
        if split > 0 {
            assert_eq!(head.read(&input[..split], &rules), Ok(None));
        }
        let len = head.read(&input, &rules).unwrap().unwrap();
        assert_eq!((head.path(), head.query()), ("/a/b", Some("c=d")));
        assert_eq!(head.field("accept"), Some(&b"*/*"[..]));
        assert_eq!(head.fields().iter().count(), 6);
        assert_eq!(head.upgrades().count(), 1);
        assert_eq!(head.authority(), Some("example.com"));
        body.begin(head.body_length(), 1000);
        let step = body.decode_in_place(&mut input[len..], &rules).unwrap();
        assert!(step.is_end && step.data.len() == 5);
        assert_eq!(body.trailers().get("x-sum"), Some(&b"1"[..]));
        head.renew();
    };
    assert_eq!(allocation_count_when_warm(|| read(0)), 0);
    assert_eq!(allocation_count_when_warm(|| read(20)), 0);
}

fn refusing_a_request_allocates_nothing() {
    let rules = Rules::default();
    let date = DateCache::new(0);
    let mut head = RequestHead::new();
    let mut out = Vec::new();
    let inputs: [&[u8]; 5] = [
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03",
    ];
    let refuse = || {
        for input in inputs {
            out.clear();
            let error = head.read(input, &rules).unwrap_err();
            encode_reject(
                &mut out,
                error.reject(),
                AnswerTo::request(&head),
                date.line(),
            );
        }
    };
    assert_eq!(allocation_count_when_warm(refuse), 0);
}

fn writing_a_response_allocates_nothing() {
    let mut date = DateCache::new(0);
    let mut out = Vec::new();
    let mut head = RequestHead::new();
    head.read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &Rules::default())
        .unwrap();
    let answer_to = AnswerTo::request(&head);
    let text = HeaderValue::from_static("text/plain");
    let mut plain = PlainEncoder::new();
    let mut second = 0;
    let write = || {
        out.clear();
        second += 1;
        date.at(second);
        let line = date.line();
        plain.encode(&mut out, StatusCode::OK, &text, b"hello", answer_to, &date);
        let mut encoder = ResponseEncoder::new(&mut out, StatusCode::NOT_FOUND, answer_to);
        encoder.field(&CONTENT_TYPE, &text);
        encoder.field(&ETAG, &text);
        encoder.finish(None, line);
        let mut body = BodyEncoder::new(BodyLength::Chunked);
        body.write(&mut out, b"hello").unwrap();
        body.finish_with_trailers(&mut out, [(&ETAG, &text)])
            .unwrap();
    };
    assert_eq!(allocation_count_when_warm(write), 0);
}

fn a_client_allocates_nothing() {
    let rules = Rules::default();
    let text = HeaderValue::from_static("text/plain");
    let mut out = Vec::new();
    let mut head = ResponseHead::new();
    let mut body = BodyDecoder::new();
    let input = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello";
    let exchange = || {
        out.clear();
        let mut encoder = RequestEncoder::new(&mut out, &Method::GET, "/a b", "h:80").unwrap();
        encoder.field(&CONTENT_TYPE, &text);
        encoder.finish(BodyLength::None);
        let len = head.read(input, &Method::GET, &rules).unwrap().unwrap();
        body.begin(head.body_length(), 1000);
        assert!(body.decode(&input[len..], &rules).unwrap().is_end);
        head.clear();
    };
    assert_eq!(allocation_count_when_warm(exchange), 0);
}

/// Neither a message in one piece nor one whose pieces split headers and characters.
fn reading_and_writing_frames_allocates_nothing() {
    let limits = http::ws::Limits::default();
    let key = Some([1, 2, 3, 4]);
    let mut frames = Vec::new();
    encode_message(&mut frames, http::ws::Payload::Text("h\u{e9}llo"), key);
    encode_message(&mut frames, http::ws::Payload::Binary(&[7; 300]), key);
    let mut input = frames.clone();
    let mut out = Vec::new();
    let mut decoder = Decoder::new(Role::Server, false);
    let mut echo = |piece_bytes: usize| {
        input.copy_from_slice(&frames);
        out.clear();
        for piece in input.chunks_mut(piece_bytes) {
            let mut at = 0;
            while at < piece.len() {
                let step = decoder.decode(&mut piece[at..], &limits).unwrap();
                at += step.consumed;
                match step.event {
                    Some(Event::Data(data)) => encode_message(&mut out, data.payload, None),
                    Some(_) => panic!("there are only messages"),
                    None => {}
                }
            }
        }
        encode_pong(&mut out, b"p", None).unwrap();
        out.len()
    };
    assert_eq!(echo(frames.len()), 2 + 6 + 4 + 300 + 3);
    assert_eq!(allocation_count_when_warm(|| assert!(echo(1000) > 0)), 0);
    assert_eq!(allocation_count_when_warm(|| assert!(echo(1) > 0)), 0);
}
