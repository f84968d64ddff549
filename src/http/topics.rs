//! Topics: a message that is published reaches every subscriber, over WebSockets and server-sent
//! events alike, on all workers.
//!
//! [`Topics`] is made once and given to each worker. A [`WebSocket`](super::WebSocket) subscribes to
//! a topic by [`subscribe`](super::WebSocket::subscribe), and a page that only listens gets
//! [server-sent events](super::Request::events). Any thread publishes:
//!
//! ```no_run
//! use annulus::http::{Request, Router, Server, topics::Topics, websocket::WebSocket};
//!
//! # fn main() -> std::io::Result<()> {
//! let topics = Topics::new();
//! let router = move || {
//!     let (chat, news) = (topics.clone(), topics.clone());
//!     Router::new()
//!         .get("/chat", async move |request: Request| {
//!             let topics = chat.clone();
//!             request.websocket(async move |mut socket: WebSocket| {
//!                 socket.subscribe(&topics, "lobby");
//!                 while let Some(message) = socket.recv().await? {
//!                     topics.publish("lobby", message);
//!                 }
//!                 Ok(())
//!             })
//!         })
//!         .get("/news", async move |request: Request| request.events(&news, "lobby"))
//! };
//! Server::new().listen("127.0.0.1:8080").run_each(router).map(drop)
//! # }
//! ```
//!
//! # Names
//!
//! The name of a topic is plain text, and is compared as a whole. There are no patterns: a publish
//! is one look into a table, it is clear which history a subscriber gets, and no message reaches
//! one subscriber twice. A subscriber of several rooms subscribes to each.
//!
//! A topic is made by its first subscriber, and forgotten with its last one unless it has a history
//! or settings of its own.
//!
//! # What is promised
//!
//! - Subscribers get the messages of a topic in the order in which they were published, whichever
//!   threads publish, and messages of one publisher in its order whatever their topics.
//! - A message is encoded once for each form in which it is sent. Those of one turn leave by one
//!   send a subscriber. A WebSocket gets them without a turn of its function.
//! - A subscriber gets the messages that are published after it has subscribed, each once, and
//!   those of the topic's [history](Options::history) before them.
//! - A subscriber that takes them too slowly does not hold up the others, and costs limited memory:
//!   [`Slow`] has the rules. Every message that a subscriber does not get is
//!   [counted](Topics::counts).
//! - The subscriptions of a connection end with it: when it is closed or lost, when its function
//!   panics, when the server stops and when its worker ends.
//! - A topic without subscribers takes messages as well: they are counted, and kept if it has a
//!   history.
//!
//! # Several machines
//!
//! Topics live in one process. To join several, publish into a bus of yours (Redis, NATS, `NOTIFY`
//! of PostgreSQL) instead, and let one task of each process take the messages off the bus and call
//! [`publish`](Topics::publish) for each: that is all a bus needs. It is safe from any thread, keeps
//! the bus's order, and never waits. The program `chat_cluster` of examples/ecosystem does so with
//! Redis.
//!
//! # Limits
//!
//! A topic's history and the messages that wait for a subscriber are limited by [`Options`]. All
//! messages that wait for one worker may have 64 MiB: what a publisher adds beyond is lost for the
//! subscribers of that worker, counted, and told as [`LostReason::Overrun`]. The number of topics
//! and of a connection's subscriptions is the program's own: a handler that lets clients choose
//! names limits them.

// # How it works
//
// A topic has two parts. `topic.rs` is shared by all threads: the number of the next message, the
// history, and the workers that have subscribers. `local_topic.rs` is one thread's: its
// subscribers. A publish locks the first, takes a number, and puts the message (`published.rs`)
// into the post of each of those workers (`post.rs`), which is one queue for all topics. So the
// order of a topic, and that of a publisher, is that of the post. The first message of many wakes
// the worker.
//
// `local.rs` is the task of a thread that takes the post. It adds a message to the feed of each
// subscriber (`feed.rs`), and then lets those feeds send, each once. A feed sends by its connection
// (`outlet.rs`), as long as the kernel takes what it sends. After that it is blocked: messages wait
// in the feed, by reference, under the rule of their topic, until the connection calls for more.
//
// A subscriber that comes later registers under the lock of the topic, and takes the history and
// the number of the next message with it. A message below that number that is still in the post is
// not for it.

