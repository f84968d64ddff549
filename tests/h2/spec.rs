//! The rules of RFC 9113 and RFC 7541, case by case, in the order of the program h2spec.

mod frames;
mod requests;
mod taken;

use annulus::http::{self, Request, Response};

use crate::{frames::*, support::run_each};

/// The duty of a server after some frames.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// To go on as if nothing had been.
    Fine,
    /// To answer on stream 1.
    Answer,
    /// To end stream 1 with this code.
    Stream(u32),
    /// To end the connection with this code.
    Connection(u32),
    /// To end the connection. RFC 9113 wants the code, and the crate `h2` says PROTOCOL_ERROR.
    Coarse(u32),
    /// To end stream 1 or the connection with one of these.
    Either(&'static [u32]),
}
use Expected::{Answer, Coarse, Connection, Either, Fine, Stream};

/// A rule's section, the case, the frames that follow on the greeting, and what is expected.
type Case = (&'static str, &'static str, Vec<u8>, Expected);

/// Answers with the body of the request, once that is complete.
async fn echo(mut request: Request) -> http::Result<Response> {
    let mut body = request.take_body();
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(Response::bytes(bytes))
}

fn judge(frames: &[Frame], expected: Expected) -> bool {
    let goaway = frames.iter().find(|frame| frame.kind == GOAWAY);
    let goaway = goaway.and_then(Frame::code);
    let reset = frames
        .iter()
        .find(|frame| frame.kind == RST_STREAM && frame.stream == 1);
    let reset = reset.and_then(Frame::code);
    let has_pong = frames
        .iter()
        .any(|frame| frame.kind == PING && frame.payload == b"a probe!");
    let is_answered = frames
        .iter()
        .any(|frame| frame.stream == 1 && frame.is_end());
    match expected {
        Fine => has_pong && goaway.is_none() && reset.is_none(),
        Answer => is_answered && goaway.is_none(),
        Stream(code) => has_pong && goaway.is_none() && reset == Some(code),
        Connection(code) => goaway == Some(code),
        Coarse(code) => code != PROTOCOL_ERROR && goaway == Some(PROTOCOL_ERROR),
        Either(codes) => reset.or(goaway).is_some_and(|code| codes.contains(&code)),
    }
}

fn check(cases: Vec<Case>) {
    run_each(async || {
        let mut failed = Vec::new();
        for (section, name, bytes, expected) in &cases {
            let mut peer = Peer::new(echo).await;
            peer.send(bytes).await;
            let is_judged = |frame: &Frame| {
                let is_ours = frame.stream == 1;
                match expected {
                    Fine => true,
                    Answer => is_ours && frame.is_end(),
                    Stream(_) | Either(_) => is_ours && frame.kind == RST_STREAM,
                    Connection(_) | Coarse(_) => false,
                }
            };
            // A reset may come after the ping's answer.
            let mut frames = match expected {
                Fine => Vec::new(),
                _ => {
                    peer.until(|frame| is_judged(frame) || frame.kind == GOAWAY)
                        .await
                }
            };
            frames.extend(peer.ping().await);
            if !judge(&frames, *expected) {
                failed.push(format!("{section} {name}: {expected:?}, found {frames:?}"));
            }
        }
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    });
}

fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

/// A request whose field block is `fields` after the usual four.
fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    let all = [&request("GET", "/")[..], fields].concat();
    headers(END_STREAM | END_HEADERS, 1, &all)
}

/// A request with exactly these fields.
fn only(fields: &[(&str, &str)]) -> Vec<u8> {
    headers(END_STREAM | END_HEADERS, 1, fields)
}

/// A request with a raw field block after the usual fields.
fn raw(bytes: &[u8]) -> Vec<u8> {
    let mut all = block(&request("GET", "/"));
    all.extend_from_slice(bytes);
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &all)
}

const EVERYTHING: u8 = END_STREAM | END_HEADERS;

fn usual() -> Vec<u8> {
    block(&request("GET", "/"))
}

fn priority(dependency: u32, weight: u8) -> Vec<u8> {
    let mut out = dependency.to_be_bytes().to_vec();
    out.push(weight);
    out
}

/// A payload with padding.
fn padded(payload: &[u8], padding: u8) -> Vec<u8> {
    let mut out = vec![padding];
    out.extend_from_slice(payload);
    out.extend(std::iter::repeat_n(0, padding.into()));
    out
}
