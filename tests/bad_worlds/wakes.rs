//! Wakes from other threads: none is lost, and each is the only one that could end its sleep.
//!
//! A *lane* is one way to wake a thread, used round after round by threads of its own. In a round
//! each sleeper waits for one wake, and there is no timer, no other task and no other message that
//! would wake it as well. The waking side waits for a random moment first, so that the wake comes
//! before, while and after the other side falls asleep. A lane that makes no progress for
//! [`BOUND`] has lost a wake.

use std::{
    cell::Cell,
    env,
    future::{pending, poll_fn},
    hint, io,
    os::fd::{AsFd as _, AsRawFd as _},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc as std_mpsc,
    },
    task::{Poll, Waker},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use annulus::{
    DriverKind, Runtime, RuntimeBuilder, Workers, blocking,
    fs::File,
    spawn,
    sync::{
        oneshot as local_oneshot,
        remote::{mpsc, oneshot},
    },
    task::ThreadBound,
};

use crate::support::{BOUND, random::Random};

/// The name of a way to wake, and the function that runs a lane of it.
pub(crate) type Way = (&'static str, fn(Lane));

/// The first of them run with spinning runtimes as well.
pub(crate) const WAYS: [Way; 12] = [
    ("channel between tasks", channel_between_tasks),
    ("channel to a thread", channel_to_a_thread),
    ("full channel", full_channel),
    ("waker of a root", waker_of_a_root),
    ("waker of a task", waker_of_a_task),
    ("calls from threads", calls_from_threads),
    ("spawn on a worker", spawn_on_a_worker),
    ("foreign loop", foreign_loop),
    ("abort", abort),
    ("stop", stop),
    ("helper thread", helper_thread),
    ("value that goes home", value_that_goes_home),
];
const SPINNING_WAYS_COUNT: usize = 7;

/// One way to wake, with its options.
#[derive(Clone)]
pub(crate) struct Lane {
    kind: DriverKind,
    spin: Duration,
    is_over: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
}

impl Lane {
    /// Counts a round that is done. Whether there is another one.
    pub(crate) fn goes_on(&self) -> bool {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        !self.is_over.load(Ordering::Relaxed)
    }

    fn options(&self, runtime: RuntimeBuilder) -> RuntimeBuilder {
        runtime.driver(self.kind).receive_buffers(8).spin(self.spin)
    }

    pub(crate) fn runtime(&self) -> Runtime {
        self.options(Runtime::builder()).build().unwrap()
    }

    /// Workers that wait for the stop.
    fn workers(&self, count: usize) -> Workers<()> {
        let lane = self.clone();
        let builder = Workers::builder()
            .count(count)
            .runtime(move |runtime| lane.options(runtime));
        let workers = builder.start(async |worker| -> io::Result<()> {
            worker.stopping().await;
            Ok(())
        });
        workers.unwrap()
    }
}

/// Chooses the moment of a wake: at once, or up to some ten microseconds later.
pub(crate) struct Moments(Random);

impl Moments {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    pub(crate) fn wait(&mut self) {
        let bits = self.0.below(14);
        for _ in 0..self.0.below(1 << bits) {
            hint::spin_loop();
        }
    }
}

/// Two tasks on two threads pass a number to and fro.
fn channel_between_tasks(lane: Lane) {
    let (there, mut here) = mpsc::channel(1);
    let (back, mut returned) = mpsc::unbounded();
    let other = lane.clone();
    let answering = thread::spawn(move || {
        let mut moments = Moments::new(1);
        other.runtime().block_on(async {
            while let Some(number) = here.recv().await {
                moments.wait();
                back.send(number).await.unwrap();
            }
        });
    });
    let runtime = lane.runtime();
    let asking = async move {
        let mut moments = Moments::new(2);
        for number in 0_u64.. {
            there.send(number).await.unwrap();
            assert_eq!(returned.recv().await, Some(number));
            moments.wait();
            if !lane.goes_on() {
                break;
            }
        }
    };
    runtime.block_on(async { spawn(asking).await }).unwrap();
    answering.join().unwrap();
}

/// A task and a thread without a runtime pass a number to and fro.
fn channel_to_a_thread(lane: Lane) {
    let (there, mut here) = mpsc::channel(1);
    let (back, mut returned) = mpsc::channel(1);
    let answering = thread::spawn(move || {
        let mut moments = Moments::new(3);
        while let Some(number) = here.blocking_recv() {
            moments.wait();
            back.blocking_send(number).unwrap();
        }
    });
    lane.runtime().block_on(async {
        let mut moments = Moments::new(4);
        for number in 0_u64.. {
            there.send(number).await.unwrap();
            assert_eq!(returned.recv().await, Some(number));
            moments.wait();
            if !lane.goes_on() {
                break;
            }
        }
        drop(there);
    });
    answering.join().unwrap();
}

/// A task sends more than there is room for, and waits for a single answer.
fn full_channel(lane: Lane) {
    let (there, mut here) = mpsc::channel(1);
    let answering = thread::spawn(move || {
        let mut moments = Moments::new(5);
        let mut sum = 0;
        while let Some((number, answer)) = here.blocking_recv() {
            moments.wait();
            sum += number;
            let answer: Option<oneshot::Sender<u64>> = answer;
            if let Some(answer) = answer {
                answer.send(sum).unwrap();
            }
        }
    });
    lane.runtime().block_on(async {
        let mut expected = 0;
        for number in 0.. {
            there.send((number, None)).await.unwrap();
            there.send((number, None)).await.unwrap();
            let (answer, answered) = oneshot::channel();
            there.send((number, Some(answer))).await.unwrap();
            expected += 3 * number;
            assert_eq!(answered.await, Ok(expected));
            if !lane.goes_on() {
                break;
            }
        }
        drop(there);
    });
    answering.join().unwrap();
}

/// A waker for another thread, and the flag that it sets before it wakes.
type Request = (Waker, Arc<AtomicBool>);

/// A thread without a runtime that wakes at random moments.
fn waking_thread(seed: u64) -> (std_mpsc::Sender<Request>, JoinHandle<()>) {
    let (ask, asked) = std_mpsc::channel::<Request>();
    let waking = thread::spawn(move || {
        let mut moments = Moments::new(seed);
        for (waker, flag) in asked {
            moments.wait();
            flag.store(true, Ordering::Release);
            waker.wake();
        }
    });
    (ask, waking)
}

/// Waits for the wake of another thread.
async fn wake_by(waking: &std_mpsc::Sender<Request>) {
    let flag = Arc::new(AtomicBool::new(false));
    let is_asked = Cell::new(false);
    poll_fn(|context| {
        if flag.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if !is_asked.replace(true) {
            let request = (context.waker().clone(), Arc::clone(&flag));
            waking.send(request).unwrap();
        }
        Poll::Pending
    })
    .await;
}

fn waker_of_a_root(lane: Lane) {
    let (ask, waking) = waking_thread(6);
    lane.runtime().block_on(async {
        let mut moments = Moments::new(7);
        loop {
            wake_by(&ask).await;
            moments.wait();
            if !lane.goes_on() {
                break;
            }
        }
    });
    drop(ask);
    waking.join().unwrap();
}

fn waker_of_a_task(lane: Lane) {
    let (ask, waking) = waking_thread(8);
    lane.runtime().block_on(async {
        loop {
            let ask = ask.clone();
            spawn(async move { wake_by(&ask).await }).await.unwrap();
            if !lane.goes_on() {
                break;
            }
        }
    });
    drop(ask);
    waking.join().unwrap();
}

/// Two threads without a runtime wait for the answer of a worker, each in each round.
fn calls_from_threads(lane: Lane) {
    let workers = lane.workers(1);
    let worker = workers.worker(0).unwrap();
    let (begin, begun) = std_mpsc::channel::<u64>();
    let (tell, told) = std_mpsc::channel();
    let second = thread::spawn({
        let worker = worker.clone();
        move || {
            let mut moments = Moments::new(9);
            for number in begun {
                moments.wait();
                tell.send(worker.call(move || number).join().unwrap())
                    .unwrap();
            }
        }
    });
    let mut moments = Moments::new(17);
    for number in 0_u64.. {
        begin.send(number).unwrap();
        moments.wait();
        assert_eq!(worker.call(move || number).join().unwrap(), number);
        assert_eq!(told.recv(), Ok(number));
        if !lane.goes_on() {
            break;
        }
    }
    drop(begin);
    second.join().unwrap();
    workers.stop(BOUND);
    workers.join().unwrap();
}

/// A worker waits for tasks on another one.
fn spawn_on_a_worker(lane: Lane) {
    let options = lane.clone();
    let builder = Workers::builder()
        .count(2)
        .runtime(move |runtime| options.options(runtime));
    let workers = builder.start(async move |worker| {
        if worker.index() == 1 {
            worker.stopping().await;
            return io::Result::Ok(());
        }
        let other = worker.workers().worker(1).expect("there are two");
        let mut moments = Moments::new(10);
        for number in 0_u64.. {
            moments.wait();
            let (tell, told) = oneshot::channel();
            let task = other.spawn(move || async move {
                let number = told.await;
                Moments::new(number.unwrap_or(0)).wait();
                number
            });
            moments.wait();
            tell.send(number).expect("the task waits for it");
            assert_eq!(task.await?, Ok(number));
            if !lane.goes_on() {
                break;
            }
        }
        worker.workers().stop(BOUND);
        Ok(())
    });
    workers.unwrap().join().unwrap();
}

/// A loop by poll(2) waits for a runtime's descriptor.
fn foreign_loop(lane: Lane) {
    let (ask, waking) = waking_thread(11);
    let runtime = lane.runtime();
    let fd = runtime.as_fd().as_raw_fd();
    loop {
        let ask = ask.clone();
        let task = runtime.enter(|| spawn(async move { wake_by(&ask).await }));
        loop {
            let latest = runtime.turn();
            if task.is_finished() {
                break;
            }
            let mut readable = libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            };
            // Without a timer the turn returns an instant only when it has passed.
            let timeout = if latest.is_some() { 0 } else { -1 };
            // SAFETY: there is one entry, which lives through the call.
            unsafe { libc::poll(&raw mut readable, 1, timeout) };
        }
        if !lane.goes_on() {
            break;
        }
    }
    drop(ask);
    waking.join().unwrap();
}

