//! Holds docs/from_tokio.md: its chat server is played on both runtimes, and the channels and locks
//! that it names as unchanged pass values between tasks of one thread and of two runtimes.

use std::{
    cell::Cell,
    future::Future,
    io::{BufRead as _, BufReader, Write as _},
    net::{Shutdown, TcpStream},
    path::Path,
    rc::Rc,
    sync::Arc,
    thread,
    time::Duration,
};

use annulus::{spawn, time};
use ecosystem::program::Program;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;

/// Runs one future on annulus and another on tokio, on two threads.
fn on_both<A: Future<Output = ()>, T: Future<Output = ()>>(
    here: impl FnOnce() -> A,
    there: impl FnOnce() -> T + Send + 'static,
) {
    let other = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(there());
    });
    annulus::run(here());
    other.join().unwrap();
}

/// A task that gives the others a turn between two steps, so that the other side waits.
async fn turns() {
    for _ in 0..3 {
        annulus::task::yield_now().await;
    }
}

#[test]
fn mpsc_passes_values() {
    annulus::run(async {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        spawn(async move {
            for number in 0..1000 {
                sender.send(number).await.unwrap();
            }
        });
        for number in 0..1000 {
            assert_eq!(receiver.recv().await, Some(number));
        }
        assert_eq!(receiver.recv().await, None);
    });
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    on_both(
        async || {
            for number in 0..1000 {
                sender.send(number).await.unwrap();
            }
            drop(sender);
        },
        async move || {
            for number in 0..1000 {
                assert_eq!(receiver.recv().await, Some(number));
            }
            assert_eq!(receiver.recv().await, None);
        },
    );
}

#[test]
fn oneshot_passes_a_value() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let (back, answer) = tokio::sync::oneshot::channel();
    on_both(
        async || {
            sender.send(1).unwrap();
            assert_eq!(answer.await, Ok(2));
        },
        async || back.send(receiver.await.unwrap() + 1).unwrap(),
    );
}

#[test]
fn watch_and_broadcast_wake_the_receivers() {
    let (state, mut seen) = tokio::sync::watch::channel(0);
    let (said, mut heard) = tokio::sync::broadcast::channel(4);
    let (ready, mut is_ready) = tokio::sync::mpsc::channel(1);
    on_both(
        async || {
            for number in 1..=100 {
                state.send(number).unwrap();
                said.send(number).unwrap();
                is_ready.recv().await.unwrap();
            }
        },
        async move || {
            for number in 1..=100 {
                seen.changed().await.unwrap();
                assert_eq!(*seen.borrow_and_update(), number);
                assert_eq!(heard.recv().await, Ok(number));
                ready.send(()).await.unwrap();
            }
        },
    );
}

#[test]
fn locks_are_handed_on() {
    let mutex = Arc::new(tokio::sync::Mutex::new(0));
    let lock = Arc::new(tokio::sync::RwLock::new(0));
    let one = Arc::new(tokio::sync::Semaphore::new(1));
    let (theirs, other, permit) = (mutex.clone(), lock.clone(), one.clone());
    on_both(
        async || {
            for _ in 0..1000 {
                let mut value = mutex.lock().await;
                turns().await; // it is held over an await
                *value += 1;
                *lock.write().await += 1;
                let _permit = one.acquire().await.unwrap();
            }
        },
        async move || {
            for _ in 0..1000 {
                *theirs.lock().await += 1;
                *other.write().await += 1;
                let _permit = permit.acquire().await.unwrap();
                let _ = *other.read().await;
            }
        },
    );
    assert_eq!(
        (*mutex.blocking_lock(), *lock.blocking_read()),
        (2000, 2000)
    );
}

#[test]
fn notify_barrier_once_cell_and_cancellation_wake_across() {
    let notify = Arc::new(tokio::sync::Notify::new());
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    let cell = Arc::new(tokio::sync::OnceCell::new());
    let token = CancellationToken::new();
    let theirs = (
        notify.clone(),
        barrier.clone(),
        cell.clone(),
        token.child_token(),
    );
    on_both(
        async || {
            for _ in 0..100 {
                notify.notify_one();
                barrier.wait().await;
            }
            cell.get_or_init(async || 7).await;
            barrier.wait().await;
            token.cancel();
        },
        async move || {
            let (notify, barrier, cell, token) = theirs;
            for _ in 0..100 {
                notify.notified().await;
                barrier.wait().await;
            }
            barrier.wait().await;
            assert_eq!(*cell.get_or_init(async || 8).await, 7);
            token.cancelled().await;
        },
    );
}

#[test]
fn channels_of_other_crates_pass_values() {
    let (flume, from_flume) = flume::bounded(1);
    let (channel, from_channel) = async_channel::bounded(1);
    let (mut futures, mut from_futures) = futures_channel::mpsc::channel(1);
    on_both(
        async || {
            for number in 0..1000 {
                flume.send_async(number).await.unwrap();
                channel.send(number).await.unwrap();
                futures.send(number).await.unwrap();
            }
            drop((flume, channel, futures));
        },
        async move || {
            for number in 0..1000 {
                assert_eq!(from_flume.recv_async().await, Ok(number));
                assert_eq!(from_channel.recv().await, Ok(number));
                assert_eq!(from_futures.next().await, Some(number));
            }
            assert!(from_flume.recv_async().await.is_err());
        },
    );
}

