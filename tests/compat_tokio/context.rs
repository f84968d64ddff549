//! `in_tokio` and `Tokio::enter`.

use std::{
    cell::Cell,
    future::pending,
    panic::AssertUnwindSafe,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use annulus::{
    compat::{Tokio, in_tokio},
    net, spawn, stats, time,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task,
};

use crate::{
    alone, panic_of,
    support::{poll_once, run, run_each, settle},
};

/// Waits until `stream` has sent all of `bytes`, without tokio's feature `io-util`.
async fn send(stream: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        stream.writable().await.unwrap();
        if let Ok(count) = stream.try_write(bytes) {
            bytes = &bytes[count..];
        }
    }
}

async fn receive(stream: &TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        stream.readable().await.unwrap();
        let mut piece = vec![0; count - bytes.len()];
        if let Ok(count) = stream.try_read(&mut piece) {
            assert!(count > 0, "the connection has not ended");
            bytes.extend_from_slice(&piece[..count]);
        }
    }
    bytes
}

#[test]
fn sockets_timers_and_tasks_of_tokio_work_inside() {
    let _alone = alone();
    run_each(async || {
        let talk = in_tokio(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            // A task of tokio's, on its thread.
            let echo = tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                for _ in 0..100 {
                    let bytes = receive(&stream, 8).await;
                    send(&stream, &bytes).await;
                }
                std::thread::current().name().map(str::to_owned)
            });
            let stream = TcpStream::connect(addr).await.unwrap();
            for round in 0..100_u64 {
                send(&stream, &round.to_be_bytes()).await;
                assert_eq!(receive(&stream, 8).await, round.to_be_bytes());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            echo.await.unwrap()
        });
        assert_eq!(talk.await.as_deref(), Some("annulus-tokio"));
    });
}

#[test]
fn without_the_context_tokio_says_what_is_missing() {
    let _alone = alone();
    run_each(async || {
        let sentence = panic_of(|| tokio::time::sleep(Duration::ZERO));
        assert!(
            sentence.contains("there is no reactor running"),
            "{sentence}"
        );
    });
}

#[test]
fn the_future_may_be_bound_to_its_thread_and_borrow() {
    let _alone = alone();
    run_each(async || {
        let count = Rc::new(Cell::new(0));
        let here = &count;
        in_tokio(async {
            for _ in 0..10 {
                task::yield_now().await;
                tokio::time::sleep(Duration::ZERO).await;
                // A socket of annulus's beside.
                let (near, far) = net::UnixStream::pair().unwrap();
                near.write_all("x").await.unwrap();
                assert_eq!(&*far.recv().await.unwrap(), b"x");
                here.set(here.get() + 1);
            }
        })
        .await;
        assert_eq!(count.get(), 10);
    });
}

/// Spawns on tokio when it is dropped, as pools of connections do.
struct SpawnsInDrop(Arc<AtomicUsize>);

impl Drop for SpawnsInDrop {
    fn drop(&mut self) {
        let dropped = Arc::clone(&self.0);
        drop(tokio::spawn(async move {
            dropped.fetch_add(1, Ordering::Release);
        }));
    }
}

#[test]
fn a_destructor_finds_the_context_however_the_future_ends() {
    let _alone = alone();
    let dropped = Arc::new(AtomicUsize::new(0));
    let future = |is_ready: bool| {
        let value = SpawnsInDrop(Arc::clone(&dropped));
        in_tokio(async move {
            let _value = value;
            if !is_ready {
                pending::<()>().await;
            }
        })
    };
    run_each(async || {
        let dropped_before = dropped.load(Ordering::Acquire);
        future(true).await;
        // Before its first poll, in the middle, and in a task that is aborted.
        drop(future(false));
        let mut polled = Box::pin(future(false));
        assert!(poll_once(&mut polled).await.is_pending());
        drop(polled);
        let aborted = spawn(future(false));
        settle().await;
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        let panics = spawn({
            let value = SpawnsInDrop(Arc::clone(&dropped));
            in_tokio(async move {
                let _value = value;
                panic!("with the value");
            })
        });
        assert!(panics.await.unwrap_err().is_panic());
        while dropped.load(Ordering::Acquire) < dropped_before + 5 {
            time::sleep(Duration::from_millis(1)).await;
        }
    });
    // At the end of a runtime, with its tasks.
    let before = dropped.load(Ordering::Acquire);
    run(async {
        let _detached = spawn(future(false));
        settle().await;
    });
    while dropped.load(Ordering::Acquire) < before + 1 {
        std::thread::yield_now();
    }
}

#[test]
fn contexts_may_be_nested() {
    let _alone = alone();
    run_each(async || {
        let other = Tokio::new().unwrap();
        let own = || tokio::runtime::Handle::current().id();
        let (outer, inner, after) = in_tokio(async {
            let outer = own();
            let inner = other.context(async { own() }).await;
            (outer, inner, own())
        })
        .await;
        assert_eq!(outer, after);
        assert_eq!(inner, other.handle().id());
        assert_ne!(outer, inner);
    });
}

#[test]
fn a_thread_that_has_entered_needs_no_wrapper() {
    let _alone = alone();
    let tokio = Tokio::shared().unwrap();
    let _context = tokio.enter();
    run_each(async || {
        let task = spawn(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            tokio::spawn(async { 7 }).await.unwrap()
        });
        assert_eq!(task.await.unwrap(), 7);
    });
}

#[test]
fn a_panic_leaves_no_context_and_goes_on() {
    let _alone = alone();
    run_each(async || {
        let panics = in_tokio(async { panic!("mine") });
        let panic = spawn(AssertUnwindSafe(panics).0).await.unwrap_err();
        assert_eq!(panic.to_string().matches("mine").count(), 1, "{panic}");
        assert!(tokio::runtime::Handle::try_current().is_err());
    });
}

#[test]
fn what_does_not_work_inside_is_as_the_documentation_says() {
    let _alone = alone();
    run_each(async || {
        in_tokio(async {
            let sentence = panic_of(|| task::spawn_local(async {}));
            let told = "`spawn_local` called from outside of a `task::LocalSet`";
            assert!(sentence.contains(told), "{sentence}");
            // They block.
            assert_eq!(task::block_in_place(|| 1), 1);
            let handle = tokio::runtime::Handle::current();
            assert_eq!(handle.block_on(async { 2 }), 2);
            // In a set of its own local tasks run.
            let set = task::LocalSet::new();
            let local = async { task::spawn_local(async { 3 }).await.unwrap() };
            assert_eq!(set.run_until(local).await, 3);
        })
        .await;
    });
}

#[test]
fn polls_and_drops_in_the_context_are_counted() {
    let _alone = alone();
    run_each(async || {
        let before = stats().tokio;
        in_tokio(async { task::yield_now().await }).await;
        let after = stats().tokio;
        assert_eq!(after.contexts, before.contexts + 3, "two polls and a drop");
        assert_eq!(after.tasks, before.tasks);
        assert!(after.threads > 0, "the helper runs");
    });
}