/// A thread aborts tasks of a worker that do nothing else.
fn abort(lane: Lane) {
    let workers = lane.workers(1);
    let worker = workers.worker(0).unwrap();
    let mut moments = Moments::new(12);
    loop {
        let task = worker.spawn(pending::<()>);
        moments.wait();
        task.abort();
        assert!(task.join().unwrap_err().is_aborted());
        if !lane.goes_on() {
            break;
        }
    }
    workers.stop(BOUND);
    workers.join().unwrap();
}

/// A thread stops workers that wait for nothing else.
fn stop(lane: Lane) {
    let mut moments = Moments::new(13);
    loop {
        let workers = lane.workers(2);
        moments.wait();
        workers.stop(BOUND);
        assert_eq!(workers.join().unwrap(), [Some(()), Some(())]);
        if !lane.goes_on() {
            break;
        }
    }
}

/// A task waits for calls on helper threads. The poll driver opens files there, too.
fn helper_thread(lane: Lane) {
    lane.runtime().block_on(async {
        for number in 0_u64.. {
            let call = blocking::run(move || {
                Moments::new(number).wait();
                number
            });
            assert_eq!(call.await, number);
            File::open("/dev/null")
                .await
                .unwrap()
                .close()
                .await
                .unwrap();
            if !lane.goes_on() {
                break;
            }
        }
    });
}

