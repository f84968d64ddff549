//! A library whose descriptor tells once that its state may have changed, as that of ZeroMQ does.

use std::{
    collections::VecDeque,
    fs::File,
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex},
    thread,
};

use annulus::io::AsyncFd;

use crate::support::{
    descriptors::{add, eventfd, take},
    run_each,
};

const MESSAGES: u32 = 2_000;

/// Messages from a thread of the library's own.
struct Mailbox {
    messages: Mutex<VecDeque<u32>>,
    signal: File,
}

impl Mailbox {
    /// Adds a message. The first one of an empty mailbox is signalled, and no other.
    fn push(&self, message: u32) {
        let mut messages = self.messages.lock().unwrap();
        if messages.is_empty() {
            add(&self.signal, 1);
        }
        messages.push_back(message);
    }

    /// Sends something. As each call of the library's it takes the signal back.
    fn send(&self) {
        let _ = take(&self.signal);
    }

    /// The next message. It takes the signal back also when there are more.
    fn next(&self) -> Option<u32> {
        let _ = take(&self.signal);
        self.messages.lock().unwrap().pop_front()
    }
}

/// The library's descriptor.
struct Signal(Arc<Mailbox>);

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.signal.as_fd()
    }
}

#[test]
fn a_library_that_signals_once_is_asked_for_its_state_before_each_wait() {
    run_each(async || {
        let mailbox = Arc::new(Mailbox {
            messages: Mutex::default(),
            signal: eventfd(),
        });
        let readiness = AsyncFd::new(Signal(Arc::clone(&mailbox))).unwrap();
        let library = Arc::clone(&mailbox);
        let pushing =
            thread::spawn(move || (0..MESSAGES).for_each(|message| library.push(message)));
        let mut expected = 0;
        while expected < MESSAGES {
            while let Some(message) = mailbox.next() {
                assert_eq!(message, expected);
                expected += 1;
                if message % 7 == 0 {
                    mailbox.send();
                }
            }
            if expected < MESSAGES {
                readiness.readable().await.unwrap();
            }
        }
        pushing.join().unwrap();
    });
}
