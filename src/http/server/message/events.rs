//! Answers a request by the messages of a topic, as server-sent events.

use super::{event_stream::EventStart, request::Request, response::Response};
use crate::http::{
    HeaderValue, header,
    topics::{EventId, Topics},
};

impl Request {
    /// Answers by the messages of a topic from now on, as server-sent events, after those that the
    /// topic keeps.
    ///
    /// The client has each message as an event with an id. One that connects again names its last
    /// id in `Last-Event-ID`, as a browser's `EventSource` does, and gets what it has missed. An id
    /// that the topic does not keep, or of before it was made, gets the whole history.
    ///
    /// A connection that waits for messages costs neither a task nor a buffer. After
    /// [`heartbeat_interval`](crate::http::topics::Options::heartbeat_interval) without a message
    /// it is sent a comment. It ends when the client closes its side or takes nothing for as long
    /// as [`Timeouts::write`](crate::http::Timeouts::write), when the rule of the topic says so
    /// ([`Slow::Close`](crate::http::topics::Slow::Close)), and when the server stops: then by the
    /// end of the body, so that the client may connect again.
    ///
    /// [`Response::sse`] is for events that a function makes for one client.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use annulus::http::{Request, Router, Server, topics::{Options, Topics}};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let topics = Topics::new();
    /// topics.configure("news", Options::new().history(20));
    /// let router = move || {
    ///     let (publish, listen) = (topics.clone(), topics.clone());
    ///     Router::new()
    ///         .get("/news", async move |request: Request| request.events(&listen, "news"))
    ///         .post("/news", async move |mut request: Request| -> annulus::http::Result<String> {
    ///             let bytes = request.take_body().bytes().await?;
    ///             let text = String::from_utf8_lossy(&bytes).into_owned();
    ///             let count = publish.publish("news", text);
    ///             Ok(format!("{count} read it\n"))
    ///         })
    /// };
    /// Server::new().listen("127.0.0.1:8080").run_each(router).map(drop)
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self, topics: &Topics, topic: &str) -> Response {
        let start = EventStart {
            topics: topics.clone(),
            topic: topic.into(),
            after: self.field("last-event-id").and_then(EventId::parse),
        };
        Response::event_stream(Box::new(start))
            .with_field(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/event-stream"),
            )
            .with_field(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))
    }
}
