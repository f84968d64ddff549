//! A waker or destructor that panics harms no other task.

use std::{
    cell::Cell,
    future::{Future, pending, poll_fn},
    io::{Read as _, Write as _},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use annulus::{
    Runtime, blocking,
    task::JoinSet,
    time::{self, sleep, sleep_until},
};

use crate::support::{guarded, pattern, run, std_pair};

type Operation = Pin<Box<dyn Future<Output = ()>>>;

/// Panics when it is woken.
struct PanicsWoken;

impl Wake for PanicsWoken {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new("a waker's panic"));
    }
}

/// Panics when its last clone is dropped.
struct PanicsDropped;

impl Wake for PanicsDropped {
    fn wake(self: Arc<Self>) {}
}

impl Drop for PanicsDropped {
    fn drop(&mut self) {
        resume_unwind(Box::new("a waker's panic"));
    }
}

/// Panics when it is dropped, in a helper thread, with a payload that does the same.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if let Some(rest) = self.0.checked_sub(1) {
            resume_unwind(Box::new(Bomb(rest)));
        }
    }
}

fn panics(code: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(code)).is_err()
}

/// Polls once, by a waker that panics when it is woken.
fn poll_by_a_bomb<F: Future + ?Sized>(future: Pin<&mut F>) {
    let waker = Waker::from(Arc::new(PanicsWoken));
    assert!(future.poll(&mut Context::from_waker(&waker)).is_pending());
}

/// How often this thread has given up its processor to wait.
fn voluntary_switches() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let mut lines = status.lines();
    let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.expect("the kernel tells it").trim().parse().unwrap()
}

#[test]
fn the_runtime_sleeps_after_a_wakers_panic() {
    let runtime = Runtime::new().unwrap();
    let (near, mut far) = runtime.block_on(std_pair());
    let mut receive = Box::pin(near.recv());
    assert!(panics(|| runtime.block_on(guarded(async {
        poll_by_a_bomb(receive.as_mut());
        // It is asleep by then, or the bytes are there before: both have to be right.
        let writer = std::thread::spawn(move || far.write_all(b"x").map(|()| far));
        pending::<()>().await;
        drop(writer);
    }))));
    let before = voluntary_switches();
    runtime.block_on(async { sleep(Duration::from_millis(50)).await });
    assert!(voluntary_switches() > before, "it did not sleep");
    let bytes = runtime.block_on(guarded(receive)).unwrap();
    assert_eq!(&*bytes, b"x");
}

#[test]
fn the_other_sleepers_of_a_tick_are_woken() {
    let runtime = Runtime::new().unwrap();
    let mut tasks = Vec::new();
    let panicked = panics(|| {
        runtime.block_on(async {
            let deadline = time::now() + Duration::from_millis(5);
            for _ in 0..3 {
                tasks.push(annulus::spawn(sleep_until(deadline)));
                annulus::task::yield_now().await;
                let mut bomb: Operation = Box::pin(sleep_until(deadline));
                poll_by_a_bomb(bomb.as_mut());
                tasks.push(annulus::spawn(async move {
                    let _kept = bomb;
                    sleep_until(deadline).await;
                }));
                annulus::task::yield_now().await;
            }
            guarded(pending::<()>()).await;
        });
    });
    assert!(panicked);
    runtime.block_on(guarded(async {
        for task in tasks {
            task.await.unwrap();
        }
    }));
}

#[test]
fn the_other_sleepers_are_woken_when_a_stopped_clock_is_moved() {
    annulus::run(async {
        time::pause();
        let deadline = time::now() + Duration::from_secs(5);
        let woken = Rc::new(Cell::new(0));
        let (mut bomb, mut tasks) = (pin!(sleep_until(deadline)), JoinSet::new());
        poll_by_a_bomb(bomb.as_mut());
        for _ in 0..3 {
            let woken = Rc::clone(&woken);
            tasks.spawn(async move {
                sleep_until(deadline).await;
                woken.set(woken.get() + 1);
            });
        }
        annulus::task::yield_now().await;
        let mut advance = pin!(time::advance(Duration::from_secs(6)));
        let panicked = poll_fn(|context| {
            Poll::Ready(panics(|| {
                assert!(advance.as_mut().poll(context).is_pending())
            }))
        });
        assert!(panicked.await);
        for _ in 0..3 {
            annulus::task::yield_now().await;
        }
        assert_eq!(woken.get(), 3);
    });
}

