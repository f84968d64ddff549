//! Models of what several threads do: `RUSTFLAGS="--cfg loom" cargo test --release --lib loom_`.
//!
//! Besides what each model asserts, loom finds a wake that is lost (all threads would wait), a task
//! or an inbox that is never freed, and one that is freed while another thread may still use it.

use std::{
    future::{Future, poll_fn},
    task::{Context, Poll, Waker},
};

use super::*;
use crate::{
    park,
    primitives::{Condvar, Mutex, model, thread},
};

/// The sleep of a thread that has tasks.
#[derive(Default)]
pub(crate) struct LoomUnpark {
    notified: Mutex<bool>,
    condition: Condvar,
}

impl LoomUnpark {
    pub(crate) fn sleep(&self) {
        let mut notified = self.notified.lock().unwrap();
        while !*notified {
            notified = self.condition.wait(notified).unwrap();
        }
        *notified = false;
    }
}

impl Unpark for LoomUnpark {
    fn unpark(&self) {
        *self.notified.lock().unwrap() = true;
        self.condition.notify_one();
    }
}

fn new_tasks() -> (Tasks, std::sync::Arc<LoomUnpark>) {
    let unpark = std::sync::Arc::new(LoomUnpark::default());
    (Tasks::new(unpark.clone()), unpark)
}

/// Spawns a task that is finished by its second poll, and returns its waker.
fn task_and_waker(tasks: &Tasks) -> (JoinHandle<()>, Waker) {
    let slot = std::rc::Rc::new(std::cell::Cell::new(None));
    let shown = slot.clone();
    let mut polled = false;
    let handle = spawn(poll_fn(move |cx| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        shown.set(Some(cx.waker().clone()));
        Poll::Pending
    }));
    tasks.run(1);
    (handle, slot.take().unwrap())
}

fn sleep_once(tasks: &Tasks, unpark: &LoomUnpark) {
    tasks.poll_inbox();
    if tasks.prepare_park() {
        unpark.sleep();
        tasks.unparked();
    }
}

/// Runs tasks until this one is finished.
fn run_until_finished(tasks: &Tasks, unpark: &LoomUnpark, handle: &JoinHandle<()>) {
    while !handle.is_finished() {
        if tasks.run(10) == 0 {
            sleep_once(tasks, unpark);
        }
    }
}

#[test]
fn loom_a_wake_while_the_owner_falls_asleep_is_not_lost() {
    model(4, || {
        let (tasks, unpark) = new_tasks();
        let _entered = tasks.enter();
        let (handle, waker) = task_and_waker(&tasks);
        let thread = thread::spawn(move || waker.wake());
        run_until_finished(&tasks, &unpark, &handle);
        thread.join().unwrap();
    });
}

#[test]
fn loom_a_wake_of_the_root_while_the_owner_falls_asleep_is_not_lost() {
    model(4, || {
        let (tasks, unpark) = new_tasks();
        let _entered = tasks.enter();
        let waker = tasks.root_waker();
        let thread = thread::spawn(move || waker.wake_by_ref());
        while !tasks.take_root_wake() {
            sleep_once(&tasks, &unpark);
        }
        thread.join().unwrap();
    });
}