#[test]
fn channels_of_annulus_pass_values_to_tokio_and_back() {
    use annulus::sync::remote::{mpsc, oneshot};

    let (sender, mut receiver) = mpsc::channel::<(u32, oneshot::Sender<u32>)>(1);
    on_both(
        async || {
            for number in 0..1000 {
                let (answer, answered) = oneshot::channel();
                sender.send((number, answer)).await.unwrap();
                assert_eq!(answered.await, Ok(number * 2));
            }
            drop(sender);
        },
        async move || {
            while let Some((number, answer)) = receiver.recv().await {
                answer.send(number * 2).unwrap();
            }
        },
    );
}

tokio::task_local! {
    static NUMBER: Cell<u32>;
}

#[test]
fn macros_and_task_locals_of_tokio_work_here() {
    annulus::run(async {
        time::pause();
        let second = Duration::from_secs(1);
        let slow = async {
            time::sleep(second * 2).await;
            "slow"
        };
        let first = tokio::select! {
            text = slow => text,
            () = time::sleep(second) => "first",
        };
        assert_eq!(first, "first");
        let both = tokio::join!(async { 1 }, async {
            time::sleep(second).await;
            2
        });
        assert_eq!(both, (1, 2));
        let failed = tokio::try_join!(async { Err::<(), _>("bad") }, async {
            time::sleep(second).await;
            Ok(())
        });
        assert_eq!(failed, Err("bad"));

        // Two tasks take turns, and each sees its own value.
        let seen = Rc::new(Cell::new(0));
        let tasks = [1, 2].map(|number| {
            let seen = Rc::clone(&seen);
            spawn(NUMBER.scope(Cell::new(number), async move {
                turns().await;
                NUMBER.with(|own| own.set(own.get() * 10));
                turns().await;
                seen.set(seen.get() + NUMBER.with(Cell::get));
            }))
        });
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(seen.get(), 30);
    });
}

/// A member of the chat.
struct Member(BufReader<TcpStream>);

impl Member {
    fn join(addr: &str, name: &str) -> Self {
        let mut member = Self(BufReader::new(TcpStream::connect(addr).unwrap()));
        member.say(name);
        member
    }

    fn say(&mut self, text: &str) {
        self.0
            .get_mut()
            .write_all(format!("{text}\n").as_bytes())
            .unwrap();
    }

    fn hears(&mut self, expected: &str) {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert_eq!(line, format!("{expected}\n"));
    }
}

#[test]
fn the_chat_server_is_the_same_on_both() {
    for path in [env!("CARGO_BIN_EXE_chat_tokio"), env!("CARGO_BIN_EXE_chat")] {
        let (program, addr) = Program::serve(path);
        let mut ada = Member::join(&addr, "Ada");
        ada.hears("Ada is here");
        let mut bob = Member::join(&addr, "Bob");
        for member in [&mut ada, &mut bob] {
            member.hears("Bob is here");
        }
        for number in 0..50 {
            ada.say(&format!("line {number}"));
            ada.hears(&format!("Ada: line {number}"));
            bob.hears(&format!("Ada: line {number}"));
        }
        bob.0.get_ref().shutdown(Shutdown::Write).unwrap();
        ada.hears("Bob has left");
        let _ = program.interrupt();
    }
}

mod clock_there {
    use std::time::Duration;
    use tokio::time::{Instant, sleep};

    #[tokio::test(start_paused = true)]
    async fn a_day_passes_at_once() {
        let day = Duration::from_secs(86_400);
        let start = Instant::now();
        sleep(day).await;
        assert_eq!(start.elapsed(), day);
    }
}

mod clock_here {
    use annulus::time::{now, pause, sleep};
    use std::time::Duration;

    #[test]
    fn a_day_passes_at_once() {
        annulus::run(async {
            pause();
            let day = Duration::from_secs(86_400);
            let start = now();
            sleep(day).await;
            assert_eq!(now() - start, day);
        });
    }
}

/// The page's blocks that are tests. Doc tests leave them out.
fn tests_of(page: &str) -> Vec<&str> {
    let blocks = page.split("```rust\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    blocks
        .filter(|block| block.contains("test(") || block.contains("[test]"))
        .collect()
}

#[test]
fn the_page_shows_the_programs_as_they_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(folder.join("../../docs/from_tokio.md")).unwrap();
    for name in ["chat_tokio", "chat"] {
        let file = folder.join("src/bin").join(name).with_extension("rs");
        let text = std::fs::read_to_string(file).unwrap();
        let (_, program) = text.split_once("\n\n").unwrap();
        assert!(
            page.contains(program),
            "{name}.rs is not what the page shows"
        );
    }
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let these = words(include_str!("from_tokio.rs"));
    let tests = tests_of(&page);
    assert_eq!(tests.len(), 2);
    for test in tests {
        assert!(
            these.contains(&words(test)),
            "this file does not run {test}"
        );
    }
}