mod catch_up;
mod counts;
mod delivery;
mod event_id;
mod feed;
mod hub;
mod local;
mod local_topic;
mod lost;
mod message;
mod options;
mod outlet;
mod pending;
mod post;
mod published;
mod subscription;
#[cfg(test)]
mod tests;
mod topic;

use std::{fmt, sync::Arc, time::Duration};

pub use counts::Counts;
pub(crate) use event_id::EventId;
pub(crate) use feed::FeedHandle;
pub use lost::{Lost, LostReason};
pub use message::Message;
pub use options::{Options, Slow};
pub(crate) use outlet::{Outlet, Piece};
pub(crate) use published::Published;
pub use subscription::Subscription;

use hub::Hub;

/// A set of topics: see the [module](self).
///
/// A clone is a handle of the same topics. It may be sent to any thread. When the last one is
/// dropped, nothing more is published, and the connections of subscribers go on.
///
/// # Examples
///
/// ```
/// use annulus::http::topics::{Options, Topics};
///
/// let topics = Topics::new();
/// topics.configure("news", Options::new().history(10));
/// let publisher = topics.clone();
/// std::thread::spawn(move || publisher.publish("news", "hello")).join().unwrap();
/// assert_eq!(topics.subscribers("news"), 0);
/// assert_eq!(topics.counts("news").published, 1);
/// ```
#[derive(Clone)]
pub struct Topics {
    hub: Arc<Hub>,
}

impl Topics {
    /// Makes topics with the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::with_options(Options::new())
    }

    /// Makes topics with these settings, but for those that are
    /// [configured](Self::configure) by name.
    #[must_use]
    pub fn with_options(options: Options) -> Self {
        Self {
            hub: Arc::new(Hub::new(options)),
        }
    }

    fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Publishes a message, and returns how many subscribers the topic has at this moment.
    ///
    /// It never waits. The message is handed to the subscribers of all workers, whose tasks send
    /// it; see the [module](self) for the promises.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::topics::{Message, Topics};
    ///
    /// let topics = Topics::new();
    /// topics.publish("lobby", "hello");
    /// topics.publish("lobby", vec![1, 2, 3]);
    /// topics.publish("price", Message::text("42.17").with_event("price"));
    /// ```
    pub fn publish(&self, topic: &str, message: impl Into<Message>) -> usize {
        self.hub.publish(topic, message.into())
    }

    /// Silence of the topic after which server-sent events get a comment.
    pub(crate) fn heartbeat_interval(&self, topic: &str) -> Duration {
        self.hub.settings_of(topic).heartbeat_interval
    }

    /// Returns how many connections are subscribed to the topic, over all workers.
    #[must_use]
    pub fn subscribers(&self, topic: &str) -> usize {
        let topic = self.hub.topic(topic);
        topic.map_or(0, |topic| topic.subscriber_count())
    }

    /// Returns the counters of a topic: of all messages since the topic was made. Those of one that
    /// is not there are zero.
    #[must_use]
    pub fn counts(&self, topic: &str) -> Counts {
        let topic = self.hub.topic(topic);
        topic.map_or_else(Counts::default, |topic| topic.counters.get())
    }

    /// Returns the counters of all topics together, those that are gone included.
    #[must_use]
    pub fn total_counts(&self) -> Counts {
        self.hub.counters.get()
    }

    /// Gives a topic settings of its own. It stays when its last subscriber leaves, until
    /// [`remove`](Self::remove). They hold for the messages from now on.
    pub fn configure(&self, topic: &str, options: Options) {
        self.hub.configure(topic, &options);
    }

    /// Takes away the settings of a topic and the messages that it keeps. The topic is forgotten
    /// when it has no subscribers. Its subscribers stay.
    pub fn remove(&self, topic: &str) {
        self.hub.remove(topic);
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics")
            .field("total_counts", &self.total_counts())
            .finish_non_exhaustive()
    }
}