#[test]
fn a_waker_that_panics_takes_no_output_from_the_root() {
    let runtime = Runtime::new().unwrap();
    let (near, mut far) = runtime.block_on(std_pair());
    let mut receive = Box::pin(near.recv());
    let output = runtime.block_on(async {
        poll_by_a_bomb(receive.as_mut());
        sleep(Duration::from_millis(1)).await;
        far.write_all(b"x").unwrap();
        7
    });
    assert_eq!(output, 7);
}

#[test]
fn a_waker_that_panics_cuts_no_write_at_the_runtimes_end() {
    const LEN: usize = 16 << 20;
    let runtime = Runtime::new().unwrap();
    let (go_on, may_go_on) = std::sync::mpsc::channel();
    let (kept, reader) = runtime.block_on(guarded(async {
        let (near, far) = std_pair().await;
        let (writes, mut reads) = std_pair().await;
        {
            let mut write = pin!(writes.write_all(pattern(LEN)));
            assert!(poll_now(write.as_mut()).is_pending());
        }
        let mut receive = Box::pin(async move {
            let received = near.recv().await;
            drop((received, near));
        });
        poll_by_a_bomb(receive.as_mut());
        let reader = std::thread::spawn(move || {
            let mut far = far;
            may_go_on.recv().unwrap();
            // The bomb goes off while the runtime waits for the write.
            far.write_all(b"x").unwrap();
            let mut bytes = Vec::new();
            reads.read_to_end(&mut bytes).unwrap();
            (far, bytes)
        });
        drop(writes);
        (receive, reader)
    }));
    go_on.send(()).unwrap();
    assert!(panics(|| drop(runtime)));
    let (_far, bytes) = reader.join().unwrap();
    assert!(bytes == pattern(LEN), "{} of {LEN} bytes came", bytes.len());
    drop(kept);
}

/// Polls once, by no waker.
fn poll_now<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn wakers_that_panic_as_they_are_dropped_end_with_their_runtime() {
    let runtime = Runtime::new().unwrap();
    let mut kept: Vec<Operation> = Vec::new();
    runtime.block_on(async {
        for _ in 0..3 {
            let (near, far) = std_pair().await;
            let mut closed: Operation = Box::pin(async move {
                let _ = near.closed().await;
                drop(far);
            });
            let waker = Waker::from(Arc::new(PanicsDropped));
            let mut context = Context::from_waker(&waker);
            assert!(closed.as_mut().poll(&mut context).is_pending());
            kept.push(closed);
            // The operation has the last clone.
            drop(waker);
        }
    });
    assert!(panics(|| drop(runtime)), "a waker was never dropped");
    drop(kept);
}

#[test]
fn no_helper_thread_is_lost_to_a_panic() {
    run(async {
        // More than there can be threads.
        let count = 16 * std::thread::available_parallelism().map_or(1, usize::from) + 64;
        for number in 0..count {
            let (begun, has_begun) = std::sync::mpsc::channel();
            let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
            let mut call = Box::pin(blocking::run(move || {
                begun.send(()).unwrap();
                may_go_on.recv().unwrap();
                if number % 2 == 0 {
                    resume_unwind(Box::new(Bomb(3)));
                }
                Bomb(3)
            }));
            poll_by_a_bomb(call.as_mut());
            has_begun.recv().unwrap();
            if number % 4 < 2 {
                // Its output is dropped by the helper thread.
                drop(call);
            } else {
                // Its waker is woken there.
                std::mem::forget(call);
            }
            go_on.send(()).unwrap();
        }
        let mut calls = JoinSet::new();
        for number in 0..count {
            calls.spawn(blocking::run(move || number));
        }
        let mut sum = 0;
        while let Some(number) = calls.join_next().await {
            sum += number.unwrap();
        }
        assert_eq!(sum, count * (count - 1) / 2);
    });
}
