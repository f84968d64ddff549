//! A task that finds everything ready leaves their turns to the others.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io::{self, Write as _},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use annulus::{
    ManagedBuf,
    fs::File,
    future::{Either, join, race},
    io::{ByteRead, Reader},
    net::{UnixListener, UnixStream},
    spawn,
    sync::{Notify, Semaphore, mpsc, oneshot},
    task::{unconstrained, yield_now},
    time,
};

use crate::support::{Folder, guarded, pair, poll_once, recv_exact, run, std_pair};

/// More operations than one poll has, by far.
const MANY: usize = 10_000;

/// Repeats what is ready at once until another task has had its turn.
async fn check<T>(what: &str, mut operation: impl AsyncFnMut() -> T) {
    yield_now().await;
    let flag = Rc::new(Cell::new(false));
    let other = Rc::clone(&flag);
    let task = spawn(async move { other.set(true) });
    let mut count = 0;
    while !flag.get() {
        operation().await;
        count += 1;
        assert!(count < MANY, "{what}: no other task has had a turn");
    }
    // A file waits for a helper thread on the poll driver, and a sleep that ends now for the next
    // tick where the machine took one since the last turn.
    assert!(
        count > 10 || what == "read_at" || what == "sleep",
        "{what}: {count} operations"
    );
    task.await.unwrap();
}

#[test]
fn whatever_is_ready_at_once_leaves_the_others_their_turn() {
    run(async {
        let (sender, mut receiver) = mpsc::unbounded();
        check("unbounded send", async || sender.send(0).await.unwrap()).await;
        for number in 0..MANY {
            sender.try_send(number).unwrap();
        }
        check("recv", async || receiver.recv().await.unwrap()).await;
        check("send by try_send, and recv", async || {
            sender.try_send(1).unwrap();
            receiver.recv().await.unwrap()
        })
        .await;
        let (sender, _receiver) = mpsc::channel::<()>(MANY);
        check("reserve", async || drop(sender.reserve().await.unwrap())).await;
        check("oneshot", async || {
            let (sender, receiver) = oneshot::channel();
            sender.send(()).unwrap();
            receiver.await.unwrap();
        })
        .await;
        let semaphore = Semaphore::new(1);
        check("semaphore", async || drop(semaphore.acquire().await)).await;
        let notify = Notify::new();
        check("notify", async || {
            notify.notify_one();
            notify.notified().await;
        })
        .await;
        check("sleep", async || time::sleep(Duration::ZERO).await).await;
        // Further back than a tick, so that no sleep waits for the next one on a slow machine.
        let past = time::now() - Duration::from_secs(1);
        check("sleep_until", async || time::sleep_until(past).await).await;
        let mut ticks = time::interval_at(past, Duration::from_nanos(1));
        ticks.set_missed_ticks(time::MissedTicks::Burst);
        check("interval", async || ticks.tick().await).await;
    });
}

