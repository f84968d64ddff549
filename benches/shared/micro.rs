//! The work of the micro benchmarks, the same for every runtime.
//!
//! An iteration does its thing a thousand times, so a microsecond printed is a nanosecond each.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    hint::black_box,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use criterion::Criterion;

use super::{
    clock::ThreadClock,
    rounds::{self, Question, Rounds},
};

pub(crate) const THOUSAND: u64 = 1000;
/// Timers that are pending at once where many are.
const PENDING_COUNT: u64 = 1_000_000;
/// Timers that fire in a round: 200 in each of 100 milliseconds.
const FIRING_COUNT: u64 = 20_000;

/// A runtime of one thread.
pub(crate) trait Runtime: 'static {
    const NAME: &'static str;
    type Task: Future;
    type Sleep: Future<Output = ()>;

    fn block_on<F: Future>(future: F) -> F::Output;
    fn spawn(future: impl Future<Output = ()> + 'static) -> Self::Task;
    fn sleep(duration: Duration) -> Self::Sleep;
}

/// A runtime with a yield of its own.
pub(crate) trait Yields: Runtime {
    fn yield_now() -> impl Future<Output = ()>;
}

/// A runtime that comes with channels.
pub(crate) trait Channels: Runtime {
    type Sender: 'static;
    type Receiver: 'static;

    /// A channel for one message at a time.
    fn mpsc() -> (Self::Sender, Self::Receiver);
    fn send(sender: &Self::Sender, value: u64) -> impl Future<Output = ()>;
    fn recv(receiver: &mut Self::Receiver) -> impl Future<Output = Option<u64>>;
    fn oneshot() -> (impl FnOnce(u64), impl Future<Output = u64>);
}

/// annulus on its default driver.
pub(crate) struct Annulus;

impl Runtime for Annulus {
    const NAME: &'static str = "annulus";
    type Task = annulus::task::JoinHandle<()>;
    type Sleep = annulus::time::Sleep;

    fn block_on<F: Future>(future: F) -> F::Output {
        annulus::run(future)
    }

    fn spawn(future: impl Future<Output = ()> + 'static) -> Self::Task {
        annulus::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        annulus::time::sleep(duration)
    }
}

impl Yields for Annulus {
    fn yield_now() -> impl Future<Output = ()> {
        annulus::task::yield_now()
    }
}

impl Channels for Annulus {
    type Sender = annulus::sync::mpsc::Sender<u64>;
    type Receiver = annulus::sync::mpsc::Receiver<u64>;

    fn mpsc() -> (Self::Sender, Self::Receiver) {
        annulus::sync::mpsc::channel(1)
    }

    async fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).await.expect("the receiver is there");
    }

    async fn recv(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().await
    }

    fn oneshot() -> (impl FnOnce(u64), impl Future<Output = u64>) {
        let (sender, receiver) = annulus::sync::oneshot::channel();
        let send = move |value| sender.send(value).expect("the receiver is there");
        (send, async { receiver.await.expect("a value was sent") })
    }
}

/// tokio's runtime of one thread, with tasks that need not be `Send`.
pub(crate) struct Tokio;

impl Runtime for Tokio {
    const NAME: &'static str = "tokio";
    type Task = tokio::task::JoinHandle<()>;
    type Sleep = tokio::time::Sleep;

    fn block_on<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("tokio starts");
        // Polled by hand it would never get back the turns that tokio allows a task, and from then
        // on arm no timer.
        let future = tokio::task::unconstrained(future);
        tokio::task::LocalSet::new().block_on(&runtime, future)
    }

    fn spawn(future: impl Future<Output = ()> + 'static) -> Self::Task {
        tokio::task::spawn_local(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        tokio::time::sleep(duration)
    }
}

impl Yields for Tokio {
    fn yield_now() -> impl Future<Output = ()> {
        tokio::task::yield_now()
    }
}

impl Channels for Tokio {
    type Sender = tokio::sync::mpsc::Sender<u64>;
    type Receiver = tokio::sync::mpsc::Receiver<u64>;

    fn mpsc() -> (Self::Sender, Self::Receiver) {
        tokio::sync::mpsc::channel(1)
    }

    async fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).await.expect("the receiver is there");
    }

    async fn recv(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().await
    }

    fn oneshot() -> (impl FnOnce(u64), impl Future<Output = u64>) {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let send = move |value| sender.send(value).expect("the receiver is there");
        (send, async { receiver.await.expect("a value was sent") })
    }
}

