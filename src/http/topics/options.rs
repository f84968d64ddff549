//! The settings of a topic.

use std::{fmt, sync::Arc, time::Duration};

use super::Lost;

/// Bytes of messages that are kept for late subscribers, if any are kept.
const HISTORY_BYTES_MAX: usize = 1 << 20;
/// Bytes of messages that may wait for one slow subscriber.
const PENDING_BYTES_MAX: usize = 1 << 20;
/// The time that a message may wait for a slow subscriber.
const PENDING_AGE_MAX: Duration = Duration::from_secs(10);
/// Silence after which server-sent events get a comment.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// The rule for a subscriber that takes messages more slowly than they are published.
///
/// It counts once messages wait for the subscriber, because the kernel has no room for them. Each
/// message that is not delivered is counted ([`Topics::counts`](super::Topics::counts)), and
/// the function of [`Options::on_lost`] is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Slow {
    /// Ends the subscriber's connection when the messages that wait for it exceed a limit: a
    /// WebSocket by a close frame with 1013 (try again later), server-sent events by the end of
    /// their response. A browser connects again, and gets what it has missed if the topic has a
    /// [history](Options::history). This is the default, since no subscriber has gaps.
    ///
    /// The history itself is sent at the pace of the link: its bytes do not count, and ages count
    /// from the last time at which a message of it was sent. So a slow link gets it whole, and is
    /// not closed amid the same history again and again. A client that takes nothing is closed.
    #[default]
    Close,
    /// Drops a message for which there is no room, and messages that have waited too long.
    DropNew,
    /// Drops the messages of the topic that have waited longest, to make room for new ones, and
    /// those that have waited too long.
    DropOldest,
    /// Keeps the last message of the topic alone: each replaces the one that waits. It is for
    /// prices, positions and scores, one topic for each, and needs no limit.
    LastValue,
}

/// The settings of a topic, or of all topics that have none of their own.
///
/// # Examples
///
/// ```
/// use annulus::http::topics::{Options, Slow, Topics};
///
/// let topics = Topics::with_options(
///     Options::new().history(50).on_lost(|lost| eprintln!("{lost}")),
/// );
/// topics.configure("price", Options::new().slow(Slow::LastValue).history(1));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    settings: Arc<Settings>,
}

/// A function that is called for messages that were not delivered.
pub(super) type OnLost = Arc<dyn Fn(&Lost<'_>) + Send + Sync>;

/// The settings as the topics have them.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(super) history_count: usize,
    pub(super) history_bytes_max: usize,
    pub(super) slow: Slow,
    pub(super) pending_bytes_max: usize,
    pub(super) pending_age_max: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(super) on_lost: Option<OnLost>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            history_count: 0,
            history_bytes_max: HISTORY_BYTES_MAX,
            slow: Slow::default(),
            pending_bytes_max: PENDING_BYTES_MAX,
            pending_age_max: PENDING_AGE_MAX,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            on_lost: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("history_count", &self.history_count)
            .field("slow", &self.slow)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The settings of a topic that was given none.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// Keeps the last `count` messages for subscribers that come later; none by default. A new
    /// subscriber gets them first.
    ///
    /// A topic with a history stays when its last subscriber leaves, until
    /// [`Topics::remove`](super::Topics::remove): give one to topics whose names are your own, and
    /// not a client's.
    #[must_use]
    pub fn history(self, count: usize) -> Self {
        self.with(|settings| settings.history_count = count)
    }

    /// Limits the bytes of the history; 1 MiB by default. The oldest messages beyond it are
    /// dropped. A message counts with the name of its event and 200 bytes or so. The forms in which
    /// it was sent are kept with it and do not count, each of about its size: a frame, a compressed
    /// frame, an event, an event in a chunk.
    #[must_use]
    pub fn history_bytes_max(self, bytes_max: usize) -> Self {
        self.with(|settings| settings.history_bytes_max = bytes_max)
    }

    /// Sets the rule for slow subscribers; [`Slow::Close`] by default.
    #[must_use]
    pub fn slow(self, slow: Slow) -> Self {
        self.with(|settings| settings.slow = slow)
    }

    /// Limits the bytes of messages that wait for one slow subscriber, those of its other topics
    /// included; 1 MiB by default. One message may exceed it, and with [`Slow::Close`] a history.
    /// The messages themselves are shared by all subscribers for which they wait.
    #[must_use]
    pub fn pending_bytes_max(self, bytes_max: usize) -> Self {
        self.with(|settings| settings.pending_bytes_max = bytes_max)
    }

    /// Limits the time that a message waits for a slow subscriber; 10 s by default. It is looked at
    /// once a second. [`Slow::LastValue`] does not use it.
    #[must_use]
    pub fn pending_age_max(self, age_max: Duration) -> Self {
        self.with(|settings| settings.pending_age_max = age_max)
    }

    /// Sets the silence after which the subscribers by server-sent events get a comment. It keeps
    /// the connection open through proxies; 15 s by default. [`Duration::MAX`] sends none.
    #[must_use]
    pub fn heartbeat_interval(self, interval: Duration) -> Self {
        self.with(|settings| settings.heartbeat_interval = interval)
    }

    /// Has `tell` called for messages that a subscriber does not get, once for all that it has lost
    /// for one reason in a turn of its worker. It runs on the thread of that worker, and may
    /// publish. Its panic ends there.
    ///
    /// A message that it publishes can be lost as well, and then it is called for that one in the
    /// next turn. So a report to the slow subscribers themselves would come again without end:
    /// report to a topic that has other subscribers, or one for which no function is called.
    ///
    /// A function that has a clone of the topics keeps them for ever: topics that are to end before
    /// their program are published to from elsewhere, by a channel for example.
    #[must_use]
    pub fn on_lost(self, tell: impl Fn(&Lost<'_>) + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.on_lost = Some(Arc::new(tell)))
    }
}
