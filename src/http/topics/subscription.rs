//! A subscription of a connection.

use std::{fmt, rc::Weak};

use super::{Topics, feed::Feed};

/// A subscription of a connection to a topic.
///
/// It ends with the connection. A handle that is dropped leaves it as it is.
pub struct Subscription {
    name: Box<str>,
    feed: Weak<Feed>,
    topics: Topics,
}

impl Subscription {
    pub(super) fn new(name: &str, feed: Weak<Feed>, topics: &Topics) -> Self {
        Self {
            name: name.into(),
            feed,
            topics: topics.clone(),
        }
    }

    /// Returns the name of the topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.name
    }

    /// Ends the subscription. Messages that were published before may be sent yet.
    pub fn unsubscribe(self) {
        if let Some(feed) = self.feed.upgrade() {
            feed.unsubscribe(&self.topics, &self.name);
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", &self.name)
            .finish_non_exhaustive()
    }
}
