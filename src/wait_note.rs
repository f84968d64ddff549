//! Notes of what a poll waits for, beside operations and timers, which are found by their wakers.
//!
//! A channel or a lock keeps the waker of the task that waits, and no list has all channels and
//! locks. So the code that returns `Pending` leaves a note, which costs it one store, and the
//! scheduler keeps the last note of each poll with the task.

use std::{cell::Cell, fmt};

/// The thing that a poll found it has to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum WaitNote {
    /// Something that leaves no note.
    #[default]
    None,
    Mutex,
    RwLock,
    OnceCell,
    Semaphore,
    Notify,
    Barrier,
    ChannelValue,
    ChannelRoom,
    ChannelEnd,
    Oneshot,
    Watch,
    Broadcast,
    RemoteValue,
    RemoteRoom,
    RemoteEnd,
    RemoteOneshot,
    Cancellation,
    QueueValue,
    QueueRoom,
    QueueJoin,
    Task,
    TaskSet,
    Scope,
    Call,
    OtherWorker,
    WorkersStop,
    WorkersEnd,
    Duplex,
    SocketTurn,
}

thread_local! {
    static NOTE: Cell<WaitNote> = const { Cell::new(WaitNote::None) };
}

const ALL: [WaitNote; 30] = [
    WaitNote::None,
    WaitNote::Mutex,
    WaitNote::RwLock,
    WaitNote::OnceCell,
    WaitNote::Semaphore,
    WaitNote::Notify,
    WaitNote::Barrier,
    WaitNote::ChannelValue,
    WaitNote::ChannelRoom,
    WaitNote::ChannelEnd,
    WaitNote::Oneshot,
    WaitNote::Watch,
    WaitNote::Broadcast,
    WaitNote::RemoteValue,
    WaitNote::RemoteRoom,
    WaitNote::RemoteEnd,
    WaitNote::RemoteOneshot,
    WaitNote::Cancellation,
    WaitNote::QueueValue,
    WaitNote::QueueRoom,
    WaitNote::QueueJoin,
    WaitNote::Task,
    WaitNote::TaskSet,
    WaitNote::Scope,
    WaitNote::Call,
    WaitNote::OtherWorker,
    WaitNote::WorkersStop,
    WaitNote::WorkersEnd,
    WaitNote::Duplex,
    WaitNote::SocketTurn,
];

impl WaitNote {
    /// The note of this number.
    pub(crate) fn from_number(number: u8) -> Self {
        ALL.get(usize::from(number)).copied().unwrap_or_default()
    }
}

impl WaitNote {
    /// Whether it tells more than the wakers of operations, timers and tasks do.
    pub(crate) fn says_more(self) -> bool {
        !matches!(self, Self::None | Self::Task)
    }
}

impl fmt::Display for WaitNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "something that this crate does not know",
            Self::Mutex => "a `Mutex`",
            Self::RwLock => "an `RwLock`",
            Self::OnceCell => "another task that fills a `OnceCell`",
            Self::Semaphore => "a permit of a `Semaphore`",
            Self::Notify => "a `Notify`",
            Self::Barrier => "others at a `Barrier`",
            Self::ChannelValue => "a value of a channel",
            Self::ChannelRoom => "room in a channel",
            Self::ChannelEnd => "the end of a channel",
            Self::Oneshot => "the value of a oneshot channel",
            Self::Watch => "a change of a watched value",
            Self::Broadcast => "a value of a broadcast channel",
            Self::RemoteValue => "a value of a channel between threads",
            Self::RemoteRoom => "room in a channel between threads",
            Self::RemoteEnd => "the end of a channel between threads",
            Self::RemoteOneshot => "the value of a oneshot channel between threads",
            Self::Cancellation => "the cancellation of a `CancellationToken`",
            Self::QueueValue => "a value of a `Queue`",
            Self::QueueRoom => "room in a `Queue`",
            Self::QueueJoin => "the end of the work of a `Queue`",
            Self::Task => "the end of another task",
            Self::TaskSet => "a task of a set",
            Self::Scope => "a task of a scope",
            Self::Call => "a call on a helper thread",
            Self::OtherWorker => "a task or call on a worker",
            Self::WorkersStop => "the stop of the workers",
            Self::WorkersEnd => "the end of all workers",
            Self::Duplex => "the other end of a `Duplex`",
            Self::SocketTurn => "another task that uses the same socket",
        })
    }
}

/// Leaves a note in this poll, in place of an earlier one.
#[inline]
pub(crate) fn leave(note: WaitNote) {
    NOTE.set(note);
}

/// Begins a poll: there is no note yet.
#[inline]
pub(crate) fn clear() {
    NOTE.set(WaitNote::None);
}

/// The note that this poll has left until now.
#[inline]
pub(crate) fn last() -> WaitNote {
    NOTE.get()
}

/// The number of the note that this poll has left.
#[inline]
pub(crate) fn number() -> u8 {
    NOTE.get() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_note_is_found_by_its_number() {
        for note in ALL {
            assert_eq!(WaitNote::from_number(note as u8), note);
        }
        assert_eq!(WaitNote::from_number(ALL.len() as u8), WaitNote::None);
    }
}
