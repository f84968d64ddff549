use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, pending, ready},
    io,
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use super::{
    wheel::{Look, Nanos, Wheel},
    *,
};

const MS: Nanos = 1_000_000;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl CountWakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

/// Timers that are current and paused, with the clock at the end of a tick.
fn paused() -> (Rc<Timers>, impl Drop) {
    let timers = Timers::new(None);
    let entered = timers.enter();
    pause();
    // On a slow machine the clock has gone on meanwhile.
    fire(&timers);
    (timers, entered)
}

/// Fires what is due and wakes it.
fn fire(timers: &Timers) -> usize {
    let mut woken = Vec::new();
    let count = timers.fire(&timers.look(), &mut woken);
    assert_eq!(woken.len(), count);
    woken.into_iter().for_each(Waker::wake);
    count
}

fn move_clock(timers: &Timers, duration: Duration) {
    let target = timers.clock.nanos(timers.now() + duration);
    timers.clock.advance_to(target);
}

struct WakeFlag(AtomicBool);

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs tasks in turns, with a paused clock that moves only when none is ready.
fn run_paused(tasks: Vec<Pin<Box<dyn Future<Output = ()>>>>) {
    let (timers, _entered) = paused();
    let mut tasks: Vec<_> = tasks
        .into_iter()
        .map(|task| (Some(task), Arc::new(WakeFlag(AtomicBool::new(true)))))
        .collect();
    loop {
        let mut any_ready = false;
        for (task, flag) in &mut tasks {
            if flag.0.swap(false, Ordering::Relaxed) {
                any_ready = true;
                let waker = Waker::from(flag.clone());
                let mut context = Context::from_waker(&waker);
                let is_over = task
                    .as_mut()
                    .is_some_and(|task| task.as_mut().poll(&mut context).is_ready());
                if is_over {
                    *task = None;
                }
            }
        }
        if tasks.iter().all(|(task, _)| task.is_none()) {
            return;
        }
        if fire(&timers) == 0 && !any_ready {
            assert!(
                timers.auto_advance(),
                "all tasks wait for something that cannot come"
            );
        }
    }
}

/// Runs one future, with a paused clock that moves only when it waits.
fn block_on_paused<F: Future<Output = ()> + 'static>(future: F) {
    run_paused(vec![Box::pin(future)]);
}

// The wheel against a model.

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Small numbers as likely as large ones.
    fn of_any_size(&mut self, bits_max: u64) -> i64 {
        let bits = self.below(bits_max) + 1;
        (self.next() >> (64 - bits)) as i64
    }
}

/// Records its number when woken.
struct Numbered {
    number: u64,
    log: Arc<std::sync::Mutex<Vec<u64>>>,
}

impl Wake for Numbered {
    fn wake(self: Arc<Self>) {
        self.log.lock().unwrap().push(self.number);
    }
}

/// A model of the wheel: timers fire in the order of their ticks, then of their arming.
struct Model {
    wheel: Wheel,
    log: Arc<std::sync::Mutex<Vec<u64>>>,
    pending: BTreeMap<(i64, u64), (Nanos, u32)>,
    now: Nanos,
    number: u64,
    exact: bool,
}

impl Model {
    fn new(exact: bool) -> Model {
        let log = Arc::default();
        Model {
            wheel: Wheel::new(),
            log,
            pending: BTreeMap::new(),
            now: 0,
            number: 0,
            exact,
        }
    }

    /// The time at which a deadline fires.
    fn due(&self, deadline: Nanos) -> i64 {
        let tick = deadline.max(0) as u64;
        if self.exact {
            deadline
        } else {
            tick.div_ceil(MS as u64) as i64
        }
    }

    fn now(&self) -> i64 {
        if self.exact { self.now } else { self.now / MS }
    }

    fn waker(&mut self) -> Waker {
        self.number += 1;
        Waker::from(Arc::new(Numbered {
            number: self.number,
            log: self.log.clone(),
        }))
    }

