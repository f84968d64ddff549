//! The readiness of descriptors that this crate does not read and write itself.

mod edges;
mod kinds;
mod mailbox;

use std::{
    cell::Cell,
    fs::File,
    future::{Future, poll_fn},
    io::{self, Read as _, Write as _},
    net::{self, Shutdown},
    os::unix::net::UnixStream,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use annulus::{
    Runtime,
    future::{Either, join, race},
    io::{AsyncFd, Interest},
    spawn, stats,
    task::yield_now,
    time,
};

use crate::support::{
    BOUND,
    counted::Counted,
    descriptors::{add, eventfd, pipe, replace, take},
    guarded,
    nosy::{at_clone, nosy},
    pair, poll_once, run_each, settle, settle_by, until,
};

/// Whether a wait for `interest` ends before everything has come that the kernel has to tell now.
async fn is_ready<T: std::os::fd::AsFd>(fd: &AsyncFd<T>, interest: Interest) -> bool {
    let (ready, settled) = (pin!(fd.ready(interest)), pin!(settle()));
    matches!(race(ready, settled).await, Either::Left(Ok(_)))
}

/// The two ends of a TCP connection of std, in non-blocking mode.
pub(super) fn tcp_pair() -> (net::TcpStream, net::TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let near = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    (near, far)
}

/// Writes until there is no room.
fn fill(mut stream: impl io::Write) {
    let piece = [b'x'; 65536];
    for len in [65536, 1] {
        while stream.write(&piece[..len]).is_ok() {}
    }
}

#[test]
fn a_wait_is_for_the_level_and_needs_nothing_to_be_cleared() {
    run_each(async || {
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = AsyncFd::new(near).unwrap();
        assert!(!is_ready(&near, Interest::READABLE).await);
        far.write_all(b"hello").unwrap();
        for left in (0..5).rev() {
            near.readable().await.unwrap();
            // Waits take nothing, and a part that is left is told again.
            near.readable().await.unwrap();
            assert_eq!(near.get_ref().read(&mut [0]).unwrap(), 1);
            assert_eq!(is_ready(&near, Interest::READABLE).await, left > 0);
        }
    });
}

#[test]
fn a_call_that_would_block_is_repeated_when_it_does_not() {
    run_each(async || {
        let counter = Rc::new(AsyncFd::new(eventfd()).unwrap());
        let calls = Rc::new(Cell::new(0));
        let task = spawn({
            let (counter, calls) = (Rc::clone(&counter), Rc::clone(&calls));
            async move {
                let call = |counter: &File| {
                    calls.set(calls.get() + 1);
                    match calls.get() {
                        1 => Err(io::ErrorKind::Interrupted.into()),
                        _ => take(counter),
                    }
                };
                counter.async_io(Interest::READABLE, call).await
            }
        });
        settle().await;
        assert_eq!(calls.get(), 2);
        add(counter.get_ref(), 7);
        assert_eq!(task.await.unwrap().unwrap(), 7);
        assert_eq!(calls.get(), 3);
        let failed = counter.async_io(Interest::READABLE, |_| {
            Err::<(), _>(io::ErrorKind::Unsupported.into())
        });
        assert_eq!(failed.await.unwrap_err().kind(), io::ErrorKind::Unsupported);
    });
}

#[test]
fn a_call_is_tried_only_if_the_descriptor_is_ready() {
    run_each(async || {
        // In blocking mode the read would block.
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = AsyncFd::new(near).unwrap();
        let try_read = || near.try_io(Interest::READABLE, |mut stream| stream.read(&mut [0; 8]));
        assert_eq!(try_read().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        far.write_all(b"hello").unwrap();
        assert_eq!(try_read().unwrap(), 5);
        assert_eq!(try_read().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(far);
        assert_eq!(try_read().unwrap(), 0);
    });
}

#[test]
fn a_peer_that_has_finished_does_not_end_a_wait_for_room() {
    run_each(async || {
        let (near, mut far) = tcp_pair();
        fill(&near);
        far.shutdown(Shutdown::Write).unwrap();
        let near = AsyncFd::new(near).unwrap();
        let counted = Counted::new();
        let mut writable = Box::pin(near.writable());
        for _ in 0..3 {
            assert!(writable.as_mut().poll(&mut counted.context()).is_pending());
            settle().await;
        }
        // A ring tells of the peer first, once.
        let count = counted.count();
        assert!(count <= 1, "{count}");
        assert!(!is_ready(&near, Interest::ERROR).await);
        let reading = async {
            let mut bytes = vec![0; 1 << 20];
            loop {
                match far.read(&mut bytes) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        time::sleep(Duration::from_millis(1)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        };
        match race(writable, pin!(reading)).await {
            Either::Left(result) => result.unwrap(),
            Either::Right(never) => never,
        }
        let ready = near.ready(Interest::WRITABLE).await.unwrap();
        assert!(ready.is_writable());
        let ready = near.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_read_closed() && !ready.is_hung_up(), "{ready:?}");
    });
}

#[test]
fn both_directions_have_waits_of_their_own() {
    run_each(async || {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        fill(&near);
        let near = AsyncFd::new(near).unwrap();
        let writable = async {
            near.writable().await.unwrap();
            (&far).write_all(b"answer").unwrap();
        };
        let drain = async {
            settle().await;
            while (&far).read(&mut [0; 65536]).is_ok() {}
        };
        let (readable, _) = join(near.readable(), join(writable, drain)).await;
        readable.unwrap();
    });
}

#[test]
fn many_tasks_that_wait_for_one_descriptor_are_all_woken() {
    run_each(async || {
        let counter = Rc::new(AsyncFd::new(eventfd()).unwrap());
        let wait = || {
            let counter = Rc::clone(&counter);
            spawn(async move { counter.readable().await })
        };
        let tasks: Vec<_> = (0..100).map(|_| wait()).collect();
        settle().await;
        add(counter.get_ref(), 1);
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    });
}

#[test]
fn one_descriptor_twice_and_its_duplicate() {
    run_each(async || {
        let counter = Rc::new(eventfd());
        let first = AsyncFd::new(Rc::clone(&counter)).unwrap();
        let second = AsyncFd::new(Rc::clone(&counter)).unwrap();
        let third = AsyncFd::new(&*counter).unwrap();
        let duplicate = AsyncFd::new(counter.try_clone().unwrap()).unwrap();
        for _ in 0..2 {
            for fd in [&first, &second] {
                assert!(!is_ready(fd, Interest::READABLE).await);
            }
            assert!(!is_ready(&third, Interest::READABLE).await);
            let waits = join(
                join(first.readable(), second.readable()),
                join(third.readable(), duplicate.readable()),
            );
            let adds = async {
                settle().await;
                add(&counter, 1);
            };
            let (((first, second), (third, duplicate)), ()) = join(waits, adds).await;
            first.and(second).and(third).and(duplicate).unwrap();
            take(&counter).unwrap();
        }
        // The one that was registered first leaves the others as they are.
        drop(first);
        let adds = async {
            settle().await;
            add(&counter, 1);
        };
        let waits = join(second.readable(), duplicate.readable());
        let ((second, duplicate), ()) = join(waits, adds).await;
        second.and(duplicate).unwrap();
    });
}

#[test]
fn a_descriptor_that_was_closed_too_early_does_no_harm_to_the_next_with_its_number() {
    run_each(async || {
        let number = Rc::new(eventfd());
        let early = AsyncFd::new(Rc::clone(&number)).unwrap();
        assert!(!is_ready(&early, Interest::READABLE).await);
        let mut waiting = Box::pin(early.readable());
        assert!(poll_once(&mut waiting).await.is_pending());
        settle().await;
        replace(&number, &eventfd());
        let late = AsyncFd::new(Rc::clone(&number)).unwrap();
        assert!(!is_ready(&late, Interest::READABLE).await);
        drop(waiting);
        drop(early);
        let adds = async {
            settle().await;
            add(&number, 1);
        };
        let (ready, ()) = join(late.readable(), adds).await;
        ready.unwrap();
    });
}

#[test]
fn a_wait_that_is_dropped_leaves_nothing() {
    run_each(async || {
        let (ping, pong) = pair().await;
        settle_by(&ping, &pong).await;
        let before = stats().driver.in_flight;
        let counter = AsyncFd::new(eventfd()).unwrap();
        for turns in [false, true] {
            for _ in 0..10 {
                let mut wait = Box::pin(counter.readable());
                assert!(poll_once(&mut wait).await.is_pending());
                if turns {
                    settle_by(&ping, &pong).await;
                }
                drop(wait);
            }
        }
        settle_by(&ping, &pong).await;
        assert!(stats().driver.in_flight <= before + 1);
        // A completion that was not looked at is as good as none.
        let mut wait = Box::pin(counter.readable());
        assert!(poll_once(&mut wait).await.is_pending());
        add(counter.get_ref(), 1);
        settle_by(&ping, &pong).await;
        drop(wait);
        counter.readable().await.unwrap();
        assert_eq!(take(counter.get_ref()).unwrap(), 1);
    });
}

#[test]
fn a_waker_that_panics_as_it_is_cloned_leaves_no_wait() {
    run_each(async || {
        let (near, far) = UnixStream::pair().unwrap();
        let near = AsyncFd::new(near).unwrap();
        let counted = Counted::new();
        assert!(near.poll_readable(&mut counted.context()).is_pending());
        settle().await;
        at_clone(|| resume_unwind(Box::new("a waker's panic")));
        let waker = nosy();
        let poll = || near.poll_readable(&mut Context::from_waker(&waker));
        assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
        drop(near);
        // A wait that went on would keep the socket open.
        let far = AsyncFd::new(far).unwrap();
        let ready = far.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_hung_up(), "{ready:?}");
    });
}

#[test]
fn a_descriptor_that_is_given_back_in_the_middle_of_a_poll() {
    run_each(async || {
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = AsyncFd::new(near).unwrap();
        let counted = Counted::new();
        assert!(near.poll_readable(&mut counted.context()).is_pending());
        settle().await;
        assert!(near.poll_writable(&mut counted.context()).is_pending() || counted.count() == 0);
        let mut near = near.into_inner();
        far.write_all(b"hello").unwrap();
        settle().await;
        assert_eq!(counted.count(), 0, "no wake comes any more");
        assert_eq!(near.read(&mut [0; 8]).unwrap(), 5);
        // It is closed as any other: its peer is told, at the latest by the runtime's next turn.
        drop(near);
        let far = AsyncFd::new(far).unwrap();
        let ready = far.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_hung_up(), "{ready:?}");
    });
}

#[test]
fn the_last_waker_of_a_direction_is_woken_and_stays_when_its_poll_is_over() {
    run_each(async || {
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let near = AsyncFd::new(near).unwrap();
        let (first, last, writer) = (Counted::new(), Counted::new(), Counted::new());
        fill(near.get_ref());
        for round in 0..3 {
            assert!(near.poll_writable(&mut writer.context()).is_pending());
            assert!(near.poll_readable(&mut first.context()).is_pending());
            assert!(near.poll_readable(&mut last.context()).is_pending());
            settle().await;
            assert_eq!(last.count(), round, "nothing has come");
            far.write_all(b"hello").unwrap();
            until(|| last.count() > round).await;
            assert_eq!((first.count(), last.count()), (0, round + 1));
            assert!(near.poll_readable(&mut first.context()).is_ready());
            assert_eq!(near.get_ref().read(&mut [0; 8]).unwrap(), 5);
        }
        assert_eq!(writer.count(), 0);
        far.set_nonblocking(true).unwrap();
        while far.read(&mut [0; 65536]).is_ok() {}
        until(|| writer.count() == 1).await;
        assert!(near.poll_writable(&mut writer.context()).is_ready());
    });
}

#[test]
fn a_task_that_finds_it_always_ready_leaves_the_others_their_turn() {
    run_each(async || {
        let (near, _far) = UnixStream::pair().unwrap();
        let near = AsyncFd::new(near).unwrap();
        let waits = async || near.writable().await.unwrap();
        others_run(waits).await;
        others_run(async || poll_fn(|cx| near.poll_writable(cx)).await.unwrap()).await;
        let io = async || near.async_io(Interest::WRITABLE, |_| Ok(())).await.unwrap();
        others_run(io).await;
        let mut count = 0;
        // The wrong interest.
        let wrong = near.async_io(Interest::WRITABLE, |_| {
            count += 1;
            if count < 10_000 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        let other = spawn(yield_now());
        let mut wrong = Box::pin(wrong);
        let left = race(wrong.as_mut(), other).await;
        assert!(
            matches!(left, Either::Right(_)),
            "the other task comes first"
        );
        drop(wrong);
        assert!(count < 10_000);
    });
}

/// Repeats `operation` until another task has had its turn.
async fn others_run(mut operation: impl AsyncFnMut()) {
    let other = spawn(yield_now());
    let mut count = 0;
    while !other.is_finished() {
        operation().await;
        count += 1;
        assert!(count < 10_000, "no other task has had its turn");
    }
    other.await.unwrap();
}

#[test]
fn outside_of_its_runtime_it_says_so() {
    let error = AsyncFd::new(eventfd()).unwrap_err();
    assert!(error.to_string().contains("no annulus runtime"), "{error}");
    let home = Runtime::new().unwrap();
    let (counter, held) = home.block_on(guarded(async {
        let counter = AsyncFd::new(eventfd()).unwrap();
        let counted = Counted::new();
        assert!(counter.poll_readable(&mut counted.context()).is_pending());
        settle().await;
        (counter, counted)
    }));
    let refused = async |counter: &AsyncFd<File>| {
        let says_so = |result: io::Result<()>| {
            let text = result.unwrap_err().to_string();
            let is_said = text.contains("belongs to another annulus runtime");
            assert!(is_said, "{text}");
        };
        says_so(counter.readable().await);
        says_so(counter.writable().await);
        says_so(poll_fn(|cx| counter.poll_readable(cx)).await);
        says_so(poll_fn(|cx| counter.poll_writable(cx)).await);
        says_so(counter.try_io(Interest::READABLE, |_| Ok(())));
        says_so(counter.async_io(Interest::READABLE, |_| Ok(())).await);
    };
    run_each(async || refused(&counter).await);
    home.block_on(guarded(async {
        add(counter.get_ref(), 1);
        until(|| held.count() == 1).await;
        assert!(counter.poll_readable(&mut held.context()).is_ready());
        assert_eq!(take(counter.get_ref()).unwrap(), 1);
        assert!(counter.poll_readable(&mut held.context()).is_pending());
    }));
    drop(home);
    run_each(async || refused(&counter).await);
    add(counter.get_ref(), 1);
    assert_eq!(take(&counter.into_inner()).unwrap(), 1);
}

#[test]
fn what_borrows_a_descriptor_is_enough() {
    run_each(async || {
        let (reader, mut writer) = pipe();
        let reading = AsyncFd::new(&reader).unwrap();
        let wait = time::timeout(BOUND, reading.readable());
        let (ready, written) = join(wait, async { writer.write(b"x") }).await;
        ready.unwrap().unwrap();
        assert_eq!(written.unwrap(), 1);
        assert!(matches!(
            poll_once(&mut Box::pin(reading.writable())).await,
            Poll::Pending
        ));
    });
}
