//! The life of slots, by completions that are made up: late, doubled, out of their turn.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use super::{
    Abandoned, Driver, DriverKind, Helpers, Item, Job, Key, NO_SOURCE, RingSize, Withdrawn,
    backend,
    multi::{self, MultiState},
    turn::After,
};
use crate::{
    nosy::{self, at_clone, nosy},
    skip,
    sys::{Completion, Entry, PollEvents, Version, Wait, WakeFd, errno},
};

/// The flag of a completion that names a buffer, in whose upper half the buffer stands.
const BUFFER: u32 = 1 << 0;
/// The flag of a completion that is not the last.
const MORE: u32 = 1 << 1;

fn driver(kind: DriverKind) -> Option<Rc<Driver>> {
    let size = RingSize {
        entry_count: 8,
        completion_count: 32,
    };
    match Driver::new(kind, size) {
        Ok((driver, _)) => Some(Rc::new(driver)),
        Err(error) if kind == DriverKind::Ring && error.is_forbidden() => {
            skip::skip(&error.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A driver with a ring, and a descriptor on which nothing ever happens unless told.
fn ring() -> Option<(Rc<Driver>, WakeFd)> {
    Some((driver(DriverKind::Ring)?, WakeFd::new().unwrap()))
}

fn poll_entry(silent: &WakeFd) -> Entry {
    Entry::poll_add(silent.raw(), PollEvents::READ)
}

fn submit(driver: &Driver, silent: &WakeFd, waker: Waker) -> Key {
    // SAFETY: the entry points to nothing.
    unsafe { driver.submit(poll_entry(silent), waker) }.unwrap()
}

fn submit_multi(driver: &Driver, silent: &WakeFd, limit: u8) -> Key {
    // SAFETY: the entry points to nothing.
    unsafe { driver.submit_multi(poll_entry(silent), limit, None, None) }.unwrap()
}

/// Acts as if this had come from the kernel.
fn complete(driver: &Driver, key: Key, res: i32, flags: u32) {
    let mut after = Vec::new();
    let completion = Completion { res, flags };
    let mut core = driver.core.borrow_mut();
    core.complete(key.user_data(), completion, &mut after);
    drop(core);
    let mut events = driver.events.borrow_mut();
    events.completions.push((key.user_data(), completion));
    drop(events);
    after.into_iter().for_each(After::run);
}

fn poll_op(driver: &Driver, key: Key) -> Poll<i32> {
    let context = Context::from_waker(Waker::noop());
    driver
        .poll_op(key, &context)
        .map(|completion| completion.res)
}

fn results(driver: &Driver, key: Key) -> Vec<i32> {
    let mut results = Vec::new();
    while let Some(item) = driver.try_multi(key) {
        results.push(item.completion().res);
        if !item.completion().more() {
            break;
        }
    }
    results
}

/// Tells what it was given, and when it is gone.
struct Recorder(Rc<RefCell<Vec<String>>>);

impl Abandoned for Recorder {
    fn part(&mut self, completion: Completion) {
        let (res, buffer) = (completion.res, completion.buffer_id());
        self.0.borrow_mut().push(format!("part {res} {buffer:?}"));
    }

    fn finish(self: Box<Self>, completion: Completion) {
        let (res, buffer) = (completion.res, completion.buffer_id());
        self.0.borrow_mut().push(format!("last {res} {buffer:?}"));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.0.borrow_mut().push("gone".to_owned());
    }
}

fn recorder() -> (Rc<RefCell<Vec<String>>>, Box<Recorder>) {
    let log = Rc::default();
    (Rc::clone(&log), Box::new(Recorder(log)))
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_late_completion_does_not_reach_the_next_user_of_its_slot() {
    let Some((driver, silent)) = ring() else {
        return;
    };
    let first = submit(&driver, &silent, Waker::noop().clone());
    complete(&driver, first, 1, 0);
    assert_eq!(poll_op(&driver, first), Poll::Ready(1));
    let second = submit(&driver, &silent, Waker::noop().clone());
    assert_eq!(second.index, first.index, "the slot is used again");
    assert_ne!(second.generation, first.generation);
    complete(&driver, first, 2, 0);
    assert_eq!(driver.stats().stale, 1);
    assert_eq!(poll_op(&driver, second), Poll::Pending);
    complete(&driver, second, 3, 0);
    // Twice is once too often.
    complete(&driver, second, 4, 0);
    assert_eq!(driver.stats().stale, 2);
    assert_eq!(poll_op(&driver, second), Poll::Ready(3));
    assert_eq!(driver.stats().in_flight, 0);
}

#[test]
fn a_quiet_operation_wakes_by_any_result_but_the_one_that_it_names() {
    let Some((driver, silent)) = ring() else {
        return;
    };
    let woken = Arc::new(Count::default());
    let submit = || {
        let waker = Waker::from(Arc::clone(&woken));
        // SAFETY: the entry points to nothing.
        unsafe { driver.submit_quiet(poll_entry(&silent), waker, 7) }.unwrap()
    };
    let wakes = |result| {
        let key = submit();
        complete(&driver, key, result, 0);
        assert_eq!(poll_op(&driver, key), Poll::Ready(result));
        woken.0.swap(0, Ordering::Relaxed)
    };
    assert_eq!((wakes(7), wakes(6), wakes(-errno::EPIPE)), (0, 1, 1));
    assert_eq!(Arc::strong_count(&woken), 1, "no waker is left behind");

    // A poll before it is done waits for it.
    let key = submit();
    let waker = Waker::from(Arc::clone(&woken));
    assert!(
        driver
            .poll_op(key, &Context::from_waker(&waker))
            .is_pending()
    );
    complete(&driver, key, 7, 0);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(poll_op(&driver, key), Poll::Ready(7));
}

/// Polls with a waker whose clone makes up a completion of the same operation.
fn while_it_is_cloned<T>(
    driver: &Rc<Driver>,
    key: Key,
    flags: u32,
    poll: impl Fn(&mut Context<'_>) -> T,
) -> T {
    let cloning = Rc::clone(driver);
    at_clone(move || complete(&cloning, key, 5, flags));
    let polled = poll(&mut Context::from_waker(&nosy()));
    assert!(!nosy::is_set(), "the waker was cloned");
    polled
}

#[test]
fn a_completion_that_comes_as_a_waker_is_cloned_is_returned_by_that_poll() {
    let Some((driver, silent)) = ring() else {
        return;
    };
    let key = submit(&driver, &silent, Waker::noop().clone());
    let polled = while_it_is_cloned(&driver, key, 0, |context| driver.poll_op(key, context));
    assert!(matches!(polled, Poll::Ready(Completion { res: 5, .. })));

    let key = submit_multi(&driver, &silent, 8);
    for flags in [MORE, 0] {
        let polled = while_it_is_cloned(&driver, key, flags, |context| {
            driver.poll_multi(key, context)
        });
        assert!(matches!(polled, Poll::Ready(item) if item.completion().res == 5));
    }

    let key = submit_multi(&driver, &silent, 8);
    let watched = while_it_is_cloned(&driver, key, 0, |context| driver.watch_multi(key, context));
    assert!(matches!(
        watched,
        MultiState::Ended(Completion { res: 5, .. })
    ));
    assert_eq!(results(&driver, key), [5]);
    assert_eq!(driver.stats().in_flight, 0);
}

#[test]
fn an_unattended_operation_ends_with_the_driver() {
    let Some((driver, silent)) = ring() else {
        return;
    };
    let (log, keeper) = recorder();
    // SAFETY: the entry points to nothing.
    unsafe { driver.submit_unattended(poll_entry(&silent), keeper) };
    driver.turn(Wait::No).unwrap();
    assert_eq!(driver.shutdown(Duration::from_secs(1)), 0);
    let cancelled = format!("last {} None", -errno::ECANCELED);
    assert_eq!(*log.borrow(), [cancelled, "gone".to_owned()]);
}

#[test]
fn generations_go_round_without_meeting() {
    let Some((driver, silent)) = ring() else {
        return;
    };
    driver.core.borrow_mut().generation = u32::MAX - 1;
    let keys: Vec<Key> = (0..4)
        .map(|_| submit(&driver, &silent, Waker::noop().clone()))
        .collect();
    for (number, key) in keys.iter().enumerate() {
        complete(&driver, *key, number as i32, 0);
    }
    for (number, key) in keys.into_iter().enumerate() {
        assert_eq!(poll_op(&driver, key), Poll::Ready(number as i32));
    }
    assert_eq!(driver.stats().stale, 0);
}

#[test]
fn a_wake_ends_one_sleep_and_is_not_there_for_the_next() {
    for kind in [DriverKind::Ring, DriverKind::Poll] {
        let Some(driver) = driver(kind) else {
            continue;
        };
        for _ in 0..3 {
            let remote = Arc::clone(driver.remote());
            let other = std::thread::spawn(move || remote.wake());
            driver.turn(Wait::Completion).unwrap();
            other.join().unwrap();
            // Several are one.
            driver.remote().wake();
            driver.remote().wake();
            driver.turn(Wait::Completion).unwrap();
            let before = driver.stats();
            driver
                .turn(Wait::Timeout(Duration::from_millis(1)))
                .unwrap();
            let after = driver.stats();
            let features = driver.features();
            if features.ext_arg {
                assert_eq!(after.completions, before.completions);
            }
            if features.multishot_accept {
                assert_eq!(after.entries, 1, "one poll is there for all wakes");
            }
        }
        assert_eq!(driver.shutdown(Duration::ZERO), 0);
    }
}

#[test]
fn what_was_withdrawn_before_the_kernel_saw_it_never_ran() {
    let Some((driver, ready)) = ring() else {
        return;
    };
    ready.wake();
    let woken = Arc::new(Count::default());
    let keys: Vec<Key> = (0..3)
        .map(|_| submit(&driver, &ready, Waker::from(Arc::clone(&woken))))
        .collect();
    let Withdrawn::NeverRan = driver.withdraw(keys[1]) else {
        panic!("the entry is still here");
    };
    assert_eq!(driver.stats().in_flight, 2);
    driver.turn(Wait::No).unwrap();
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    assert_eq!(Arc::strong_count(&woken), 1, "every waker is gone");
    let stats = driver.stats();
    assert_eq!(
        (stats.entries, stats.completions),
        (3, 3),
        "it became a NOP"
    );
    assert_eq!((stats.stale, stats.in_flight), (0, 0));
    for key in [keys[0], keys[2]] {
        assert!(poll_op(&driver, key).is_ready());
    }
    assert!(driver.core.borrow().slots.is_empty());
}

#[test]
fn what_completed_meanwhile_is_withdrawn_with_its_result() {
    let Some((driver, ready)) = ring() else {
        return;
    };
    ready.wake();
    let key = submit(&driver, &ready, Waker::noop().clone());
    driver.turn(Wait::No).unwrap();
    let Withdrawn::Done(completion) = driver.withdraw(key) else {
        panic!("it has completed");
    };
    assert!(completion.res > 0);
    assert!(driver.core.borrow().slots.is_empty());
}

#[test]
fn what_is_abandoned_in_flight_is_finished_once_at_its_last_completion() {
    let Some((driver, silent)) = ring() else {
        return;
    };
    let key = submit(&driver, &silent, Waker::noop().clone());
    driver.turn(Wait::No).unwrap();
    let Withdrawn::InFlight = driver.withdraw(key) else {
        panic!("the kernel has it");
    };
    let (log, abandoned) = recorder();
    driver.abandon(key, abandoned);
    assert!(log.borrow().is_empty());
    while driver.stats().in_flight > 0 {
        driver.turn(Wait::Completion).unwrap();
    }
    let expected = format!("last {} None", -errno::ECANCELED);
    assert_eq!(*log.borrow(), [expected.as_str(), "gone"]);
    assert_eq!(driver.stats().abandoned, 1);
    complete(&driver, key, 0, 0);
    assert_eq!(log.borrow().len(), 2);
    assert_eq!(driver.stats().stale, 1);
}

#[test]
fn a_multishot_at_its_limit_is_stopped_and_loses_nothing() {
    let Some((driver, silent)) = ring() else {
        return;
    };
    let key = submit_multi(&driver, &silent, 3);
    for res in 0..3 {
        complete(&driver, key, res, MORE);
    }
    assert_eq!(driver.stats().backpressure, 0, "the tasks look first");
    driver.core.borrow_mut().stop_over_limit();
    assert_eq!(driver.stats().backpressure, 1);
    // Completions that the kernel had under way come all the same, and it is not asked again.
    complete(&driver, key, 3, MORE);
    complete(&driver, key, 4, MORE);
    driver.core.borrow_mut().stop_over_limit();
    assert_eq!(driver.stats().backpressure, 1);
    assert_eq!(driver.stats().entries, 2, "the operation and one cancel");
    driver.turn(Wait::No).unwrap();
    assert_eq!(results(&driver, key)[..5], [0, 1, 2, 3, 4]);
    while !driver.core.borrow().slots.is_empty() {
        if results(&driver, key).last() == Some(&-errno::ECANCELED) {
            break;
        }
        driver.turn(Wait::Completion).unwrap();
    }
    assert_eq!(driver.stats().in_flight, 0);
    assert!(driver.core.borrow().slots.is_empty());
}

#[test]
fn a_multishot_that_was_caught_up_with_is_not_stopped() {
    let Some((driver, silent)) = ring() else {
        return;
    };
    let key = submit_multi(&driver, &silent, 2);
    complete(&driver, key, 10, MORE);
    complete(&driver, key, 11, MORE);
    assert_eq!(driver.try_multi(key).unwrap().completion().res, 10);
    driver.turn(Wait::No).unwrap();
    assert_eq!(driver.stats().backpressure, 0);
    // The last one may be a good one.
    complete(&driver, key, 12, 0);
    assert_eq!(results(&driver, key), [11, 12]);
    assert!(driver.core.borrow().slots.is_empty());
}

#[test]
fn a_multishot_over_its_limit_that_has_ended_stops_no_other() {
    let Some((driver, silent)) = ring() else {
        return;
    };
    let first = submit_multi(&driver, &silent, 1);
    complete(&driver, first, 1, MORE);
    complete(&driver, first, 0, 0);
    assert_eq!(results(&driver, first), [1, 0]);
    let second = submit_multi(&driver, &silent, 1);
    assert_eq!(second.index, first.index);
    complete(&driver, second, 1, MORE);
    driver
        .core
        .borrow_mut()
        .over_limit
        .retain(|key| *key == first);
    driver.turn(Wait::No).unwrap();
    assert_eq!(driver.stats().backpressure, 0);
    assert!(driver.core.borrow().over_limit.is_empty());
}

#[test]
fn an_abandoned_multishot_hands_every_buffer_back_once() {
    let Some((driver, silent)) = ring() else {
        return;
    };
    let buffer = |id: u32| BUFFER | id << 16;
    let key = submit_multi(&driver, &silent, 9);
    complete(&driver, key, 100, MORE | buffer(1));
    complete(&driver, key, 200, MORE | buffer(2));
    complete(&driver, key, 300, MORE | buffer(3));
    assert_eq!(driver.core.borrow().parked_buffers, 3);
    // One is taken, one copied out, one left.
    let Some(Item::Raw(taken)) = driver.try_multi(key) else {
        panic!("it is as it came");
    };
    assert_eq!(taken.buffer_id(), Some(1));
    driver.copy_out_parked(&mut |completion| {
        (completion.buffer_id() == Some(2)).then(|| Box::from(&b"copied"[..]))
    });
    assert_eq!(driver.core.borrow().parked_buffers, 1);
    let (log, abandoned) = recorder();
    driver.abandon_multi(key, abandoned);
    assert_eq!(driver.core.borrow().parked_buffers, 0);
    complete(&driver, key, 400, MORE | buffer(4));
    // An error may name a buffer too.
    complete(&driver, key, -errno::ECANCELED, buffer(5));
    let last = format!("last {} Some(5)", -errno::ECANCELED);
    let expected = ["part 300 Some(3)", "part 400 Some(4)", &last, "gone"];
    assert_eq!(*log.borrow(), expected);
    assert_eq!(driver.core.borrow().parked_buffers, 0);
    assert_eq!(driver.stats().in_flight, 0);
}

#[test]
fn a_multishot_that_has_ended_is_finished_when_it_is_abandoned() {
    let Some((driver, silent)) = ring() else {
        return;
    };
    let key = submit_multi(&driver, &silent, 9);
    complete(&driver, key, 1, MORE | BUFFER);
    complete(&driver, key, 2, BUFFER | 6 << 16);
    let (log, abandoned) = recorder();
    driver.abandon_multi(key, abandoned);
    assert_eq!(*log.borrow(), ["part 1 Some(0)", "last 2 Some(6)", "gone"]);
    assert!(driver.core.borrow().slots.is_empty());
    assert_eq!(driver.core.borrow().parked_buffers, 0);
    // It is not reported a second time, and its slot belongs to another operation by then.
    let next = submit(&driver, &silent, Waker::noop().clone());
    complete(&driver, key, 3, BUFFER);
    assert_eq!(driver.stats().stale, 1);
    assert_eq!(poll_op(&driver, next), Poll::Pending);
}

#[test]
fn what_is_parked_is_found_without_a_look_at_other_slots() {
    let Some((driver, silent)) = ring() else {
        return;
    };
    let silent_keys: Vec<Key> = (0..100)
        .map(|_| submit_multi(&driver, &silent, 9))
        .collect();
    let (parked, busy) = (silent_keys[50], silent_keys[60]);
    complete(&driver, parked, 5, MORE | BUFFER | 7 << 16);
    // Pieces that are taken at once leave the list in time, although something is parked all the
    // time.
    let next_turn = || {
        let mut events = driver.events.borrow_mut();
        let mut core = driver.core.borrow_mut();
        core.list_parked(&mut events.completions);
    };
    for _ in 0..100 * multi::PARKED_MIN {
        complete(&driver, busy, 5, MORE | BUFFER | 8 << 16);
        if driver.core.borrow().parked_buffers == 10 {
            while driver.try_multi(busy).is_some() {}
        }
        next_turn();
        assert!(driver.core.borrow().parked.contains(&parked));
    }
    assert!(driver.core.borrow().parked.capacity() <= 4 * multi::PARKED_MIN);
    while driver.try_multi(busy).is_some() {}
    let mut copies = 0;
    for _ in 0..2 {
        driver.copy_out_parked(&mut |_| {
            copies += 1;
            Some(Box::from(&b"bytes"[..]))
        });
        // Nothing is left to look at in the turns that follow.
        assert!(driver.core.borrow().parked.is_empty());
    }
    assert_eq!((copies, driver.core.borrow().parked_buffers), (1, 0));
    assert!(matches!(driver.try_multi(parked), Some(Item::Copied(_))));
}

#[test]
fn a_copied_last_piece_names_no_buffer_any_more() {
    let Some((driver, silent)) = ring() else {
        return;
    };
    let key = submit_multi(&driver, &silent, 9);
    complete(&driver, key, 5, BUFFER | 7 << 16);
    driver.copy_out_parked(&mut |_| Some(Box::from(&b"bytes"[..])));
    let (log, abandoned) = recorder();
    driver.abandon_multi(key, abandoned);
    assert_eq!(*log.borrow(), ["last 0 None", "gone"]);
}

thread_local! {
    static DRIVER: RefCell<Option<Rc<Driver>>> = const { RefCell::new(None) };
}

/// A waker that uses the driver when it is woken and when it is dropped.
struct Meddler;

impl Meddler {
    fn meddle() {
        DRIVER.with_borrow(|driver| {
            if let Some(driver) = driver {
                driver.stats();
                driver.turn(Wait::No).unwrap();
            }
        });
    }
}

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        Self::meddle();
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        Self::meddle();
    }
}

#[test]
fn wakers_may_use_the_driver() {
    let Some((driver, ready)) = ring() else {
        return;
    };
    DRIVER.set(Some(Rc::clone(&driver)));
    ready.wake();
    let meddler = || Waker::from(Arc::new(Meddler));
    let first = submit(&driver, &ready, meddler());
    let second = submit(&driver, &ready, meddler());
    let third = submit(&driver, &ready, meddler());
    // Replaced, withdrawn, woken: each drops a waker.
    let waker = meddler();
    assert!(
        driver
            .poll_op(first, &Context::from_waker(&waker))
            .is_pending()
    );
    drop(waker);
    let _ = driver.withdraw(second);
    driver.turn(Wait::No).unwrap();
    for key in [first, third] {
        assert!(poll_op(&driver, key).is_ready());
    }
    DRIVER.set(None);
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

#[test]
fn a_waker_that_panics_costs_no_other_operation_its_completion() {
    let Some((driver, ready)) = ring() else {
        return;
    };
    ready.wake();
    let woken = Arc::new(Count::default());
    let first = submit(&driver, &ready, Waker::from(Arc::new(Panics)));
    let second = submit(&driver, &ready, Waker::from(Arc::clone(&woken)));
    let panic = catch_unwind(AssertUnwindSafe(|| driver.turn(Wait::No)));
    assert!(panic.is_err(), "the panic goes on");
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    for key in [first, second] {
        assert!(poll_op(&driver, key).is_ready());
    }
    driver.turn(Wait::No).unwrap();
}

#[test]
fn shutdown_waits_for_the_kernel() {
    let Some((driver, silent)) = ring() else {
        return;
    };
    let waiting = submit(&driver, &silent, Waker::noop().clone());
    let abandoned_key = submit(&driver, &silent, Waker::noop().clone());
    let multi = submit_multi(&driver, &silent, 9);
    driver.turn(Wait::No).unwrap();
    let (log, abandoned) = recorder();
    driver.abandon(abandoned_key, abandoned);
    assert_eq!(driver.shutdown(Duration::from_secs(60)), 0);
    assert_eq!(log.borrow().last().unwrap(), "gone");
    // Futures that outlive the runtime find what became of their operations.
    assert_eq!(poll_op(&driver, waiting), Poll::Ready(-errno::ECANCELED));
    assert_eq!(results(&driver, multi), [-errno::ECANCELED]);
    assert!(driver.core.borrow().slots.is_empty());
    assert_eq!(driver.shutdown(Duration::ZERO), 0, "once is enough");
}

/// Threads that never come to a call.
struct Busy;

impl Helpers for Busy {
    fn run(&self, job: Job) {
        drop(job);
    }
}

#[test]
fn what_cannot_be_stopped_at_the_end_is_never_freed() {
    let driver = driver(DriverKind::Poll).unwrap();
    driver.set_helpers(Rc::new(Busy));
    let submit = || {
        // SAFETY: the call touches nothing.
        let submitted = unsafe { driver.submit_job(Box::new(|| 0), Waker::noop().clone()) };
        submitted.unwrap()
    };
    let (key, waiting) = (submit(), submit());
    let (log, abandoned) = recorder();
    driver.abandon(key, abandoned);
    assert_eq!(driver.shutdown(Duration::ZERO), 2, "no time to wait");
    assert!(log.borrow().is_empty(), "neither finished nor dropped");
    let Withdrawn::Lost = driver.withdraw(waiting) else {
        panic!("nobody knows what became of it");
    };
}

/// A ring that stops at each entry that it refuses, as kernels before 5.18 do, and entries that it
/// refuses.
fn stopping_ring(refused_count: usize) -> Option<Rc<Driver>> {
    let (driver, _silent) = ring()?;
    let size = RingSize {
        entry_count: 64,
        completion_count: 128,
    };
    let mask = Some(Version::new(5, 15));
    let (backend, _) = backend::ring(size, mask, driver.remote()).unwrap();
    drop(std::mem::replace(
        &mut driver.core.borrow_mut().backend,
        backend,
    ));
    for _ in 0..refused_count {
        let entry = Entry::timeout(std::ptr::null());
        // SAFETY: the kernel refuses to read a time from there.
        unsafe { driver.submit(entry, Waker::noop().clone()) }.unwrap();
    }
    Some(driver)
}

#[test]
fn entries_behind_one_that_the_kernel_refuses_are_shown_again() {
    let Some(driver) = stopping_ring(1) else {
        return;
    };
    let event = WakeFd::new().unwrap();
    event.wake();
    let key = submit(&driver, &event, Waker::noop().clone());
    for _ in 0..3 {
        driver.turn(Wait::No).unwrap();
    }
    assert!(poll_op(&driver, key).is_ready());
    assert_eq!(driver.shutdown(Duration::ZERO), 0);
}

#[test]
fn entries_that_the_kernel_never_took_are_ended_with_the_driver() {
    for refused_count in [0, 1, 9] {
        let Some(driver) = stopping_ring(refused_count) else {
            return;
        };
        let silent = WakeFd::new().unwrap();
        let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let (log, abandoned) = recorder();
        let key = submit(&driver, &silent, Waker::noop().clone());
        driver.abandon(key, abandoned);
        let waiting = submit(&driver, &silent, Waker::noop().clone());
        assert!(driver.close_detached(std::os::fd::IntoRawFd::into_raw_fd(far)));
        // There is time for two enters.
        driver.shutdown(Duration::ZERO);
        assert_eq!(std::io::Read::read(&mut near, &mut [0]).unwrap(), 0);
        if refused_count == 9 {
            assert_eq!(*log.borrow(), ["last -125 None", "gone"]);
            assert!(matches!(driver.withdraw(waiting), Withdrawn::Done(_)));
        }
    }
}

/// The events that epoll tells of an eventfd that was woken: `POLLIN` and `POLLOUT`.
const WOKEN: i32 = 5;

#[test]
fn the_poll_driver_takes_waiters_off() {
    let driver = driver(DriverKind::Poll).unwrap();
    let event = WakeFd::new().unwrap();
    let source = std::cell::Cell::new(NO_SOURCE);
    let wait = |waker| {
        let (fd, events) = (event.raw(), PollEvents::READ);
        driver.submit_ready(fd, &source, events, waker).unwrap()
    };
    let woken = Arc::new(Count::default());
    let keys: Vec<Key> = (0..3)
        .map(|_| wait(Waker::from(Arc::clone(&woken))))
        .collect();
    driver.turn(Wait::No).unwrap();
    assert_eq!(driver.stats().in_flight, 3);
    let Withdrawn::NeverRan = driver.withdraw(keys[0]) else {
        panic!("nothing of the kernel's hangs on it");
    };
    event.wake();
    driver.turn(Wait::Completion).unwrap();
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    for key in &keys[1..] {
        assert_eq!(poll_op(&driver, *key), Poll::Ready(WOKEN));
    }
    // It stays ready until a call has found nothing.
    let again = wait(Waker::noop().clone());
    assert_eq!(poll_op(&driver, again), Poll::Ready(0));
    driver.not_ready(&source, PollEvents::READ, false);
    let last = wait(Waker::noop().clone());
    assert_eq!(poll_op(&driver, last), Poll::Pending);
    assert_eq!(driver.shutdown(Duration::ZERO), 0);
    assert_eq!(poll_op(&driver, last), Poll::Ready(-errno::ECANCELED));
}

#[test]
fn a_source_that_is_forgotten_is_not_mistaken_for_the_next() {
    let driver = driver(DriverKind::Poll).unwrap();
    let first = WakeFd::new().unwrap();
    let second = WakeFd::new().unwrap();
    let (one, two) = (
        std::cell::Cell::new(NO_SOURCE),
        std::cell::Cell::new(NO_SOURCE),
    );
    let read = PollEvents::READ;
    let noop = || Waker::noop().clone();
    let key = driver
        .submit_ready(first.raw(), &one, read, noop())
        .unwrap();
    assert!(matches!(driver.withdraw(key), Withdrawn::NeverRan));
    first.wake();
    driver.forget_source(first.raw(), &one);
    assert_eq!(one.get(), NO_SOURCE);
    let key = driver
        .submit_ready(second.raw(), &two, read, noop())
        .unwrap();
    driver.turn(Wait::No).unwrap();
    assert_eq!(poll_op(&driver, key), Poll::Pending);
    second.wake();
    driver.turn(Wait::Completion).unwrap();
    assert_eq!(poll_op(&driver, key), Poll::Ready(WOKEN));
    driver.forget_source(second.raw(), &two);
    driver.forget_source(second.raw(), &two);
}

#[test]
fn a_full_queue_keeps_the_order_and_every_entry() {
    let Some((driver, ready)) = ring() else {
        return;
    };
    ready.wake();
    // Many more than the queue has room for, some of them taken back.
    let mut keys = Vec::new();
    let mut withdrawn = 0;
    for number in 0..200 {
        let key = submit(&driver, &ready, Waker::noop().clone());
        if number % 7 == 0 {
            match driver.withdraw(key) {
                Withdrawn::NeverRan => withdrawn += 1,
                _ => panic!("it was pushed a moment ago"),
            }
        } else {
            keys.push(key);
        }
    }
    assert_eq!(withdrawn, 29);
    while driver.stats().completions < 200 {
        driver.turn(Wait::Completion).unwrap();
    }
    for key in keys {
        assert!(poll_op(&driver, key).is_ready());
    }
    assert_eq!(driver.stats().in_flight, 0);
}