#[test]
fn loom_wakes_of_two_tasks_from_two_threads_all_arrive() {
    model(3, || {
        let (tasks, unpark) = new_tasks();
        let _entered = tasks.enter();
        let (first, first_waker) = task_and_waker(&tasks);
        let (second, second_waker) = task_and_waker(&tasks);
        let threads = [
            thread::spawn(move || first_waker.wake()),
            thread::spawn(move || second_waker.wake()),
        ];
        run_until_finished(&tasks, &unpark, &first);
        run_until_finished(&tasks, &unpark, &second);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn loom_two_threads_that_wake_one_task_queue_it_once() {
    model(3, || {
        let (tasks, unpark) = new_tasks();
        let _entered = tasks.enter();
        let (handle, waker) = task_and_waker(&tasks);
        let other = waker.clone();
        let threads = [
            thread::spawn(move || waker.wake()),
            thread::spawn(move || {
                other.wake_by_ref();
                drop(other);
            }),
        ];
        run_until_finished(&tasks, &unpark, &handle);
        drop(handle);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn loom_a_waker_of_a_finished_task_is_used_while_the_handle_is_dropped() {
    model(4, || {
        let (tasks, _unpark) = new_tasks();
        let _entered = tasks.enter();
        let (handle, waker) = task_and_waker(&tasks);
        waker.wake_by_ref();
        tasks.run(1);
        assert!(handle.is_finished());
        let thread = thread::spawn(move || {
            let clone = waker.clone();
            waker.wake();
            drop(clone);
        });
        drop(handle);
        tasks.poll_inbox();
        thread.join().unwrap();
    });
}

#[test]
fn loom_references_from_here_are_dropped_there() {
    model(3, || {
        let (tasks, _unpark) = new_tasks();
        let _entered = tasks.enter();
        let (handle, waker) = task_and_waker(&tasks);
        let wakers = [waker.clone(), waker.clone()];
        let thread = thread::spawn(move || drop(wakers));
        tasks.poll_inbox();
        waker.wake();
        tasks.run(1);
        drop(handle);
        thread.join().unwrap();
        // All of the references are gone: what is left to free is in the inbox.
        tasks.poll_inbox();
    });
}

#[test]
fn loom_references_from_there_are_dropped_here() {
    model(3, || {
        let (tasks, _unpark) = new_tasks();
        let _entered = tasks.enter();
        let (handle, waker) = task_and_waker(&tasks);
        let thread = thread::spawn(move || {
            let clone = waker.clone();
            waker.wake();
            clone
        });
        handle.abort();
        tasks.run(1);
        drop(handle);
        let clone = thread.join().unwrap();
        drop(clone.clone());
        drop(clone);
        tasks.poll_inbox();
    });
}

#[test]
fn loom_a_reference_comes_back_while_its_clone_is_dropped_there() {
    model(4, || {
        let (tasks, _unpark) = new_tasks();
        let _entered = tasks.enter();
        let (handle, waker) = task_and_waker(&tasks);
        waker.wake_by_ref();
        tasks.run(1);
        drop(handle);
        let (sender, receiver) = loom::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let clone = waker.clone();
            sender.send(waker).unwrap();
            drop(clone);
        });
        // The last reference on this side: the count there is 1 or 0.
        drop(receiver.recv().unwrap());
        thread.join().unwrap();
    });
}

#[test]
fn loom_a_waker_is_used_while_the_runtime_ends() {
    model(3, || {
        let (tasks, _unpark) = new_tasks();
        let entered = tasks.enter();
        let (handle, waker) = task_and_waker(&tasks);
        let thread = thread::spawn(move || {
            let clone = waker.clone();
            clone.wake();
            drop(waker);
        });
        drop(entered);
        drop(tasks);
        assert!(handle.is_finished());
        drop(handle);
        thread.join().unwrap();
    });
}

#[test]
fn loom_two_threads_drop_wakers_while_the_runtime_ends() {
    model(2, || {
        let (tasks, _unpark) = new_tasks();
        let entered = tasks.enter();
        let (handle, waker) = task_and_waker(&tasks);
        let other = waker.clone();
        let threads = [
            thread::spawn(move || drop(waker)),
            thread::spawn(move || other.wake()),
        ];
        drop(handle);
        drop(entered);
        drop(tasks);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn loom_a_sleeping_owner_is_woken_for_a_reference_and_then_ends() {
    model(3, || {
        let (tasks, unpark) = new_tasks();
        let entered = tasks.enter();
        let (handle, waker) = task_and_waker(&tasks);
        drop(handle);
        let thread = thread::spawn(move || drop(waker));
        if tasks.prepare_park() {
            unpark.sleep();
            tasks.unparked();
        }
        drop(entered);
        drop(tasks);
        thread.join().unwrap();
    });
}

/// Wakes a task as another thread does, after which its owner lends to it.
fn wake_with_loan(tasks: &Tasks, waker: &Waker) {
    waker.wake_by_ref();
    let _entered = tasks.enter();
    tasks.poll_inbox();
}

#[test]
fn loom_a_task_with_a_loan_is_finished_while_its_wakers_are_dropped_there() {
    model(3, || {
        let (tasks, _unpark) = new_tasks();
        let (handle, waker) = {
            let _entered = tasks.enter();
            task_and_waker(&tasks)
        };
        wake_with_loan(&tasks, &waker);
        let _entered = tasks.enter();
        let wakers = [waker.clone(), waker.clone()];
        let thread = thread::spawn(move || {
            let [first, second] = wakers;
            drop(first);
            second.wake();
        });
        tasks.run(1);
        assert!(handle.is_finished());
        drop(handle);
        drop(waker);
        thread.join().unwrap();
        tasks.poll_inbox();
    });
}

#[test]
fn loom_a_task_with_a_loan_is_woken_while_the_owner_falls_asleep() {
    model(3, || {
        let (tasks, unpark) = new_tasks();
        let (root, dropped) = {
            let _entered = tasks.enter();
            (tasks.root_waker(), tasks.root_waker())
        };
        wake_with_loan(&tasks, &root);
        let _entered = tasks.enter();
        assert!(tasks.take_root_wake());
        let thread = thread::spawn(move || {
            drop(dropped);
            root.wake();
        });
        while !tasks.take_root_wake() {
            sleep_once(&tasks, &unpark);
        }
        thread.join().unwrap();
    });
}

#[test]
fn loom_wakers_of_a_task_with_a_loan_are_dropped_while_the_runtime_ends() {
    model(3, || {
        let (tasks, _unpark) = new_tasks();
        let root = {
            let _entered = tasks.enter();
            tasks.root_waker()
        };
        wake_with_loan(&tasks, &root);
        let clone = {
            let _entered = tasks.enter();
            root.clone()
        };
        let thread = thread::spawn(move || {
            drop(clone);
            root.wake();
        });
        drop(tasks);
        thread.join().unwrap();
    });
}

#[test]
fn loom_wakers_of_another_runtime_on_this_thread_take_the_way_of_a_foreign_thread() {
    model(3, || {
        let (first, _first_unpark) = new_tasks();
        let (second, _second_unpark) = new_tasks();
        let (handle, waker) = {
            let _entered = first.enter();
            task_and_waker(&first)
        };
        let _entered = second.enter();
        let clone = waker.clone();
        let thread = thread::spawn(move || clone.wake());
        waker.wake_by_ref();
        drop(first);
        assert!(handle.is_finished());
        drop(waker);
        thread.join().unwrap();
    });
}

#[test]
fn loom_a_join_handle_is_polled_while_its_task_is_woken_elsewhere() {
    model(3, || {
        let (tasks, unpark) = new_tasks();
        let _entered = tasks.enter();
        let (mut handle, waker) = task_and_waker(&tasks);
        let thread = thread::spawn(move || waker.wake());
        let root = tasks.root_waker();
        let cx = &mut Context::from_waker(&root);
        let mut output = std::pin::pin!(poll_fn(|cx| std::pin::Pin::new(&mut handle).poll(cx)));
        while output.as_mut().poll(cx).is_pending() {
            while !tasks.take_root_wake() {
                if tasks.run(10) == 0 {
                    sleep_once(&tasks, &unpark);
                }
            }
        }
        thread.join().unwrap();
    });
}

#[test]
fn loom_an_index_that_is_woken_elsewhere_ends_the_wait_for_it() {
    model(3, || {
        let wakes = IndexWakes::new();
        let threads = [3, 5].map(|index| {
            let waker = wakes.waker(index);
            thread::spawn(move || waker.wake())
        });
        let mut woken = Vec::new();
        while woken.len() < 2 {
            park::block_on(poll_fn(|context| wakes.poll_ready(context)));
            wakes.take(&mut woken);
        }
        woken.sort_unstable();
        assert_eq!(woken, [3, 5]);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}
