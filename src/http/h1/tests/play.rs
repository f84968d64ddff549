//! Plays whole connections: bytes in, a line of text for what was seen out.

use std::fmt::Write;

use crate::http::h1::{BodyDecoder, BodyError, Leniency, Limits, RequestError, RequestHead, Rules};

/// One end of a connection as a server has it, without the connection.
struct Connection<'a> {
    rules: &'a Rules,
    head: RequestHead,
    body: BodyDecoder,
    /// The bytes that arrived and are not consumed.
    parked: Vec<u8>,
    /// The body of the current request so far, while one is read.
    content: Option<Vec<u8>>,
    /// The status of a request that was refused and whose body is still to be skipped.
    refused: bool,
    seen: Vec<String>,
    is_closed: bool,
}

impl<'a> Connection<'a> {
    fn new(rules: &'a Rules) -> Self {
        Self {
            rules,
            head: RequestHead::new(),
            body: BodyDecoder::new(),
            parked: Vec::new(),
            content: None,
            refused: false,
            seen: Vec::new(),
            is_closed: false,
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.parked.extend_from_slice(bytes);
        while !self.is_closed && self.turn() {}
    }

    /// Does one step. Returns whether it got anywhere.
    fn turn(&mut self) -> bool {
        if self.content.is_some() {
            return self.read_body();
        }
        match self.head.read(&self.parked, self.rules) {
            Ok(None) => return false,
            Ok(Some(_)) => self.refused = false,
            Err(reason) => {
                self.refuse(reason);
                if reason.closes() {
                    return false;
                }
                self.refused = true;
            }
        }
        self.parked.drain(..self.head.consumed());
        self.body
            .begin(self.head.body_length(), self.rules.limits.body_bytes_max);
        self.content = Some(Vec::new());
        true
    }

    fn read_body(&mut self) -> bool {
        let step = match self.body.decode(&self.parked, self.rules) {
            Ok(step) => step,
            Err(error) => {
                self.refuse(error.into());
                return false;
            }
        };
        let content = self.content.as_mut().expect("a body is read");
        content.extend_from_slice(&self.parked[step.data]);
        self.parked.drain(..step.consumed);
        if step.is_end {
            self.end_request();
        }
        step.is_end || step.consumed > 0
    }

    fn end_request(&mut self) {
        let content = self.content.take().expect("a body is read");
        if !self.refused {
            let mut text = format!("{} {}", self.head.method(), self.head.target());
            if !content.is_empty() {
                write!(text, " {}", content.escape_ascii()).unwrap();
            }
            for (name, value) in self.body.trailers().iter() {
                write!(text, " {name}={}", value.escape_ascii()).unwrap();
            }
            self.seen.push(text);
        }
        self.is_closed = !self.head.keeps_alive();
        if self.is_closed {
            self.seen.push("close".into());
        }
        self.head.renew();
    }

    fn refuse(&mut self, reason: RequestError) {
        // An access log looks at a refused head too.
        let head = &self.head;
        assert_eq!(head.path().as_bytes(), head.path_bytes());
        let _ = (head.query(), head.authority(), head.upgrades().count());
        let _ = format!("{head:?} {}", head.expects_continue());
        let mut text = format!("{} {}", reason.status().as_u16(), reason.as_str());
        if !reason.closes() {
            text.push_str(" open");
        }
        self.seen.push(text);
        self.is_closed = reason.closes();
    }

    /// The client sent a FIN.
    fn end(&mut self) {
        if self.is_closed {
            return;
        }
        if self.content.is_some() {
            if let Err(error) = self.body.eof() {
                assert_eq!(error, BodyError::UnexpectedEof);
                self.refuse(error.into());
            }
        } else if !self.parked.is_empty() {
            self.seen.push("cut".into());
        }
    }
}

/// Tells the events of a connection that gets `input` in these pieces and then FIN.
pub(super) fn play_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, rules: &Rules) -> String {
    let mut connection = Connection::new(rules);
    for piece in pieces {
        connection.receive(piece);
    }
    connection.end();
    connection.seen.join("; ")
}

/// Tells the events of a connection that gets `input` and then FIN: requests as method, target,
/// content and trailers, refusals as status and reason with `open` when the connection stays so,
/// `close` where a request asked for it, `cut` for part of a head.
///
/// The outcome must be the same whole, split at every place, and byte by byte.
pub(super) fn play_with(input: &[u8], rules: &Rules) -> String {
    let whole = play_pieces([input], rules);
    assert_eq!(
        play_pieces(input.chunks(1), rules),
        whole,
        "byte by byte: {}",
        show(input)
    );
    // Long inputs are split at every place near their ends and at some between.
    let step = if input.len() > 2000 {
        input.len() / 40
    } else {
        1
    };
    let edge = if input.len() > 100_000 { 8 } else { 200 };
    let near = |at: usize| at < edge || at + edge > input.len();
    for at in (1..input.len()).filter(|&at| near(at) || at % step == 0) {
        let (start, end) = input.split_at(at);
        assert_eq!(
            play_pieces([start, end], rules),
            whole,
            "split at {at}: {}",
            show(input)
        );
    }
    whole
}

/// As [`play_with`], under the default rules.
pub(super) fn play(input: impl AsRef<[u8]>) -> String {
    play_with(input.as_ref(), &Rules::default())
}

/// Holds what a connection sees against what it should see.
#[track_caller]
pub(super) fn check(input: impl AsRef<[u8]>, expected: &str) {
    let input = input.as_ref();
    assert_eq!(play(input), expected, "{}", show(input));
}

/// As [`check`], with one leniency.
#[track_caller]
pub(super) fn check_lenient(leniency: Leniency, input: impl AsRef<[u8]>, expected: &str) {
    let rules = Rules {
        leniency,
        limits: Limits::default(),
    };
    let input = input.as_ref();
    assert_eq!(play_with(input, &rules), expected, "{}", show(input));
}

fn show(input: &[u8]) -> String {
    input[..input.len().min(300)].escape_ascii().to_string()
}
