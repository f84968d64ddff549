//! The state of a topic that all workers share.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, Weak},
};

use super::{
    EventId, Message,
    counts::Counters,
    hub::Hub,
    options::{OnLost, Settings},
    post::Post,
    published::Published,
};
use crate::{mailbox::Owner, unwind::lock};

/// A topic.
pub(super) struct Topic {
    /// No other topic of the process has it.
    pub(super) id: u64,
    pub(super) name: Box<str>,
    pub(super) counters: Counters,
    pub(super) hub: Weak<Hub>,
    epoch: u64,
    state: Mutex<State>,
}

/// None of the user's code runs while it is locked.
struct State {
    settings: Arc<Settings>,
    /// It has settings of its own, and stays.
    is_configured: bool,
    /// The number of the next message.
    next: u64,
    history: VecDeque<Arc<Published>>,
    history_bytes: usize,
    workers: Vec<Worker>,
}

/// A worker with subscribers.
struct Worker {
    post: Arc<Post>,
    subscriber_count: usize,
}

/// The outcome of a publish: how many subscribers there are, the workers to wake, and messages that
/// are to be dropped, which may run the user's code.
pub(super) struct Outcome {
    pub(super) subscriber_count: usize,
    pub(super) owners: Vec<Owner>,
    /// How many subscribers do not get it, since their worker had no room.
    pub(super) overrun_count: usize,
    pub(super) forgotten: Vec<Arc<Published>>,
}

/// The first of a subscriber's messages.
pub(super) struct Joined {
    /// Those that were kept for it.
    pub(super) history: Vec<Arc<Published>>,
    /// The number of the first message that comes to its worker for it.
    pub(super) from: u64,
}

impl Topic {
    pub(super) fn new(
        (id, epoch): (u64, u64),
        name: &str,
        settings: Arc<Settings>,
        hub: Weak<Hub>,
    ) -> Self {
        Self {
            id,
            name: name.into(),
            counters: Counters::default(),
            hub,
            epoch,
            state: Mutex::new(State {
                settings,
                is_configured: false,
                next: 1,
                history: VecDeque::new(),
                history_bytes: 0,
                workers: Vec::new(),
            }),
        }
    }

    pub(super) fn publish(&self, message: Message) -> Outcome {
        let mut state = lock(&self.state);
        let id = EventId {
            epoch: self.epoch,
            number: state.next,
        };
        state.next += 1;
        let settings = Arc::clone(&state.settings);
        let published = Arc::new(Published::new(self.id, id, message, settings));
        let mut outcome = Outcome {
            subscriber_count: 0,
            owners: Vec::with_capacity(state.workers.len()),
            overrun_count: 0,
            forgotten: Vec::new(),
        };
        for worker in &state.workers {
            outcome.subscriber_count += worker.subscriber_count;
            let (owner, has_room) = worker.post.put(&published, worker.subscriber_count);
            outcome.owners.push(owner);
            if !has_room {
                outcome.overrun_count += worker.subscriber_count;
            }
        }
        if state.settings.history_count > 0 {
            state.history_bytes += published.len();
            state.history.push_back(published);
            outcome.forgotten = state.trim();
        } else {
            // This may be the last reference to it.
            outcome.forgotten.push(published);
        }
        outcome
    }

    /// Adds a subscriber of a worker. It gets the messages that were kept, those alone that follow
    /// `after` if that is one of them.
    pub(super) fn join(&self, post: &Arc<Post>, after: Option<EventId>) -> Joined {
        let mut state = lock(&self.state);
        let worker = state
            .workers
            .iter_mut()
            .find(|worker| Arc::ptr_eq(&worker.post, post));
        match worker {
            Some(worker) => worker.subscriber_count += 1,
            None => state.workers.push(Worker {
                post: Arc::clone(post),
                subscriber_count: 1,
            }),
        }
        let known = after.filter(|after| {
            let first = state.next - state.history.len() as u64;
            after.epoch == self.epoch && (first - 1..state.next).contains(&after.number)
        });
        let is_new =
            |message: &&Arc<Published>| known.is_none_or(|known| message.id.number > known.number);
        Joined {
            history: state.history.iter().filter(is_new).cloned().collect(),
            from: state.next,
        }
    }

    /// Removes so many subscribers of a worker.
    pub(super) fn leave(&self, post: &Arc<Post>, count: usize) {
        let mut state = lock(&self.state);
        state.workers.retain_mut(|worker| {
            if Arc::ptr_eq(&worker.post, post) {
                worker.subscriber_count -= count;
            }
            worker.subscriber_count > 0
        });
    }

    /// The function that wants to know of lost messages.
    pub(super) fn on_lost(&self) -> Option<OnLost> {
        lock(&self.state).settings.on_lost.clone()
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&lock(&self.state).settings)
    }

    pub(super) fn subscriber_count(&self) -> usize {
        let state = lock(&self.state);
        let counts = state.workers.iter().map(|worker| worker.subscriber_count);
        counts.sum()
    }

    /// Gives it settings of its own. The ones before and the messages that it keeps no longer come
    /// back, to be dropped.
    pub(super) fn configure(
        &self,
        settings: Arc<Settings>,
    ) -> (Arc<Settings>, Vec<Arc<Published>>) {
        let mut state = lock(&self.state);
        let before = mem::replace(&mut state.settings, settings);
        state.is_configured = true;
        (before, state.trim())
    }

    /// Takes its settings and what it keeps away, to be dropped.
    pub(super) fn clear(
        &self,
        settings: Arc<Settings>,
    ) -> (Arc<Settings>, VecDeque<Arc<Published>>) {
        let mut state = lock(&self.state);
        let before = mem::replace(&mut state.settings, settings);
        state.is_configured = false;
        state.history_bytes = 0;
        (before, mem::take(&mut state.history))
    }

    /// Whether it has nothing that has to be kept.
    pub(super) fn is_idle(&self) -> bool {
        let state = lock(&self.state);
        state.workers.is_empty() && state.history.is_empty() && !state.is_configured
    }
}

impl State {
    /// Takes the oldest messages beyond the limits of the history.
    fn trim(&mut self) -> Vec<Arc<Published>> {
        let mut forgotten = Vec::new();
        while self.history.len() > self.settings.history_count
            || self.history_bytes > self.settings.history_bytes_max
        {
            let Some(oldest) = self.history.pop_front() else {
                break;
            };
            self.history_bytes -= oldest.len();
            forgotten.push(oldest);
        }
        forgotten
    }
}
