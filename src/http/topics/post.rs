//! The messages on their way to the subscribers of one worker.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Waker,
};

use super::published::Published;
use crate::mailbox::{Mailbox, Owner};

/// Bytes of messages that wait for one worker. Publishers that are faster than its subscribers can
/// be served would fill the memory.
const INBOX_BYTES_MAX: usize = 64 << 20;

/// The messages on their way to the subscribers of one worker, from all threads.
#[derive(Debug, Default)]
pub(super) struct Post {
    inbox: Mailbox<Inbox>,
    /// Bytes of the messages that were put in and are not handed out.
    bytes: AtomicUsize,
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) messages: Vec<Arc<Published>>,
    /// Messages that were not taken, by the id of their topic: one for each subscriber.
    pub(super) overrun: BTreeMap<u64, u64>,
}

impl Post {
    /// Puts in a message for so many subscribers. Returns the worker to wake, and whether there was
    /// room.
    pub(super) fn put(&self, published: &Arc<Published>, subscriber_count: usize) -> (Owner, bool) {
        // It is the only message, or there is room for it.
        let bytes = self.bytes.load(Relaxed);
        let has_room = bytes == 0 || bytes.saturating_add(published.len()) <= INBOX_BYTES_MAX;
        if has_room {
            self.bytes.fetch_add(published.len(), Relaxed);
        }
        let owner = self.inbox.change(|inbox| {
            if has_room {
                return inbox.messages.push(Arc::clone(published));
            }
            let of_topic = inbox.overrun.entry(published.topic_id).or_default();
            *of_topic += subscriber_count as u64;
        });
        (owner, has_room)
    }

    pub(super) fn take(&self) -> Option<Inbox> {
        self.inbox.take(mem::take)
    }

    pub(super) fn has_mail(&self) -> bool {
        self.inbox.is_new()
    }

    /// Notes that a message was handed out.
    pub(super) fn note_handed_out(&self, published: &Published) {
        self.bytes.fetch_sub(published.len(), Relaxed);
    }

    /// Sets the worker to wake.
    pub(super) fn set_owner(&self, waker: Option<Waker>) {
        drop(self.inbox.set_owner(waker));
    }
}
