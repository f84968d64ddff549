//! Long polling: a request waits until there is a new line.

use std::{cell::RefCell, collections::VecDeque, time::Duration};

use annulus::{
    future::race,
    http::{self, HeaderName, Request, Response},
    sync::watch,
    time,
};

/// Lines that are kept.
pub(crate) const LINES_MAX: usize = 50;
/// Proxies often end a request that is silent for a minute, so the client asks again before.
const POLL_TIME: Duration = Duration::from_secs(25);

pub(crate) struct Lines {
    /// The last ones, the newest first.
    last: RefCell<VecDeque<String>>,
    /// How many there have been.
    count: watch::Sender<u64>,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self {
            last: RefCell::default(),
            count: watch::channel(0).0,
        }
    }

    pub(crate) fn add(&self, line: String) {
        let mut last = self.last.borrow_mut();
        last.truncate(LINES_MAX - 1);
        last.push_front(line);
        self.count.send_modify(|count| *count += 1);
    }

    /// Answers with the lines after the number `after`, once there are any. The field `Next` has
    /// the number for the next request.
    pub(crate) async fn poll(&self, request: Request) -> http::Result<Response> {
        let after: u64 = request.query_param("after")?.unwrap_or(0);
        let mut count = self.count.subscribe();
        let is_new = count.wait_for(|&count| count != after);
        // The wait also ends when the server stops.
        let _ = time::timeout(POLL_TIME, race(is_new, request.stopping())).await;
        let count = *self.count.borrow();
        // A client from before the last start of this program gets all.
        let new = count.checked_sub(after).unwrap_or(count) as usize;
        let last = self.last.borrow();
        let lines: Vec<&str> = last.iter().take(new).map(|line| &**line).rev().collect();
        let next = HeaderName::from_static("next");
        Ok(Response::text(lines.join("\n")).with_field(next, count.into()))
    }
}
