//! Models of the calls that other threads make on a driver, and the eventfd that they have there.

use std::io;

use super::{Key, remote::Remote};
use crate::primitives::{Arc, Condvar, Mutex, lock, model, thread};

/// Is to a model what an eventfd is to the kernel: a count, and a thread that sleeps while it is
/// zero.
#[derive(Debug)]
pub(super) struct WakeFd {
    count: Mutex<u64>,
    has_changed: Condvar,
}

impl WakeFd {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            count: Mutex::new(0),
            has_changed: Condvar::new(),
        })
    }

    /// No descriptor.
    pub(super) fn raw(&self) -> i32 {
        -1
    }

    pub(super) fn wake(&self) {
        *lock(&self.count) += 1;
        self.has_changed.notify_one();
    }

    pub(super) fn take(&self) -> bool {
        std::mem::take(&mut *lock(&self.count)) > 0
    }

    pub(super) fn sleep(&self) {
        let mut count = lock(&self.count);
        while *count == 0 {
            count = self.has_changed.wait(count).unwrap();
        }
    }
}

fn key(index: u32) -> Key {
    Key::from_user_data(u64::from(index))
}

#[test]
fn loom_a_result_of_a_helper_thread_ends_the_drivers_sleep() {
    model(3, || {
        let remote = Arc::new(Remote::new().unwrap());
        let helpers = [1, 2].map(|index| {
            let remote = Arc::clone(&remote);
            thread::spawn(move || remote.post(key(index), 0))
        });
        let mut results = Vec::new();
        loop {
            remote.take(&mut results);
            if results.len() == 2 {
                break;
            }
            // As a turn of the driver.
            remote.sleep();
            remote.clear_wake();
        }
        for helper in helpers {
            helper.join().unwrap();
        }
    });
}

#[test]
fn loom_the_end_of_a_driver_waits_for_the_wakes_that_have_begun() {
    model(3, || {
        let remote = Arc::new(Remote::new().unwrap());
        let waking = [(), ()].map(|()| {
            let remote = Arc::clone(&remote);
            thread::spawn(move || remote.wake())
        });
        remote.wake();
        remote.close_wake();
        assert!(remote.has_ended());
        for waking in waking {
            waking.join().unwrap();
        }
    });
}