/// One measurement of one runtime: how long so many iterations take.
pub(crate) type Work = fn(u64) -> Duration;

/// Criterion with a number of samples and a time for each rival's, in milliseconds. The time holds
/// the other rivals' part of the samples too.
pub(crate) fn criterion(sample_count: usize, measurement_millis: u64) -> Criterion {
    Criterion::default()
        .sample_size(sample_count)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(measurement_millis))
        .configure_from_args()
}

/// Measures the same work on each runtime, in turn.
pub(crate) fn compare(
    rounds: &mut Rounds,
    criterion: &mut Criterion,
    what: &str,
    base: &str,
    runtimes: &[(&str, Work)],
) {
    let question = Question {
        what,
        bases: &[base],
        things: THOUSAND,
    };
    let rivals = runtimes
        .iter()
        .map(|&(name, work)| -> (&str, rounds::Work<'_>) { (name, Box::new(work)) });
    rounds.compare(criterion, &question, rivals.collect());
}

/// Measures work that comes in rounds of `round_count` things, where a round is more than an
/// iteration: as many rounds as hold the iterations, and of their time the iterations' share.
pub(crate) fn measure_rounds<R: Runtime>(
    iterations: u64,
    round_count: u64,
    mut round: impl AsyncFnMut() -> Duration,
) -> Duration {
    let iterations_in_round = round_count / THOUSAND;
    let rounds = iterations.div_ceil(iterations_in_round);
    let time = R::block_on(async {
        let mut time = Duration::ZERO;
        for _ in 0..rounds {
            time += round().await;
        }
        time
    });
    time.mul_f64(iterations as f64 / (rounds * iterations_in_round) as f64)
}

/// Spawns a task, awaits it, spawns the next.
pub(crate) fn spawn_one_by_one<R: Runtime>(iterations: u64) -> Duration {
    R::block_on(async {
        let start = Instant::now();
        for _ in 0..iterations * THOUSAND {
            R::spawn(async {}).await;
        }
        start.elapsed()
    })
}

/// Spawns a thousand tasks, then awaits them.
pub(crate) fn spawn_batch<R: Runtime>(iterations: u64) -> Duration {
    R::block_on(async {
        let ran_count = Rc::new(Cell::new(0));
        let mut tasks = Vec::with_capacity(THOUSAND as usize);
        let start = Instant::now();
        for _ in 0..iterations {
            for _ in 0..THOUSAND {
                let ran_count = Rc::clone(&ran_count);
                tasks.push(R::spawn(async move { ran_count.set(ran_count.get() + 1) }));
            }
            for task in tasks.drain(..) {
                task.await;
            }
        }
        let time = start.elapsed();
        assert_eq!(ran_count.get(), iterations * THOUSAND);
        time
    })
}

/// Holds tasks back until all of them are there.
struct Gate {
    task_count: usize,
    waiting: RefCell<Vec<Waker>>,
    opened: Cell<Option<Instant>>,
}

impl Gate {
    fn new(task_count: usize) -> Self {
        Self {
            task_count,
            waiting: RefCell::new(Vec::with_capacity(task_count)),
            opened: Cell::new(None),
        }
    }

    /// Waits for the other tasks, and tells when the last one came.
    async fn pass(&self) -> Instant {
        poll_fn(|context| {
            if let Some(opened) = self.opened.get() {
                return Poll::Ready(opened);
            }
            let mut waiting = self.waiting.borrow_mut();
            waiting.push(context.waker().clone());
            if waiting.len() == self.task_count {
                self.opened.set(Some(Instant::now()));
                waiting.drain(..).for_each(Waker::wake);
            }
            Poll::Pending
        })
        .await
    }
}

/// How long `task_count` tasks take for a thousand turns an iteration, shared among them. Their
/// spawning is not counted.
async fn turns<R: Runtime, F: Future<Output = ()>>(
    iterations: u64,
    task_count: u64,
    turn: impl Fn() -> F + Copy + 'static,
) -> Duration {
    let gate = Rc::new(Gate::new(task_count as usize));
    let running_count = Rc::new(Cell::new(task_count));
    let time = Rc::new(Cell::new(Duration::ZERO));
    let tasks: Vec<_> = (0..task_count)
        .map(|_| {
            let gate = Rc::clone(&gate);
            let running_count = Rc::clone(&running_count);
            let time = Rc::clone(&time);
            R::spawn(async move {
                let start = gate.pass().await;
                for _ in 0..iterations * THOUSAND / task_count {
                    turn().await;
                }
                running_count.set(running_count.get() - 1);
                if running_count.get() == 0 {
                    time.set(start.elapsed());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await;
    }
    time.get()
}

/// `TASK_COUNT` tasks go to the back of the queue, again and again.
pub(crate) fn yields<R: Yields, const TASK_COUNT: u64>(iterations: u64) -> Duration {
    R::block_on(turns::<R, _>(iterations, TASK_COUNT, R::yield_now))
}

/// `TASK_COUNT` tasks wake themselves while they run, again and again.
pub(crate) fn self_wakes<R: Runtime, const TASK_COUNT: u64>(iterations: u64) -> Duration {
    R::block_on(turns::<R, _>(iterations, TASK_COUNT, self_wake))
}

async fn self_wake() {
    let mut is_awake = false;
    poll_fn(|context| {
        if is_awake {
            return Poll::Ready(());
        }
        is_awake = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Makes a timer, arms it and drops it, as a timeout around something quick does.
pub(crate) fn timer_arm_drop<R: Runtime>(iterations: u64) -> Duration {
    R::block_on(async {
        let mut context = Context::from_waker(Waker::noop());
        let start = Instant::now();
        for _ in 0..iterations * THOUSAND {
            let sleep = pin!(R::sleep(Duration::from_secs(10)));
            assert!(sleep.poll(&mut context).is_pending());
        }
        start.elapsed()
    })
}

/// Reads the system's clock, as each new timer has to.
pub(crate) fn clock_reading(iterations: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..iterations * THOUSAND {
        black_box(Instant::now());
    }
    start.elapsed()
}

/// Makes and arms a million timers of 30 to 1030 seconds, in no order, each in a box.
pub(crate) fn timer_arm_million<R: Runtime>(iterations: u64) -> Duration {
    measure_rounds::<R>(iterations, PENDING_COUNT, async || {
        let mut context = Context::from_waker(Waker::noop());
        let mut sleeps: Vec<Pin<Box<R::Sleep>>> = Vec::with_capacity(PENDING_COUNT as usize);
        let mut random = Random::new();
        let start = Instant::now();
        for _ in 0..PENDING_COUNT {
            let duration = Duration::from_millis(30_000 + random.below(1_000_000));
            let mut sleep = Box::pin(R::sleep(duration));
            assert!(sleep.as_mut().poll(&mut context).is_pending());
            sleeps.push(sleep);
        }
        let time = start.elapsed();
        drop(black_box(sleeps));
        time
    })
}

/// Spawns tasks that sleep for 20 to 120 milliseconds, and awaits them. The thread sleeps too, so
/// its CPU time is what counts.
pub(crate) fn timer_fire<R: Runtime>(iterations: u64) -> Duration {
    measure_rounds::<R>(iterations, FIRING_COUNT, async || {
        let mut random = Random::new();
        let clock = ThreadClock::of_this_thread();
        let start = clock.now();
        let tasks: Vec<_> = (0..FIRING_COUNT)
            .map(|_| {
                let duration = Duration::from_micros(20_000 + random.below(100_000));
                R::spawn(async move { R::sleep(duration).await })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        clock.now() - start
    })
}

/// Two tasks send each other a message through two channels that hold one.
pub(crate) fn ping_pong<R: Channels>(iterations: u64) -> Duration {
    R::block_on(async {
        let (ping, mut pinged) = R::mpsc();
        let (pong, mut ponged) = R::mpsc();
        let start = Instant::now();
        let answers = R::spawn(async move {
            while let Some(value) = R::recv(&mut pinged).await {
                R::send(&pong, value).await;
            }
        });
        let questions = R::spawn(async move {
            for value in 0..iterations * THOUSAND {
                R::send(&ping, value).await;
                assert_eq!(R::recv(&mut ponged).await, Some(value));
            }
        });
        questions.await;
        answers.await;
        start.elapsed()
    })
}

/// Makes a oneshot channel, waits at it, sends and receives.
pub(crate) fn oneshot<R: Channels>(iterations: u64) -> Duration {
    R::block_on(async {
        let mut context = Context::from_waker(Waker::noop());
        let start = Instant::now();
        for value in 0..iterations * THOUSAND {
            let (send, receive) = R::oneshot();
            let mut receive = pin!(receive);
            assert!(receive.as_mut().poll(&mut context).is_pending());
            send(value);
            // Awaited and not polled: every 64th waits for the other tasks' turn.
            assert_eq!(receive.await, value);
        }
        start.elapsed()
    })
}

/// A row of numbers that looks random and is the same each time.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        // Knuth's generator; its upper bits are the good ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