    fn arm(&mut self, deadline: Nanos) {
        if self.wheel.has_passed(deadline) {
            assert!(self.due(deadline) <= self.now());
            return;
        }
        let waker = self.waker();
        let index = self.wheel.arm(deadline, waker);
        self.pending
            .insert((self.due(deadline), self.number), (deadline, index));
    }

    fn random_key(&self, random: &mut Random) -> Option<(i64, u64)> {
        let nth = random.below(self.pending.len().max(1) as u64) as usize;
        self.pending.keys().nth(nth).copied()
    }

    fn cancel(&mut self, key: (i64, u64)) {
        let (_, index) = self.pending.remove(&key).unwrap();
        assert!(self.wheel.free(index).is_some());
    }

    fn rearm(&mut self, key: (i64, u64), deadline: Nanos) {
        if self.wheel.has_passed(deadline) {
            return;
        }
        let (_, index) = self.pending.remove(&key).unwrap();
        assert!(self.wheel.rearm(index, deadline));
        // It is behind all others of its tick now, as a newly armed one.
        let waker = self.waker();
        assert!(self.wheel.replace_waker(index, waker).is_ok());
        self.pending
            .insert((self.due(deadline), self.number), (deadline, index));
    }

    fn fire(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        let mut woken = Vec::new();
        if self.exact {
            self.wheel.fire_exactly(now, &mut woken);
        } else {
            self.wheel.fire(now, &mut woken);
        }
        let later = self.pending.split_off(&(self.now(), u64::MAX));
        let due = std::mem::replace(&mut self.pending, later);
        woken.into_iter().for_each(Waker::wake);
        let expected: Vec<u64> = due.keys().map(|&(_, number)| number).collect();
        assert_eq!(std::mem::take(&mut *self.log.lock().unwrap()), expected);
        for (_, index) in due.into_values() {
            assert!(matches!(self.wheel.look(index, Waker::noop()), Look::Due));
            assert!(self.wheel.free(index).is_none());
        }
        self.check();
    }

    fn check(&self) {
        assert_eq!(self.wheel.pending_count(), self.pending.len());
        let earliest = self.pending.values().map(|&(deadline, _)| deadline).min();
        assert_eq!(self.wheel.earliest_deadline(), earliest);
        match (self.wheel.next_deadline(), earliest) {
            (None, None) => {}
            (Some(next), Some(earliest)) => {
                let tick_end = (earliest / MS + 1).saturating_mul(MS);
                assert!(next <= tick_end, "{next} is after the tick of {earliest}");
                assert!(
                    next > self.now / MS * MS,
                    "{next} is no progress from {}",
                    self.now
                );
            }
            (next, earliest) => panic!("{next:?} is not {earliest:?}"),
        }
    }
}

fn compare_with_model(exact: bool, seeds: u64, steps: u64) {
    for seed in 1..=seeds {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut model = Model::new(exact);
        // Some runs stay within milliseconds, some go through all levels.
        let bits_max = 22 + random.below(40);
        for _ in 0..steps {
            let distance = random.of_any_size(bits_max);
            let at = model.now.saturating_add(distance);
            match random.below(10) {
                0..=3 => model.arm(at),
                // The same deadline again, to have several in one tick.
                4 => {
                    if let Some((deadline, _)) =
                        model.random_key(&mut random).map(|key| model.pending[&key])
                    {
                        model.arm(deadline);
                    }
                }
                5 => {
                    if let Some(key) = model.random_key(&mut random) {
                        model.cancel(key);
                    }
                }
                6 => {
                    if let Some(key) = model.random_key(&mut random) {
                        model.rearm(key, at);
                    }
                }
                7 => {
                    if let Some(next) = model.wheel.next_deadline() {
                        model.fire(next);
                    }
                }
                _ => model.fire(at),
            }
            model.check();
        }
        while let Some(next) = model.wheel.next_deadline() {
            let before = model.now;
            model.fire(next);
            assert!(
                model.now > before,
                "waiting for the next deadline must get somewhere"
            );
        }
        assert!(model.pending.is_empty());
    }
}

#[test]
fn the_wheel_fires_what_a_sorted_map_fires() {
    compare_with_model(false, 300, 400);
}

