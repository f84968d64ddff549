//! The room, as its clients see it.

use annulus::http::{
    self, Request, Response,
    topics::{Options, Topics},
    websocket::WebSocket,
};

const TOPIC: &str = "room";
const LINE_CHARS_MAX: usize = 500;

pub(crate) struct Room {
    /// For clients that have a connection.
    topics: Topics,
    /// For clients that poll.
    pub(crate) lines: crate::lines::Lines,
}

impl Room {
    pub(crate) fn new() -> Self {
        let topics = Topics::new();
        // Newcomers get the last lines.
        topics.configure(TOPIC, Options::new().history(crate::lines::LINES_MAX));
        let lines = crate::lines::Lines::new();
        Self { topics, lines }
    }

    /// From here on the WebSocket gets each line, by no further work of ours.
    pub(crate) fn enter(&self, socket: &WebSocket) {
        socket.subscribe(&self.topics, TOPIC);
    }

    /// The same for a page that only listens.
    pub(crate) fn events(&self, request: &Request) -> Response {
        request.events(&self.topics, TOPIC)
    }

    /// Adds the line in the body of a request.
    pub(crate) async fn hear(&self, mut request: Request) -> http::Result<()> {
        let text = request.take_body().limit(4000).bytes().await?;
        self.say(&String::from_utf8_lossy(&text));
        Ok(())
    }

    /// Adds a line.
    pub(crate) fn say(&self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        let chars = text.chars().take(LINE_CHARS_MAX);
        let line: String = chars
            .map(|char| if char.is_control() { ' ' } else { char })
            .collect();
        self.topics.publish(TOPIC, &*line);
        self.lines.add(line);
    }
}
