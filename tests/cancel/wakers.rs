//! Wakers are the user's code: what they do may come back to the runtime.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io::Write as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use annulus::{
    net::{TcpListener, TcpStream},
    spawn,
    time::sleep,
};

use super::{
    census::{Census, alone, runtime, soon, std_pair},
    moment::turns,
};

type Operation = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// Operations that the next waker drops when it is woken or dropped.
    static OPERATIONS: RefCell<Vec<Operation>> = const { RefCell::new(Vec::new()) };
    static SPAWNED: Cell<usize> = const { Cell::new(0) };
}

static RUNS: AtomicUsize = AtomicUsize::new(0);

/// Drops the operations and spawns some tasks: whatever code of the user's might do.
fn wreak_havoc() {
    let operations = OPERATIONS.take();
    if operations.is_empty() {
        return;
    }
    RUNS.fetch_add(1, Ordering::Relaxed);
    for operation in operations {
        drop(operation);
        spawn(async {
            turns(1).await;
            SPAWNED.set(SPAWNED.get() + 1);
        });
    }
}

/// Does it when it is woken.
struct OnWake;

impl Wake for OnWake {
    fn wake(self: Arc<Self>) {
        wreak_havoc();
    }
}

/// Does it when it is dropped.
struct OnDrop;

impl Wake for OnDrop {
    fn wake(self: Arc<Self>) {}
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        wreak_havoc();
    }
}

fn poll(operation: &mut Operation, waker: &Waker) {
    let poll = operation.as_mut().poll(&mut Context::from_waker(waker));
    assert!(poll.is_pending());
}

/// Operations of every kind, all under way.
async fn ten_operations(waker: &Waker) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    for _ in 0..2 {
        let (ours, std) = std_pair();
        operations.push(Box::pin(async move {
            let _ = ours.recv().await;
            drop(std);
        }));
        let (ours, std) = std_pair();
        operations.push(Box::pin(async move {
            let _ = ours.write_all(vec![0; 8 << 20]).await;
            drop(std);
        }));
        let (ours, std) = std_pair();
        operations.push(Box::pin(async move {
            let _ = ours.closed().await;
            drop(std);
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        operations.push(Box::pin(async move {
            let _ = listener.accept().await;
        }));
        operations.push(Box::pin(sleep(Duration::from_secs(1000))));
    }
    for operation in &mut operations {
        poll(operation, waker);
    }
    operations
}

fn havoc(submitted: bool, rouse: impl AsyncFn(TcpStream, std::net::TcpStream, Arc<OnDrop>)) {
    alone(|| {
        runtime(4).block_on(async {
            let census = Census::take();
            RUNS.store(0, Ordering::Relaxed);
            SPAWNED.set(0);
            for _ in 0..5 {
                let operations = ten_operations(Waker::noop()).await;
                if submitted {
                    turns(3).await;
                }
                OPERATIONS.set(operations);
                let (ours, std) = std_pair();
                rouse(ours, std, Arc::new(OnDrop)).await;
                let ran = async {
                    while !OPERATIONS.with_borrow(Vec::is_empty) {
                        turns(1).await;
                    }
                };
                soon("the waker was neither woken nor dropped", ran).await;
            }
            let spawned = async {
                while SPAWNED.get() < 50 {
                    turns(1).await;
                }
            };
            soon("tasks that a waker spawned do not run", spawned).await;
            census.settled("havoc").await;
            assert_eq!(RUNS.load(Ordering::Relaxed), 5);
        });
    });
}

#[test]
fn a_waker_may_drop_operations_and_spawn_when_it_is_woken() {
    for submitted in [false, true] {
        havoc(submitted, async |ours, mut std, _| {
            let mut receive: Operation = Box::pin(async move { drop(ours.recv().await) });
            poll(&mut receive, &Waker::from(Arc::new(OnWake)));
            std.write_all(b"bytes").unwrap();
            let woken = async {
                while !OPERATIONS.with_borrow(Vec::is_empty) {
                    turns(1).await;
                }
            };
            soon("the waker is not woken", woken).await;
        });
    }
}

#[test]
fn a_waker_may_drop_operations_and_spawn_when_another_takes_its_place() {
    for submitted in [false, true] {
        havoc(submitted, async |ours, _std, guard| {
            let mut receive: Operation = Box::pin(async move { drop(ours.recv().await) });
            poll(&mut receive, &Waker::from(guard));
            poll(&mut receive, Waker::noop());
        });
    }
}

#[test]
fn a_waker_may_drop_operations_and_spawn_when_its_future_is_dropped() {
    for submitted in [false, true] {
        for begin_turns in [0, 3] {
            havoc(submitted, async |ours, std, guard| {
                let mut operation: Operation = Box::pin(async move {
                    let _ = ours.write_all(vec![0; 8 << 20]).await;
                    drop(std);
                });
                poll(&mut operation, &Waker::from(guard));
                turns(begin_turns).await;
                drop(operation);
            });
        }
    }
}

#[test]
fn a_waker_may_drop_operations_and_spawn_when_its_listener_is_dropped() {
    for begin_turns in [0, 3] {
        havoc(true, async |_ours, _std, guard| {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut accept: Operation = Box::pin(async move { drop(listener.accept().await) });
            poll(&mut accept, &Waker::from(guard));
            turns(begin_turns).await;
            drop(accept);
        });
    }
}

#[test]
fn a_waker_may_drop_operations_and_spawn_when_it_leaves_a_queue() {
    havoc(true, async |ours, _std, guard| {
        let ours = std::rc::Rc::new(ours);
        let mut first: Operation = Box::pin({
            let ours = ours.clone();
            async move { drop(ours.recv().await) }
        });
        poll(&mut first, Waker::noop());
        let mut second: Operation = Box::pin(async move { drop(ours.recv().await) });
        poll(&mut second, &Waker::from(guard));
        drop(second);
    });
}

#[test]
fn a_waker_that_panics_loses_no_other_completion() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("a waker's panic"));
        }
    }
    alone(|| {
        let runtime = runtime(4);
        let (first, mut first_peer, second, mut second_peer) = runtime.block_on(async {
            let (first, first_peer) = std_pair();
            let (second, second_peer) = std_pair();
            (first, first_peer, second, second_peer)
        });
        let mut operation: Operation = Box::pin(async move { drop(first.recv().await) });
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                poll(&mut operation, &Waker::from(Arc::new(Panics)));
                turns(2).await;
                first_peer.write_all(b"first").unwrap();
                second_peer.write_all(b"second").unwrap();
                soon("a panic", std::future::pending::<()>()).await;
            });
        }));
        assert!(panicked.is_err());
        runtime.block_on(async {
            let bytes = soon("the other receive", second.recv()).await.unwrap();
            assert_eq!(&*bytes, b"second");
            drop(operation);
        });
    });
}