#[test]
fn a_paused_wheel_fires_to_the_nanosecond() {
    compare_with_model(true, 300, 300);
}

#[test]
fn deadlines_around_every_level_boundary_fire_in_order_and_none_early() {
    for level in 0..7 {
        let width = 64i64.pow(level);
        for start in [0, 1, width - 1, width, 63 * width, 64 * width - 1] {
            let mut model = Model::new(false);
            model.fire(start * MS);
            for tick in [
                width - 1,
                width,
                width + 1,
                63 * width,
                64 * width - 1,
                64 * width,
            ] {
                for offset in [-1, 0, 1] {
                    model.arm((start + tick) * MS + offset);
                }
            }
            while let Some(next) = model.wheel.next_deadline() {
                model.fire(next - 1);
                model.fire(next);
            }
            assert!(model.pending.is_empty());
        }
    }
}

#[test]
fn a_clock_that_jumps_past_several_levels_fires_everything_in_order() {
    let mut model = Model::new(false);
    for exponent in (0..43).rev() {
        model.arm((1 << exponent) * MS);
        model.arm(((1 << exponent) + 1) * MS);
    }
    model.fire((1 << 20) * MS);
    model.fire((1 << 42) * MS + 2 * MS);
    assert!(model.pending.is_empty());
}

#[test]
fn the_last_deadline_there_is_fires_at_the_end_of_time() {
    let mut model = Model::new(true);
    model.arm(Nanos::MAX);
    model.fire(Nanos::MAX - 1);
    assert_eq!(model.pending.len(), 1);
    assert_eq!(model.wheel.next_deadline(), Some(Nanos::MAX));
    model.fire(Nanos::MAX);
    assert!(model.pending.is_empty());
}

#[test]
fn time_that_goes_back_fires_nothing() {
    let mut model = Model::new(false);
    model.fire(100 * MS);
    model.arm(101 * MS);
    let mut woken = Vec::new();
    model.wheel.fire(5 * MS, &mut woken);
    assert!(woken.is_empty());
    model.fire(101 * MS);
}

#[test]
fn entries_are_used_again() {
    let mut wheel = Wheel::new();
    let first = wheel.arm(5 * MS, Waker::noop().clone());
    let second = wheel.arm(5 * MS, Waker::noop().clone());
    let _third = wheel.arm(5 * MS, Waker::noop().clone());
    drop(wheel.free(first));
    drop(wheel.free(second));
    assert_eq!(wheel.arm(9 * MS, Waker::noop().clone()), second);
    assert_eq!(wheel.arm(9 * MS, Waker::noop().clone()), first);
    assert_eq!(wheel.pending_count(), 3);
}

#[test]
fn an_empty_wheel_uses_its_entries_in_their_order_again() {
    let mut wheel = Wheel::new();
    let arm_four = |wheel: &mut Wheel, deadline| -> Vec<u32> {
        (0..4)
            .map(|_| wheel.arm(deadline, Waker::noop().clone()))
            .collect()
    };
    let first = arm_four(&mut wheel, 5 * MS);
    let mut woken = Vec::new();
    wheel.fire(5 * MS, &mut woken);
    assert_eq!((woken.len(), wheel.pending_count()), (4, 0));
    let second = arm_four(&mut wheel, 9 * MS);
    assert!(
        first.iter().all(|index| !second.contains(index)),
        "an entry that is due is in use until it is freed"
    );
    for at in [2, 0, 3, 1] {
        assert!(wheel.free(first[at]).is_none());
        assert!(wheel.free(second[at]).is_some());
    }
    assert_eq!(wheel.pending_count(), 0);
    assert_eq!(arm_four(&mut wheel, 9 * MS), first);
}

// Sleep.