/// Another thread drops a value, whose runtime has to drop it in the end.
fn value_that_goes_home(lane: Lane) {
    type Tells = ThreadBound<local_oneshot::Sender<()>>;
    let (give, given) = std_mpsc::channel::<Tells>();
    let dropping = thread::spawn(move || {
        let mut moments = Moments::new(14);
        for value in given {
            moments.wait();
            drop(value);
        }
    });
    lane.runtime().block_on(async {
        loop {
            let (tell, told) = local_oneshot::channel();
            give.send(ThreadBound::new(tell)).unwrap();
            assert!(told.await.is_err(), "it is dropped");
            if !lane.goes_on() {
                break;
            }
        }
    });
    drop(give);
    dropping.join().unwrap();
}

/// A lane that runs.
struct Running {
    name: String,
    lane: Lane,
    thread: JoinHandle<()>,
    /// The rounds that were seen last, and when they were seen first.
    seen: (u64, Instant),
}

/// Starts a lane for each way.
fn start(
    kind: DriverKind,
    ways: impl Iterator<Item = Way>,
    is_over: &Arc<AtomicBool>,
) -> Vec<Running> {
    let begin = |(name, way): Way, spin: Duration| {
        let lane = Lane {
            kind,
            spin,
            is_over: Arc::clone(is_over),
            rounds: Arc::default(),
        };
        let own = lane.clone();
        let is_spinning = if spin.is_zero() { "" } else { ", spinning" };
        Running {
            name: format!("{name}{is_spinning}"),
            lane,
            thread: thread::spawn(move || way(own)),
            seen: (0, Instant::now()),
        }
    };
    let plain = ways.map(|way| begin(way, Duration::ZERO));
    let spinning = WAYS.into_iter().take(SPINNING_WAYS_COUNT);
    let spinning = spinning.map(|way| begin(way, Duration::from_micros(50)));
    plain.chain(spinning).collect()
}

