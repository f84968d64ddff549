use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use super::{
    mpsc::{SendError, TrySendError},
    waiters::Left,
    *,
};

mod locks;
mod panics;
mod queues;
mod remote;
mod states;

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A waker and the count of its wakes.
fn counting() -> (Arc<CountWakes>, Waker) {
    let wakes = Arc::new(CountWakes::default());
    (wakes.clone(), Waker::from(wakes))
}

impl CountWakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn poll_with<F: Future + ?Sized>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

fn poll_once<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

fn is_ready<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> bool {
    poll_once(future).is_ready()
}

fn choice_of<C>(left: Left<C>) -> Option<C> {
    match left {
        Left::Chosen(choice) => Some(choice),
        Left::Waiting(_) => None,
    }
}

struct WakeFlag(AtomicBool);

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs tasks until all are done, each only when it was woken.
fn run_all(tasks: Vec<Pin<Box<dyn Future<Output = ()> + '_>>>) {
    let mut tasks: Vec<_> = tasks
        .into_iter()
        .map(|task| (Some(task), Arc::new(WakeFlag(AtomicBool::new(true)))))
        .collect();
    while tasks.iter().any(|(task, _)| task.is_some()) {
        let mut any_woken = false;
        for (slot, flag) in &mut tasks {
            if flag.0.swap(false, Ordering::Relaxed) {
                any_woken = true;
                let waker = Waker::from(flag.clone());
                if slot
                    .as_mut()
                    .is_some_and(|task| poll_with(task, &waker).is_ready())
                {
                    *slot = None;
                }
            }
        }
        assert!(any_woken, "all tasks wait for each other");
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// A waker that calls back when it is woken, and when the last of it is dropped. `Wake` wants
/// `Send`, which the objects under test are not, so they are found in a thread-local.
struct Nasty;

thread_local! {
    static ON_WAKER: RefCell<Option<Rc<dyn Fn()>>> = const { RefCell::new(None) };
    static NASTY_CALLS: Cell<usize> = const { Cell::new(0) };
}

impl Nasty {
    fn call() {
        NASTY_CALLS.set(NASTY_CALLS.get() + 1);
        if let Some(call) = ON_WAKER.with_borrow(Clone::clone) {
            call();
        }
    }
}

impl Wake for Nasty {
    fn wake(self: Arc<Self>) {
        Nasty::call();
    }
}

impl Drop for Nasty {
    fn drop(&mut self) {
        Nasty::call();
    }
}

fn nasty() -> Waker {
    Waker::from(Arc::new(Nasty))
}

/// Calls `on_waker` from each nasty waker that is woken or dropped during `test`, which has to
/// cause at least `calls_min` calls.
fn with_nasty(on_waker: impl Fn() + 'static, calls_min: usize, test: impl FnOnce()) {
    NASTY_CALLS.set(0);
    ON_WAKER.set(Some(Rc::new(on_waker)));
    test();
    ON_WAKER.set(None);
    assert!(
        NASTY_CALLS.get() >= calls_min,
        "{} calls",
        NASTY_CALLS.get()
    );
}

// Waiters.

mod waiters {
    use super::*;
    use crate::sync::waiters::{Place, Waiters};

    #[test]
    fn waiters_are_chosen_in_order_and_leave_from_anywhere() {
        for seed in 1..200 {
            let mut random = Random(seed);
            let waiters: Waiters<usize> = Waiters::new();
            let mut model: VecDeque<(usize, Place)> = VecDeque::new();
            let mut chosen: Vec<(usize, Place)> = Vec::new();
            for number in 1..300 {
                match random.below(6) {
                    0..=2 => {
                        let place = waiters.push(Waker::noop().clone(), number);
                        model.push_back((number, place));
                    }
                    3 => {
                        assert_eq!(waiters.first_amount(), model.front().map(|first| first.0));
                        let waker = waiters.choose_first(number);
                        assert_eq!(waker.is_some(), !model.is_empty());
                        chosen.extend(model.pop_front().map(|(_, place)| (number, place)));
                    }
                    4 if !model.is_empty() => {
                        let index = random.below(model.len());
                        let (_, place) = model.remove(index).unwrap();
                        assert!(matches!(waiters.remove(place), Left::Waiting(_)));
                    }
                    _ if !chosen.is_empty() => {
                        let index = random.below(chosen.len());
                        let (choice, place) = chosen.swap_remove(index);
                        if random.below(2) == 0 {
                            assert_eq!(choice_of(waiters.remove(place)), Some(choice));
                        } else {
                            let polled = waiters.poll_chosen(&place, Waker::noop());
                            assert_eq!(polled, Poll::Ready(choice));
                        }
                    }
                    _ => {}
                }
                assert_eq!(waiters.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    fn a_waker_is_replaced_only_by_one_of_another_task() {
        let waiters: Waiters<()> = Waiters::new();
        let (first, first_waker) = counting();
        let (second, second_waker) = counting();
        let place = waiters.push(first_waker.clone(), 1);
        assert!(waiters.poll_chosen(&place, &first_waker).is_pending());
        assert_eq!(Arc::strong_count(&first), 3);
        assert!(waiters.poll_chosen(&place, &second_waker).is_pending());
        assert_eq!(
            (Arc::strong_count(&first), Arc::strong_count(&second)),
            (2, 3)
        );
        waiters.wake_all(());
        assert_eq!((first.count(), second.count()), (0, 1));
        assert_eq!(choice_of(waiters.remove(place)), Some(()));
    }

    #[test]
    fn those_who_come_while_all_are_woken_wait() {
        let waiters: Rc<Waiters<()>> = Rc::new(Waiters::new());
        let late = waiters.clone();
        with_nasty(
            move || {
                let _place = late.push(Waker::noop().clone(), 1);
            },
            2,
            || {
                let _first = waiters.push(nasty(), 1);
                let _second = waiters.push(nasty(), 1);
                waiters.wake_all(());
            },
        );
        assert!(!waiters.is_empty());
    }
}

// Oneshot.

#[test]
fn oneshot_delivers_before_and_after_the_receiver_waits() {
    let (sender, receiver) = oneshot::channel();
    assert_eq!(sender.send(1), Ok(()));
    assert_eq!(poll_once(&mut Box::pin(receiver)), Poll::Ready(Ok(1)));

    let (sender, receiver) = oneshot::channel();
    let mut receiver = Box::pin(receiver);
    let (wakes, waker) = counting();
    assert_eq!(poll_with(&mut receiver, &waker), Poll::Pending);
    assert_eq!(poll_with(&mut receiver, &waker), Poll::Pending);
    assert_eq!(Arc::strong_count(&wakes), 3, "the waker is stored once");
    assert_eq!(sender.send(2), Ok(()));
    assert_eq!(wakes.count(), 1);
    assert_eq!(poll_with(&mut receiver, &waker), Poll::Ready(Ok(2)));
    assert_eq!(poll_with(&mut receiver, &waker), Poll::Ready(Err(Closed)));
}

#[test]
fn oneshot_ends_with_a_dropped_sender() {
    let (sender, receiver) = oneshot::channel::<u32>();
    let mut receiver = Box::pin(receiver);
    let (wakes, waker) = counting();
    assert_eq!(poll_with(&mut receiver, &waker), Poll::Pending);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    drop(sender);
    assert_eq!(wakes.count(), 1);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(poll_with(&mut receiver, &waker), Poll::Ready(Err(Closed)));
}

#[test]
fn oneshot_gives_the_value_back_when_the_receiver_is_gone() {
    let (sender, receiver) = oneshot::channel();
    drop(receiver);
    assert!(sender.is_closed());
    assert_eq!(sender.send(1), Err(1));

    let (sender, mut receiver) = oneshot::channel();
    receiver.close();
    assert_eq!(sender.send(1), Err(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn oneshot_close_keeps_a_value_that_was_sent() {
    let (sender, mut receiver) = oneshot::channel();
    assert_eq!(sender.send(1), Ok(()));
    receiver.close();
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
fn oneshot_sender_hears_that_the_receiver_is_gone() {
    let (mut sender, receiver) = oneshot::channel::<u32>();
    let (wakes, waker) = counting();
    {
        let mut closed = Box::pin(sender.closed());
        assert_eq!(poll_with(&mut closed, &waker), Poll::Pending);
        drop(receiver);
        assert_eq!(wakes.count(), 1);
        assert_eq!(poll_with(&mut closed, &waker), Poll::Ready(()));
    }
    assert!(is_ready(&mut Box::pin(sender.closed())));
}

#[test]
fn oneshot_drops_a_value_that_was_not_received() {
    let (sender, receiver) = oneshot::channel();
    let value = Rc::new(());
    assert!(sender.send(value.clone()).is_ok());
    drop(receiver);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn oneshot_wakers_may_use_the_channel() {
    let (sender, receiver) = oneshot::channel::<u32>();
    let sender = Rc::new(Cell::new(Some(sender)));
    let receiver = Rc::new(RefCell::new(Box::pin(receiver)));
    let again = sender.clone();
    let on_waker = move || {
        if let Some(sender) = again.take() {
            let _sent = sender.send(5);
        }
    };
    with_nasty(on_waker, 2, || {
        let mut receiver = receiver.borrow_mut();
        assert_eq!(poll_with(&mut receiver, &nasty()), Poll::Pending);
        // Dropping the first waker sends.
        assert_eq!(poll_with(&mut receiver, &nasty()), Poll::Ready(Ok(5)));
    });
    assert!(sender.take().is_none());
}

// mpsc.

#[test]
fn mpsc_keeps_the_order_and_ends_with_the_last_sender() {
    let (sender, mut receiver) = mpsc::channel(4);
    let second = sender.clone();
    sender.try_send(1).unwrap();
    second.try_send(2).unwrap();
    drop(sender);
    second.try_send(3).unwrap();
    assert_eq!((receiver.len(), receiver.is_empty()), (3, false));
    drop(second);
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(
        poll_once(&mut Box::pin(receiver.recv())),
        Poll::Ready(Some(2))
    );
    assert_eq!(
        poll_once(&mut Box::pin(receiver.recv())),
        Poll::Ready(Some(3))
    );
    assert_eq!(poll_once(&mut Box::pin(receiver.recv())), Poll::Ready(None));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn mpsc_receiver_is_woken_by_a_value_and_by_the_end() {
    let (sender, mut receiver) = mpsc::channel(1);
    let (wakes, waker) = counting();
    let mut context = Context::from_waker(&waker);
    assert_eq!(receiver.poll_recv(&mut context), Poll::Pending);
    assert_eq!(receiver.poll_recv(&mut context), Poll::Pending);
    sender.try_send(1).unwrap();
    assert_eq!(wakes.count(), 1);
    assert_eq!(receiver.poll_recv(&mut context), Poll::Ready(Some(1)));
    assert_eq!(receiver.poll_recv(&mut context), Poll::Pending);
    drop(sender);
    assert_eq!(wakes.count(), 2);
    assert_eq!(receiver.poll_recv(&mut context), Poll::Ready(None));
}

#[test]
fn mpsc_senders_wait_in_line_when_the_channel_is_full() {
    let (sender, mut receiver) = mpsc::channel(1);
    let mut sends: Vec<_> = (0..4).map(|number| Box::pin(sender.send(number))).collect();
    let (wakes, waker) = counting();
    assert_eq!(poll_once(&mut sends[0]), Poll::Ready(Ok(())));
    for send in &mut sends[1..] {
        assert_eq!(poll_with(send, &waker), Poll::Pending);
    }
    assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
    assert_eq!(receiver.try_recv(), Ok(0));
    assert_eq!(wakes.count(), 1);
    assert_eq!(
        sender.try_send(9),
        Err(TrySendError::Full(9)),
        "the place is promised"
    );
    assert_eq!(
        poll_with(&mut sends[2], &waker),
        Poll::Pending,
        "it is not its turn"
    );
    assert_eq!(poll_with(&mut sends[1], &waker), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(poll_with(&mut sends[2], &waker), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_recv(), Ok(2));
    assert_eq!(poll_with(&mut sends[3], &waker), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_recv(), Ok(3));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(sender.try_send(9), Ok(()));
}

#[test]
fn mpsc_a_dropped_send_has_not_sent_and_gives_up_its_place() {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send(0).unwrap();
    let value = Rc::new(1);
    let mut first = Box::pin(async { sender.reserve().await.unwrap().send(1).unwrap() });
    let mut second = Box::pin(sender.send(2));
    assert!(!is_ready(&mut first) && !is_ready(&mut second));
    assert_eq!(receiver.try_recv(), Ok(0));
    // It was chosen already.
    drop(first);
    assert!(is_ready(&mut second));
    assert_eq!(receiver.try_recv(), Ok(2));

    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send(Rc::new(0)).unwrap();
    let mut dropped = Box::pin(sender.send(value.clone()));
    assert!(!is_ready(&mut dropped));
    drop(dropped);
    assert_eq!(Rc::strong_count(&value), 1);
    assert_eq!(receiver.try_recv(), Ok(Rc::new(0)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn mpsc_permits_hold_their_place() {
    let (sender, mut receiver) = mpsc::channel(2);
    let Poll::Ready(Ok(permit)) = poll_once(&mut Box::pin(sender.reserve())) else {
        panic!("there is room");
    };
    sender.try_send(1).unwrap();
    assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    let mut waiting = Box::pin(sender.reserve());
    assert!(!is_ready(&mut waiting));
    drop(permit);
    let Poll::Ready(Ok(permit)) = poll_once(&mut waiting) else {
        panic!("it was given the place");
    };
    assert_eq!(permit.send(3), Ok(()));
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(1), Ok(3)));
}

#[test]
fn mpsc_close_lets_the_rest_be_received_and_refuses_more() {
    let (sender, mut receiver) = mpsc::channel(2);
    sender.try_send(1).unwrap();
    let Poll::Ready(Ok(permit)) = poll_once(&mut Box::pin(sender.reserve())) else {
        panic!("there is room");
    };
    let (wakes, waker) = counting();
    let mut waiting = Box::pin(sender.send(2));
    assert_eq!(poll_with(&mut waiting, &waker), Poll::Pending);
    receiver.close();
    assert_eq!(wakes.count(), 1);
    assert_eq!(
        poll_with(&mut waiting, &waker),
        Poll::Ready(Err(SendError(2)))
    );
    assert_eq!(permit.send(3), Err(SendError(3)));
    assert_eq!(sender.try_send(4), Err(TrySendError::Closed(4)));
    assert_eq!(
        poll_once(&mut Box::pin(sender.send(5))),
        Poll::Ready(Err(SendError(5)))
    );
    assert!(matches!(
        poll_once(&mut Box::pin(sender.reserve())),
        Poll::Ready(Err(Closed))
    ));
    assert!(sender.is_closed());
    assert_eq!(
        poll_once(&mut Box::pin(receiver.recv())),
        Poll::Ready(Some(1))
    );
    assert_eq!(poll_once(&mut Box::pin(receiver.recv())), Poll::Ready(None));
}

#[test]
fn mpsc_a_dropped_receiver_drops_values_and_fails_senders() {
    let (sender, receiver) = mpsc::channel(1);
    let value = Rc::new(());
    sender.try_send(value.clone()).unwrap();
    let mut chosen = Box::pin(sender.send(value.clone()));
    assert!(!is_ready(&mut chosen));
    let mut receiver = receiver;
    assert!(receiver.try_recv().is_ok());
    drop(receiver);
    assert!(matches!(
        poll_once(&mut chosen),
        Poll::Ready(Err(SendError(_)))
    ));
    drop(chosen);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn mpsc_unbounded_takes_everything() {
    let (sender, mut receiver) = mpsc::unbounded();
    for number in 0..10_000 {
        sender.try_send(number).unwrap();
    }
    assert_eq!(sender.capacity(), usize::MAX);
    for number in 0..10_000 {
        assert_eq!(receiver.try_recv(), Ok(number));
    }
}

#[test]
#[should_panic(expected = "expected a channel with room for a value, found a capacity of zero")]
fn mpsc_refuses_a_capacity_of_zero() {
    let _channel = mpsc::channel::<u32>(0);
}

#[test]
fn mpsc_loses_nothing_and_keeps_each_senders_order() {
    for seed in 1..60 {
        let capacity = Random(seed * 77).below(4) + 1;
        let (sender, mut receiver) = mpsc::channel(capacity);
        let received = RefCell::new(Vec::new());
        let mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        for source in 0..5u64 {
            let sender = sender.clone();
            tasks.push(Box::pin(async move {
                let mut random = Random(seed * 31 + source + 1);
                let mut number = 0;
                while number < 50 {
                    // Some give up at once or after their first wait.
                    let mut reserve = Box::pin(sender.reserve());
                    if random.below(3) == 0 && !is_ready(&mut reserve) {
                        yield_now().await;
                        continue;
                    }
                    drop(reserve);
                    sender.send((source, number)).await.unwrap();
                    number += 1;
                }
            }));
        }
        drop(sender);
        tasks.push(Box::pin(async {
            while let Some(value) = receiver.recv().await {
                assert!(receiver.len() <= capacity);
                received.borrow_mut().push(value);
            }
        }));
        run_all(tasks);
        for source in 0..5 {
            let numbers: Vec<_> = received
                .borrow()
                .iter()
                .filter(|(from, _)| *from == source)
                .map(|&(_, number)| number)
                .collect();
            assert_eq!(numbers, (0..50).collect::<Vec<_>>());
        }
    }
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn mpsc_wakers_and_values_may_use_the_channel() {
    /// A value whose drop sends into the channel that holds it.
    struct Sends(mpsc::Sender<Option<Sends>>);
    impl Drop for Sends {
        fn drop(&mut self) {
            assert!(self.0.try_send(None).is_err());
        }
    }
    let (sender, receiver) = mpsc::channel(1);
    sender.try_send(Some(Sends(sender.clone()))).unwrap();
    drop(receiver);

    let (sender, receiver) = mpsc::channel(1);
    let receiver = Rc::new(RefCell::new(receiver));
    let (from_waker, to_waker) = (sender.clone(), receiver.clone());
    let on_waker = move || {
        let _sent = from_waker.try_send(7);
        if let Ok(mut receiver) = to_waker.try_borrow_mut() {
            let _received = receiver.try_recv();
        }
        drop(from_waker.clone());
    };
    with_nasty(on_waker, 6, || {
        let mut context_waker = nasty();
        for _ in 0..3 {
            let mut context = Context::from_waker(&context_waker);
            while receiver.borrow_mut().poll_recv(&mut context).is_ready() {}
            context_waker = nasty();
        }
        sender.try_send(1).unwrap();
        while sender.try_send(1).is_ok() {}
        let mut waiting = Box::pin(sender.send(1));
        let _polled = poll_with(&mut waiting, &nasty());
        let _polled = poll_with(&mut waiting, &nasty());
        receiver.borrow_mut().close();
        drop(waiting);
    });
}

// Notify.

#[test]
fn notify_one_wakes_in_order_and_is_kept_for_one_that_comes_later() {
    let notify = Notify::new();
    let mut first = Box::pin(notify.notified());
    let mut second = Box::pin(notify.notified());
    let (wakes, waker) = counting();
    assert_eq!(poll_with(&mut first, &waker), Poll::Pending);
    assert_eq!(poll_with(&mut second, &waker), Poll::Pending);
    notify.notify_one();
    assert_eq!(wakes.count(), 1);
    assert_eq!(poll_with(&mut second, &waker), Poll::Pending);
    assert_eq!(poll_with(&mut first, &waker), Poll::Ready(()));
    assert_eq!(
        poll_with(&mut first, &waker),
        Poll::Ready(()),
        "it stays ready"
    );
    drop(second);

    notify.notify_one();
    notify.notify_one();
    assert!(is_ready(&mut Box::pin(notify.notified())));
    assert!(
        !is_ready(&mut Box::pin(notify.notified())),
        "two that find nobody count as one"
    );
}

#[test]
fn notify_between_making_and_polling_is_not_missed() {
    let notify = Notify::new();
    let mut first = Box::pin(notify.notified());
    let mut second = Box::pin(notify.notified());
    notify.notify_waiters();
    assert!(is_ready(&mut first) && is_ready(&mut second));
    assert!(
        !is_ready(&mut Box::pin(notify.notified())),
        "it is not kept"
    );

    let mut third = Box::pin(notify.notified());
    notify.notify_one();
    assert!(is_ready(&mut third));
}

#[test]
fn notify_waiters_wakes_all_that_wait() {
    let notify = Notify::new();
    let mut waiting: Vec<_> = (0..10).map(|_| Box::pin(notify.notified())).collect();
    let (wakes, waker) = counting();
    for notified in &mut waiting {
        assert_eq!(poll_with(notified, &waker), Poll::Pending);
    }
    notify.notify_waiters();
    assert_eq!(wakes.count(), 10);
    assert!(waiting.iter_mut().all(is_ready));
}

#[test]
fn notify_that_was_meant_for_a_dropped_future_goes_to_the_next() {
    let notify = Notify::new();
    let mut waiting: VecDeque<_> = (0..3).map(|_| Box::pin(notify.notified())).collect();
    let (wakes, waker) = counting();
    for notified in &mut waiting {
        assert_eq!(poll_with(notified, &waker), Poll::Pending);
    }
    notify.notify_one();
    for count in 1..=3 {
        assert_eq!(wakes.count(), count);
        drop(waiting.pop_front());
    }
    assert!(
        is_ready(&mut Box::pin(notify.notified())),
        "with nobody left it is kept"
    );

    // But one chosen by `notify_waiters` had no notification of its own.
    let mut dropped = Box::pin(notify.notified());
    let mut waits = Box::pin(notify.notified());
    assert!(!is_ready(&mut dropped));
    notify.notify_waiters();
    assert!(is_ready(&mut waits));
    drop(dropped);
    assert!(!is_ready(&mut Box::pin(notify.notified())));
}

#[test]
fn notify_wakers_may_use_it() {
    let notify = Rc::new(Notify::new());
    let again = notify.clone();
    let on_waker = move || {
        let mut notified = Box::pin(again.notified());
        let _polled = poll_once(&mut notified);
        drop(notified);
        again.notify_one();
    };
    with_nasty(on_waker, 5, || {
        let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(notify.notified())).collect();
        for notified in &mut waiting {
            let _polled = poll_with(notified, &nasty());
            let _polled = poll_with(notified, &nasty());
        }
        notify.notify_waiters();
    });
}

// Semaphore.

#[test]
fn semaphore_gives_permits_back_on_drop() {
    let semaphore = Semaphore::new(3);
    let one = semaphore.try_acquire().unwrap();
    let Poll::Ready(Ok(two)) = poll_once(&mut Box::pin(semaphore.acquire_many(2))) else {
        panic!("there are enough");
    };
    assert_eq!(semaphore.available_permits(), 0);
    assert!(semaphore.try_acquire().is_none());
    drop(two);
    assert_eq!(semaphore.available_permits(), 2);
    one.forget();
    assert_eq!(
        semaphore.available_permits(),
        2,
        "a forgotten permit does not come back"
    );
    semaphore.add_permits(1);
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn semaphore_serves_in_order_and_lets_no_waiter_overtake() {
    let semaphore = Semaphore::new(2);
    let held = semaphore.try_acquire().unwrap();
    let mut many = Box::pin(semaphore.acquire_many(2));
    let mut few = Box::pin(semaphore.acquire());
    assert!(!is_ready(&mut many) && !is_ready(&mut few));
    assert_eq!(semaphore.available_permits(), 1);
    assert!(semaphore.try_acquire().is_none(), "somebody waits");
    drop(held);
    let Poll::Ready(Ok(permits)) = poll_once(&mut many) else {
        panic!("it was first");
    };
    assert!(!is_ready(&mut few));
    drop(permits);
    assert!(is_ready(&mut few));
}

#[test]
fn semaphore_permits_of_a_dropped_waiter_go_to_the_next() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let mut first = Box::pin(semaphore.acquire());
    let mut second = Box::pin(semaphore.acquire());
    let (wakes, waker) = counting();
    assert!(!is_ready(&mut first));
    assert!(poll_with(&mut second, &waker).is_pending());
    drop(held);
    assert_eq!(wakes.count(), 0);
    drop(first);
    assert_eq!(wakes.count(), 1);
    assert!(poll_with(&mut second, &waker).is_ready());
    drop(second);
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn semaphore_goes_on_when_the_first_in_line_leaves() {
    let semaphore = Semaphore::new(2);
    let mut many = Box::pin(semaphore.acquire_many(5));
    let mut few = Box::pin(semaphore.acquire_many(2));
    assert!(!is_ready(&mut many) && !is_ready(&mut few));
    drop(many);
    assert!(is_ready(&mut few));
}

#[test]
fn semaphore_close_fails_those_who_wait_and_those_who_come() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let mut waiting = Box::pin(semaphore.acquire());
    let (wakes, waker) = counting();
    assert!(poll_with(&mut waiting, &waker).is_pending());
    semaphore.close();
    assert_eq!(wakes.count(), 1);
    assert!(matches!(
        poll_with(&mut waiting, &waker),
        Poll::Ready(Err(Closed))
    ));
    assert!(matches!(
        poll_once(&mut Box::pin(semaphore.acquire())),
        Poll::Ready(Err(Closed))
    ));
    assert!(semaphore.is_closed() && semaphore.try_acquire().is_none());
    drop(held);
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn semaphore_owned_permits_outlive_the_handle() {
    let semaphore = Rc::new(Semaphore::new(1));
    let weak = Rc::downgrade(&semaphore);
    let Poll::Ready(Ok(permit)) = poll_once(&mut Box::pin(semaphore.acquire_owned())) else {
        panic!("there is one");
    };
    assert_eq!(weak.upgrade().unwrap().available_permits(), 0);
    drop(permit);
    assert!(weak.upgrade().is_none());
}

#[test]
#[should_panic(expected = "a semaphore has at most `usize::MAX` permits")]
fn semaphore_refuses_too_many_permits() {
    Semaphore::new(usize::MAX).add_permits(1);
}

#[test]
fn semaphore_never_has_more_out_than_it_was_made_with() {
    for seed in 1..60 {
        let semaphore = Semaphore::new(3);
        let out = Cell::new(0);
        let tasks = (1..8).map(|task| -> Pin<Box<dyn Future<Output = ()> + '_>> {
            let (semaphore, out) = (&semaphore, &out);
            Box::pin(async move {
                let mut random = Random(seed * 131 + task);
                for _ in 0..40 {
                    let amount = random.below(3) + 1;
                    let mut acquire = Box::pin(semaphore.acquire_many(amount));
                    if random.below(3) == 0 {
                        // Gives up, having been granted permits or not.
                        let _polled = poll_once(&mut acquire);
                        yield_now().await;
                        continue;
                    }
                    let permits = acquire.await.unwrap();
                    out.set(out.get() + amount);
                    assert!(out.get() <= 3);
                    yield_now().await;
                    out.set(out.get() - amount);
                    drop(permits);
                }
            })
        });
        run_all(tasks.collect());
        assert_eq!(semaphore.available_permits(), 3);
    }
}

#[test]
fn semaphore_wakers_may_use_it() {
    let semaphore = Rc::new(Semaphore::new(1));
    let again = semaphore.clone();
    let on_waker = move || {
        drop(again.try_acquire());
        let mut acquire = Box::pin(again.acquire_many(2));
        let _polled = poll_once(&mut acquire);
    };
    with_nasty(on_waker, 8, || {
        let held = semaphore.try_acquire();
        let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(semaphore.acquire())).collect();
        for acquire in &mut waiting {
            assert!(poll_with(acquire, &nasty()).is_pending());
            assert!(poll_with(acquire, &nasty()).is_pending());
        }
        drop(held);
        drop(waiting.remove(0));
        assert!(poll_with(&mut waiting[0], &nasty()).is_ready());
        semaphore.close();
    });
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn errors_say_what_was_expected_and_found() {
    let texts = [
        Closed.to_string(),
        TryRecvError::Empty.to_string(),
        SendError(()).to_string(),
        TrySendError::Full(()).to_string(),
    ];
    assert_eq!(
        texts,
        [
            "the channel or semaphore is closed",
            "expected a value, found an empty channel",
            "expected a receiver, found a closed channel",
            "expected room for a value, found a full channel",
        ]
    );
    assert_eq!(TrySendError::Closed(5).into_inner(), 5);
    assert_eq!(
        format!("{:?}", pin!(Notify::new().notified())),
        "Notified { .. }"
    );
}