#[test]
fn a_sleep_is_over_at_its_deadline_and_not_before() {
    let (timers, _entered) = paused();
    let wakes = Arc::new(CountWakes::default());
    let waker = Waker::from(wakes.clone());
    let mut sleep = sleep(Duration::from_micros(1500));
    assert_eq!(poll_with(&mut sleep, &waker), Poll::Pending);
    move_clock(&timers, Duration::from_nanos(1_499_999));
    assert_eq!(fire(&timers), 0);
    assert!(!sleep.is_elapsed());
    assert_eq!(poll_with(&mut sleep, &waker), Poll::Pending);
    move_clock(&timers, Duration::from_nanos(1));
    assert_eq!((fire(&timers), wakes.count()), (1, 1));
    assert!(sleep.is_elapsed());
    assert_eq!(poll_with(&mut sleep, &waker), Poll::Ready(()));
    assert_eq!(
        poll_with(&mut sleep, &waker),
        Poll::Ready(()),
        "it stays over"
    );
    assert_eq!(timers.fired_count(), 1);
}

#[test]
fn nothing_to_wait_for_is_over_at_the_first_poll() {
    let (timers, _entered) = paused();
    assert_eq!(poll_once(&mut sleep(Duration::ZERO)), Poll::Ready(()));
    assert_eq!(poll_once(&mut sleep_until(now())), Poll::Ready(()));
    assert_eq!(poll_once(&mut sleep_until(now() - ms(1))), Poll::Ready(()));
    move_clock(&timers, ms(50));
    fire(&timers);
    assert_eq!(poll_once(&mut sleep_until(now())), Poll::Ready(()));
    let before_the_runtime = now() - Duration::from_secs(60);
    let mut past = sleep_until(before_the_runtime);
    assert_eq!(past.deadline(), before_the_runtime);
    assert_eq!(poll_once(&mut past), Poll::Ready(()));
    assert!(timers.is_empty());
}

#[test]
fn far_deadlines_neither_overflow_nor_fire() {
    let (timers, _entered) = paused();
    for duration in [
        Duration::MAX,
        Duration::from_nanos(u64::MAX),
        Duration::from_secs(1 << 40),
    ] {
        let mut far = sleep(duration);
        assert_eq!(poll_once(&mut far), Poll::Pending);
        assert!(far.deadline() > now() + Duration::from_secs(250 * 365 * 86_400));
        move_clock(&timers, Duration::from_secs(365 * 86_400));
        assert_eq!(fire(&timers), 0);
        assert!(timers.next_deadline().unwrap() > now());
    }
    let mut late = pin!(timeout(Duration::MAX, pending::<()>()));
    assert_eq!(poll_once(&mut late), Poll::Pending);
    let mut ticks = interval(Duration::MAX);
    let mut context = Context::from_waker(Waker::noop());
    for missed_ticks in [MissedTicks::Skip, MissedTicks::Delay, MissedTicks::Burst] {
        ticks.set_missed_ticks(missed_ticks);
        ticks.reset();
        assert_eq!(ticks.poll_tick(&mut context), Poll::Pending);
    }
    assert!(timers.auto_advance());
}

#[test]
fn a_dropped_sleep_leaves_no_timer() {
    let (timers, _entered) = paused();
    let mut sleeps: Vec<Sleep> = (1..500).map(|count| sleep(ms(count % 90 + 1))).collect();
    for sleep in &mut sleeps {
        assert_eq!(poll_once(sleep), Poll::Pending);
    }
    assert_eq!(timers.pending_count(), 499);
    let mut random = Random(77);
    while sleeps.len() > 100 {
        let index = random.below(sleeps.len() as u64) as usize;
        drop(sleeps.swap_remove(index));
    }
    assert_eq!(timers.pending_count(), 100);
    move_clock(&timers, ms(90));
    assert_eq!(fire(&timers), 100);
    drop(sleeps);
    assert!(timers.is_empty() && timers.next_deadline().is_none());
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    let (timers, _entered) = paused();
    let (first, second) = (
        Arc::new(CountWakes::default()),
        Arc::new(CountWakes::default()),
    );
    let mut sleep = sleep(ms(5));
    assert_eq!(
        poll_with(&mut sleep, &Waker::from(first.clone())),
        Poll::Pending
    );
    assert_eq!(
        poll_with(&mut sleep, &Waker::from(second.clone())),
        Poll::Pending
    );
    assert_eq!(Arc::strong_count(&first), 1, "the old waker is dropped");
    move_clock(&timers, ms(5));
    fire(&timers);
    assert_eq!((first.count(), second.count()), (0, 1));
}