/// Fails when a lane has made no progress for too long. Whether all have ended.
fn look(lanes: &mut [Running]) -> bool {
    let mut stuck = Vec::new();
    for running in lanes
        .iter_mut()
        .filter(|running| !running.thread.is_finished())
    {
        let rounds = running.lane.rounds.load(Ordering::Relaxed);
        if rounds != running.seen.0 {
            running.seen = (rounds, Instant::now());
        }
        if running.seen.1.elapsed() > BOUND {
            stuck.push(format!("{} after {rounds} rounds", running.name));
        }
    }
    assert!(stuck.is_empty(), "these stand still: {stuck:?}");
    lanes.iter().all(|running| running.thread.is_finished())
}

/// Runs all lanes until `is_done`, and prints their rounds.
pub(crate) fn run_lanes(
    kind: DriverKind,
    ways: impl Iterator<Item = Way>,
    mut is_done: impl FnMut() -> bool,
) {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut lanes = start(kind, ways, &is_over);
    while !is_done() {
        assert!(!look(&mut lanes), "a lane ends only when the test stops it");
        thread::sleep(Duration::from_millis(10));
    }
    is_over.store(true, Ordering::Relaxed);
    while !look(&mut lanes) {
        thread::sleep(Duration::from_millis(1));
    }
    let mut sum = 0;
    for running in lanes {
        running.thread.join().unwrap();
        let rounds = running.lane.rounds.load(Ordering::Relaxed);
        assert!(rounds > 0);
        println!("{kind:?}: {}: {rounds} rounds", running.name);
        sum += rounds;
    }
    println!("{kind:?}: {sum} rounds");
}

/// How long the lanes run.
pub(crate) fn duration() -> Duration {
    let seconds = env::var("ANNULUS_WAKES_SECONDS").map(|text| text.parse().expect("seconds"));
    let full = match env::var_os("ANNULUS_REQUIRE_ALL") {
        Some(_) => 60.0,
        None => 1.0,
    };
    Duration::from_secs_f64(seconds.unwrap_or(full))
}

fn no_wake_is_lost(kind: DriverKind) {
    let (start, duration) = (Instant::now(), duration());
    run_lanes(kind, WAYS.into_iter(), || start.elapsed() >= duration);
}

#[test]
fn no_wake_is_lost_on_the_ring() {
    no_wake_is_lost(DriverKind::Auto);
}

#[test]
fn no_wake_is_lost_on_the_poll_driver() {
    no_wake_is_lost(DriverKind::Poll);
}