#[test]
fn sockets_and_files_that_are_ready_leave_the_others_their_turn() {
    run(async {
        let folder = Folder::new("fairness");
        let path = folder.path("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut streams = Vec::new();
        check("connect", async || {
            let connect = UnixStream::connect(&path);
            streams.push(connect.await.unwrap());
        })
        .await;
        drop(listener);

        let (near, far) = pair().await;
        check("write_all", async || near.write_all("x").await.unwrap()).await;
        check("write", async || near.write("x").await.unwrap()).await;
        drop((near, far));

        let (near, far) = UnixStream::pair().unwrap();
        far.write_all(vec![b'x'; 1000]).await.unwrap();
        near.peek(Vec::with_capacity(1)).await.unwrap();
        check("read", async || {
            near.read(Vec::with_capacity(1)).await.unwrap()
        })
        .await;

        let lines = "line\n".repeat(1000);
        let mut reader = Reader::new(Forever);
        check("lines", async || {
            reader.read_until(b'\n', 10).await.unwrap()
        })
        .await;
        check("lengths", async || reader.read_exact(1).await.unwrap()).await;
        check("frames", async || {
            reader.read_frame(9, |_| Ok(Some(3))).await.unwrap()
        })
        .await;
        check("looks", async || {
            reader.fill(1).await.unwrap().map(<[u8]>::len)
        })
        .await;
        let mut reader = Reader::from_parts(&near, lines.into_bytes());
        check("lines of a socket", async || {
            reader.read_until(b'\n', 10).await.unwrap()
        })
        .await;

        let path = folder.path("file");
        std::fs::write(&path, vec![b'x'; 1000]).unwrap();
        let file = File::open(&path).await.unwrap();
        check("read_at", async || {
            file.read_at(Vec::with_capacity(10), 0).await.unwrap()
        })
        .await;
    });
}

/// A source that always has another line.
struct Forever;

impl ByteRead for Forever {
    fn poll_recv(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        Poll::Ready(Ok(b"line\nline\n".to_vec().into()))
    }
}

/// Connections that wait are accepted as fast as there is time for.
#[test]
fn accepts_leave_the_others_their_turn() {
    run(async {
        let folder = Folder::new("fairness-accept");
        let path = folder.path("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut streams = Vec::new();
        for _ in 0..200 {
            streams.push(UnixStream::connect(&path).await.unwrap());
        }
        let accepted = Rc::new(Cell::new(0));
        let seen = Rc::clone(&accepted);
        let other = spawn(async move { seen.get() });
        for _ in 0..200 {
            streams.push(listener.accept().await.unwrap().0);
            accepted.set(accepted.get() + 1);
        }
        assert!(other.await.unwrap() < 150);
    });
}

/// One member floods. The sockets and the places of the others have room for all of it, if they
/// have their turns.
#[test]
fn in_a_chat_of_four_a_flood_takes_no_place_of_another_member() {
    const LINES: usize = 90;
    const LINE_BYTES: usize = 4096;
    run(async {
        let (server, mut flood) = std_pair().await;
        let flood = std::thread::spawn(move || {
            let mut line = vec![b'x'; LINE_BYTES];
            line[LINE_BYTES - 1] = b'\n';
            flood.write_all(&line.repeat(LINES)).unwrap();
            flood
        });
        let (mut members, mut writers, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..4 {
            let (near, far) = UnixStream::pair().unwrap();
            let (sender, mut lines) = mpsc::channel::<Rc<[u8]>>(64);
            members.push(sender);
            ends.push(far);
            writers.push(spawn(async move {
                while let Some(line) = lines.recv().await {
                    near.write_all(line.to_vec()).await.unwrap();
                }
            }));
        }
        let mut reader = Reader::new(server);
        for number in 0..LINES {
            let line = reader.read_until(b'\n', LINE_BYTES).await.unwrap();
            let line: Rc<[u8]> = line.into();
            for (member, sender) in members.iter().enumerate() {
                assert!(
                    sender.try_send(Rc::clone(&line)).is_ok(),
                    "member {member} has lost its place at line {number}"
                );
            }
        }
        drop(members);
        for end in ends {
            let mut reader = Reader::new(end);
            let all = reader.read_exact(LINES * LINE_BYTES).await.unwrap();
            assert_eq!(all.iter().filter(|byte| **byte == b'\n').count(), LINES);
        }
        for writer in writers {
            writer.await.unwrap();
        }
        flood.join().unwrap();
    });
}

/// A task does not receive all that its socket holds before another task has its turn.
#[test]
fn two_tasks_on_sockets_that_are_ready_take_turns() {
    const PIECES: usize = 200;
    run(async {
        let turns = Rc::new(RefCell::new(Vec::new()));
        let mut tasks = Vec::new();
        for number in 0..2 {
            let (near, far) = UnixStream::pair().unwrap();
            far.write_all(vec![b'x'; PIECES]).await.unwrap();
            let turns = Rc::clone(&turns);
            tasks.push(spawn(async move {
                for _ in 0..PIECES {
                    near.read(Vec::with_capacity(1)).await.unwrap();
                    turns.borrow_mut().push(number);
                }
                drop(far);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let turns = turns.borrow();
        let first = turns.iter().position(|number| *number != turns[0]).unwrap();
        assert!(first < PIECES, "the first task did all of it at once");
    });
}

/// Whatever a flood in front of it uses up, what has its time comes about.
#[test]
fn a_flood_within_a_race_or_a_timeout_keeps_nothing_from_happening() {
    run(async {
        let semaphore = Semaphore::new(1);
        let flood = || async {
            loop {
                drop(semaphore.acquire().await);
            }
        };
        let limit = Duration::from_millis(1);
        let flooded: Result<(), _> = time::timeout(limit, flood()).await;
        flooded.unwrap_err();
        assert_eq!(
            race(flood(), time::sleep(limit)).await,
            Either::Right::<(), _>(())
        );
        let (sender, mut receiver) = mpsc::unbounded();
        sender.try_send(1).unwrap();
        assert_eq!(
            race(flood(), receiver.recv()).await,
            Either::Right::<(), _>(Some(1))
        );
        sender.try_send(2).unwrap();
        let soon = time::timeout(limit, receiver.recv());
        let received = race(flood(), soon).await;
        assert_eq!(received, Either::Right::<(), _>(Ok(Some(2))));
        let (near, far) = pair().await;
        let received = join(race(flood(), near.recv()), async {
            far.write_all("hello").await.unwrap()
        });
        let (Either::Right(bytes), _) = received.await else {
            panic!("the flood does not end");
        };
        assert_eq!(&bytes.unwrap()[..], b"hello");
    });
}

#[test]
fn what_is_ready_wins_over_its_time_limit_and_the_left_of_a_race_over_the_right() {
    run(async {
        let (sender, mut receiver) = mpsc::unbounded();
        for number in 0..MANY {
            sender.try_send(number).unwrap();
        }
        for number in 0..MANY / 2 {
            let received = time::timeout(Duration::ZERO, receiver.recv()).await;
            assert_eq!(received, Ok(Some(number)));
        }
        for number in MANY / 2..MANY {
            let first = race(receiver.recv(), time::sleep(Duration::ZERO)).await;
            assert_eq!(first, Either::Left(Some(number)));
        }
    });
}

/// Uses up the operations of this poll.
fn spend_all(semaphore: &Semaphore) -> impl Future<Output = ()> {
    std::future::poll_fn(|_context| {
        let mut context = Context::from_waker(Waker::noop());
        while pin!(semaphore.acquire()).poll(&mut context).is_ready() {}
        Poll::Ready(())
    })
}

#[test]
fn a_receive_that_is_put_off_keeps_its_place_and_loses_nothing() {
    run(async {
        let semaphore = Semaphore::new(1);
        let (near, far) = pair().await;
        far.write_all("one").await.unwrap();
        // What is there is there for the first who asks.
        near.peek(Vec::with_capacity(1)).await.unwrap();
        spend_all(&semaphore).await;
        let mut first = pin!(near.recv());
        assert!(poll_once(&mut first).await.is_pending());
        let mut second = pin!(near.recv());
        assert!(poll_once(&mut second).await.is_pending());
        let (first, ()) = join(first, async {
            far.write_all("two").await.map(drop).unwrap()
        })
        .await;
        assert_eq!(&first.unwrap()[..], b"one");
        assert_eq!(&second.await.unwrap()[..], b"two");

        far.write_all("three").await.unwrap();
        near.peek(Vec::with_capacity(1)).await.unwrap();
        spend_all(&semaphore).await;
        {
            let mut dropped = pin!(near.recv());
            assert!(poll_once(&mut dropped).await.is_pending());
        }
        assert_eq!(&near.recv().await.unwrap()[..], b"three");
    });
}

#[test]
fn values_of_a_channel_that_are_put_off_stay_in_it() {
    run(async {
        let semaphore = Semaphore::new(1);
        let (sender, mut receiver) = mpsc::channel(2);
        sender.try_send(1).unwrap();
        spend_all(&semaphore).await;
        {
            let mut dropped = pin!(receiver.recv());
            assert!(poll_once(&mut dropped).await.is_pending());
            let mut dropped = pin!(sender.send(2));
            assert!(poll_once(&mut dropped).await.is_pending());
        }
        assert_eq!(receiver.len(), 1);
        assert_eq!(receiver.recv().await, Some(1));
        let notify = Notify::new();
        notify.notify_one();
        spend_all(&semaphore).await;
        {
            let mut dropped = pin!(notify.notified());
            assert!(poll_once(&mut dropped).await.is_pending());
        }
        notify.notified().await;
    });
}

/// A write whose turn has come is sent whole, put off or not.
#[test]
fn a_write_that_is_put_off_and_dropped_was_sent() {
    run(async {
        let semaphore = Semaphore::new(1);
        let (near, far) = pair().await;
        spend_all(&semaphore).await;
        {
            let mut dropped = pin!(near.write_all("one"));
            assert!(poll_once(&mut dropped).await.is_pending());
            let mut dropped = pin!(near.write("two"));
            assert!(poll_once(&mut dropped).await.is_pending());
        }
        near.flush().await.unwrap();
        assert_eq!(recv_exact(&far, 6).await, b"onetwo");
    });
}

/// An executor of another crate within a task polls until it has what it wants.
#[test]
fn an_executor_within_a_task_gets_on() {
    run(async {
        let (sender, mut receiver) = mpsc::unbounded();
        for number in 0..MANY {
            sender.try_send(number).unwrap();
        }
        let mut context = Context::from_waker(Waker::noop());
        let mut polls = 0;
        let mut all = pin!(async {
            for number in 0..MANY {
                assert_eq!(receiver.recv().await, Some(number));
            }
        });
        while all.as_mut().poll(&mut context).is_pending() {
            polls += 1;
        }
        assert!(polls <= MANY, "{polls}");
    });
    // Outside of a runtime there is no limit.
    for _ in 0..MANY {
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(yield_now()).poll(&mut context).is_pending());
    }
    let (sender, mut receiver) = mpsc::unbounded();
    for number in 0..MANY {
        sender.try_send(number).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let received = pin!(receiver.recv()).poll(&mut context);
        assert_eq!(received, Poll::Ready(Some(number)));
    }
}

#[test]
fn an_unconstrained_future_does_all_of_it_at_once() {
    run(async {
        let (sender, mut receiver) = mpsc::unbounded();
        for number in 0..MANY {
            sender.try_send(number).unwrap();
        }
        let mut all = Box::pin(unconstrained(async move {
            for _ in 0..MANY {
                receiver.recv().await.unwrap();
            }
        }));
        assert!(poll_once(&mut Pin::new(&mut all)).await.is_ready());
        // The limit is back.
        let semaphore = Semaphore::new(1);
        check("semaphore", async || drop(semaphore.acquire().await)).await;
    });
}

/// The kernel is asked, and timers fire, while tasks have something to do without an end.
#[test]
fn timers_and_sockets_go_on_beside_floods() {
    annulus::run(async {
        let semaphore = Rc::new(Semaphore::new(1));
        let is_over = Rc::new(Cell::new(false));
        let mut floods = Vec::new();
        for _ in 0..3 {
            let (semaphore, is_over) = (Rc::clone(&semaphore), Rc::clone(&is_over));
            floods.push(spawn(async move {
                while !is_over.get() {
                    drop(semaphore.acquire().await);
                }
            }));
        }
        let (near, far) = pair().await;
        for _ in 0..10 {
            near.write_all("ping").await.unwrap();
            recv_exact(&far, 4).await;
            time::sleep(Duration::from_millis(1)).await;
        }
        is_over.set(true);
        for flood in floods {
            flood.await.unwrap();
        }
        guarded(async {}).await;
    });
}

/// A task that computes and yields lets the kernel be asked, too.
#[test]
fn sockets_go_on_beside_a_task_that_yields() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("hello").await.unwrap();
        let received = spawn(async move { near.recv().await.unwrap() });
        let mut yields = 0;
        while !received.is_finished() {
            yield_now().await;
            yields += 1;
            assert!(yields < 200, "the socket is not looked at");
        }
        assert_eq!(&received.await.unwrap()[..], b"hello");
    });
}
