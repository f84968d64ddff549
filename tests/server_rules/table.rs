//! Tables of requests, and what a server must do with each.

use std::thread;

use crate::{
    client::{Answer, Client},
    support::conformance::Server,
};

/// A request that any server answers, and whose answer is told from all others.
pub(crate) const BEHIND: &str = "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n";

/// Up to this many bytes are split at every place, more at this many places.
const SPLITS_MAX: usize = 48;

/// The answer that one request must get.
#[derive(Clone, Copy, Debug)]
enum Then<'a> {
    /// The answer has this status, and the connection ends with it: nothing behind it is looked at.
    Refused(u16),
    /// The answer has this status, and the request behind it is served.
    Answered(u16),
    /// The echo understood this, and the request behind it is served.
    Served(&'a str),
    /// The echo understood this, and the connection ends with it.
    ServedLast(&'a str),
}

/// A server and its tables.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) server: Server,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            server: Server::start(&[]),
        }
    }

    #[track_caller]
    pub(crate) fn refused(&self, input: impl AsRef<[u8]>, status: u16) {
        self.check(input.as_ref(), Then::Refused(status));
    }

    #[track_caller]
    pub(crate) fn answered(&self, input: impl AsRef<[u8]>, status: u16) {
        self.check(input.as_ref(), Then::Answered(status));
    }

    /// Checks a request whose end is certain: the answer is 400, and it may close the connection or
    /// not, but must say so.
    #[track_caller]
    pub(crate) fn refused_open_or_not(&self, input: impl AsRef<[u8]>) {
        let input = input.as_ref();
        let mut client = Client::connect(self.server.addr());
        client.send(input);
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{}", input.escape_ascii());
        if answer.closes() {
            self.refused(input, 400);
        } else {
            self.answered(input, 400);
        }
    }

    #[track_caller]
    pub(crate) fn served(&self, input: impl AsRef<[u8]>, echo: &str) {
        self.check(input.as_ref(), Then::Served(echo));
    }

    #[track_caller]
    pub(crate) fn served_last(&self, input: impl AsRef<[u8]>, echo: &str) {
        self.check(input.as_ref(), Then::ServedLast(echo));
    }

    /// Sends `input` with a good request behind it, whole and in pieces, and then a good request on
    /// another connection.
    #[track_caller]
    fn check(&self, input: &[u8], then: Then<'_>) {
        let whole = [input, BEHIND.as_bytes()].concat();
        let step = input.len().div_ceil(SPLITS_MAX).max(1);
        for at in (0..input.len().max(1)).step_by(step) {
            let (first, second) = whole.split_at(at);
            if let Err(found) = self.play(first, second, then) {
                panic!(
                    "expected {then:?}, found {found}\nsplit at {at}: {}",
                    input[..input.len().min(300)].escape_ascii()
                );
            }
        }
        self.expect_honest();
    }

    fn play(&self, first: &[u8], second: &[u8], then: Then<'_>) -> Result<(), String> {
        let mut client = Client::connect(self.server.addr());
        if !first.is_empty() {
            client.send(first);
            thread::yield_now();
        }
        client.send(second);
        let is_head = [first, second].concat().starts_with(b"HEAD ");
        let answer = client.next_answer(is_head)?;
        let told_to_close = answer.closes();
        match then {
            Then::Refused(status) | Then::Answered(status) => check_status(&answer, status)?,
            Then::Served(echo) | Then::ServedLast(echo) => {
                check_status(&answer, 200)?;
                if answer.echo() != echo {
                    return Err(format!("the echo {}", answer.echo()));
                }
            }
        }
        match then {
            Then::Refused(_) | Then::ServedLast(_) => {
                let rest = client.rest()?;
                if !rest.is_empty() {
                    return Err(format!("more after the answer: {}", rest.escape_ascii()));
                }
                if !told_to_close {
                    return Err(format!("an end that was not announced: {answer:?}"));
                }
            }
            Then::Answered(_) | Then::Served(_) => {
                if told_to_close {
                    return Err(format!("that the connection ends: {answer:?}"));
                }
                let behind = client.next_answer(false)?;
                if behind.echo() != "GET /behind" {
                    return Err(format!("behind it {behind:?}"));
                }
                client.fin();
                let rest = client.rest()?;
                if !rest.is_empty() {
                    return Err(format!("more behind: {}", rest.escape_ascii()));
                }
            }
        }
        Ok(())
    }

    /// Checks that a good request on a connection of its own is served.
    #[track_caller]
    pub(crate) fn expect_honest(&self) {
        let mut client = Client::connect(self.server.addr());
        client.send(BEHIND);
        assert_eq!(client.answer().echo(), "GET /behind");
    }
}

fn check_status(answer: &Answer, status: u16) -> Result<(), String> {
    if answer.status == status {
        Ok(())
    } else {
        Err(format!("{answer:?}"))
    }
}