#[test]
fn a_waker_for_the_same_task_is_not_cloned_again() {
    let (_timers, _entered) = paused();
    let wakes = Arc::new(CountWakes::default());
    let waker = Waker::from(wakes.clone());
    let mut sleep = sleep(ms(5));
    for _ in 0..3 {
        assert_eq!(poll_with(&mut sleep, &waker), Poll::Pending);
        assert_eq!(
            Arc::strong_count(&wakes),
            3,
            "ours, the waker's and the timer's"
        );
    }
}

#[test]
fn reset_moves_a_pending_sleep_and_revives_one_that_is_over() {
    let (timers, _entered) = paused();
    let wakes = Arc::new(CountWakes::default());
    let waker = Waker::from(wakes.clone());
    let start = now();
    let mut sleep = sleep(ms(5));
    assert_eq!(poll_with(&mut sleep, &waker), Poll::Pending);
    sleep.reset(start + ms(500));
    assert_eq!(sleep.deadline(), start + ms(500));
    move_clock(&timers, ms(499));
    assert_eq!(fire(&timers), 0);
    sleep.reset(start + ms(900));
    move_clock(&timers, ms(401));
    assert_eq!((fire(&timers), wakes.count()), (1, 1));
    // Due, and not polled yet.
    sleep.reset(start + ms(950));
    assert_eq!(poll_with(&mut sleep, &waker), Poll::Pending);
    move_clock(&timers, ms(50));
    fire(&timers);
    assert_eq!(poll_with(&mut sleep, &waker), Poll::Ready(()));
    sleep.reset(start + ms(951));
    assert_eq!(poll_with(&mut sleep, &waker), Poll::Pending);
    // Into the past: the waiting task hears of it without a turn of the wheel.
    let wakes_before = wakes.count();
    sleep.reset(start);
    assert_eq!(wakes.count(), wakes_before + 1);
    assert_eq!(poll_with(&mut sleep, &waker), Poll::Ready(()));
    assert!(timers.is_empty());
}

#[test]
fn timers_fire_in_the_order_of_their_deadlines() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let delays = [700, 3, 4097, 64, 63, 65, 1, 300_000, 4096, 2];
    let mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    for delay in delays {
        let order = order.clone();
        tasks.push(Box::pin(async move {
            let start = now();
            sleep(ms(delay)).await;
            assert_eq!(now() - start, ms(delay));
            order.borrow_mut().push(delay);
        }));
    }
    run_paused(tasks);
    let mut sorted = delays;
    sorted.sort_unstable();
    assert_eq!(*order.borrow(), sorted);
}

#[test]
fn timers_within_one_millisecond_fire_in_order_while_the_clock_is_paused() {
    let (timers, _entered) = paused();
    let log = Arc::default();
    let mut sleeps: Vec<Sleep> = Vec::new();
    for number in [5, 1, 4, 2, 3] {
        let mut sleep = sleep(Duration::from_micros(100 * number));
        let waker = Waker::from(Arc::new(Numbered {
            number,
            log: Arc::clone(&log),
        }));
        assert_eq!(poll_with(&mut sleep, &waker), Poll::Pending);
        sleeps.push(sleep);
    }
    move_clock(&timers, ms(5));
    assert_eq!(fire(&timers), 5);
    assert_eq!(*log.lock().unwrap(), [1, 2, 3, 4, 5]);
}

/// A waker that does things with timers when it is cloned, woken or dropped is built from this:
/// `Wake` is called with no borrow held, or the `RefCell` in `Timers` panics.
struct Reenters(Box<dyn Fn() + Send + Sync>);

