//! Server-sent events (WHATWG HTML, section 9.2).

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use bytes::Bytes;

use super::{body_writer::BodyWriter, response::Response};
use crate::http::{HeaderValue, error::Result, header};

/// One server-sent event.
///
/// # Examples
///
/// ```
/// use annulus::http::Event;
///
/// let event = Event::data("two\nlines").id("7").name("news");
/// assert_eq!(event.to_string(), "id: 7\nevent: news\ndata: two\ndata: lines\n\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    data: Option<String>,
    id: Option<String>,
    name: Option<String>,
    comment: Option<String>,
    retry: Option<Duration>,
}

impl Event {
    /// Makes an event with this data, which may have several lines.
    #[must_use]
    pub fn data(data: impl Into<String>) -> Self {
        Self {
            data: Some(data.into()),
            ..Self::default()
        }
    }

    /// Makes a line that clients skip. It keeps a quiet connection open through proxies that would
    /// close it.
    #[must_use]
    pub fn comment(comment: impl Into<String>) -> Self {
        Self {
            comment: Some(comment.into()),
            ..Self::default()
        }
    }

    /// Sets the id that a client names when it connects again, in `Last-Event-ID`. Line ends and
    /// NUL, which cannot be in one, are left out.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(one_line(id.into()));
        self
    }

    /// Sets the kind of the event, `message` for clients otherwise. Line ends are left out.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(one_line(name.into()));
        self
    }

    /// Sets how long a client waits before it connects again. It goes out in milliseconds, which
    /// is what the format has.
    #[must_use]
    pub fn retry(mut self, wait: Duration) -> Self {
        self.retry = Some(wait);
        self
    }
}

/// Leaves out characters that would end the line or the id.
fn one_line(text: String) -> String {
    if text.contains(['\r', '\n', '\0']) {
        text.replace(['\r', '\n', '\0'], "")
    } else {
        text
    }
}

/// Writes each line of `text` behind `field`; CR, LF and both together end one.
fn write_lines(f: &mut fmt::Formatter<'_>, field: &str, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(end) = rest.find(['\r', '\n']) {
        writeln!(f, "{field}{}", &rest[..end])?;
        let both = rest[end..].starts_with("\r\n");
        rest = &rest[end + 1 + usize::from(both)..];
    }
    writeln!(f, "{field}{rest}")
}

/// As it goes on the wire.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(comment) = &self.comment {
            write_lines(f, ": ", comment)?;
        }
        if let Some(id) = &self.id {
            writeln!(f, "id: {id}")?;
        }
        if let Some(name) = &self.name {
            writeln!(f, "event: {name}")?;
        }
        if let Some(wait) = self.retry {
            writeln!(f, "retry: {}", wait.as_millis())?;
        }
        if let Some(data) = &self.data {
            write_lines(f, "data: ", data)?;
        }
        f.write_char('\n')
    }
}

/// Sends events to one client; a handler gets it by [`Response::sse`].
#[derive(Debug)]
pub struct EventSender {
    out: BodyWriter,
}

impl EventSender {
    /// Sends an event, and waits until it is in the kernel's hands.
    ///
    /// # Errors
    ///
    /// When the answer has ended. A client that is gone drops the handler instead.
    ///
    /// # Cancel safety
    ///
    /// The event was sent, or is being sent, or nothing of it was.
    pub async fn send(&mut self, event: Event) -> Result<()> {
        self.out.write(Bytes::from(event.to_string())).await?;
        self.out.flush().await
    }

    /// Waits until the server begins to stop. An event source that does not end then holds it up to
    /// its deadline.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn stopping(&self) {
        self.out.stopping().await;
    }
}

impl Response {
    /// Answers `200 OK` with server-sent events, which `send` sends as they come. It is dropped
    /// when the client leaves.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use annulus::{http::{Event, EventSender, Response, Server}, time};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Server::new()
    ///     .listen("127.0.0.1:8080")
    ///     .run(async |_request| {
    ///         Response::sse(async |mut events: EventSender| {
    ///             loop {
    ///                 events.send(Event::data("tick")).await?;
    ///                 time::sleep(Duration::from_secs(1)).await;
    ///             }
    ///         })
    ///     })
    ///     .map(drop)
    /// # }
    /// ```
    #[must_use]
    pub fn sse<F>(send: F) -> Self
    where
        F: AsyncFnOnce(EventSender) -> Result<()> + 'static,
    {
        Self::writer(async move |out| send(EventSender { out }).await)
            .with_field(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/event-stream"),
            )
            .with_field(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_event_can_begin_a_field_of_its_own() {
        let event = Event::data("a\r\nb\rc\n").id("1\ndata: x").name("n\r\n\0");
        assert_eq!(
            event.to_string(),
            "id: 1data: x\nevent: n\ndata: a\ndata: b\ndata: c\ndata: \n\n"
        );
        assert_eq!(Event::comment("x\ny").to_string(), ": x\n: y\n\n");
        let wait = Duration::from_micros(5_900);
        assert_eq!(Event::default().retry(wait).to_string(), "retry: 5\n\n");
    }
}