impl Wake for Reenters {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

impl Drop for Reenters {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Arms, resets and drops timers of this thread's runtime.
fn use_timers() {
    let mut first = sleep(ms(3));
    let mut second = sleep(ms(300));
    assert_eq!(poll_once(&mut first), Poll::Pending);
    assert_eq!(poll_once(&mut second), Poll::Pending);
    first.reset(now() + ms(9));
    drop(second);
}

#[test]
fn wakers_may_use_timers_when_they_are_woken_replaced_or_dropped() {
    let (timers, _entered) = paused();
    let nasty = || Waker::from(Arc::new(Reenters(Box::new(use_timers))));
    let mut woken = sleep(ms(5));
    let mut replaced = sleep(ms(5));
    let mut dropped = sleep(ms(5));
    let mut reset = sleep(ms(5));
    for sleep in [&mut woken, &mut replaced, &mut dropped, &mut reset] {
        assert_eq!(poll_with(sleep, &nasty()), Poll::Pending);
    }
    assert_eq!(poll_with(&mut replaced, &nasty()), Poll::Pending);
    drop(dropped);
    reset.reset(now() - ms(1000));
    move_clock(&timers, ms(5));
    assert_eq!(fire(&timers), 2);
    assert_eq!(
        poll_with(&mut sleep(Duration::ZERO), &nasty()),
        Poll::Ready(())
    );
    drop((woken, replaced, reset));
    assert!(timers.is_empty());
}

#[test]
fn a_timer_that_a_fired_one_arms_again_fires_in_its_turn() {
    let (timers, _entered) = paused();
    let mut woken = Vec::new();
    let mut ring = sleep(ms(1));
    for round in 0..200 {
        assert_eq!(poll_once(&mut ring), Poll::Pending);
        move_clock(&timers, ms(1 + round));
        assert_eq!(timers.fire(&timers.look(), &mut woken), 1);
        // Between taking the wakers and waking them.
        ring.reset(now() + ms(round + 2));
        woken.drain(..).for_each(Waker::wake);
    }
}

// Timers and their runtimes.

#[test]
fn a_sleep_that_outlives_its_runtime_is_harmless() {
    let mut kept = {
        let (_timers, _entered) = paused();
        let mut kept = sleep(ms(5));
        assert_eq!(poll_once(&mut kept), Poll::Pending);
        kept
    };
    let deadline = kept.deadline();
    kept.reset(deadline + ms(10));
    assert_eq!(kept.deadline(), deadline + ms(10));
    assert!(!kept.is_elapsed());
}

#[test]
fn a_sleep_polled_under_another_runtime_moves_there() {
    let (old, old_entered) = paused();
    let wakes = Arc::new(CountWakes::default());
    let waker = Waker::from(wakes.clone());
    let mut sleep = sleep(ms(50));
    let deadline = sleep.deadline();
    assert_eq!(poll_with(&mut sleep, &waker), Poll::Pending);
    drop(old_entered);
    let (new, _entered) = paused();
    assert_eq!(poll_with(&mut sleep, &waker), Poll::Pending);
    assert!(old.is_empty());
    assert_eq!(new.pending_count(), 1);
    assert_eq!(sleep.deadline(), deadline);
    move_clock(&new, ms(50));
    assert_eq!((fire(&new), wakes.count()), (1, 1));
    assert_eq!(poll_with(&mut sleep, &waker), Poll::Ready(()));
}

#[test]
fn a_runtime_inside_of_another_has_its_own_timers() {
    let (outer, _outer_entered) = paused();
    let mut outer_sleep = sleep(ms(1));
    assert_eq!(poll_once(&mut outer_sleep), Poll::Pending);
    {
        let (inner, _inner_entered) = paused();
        let mut inner_sleep = sleep(ms(1));
        assert_eq!(poll_once(&mut inner_sleep), Poll::Pending);
        assert_eq!((outer.pending_count(), inner.pending_count()), (1, 1));
    }
    let mut again = sleep(ms(1));
    assert_eq!(poll_once(&mut again), Poll::Pending);
    assert_eq!(outer.pending_count(), 2);
}

#[test]
fn outside_of_a_runtime_timers_panic_with_a_sentence() {
    let calls: [fn(); 4] = [
        || drop(sleep(ms(1))),
        || drop(interval(ms(1))),
        pause,
        || drop(sleep_until(now())),
    ];
    for call in calls {
        let panic = std::panic::catch_unwind(call).unwrap_err();
        let message = panic.downcast_ref::<&str>().unwrap();
        assert_eq!(
            *message,
            "timers need a runtime: call this inside of `annulus::run`"
        );
    }
    assert!(now() <= Instant::now());
}

// The clock.

#[test]
fn a_paused_clock_stands_and_resumes_from_where_it_stood() {
    let (timers, _entered) = paused();
    let start = now();
    pause();
    assert_eq!(now(), start);
    move_clock(&timers, Duration::from_secs(1000));
    resume();
    resume();
    let after = now();
    assert!(after >= start + Duration::from_secs(1000));
    assert!(after < start + Duration::from_secs(2000));
    assert!(!timers.is_paused());
    assert!(!timers.auto_advance(), "a running clock is not moved");
    pause();
    assert!(now() >= after);
}

#[test]
fn a_resumed_clock_fires_timers_that_were_armed_while_it_stood() {
    let (timers, _entered) = paused();
    let mut sleep = sleep(ms(2));
    assert_eq!(poll_once(&mut sleep), Poll::Pending);
    move_clock(&timers, ms(2) - Duration::from_nanos(1));
    assert_eq!(fire(&timers), 0);
    resume();
    let next = timers.next_deadline().unwrap();
    assert_eq!(timers.fire_at(timers.clock.nanos(next), &mut Vec::new()), 1);
}

#[test]
fn an_idle_runtime_moves_a_paused_clock_to_the_next_deadline() {
    let (timers, _entered) = paused();
    assert!(!timers.auto_advance(), "there is nothing to move to");
    let start = now();
    let mut first = sleep(Duration::from_nanos(1_234_567));
    let mut second = sleep(Duration::from_secs(86_400));
    assert_eq!(poll_once(&mut first), Poll::Pending);
    assert_eq!(poll_once(&mut second), Poll::Pending);
    assert!(timers.auto_advance());
    assert_eq!(now() - start, Duration::from_nanos(1_234_567));
    assert_eq!(fire(&timers), 1);
    assert!(timers.auto_advance());
    assert_eq!(now() - start, Duration::from_secs(86_400));
    assert_eq!(fire(&timers), 1);
    assert!(!timers.auto_advance());
}

#[test]
fn advance_stops_at_every_deadline() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let ticks = seen.clone();
    run_paused(vec![
        Box::pin(async move {
            let start = now();
            let mut interval = interval(ms(10));
            for _ in 0..6 {
                interval.tick().await;
                ticks.borrow_mut().push((now() - start).as_millis());
            }
        }),
        Box::pin(async move {
            let start = now();
            advance(ms(45)).await;
            assert_eq!(*seen.borrow(), [0, 10, 20, 30, 40]);
            assert_eq!(now() - start, ms(45));
            advance(Duration::ZERO).await;
            assert_eq!(now() - start, ms(45));
            advance(ms(5)).await;
            assert_eq!(*seen.borrow(), [0, 10, 20, 30, 40, 50]);
        }),
    ]);
}

#[test]
#[should_panic(expected = "`time::advance` needs a paused clock")]
fn advance_needs_a_paused_clock() {
    let timers = Timers::new(None);
    let _entered = timers.enter();
    let _polled = poll_once(&mut pin!(advance(ms(1))));
}

// Timeouts.

#[test]
fn a_timeout_prefers_its_future_to_the_deadline() {
    block_on_paused(async {
        assert_eq!(timeout(Duration::ZERO, ready(1)).await, Ok(1));
        assert_eq!(timeout_at(now() - ms(5), ready(1)).await, Ok(1));
        let start = now();
        // Both at the same instant.
        assert_eq!(timeout(ms(10), sleep(ms(10))).await, Ok(()));
        assert!(timeout(ms(10), sleep(ms(11))).await.is_err());
        assert_eq!(now() - start, ms(20));
    });
}

#[test]
fn a_timeout_drops_its_future_and_leaves_no_timer() {
    struct SetOnDrop(Rc<Cell<bool>>);
    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    block_on_paused(async {
        let dropped = Rc::new(Cell::new(false));
        let guard = SetOnDrop(dropped.clone());
        let result = timeout(ms(1), async move {
            let _guard = guard;
            pending::<()>().await;
        })
        .await;
        assert!(result.is_err() && dropped.get());
        assert!(timeout(ms(1000), sleep(ms(1))).await.is_ok());
        Timers::current(|timers| assert!(timers.is_empty()));
    });
}

#[test]
fn an_elapsed_timeout_is_an_io_error() {
    async fn read() -> io::Result<()> {
        timeout(ms(1), pending::<io::Result<()>>()).await?
    }
    block_on_paused(async {
        assert_eq!(read().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    });
}

// Intervals.

/// The times at which ticks are due, when the work after the first one takes `work` ms.
async fn ticks_after(missed_ticks: MissedTicks, work: u64) -> Vec<u64> {
    let start = now();
    let mut interval = interval(ms(10));
    interval.set_missed_ticks(missed_ticks);
    let mut due = Vec::new();
    for _ in 0..5 {
        due.push((interval.tick().await - start).as_millis() as u64);
        if due.len() == 1 {
            sleep(ms(work)).await;
        }
    }
    due
}

#[test]
fn missed_ticks_follow_their_policy() {
    block_on_paused(async {
        for policy in [MissedTicks::Skip, MissedTicks::Delay, MissedTicks::Burst] {
            assert_eq!(ticks_after(policy, 0).await, [0, 10, 20, 30, 40]);
            assert_eq!(ticks_after(policy, 9).await, [0, 10, 20, 30, 40]);
        }
        assert_eq!(
            ticks_after(MissedTicks::Skip, 35).await,
            [0, 10, 40, 50, 60]
        );
        assert_eq!(
            ticks_after(MissedTicks::Skip, 30).await,
            [0, 10, 40, 50, 60]
        );
        assert_eq!(
            ticks_after(MissedTicks::Delay, 35).await,
            [0, 10, 45, 55, 65]
        );
        assert_eq!(
            ticks_after(MissedTicks::Delay, 14).await,
            [0, 10, 20, 30, 40]
        );
        assert_eq!(
            ticks_after(MissedTicks::Burst, 35).await,
            [0, 10, 20, 30, 40]
        );
    });
}

#[test]
fn a_dropped_tick_is_not_lost() {
    block_on_paused(async {
        let start = now();
        let mut interval = interval_at(now() + ms(10), ms(10));
        assert!(timeout(ms(4), interval.tick()).await.is_err());
        sleep(ms(8)).await;
        assert_eq!(interval.tick().await, start + ms(10));
        assert_eq!(now() - start, ms(12));
        assert_eq!(interval.tick().await, start + ms(20));
        interval.reset();
        assert_eq!(interval.tick().await, start + ms(30));
        assert_eq!(interval.period(), ms(10));
    });
}

#[test]
#[should_panic(expected = "expected an interval with a period, found a period of zero")]
fn a_period_of_zero_is_refused() {
    let (_timers, _entered) = paused();
    drop(interval(Duration::ZERO));
}

#[test]
fn a_timer_is_small() {
    assert_eq!(size_of::<Sleep>(), 24);
    assert_eq!(size_of::<Timeout<()>>(), 24);
}

#[test]
fn a_wheel_that_is_shrunk_keeps_what_is_armed_and_its_free_places() {
    let waker = Waker::noop();
    let mut wheel = Wheel::new();
    let mut armed: Vec<u32> = (1..=100)
        .map(|at| wheel.arm(at * MS, waker.clone()))
        .collect();
    // All but the eleventh and the fortieth.
    for index in (0..100).rev().filter(|index| ![10, 39].contains(index)) {
        wheel.free(armed.remove(index));
    }
    wheel.shrink();
    assert_eq!(wheel.pending_count(), 2);
    let again: Vec<u32> = (1..=50)
        .map(|at| wheel.arm(at * MS, waker.clone()))
        .collect();
    let mut all: Vec<u32> = again.iter().chain(&armed).copied().collect();
    all.sort_unstable();
    assert_eq!(all, (0..52).collect::<Vec<_>>(), "each place is used once");
    let mut woken = Vec::new();
    wheel.fire(100 * MS, &mut woken);
    assert_eq!(woken.len(), 52);
}
