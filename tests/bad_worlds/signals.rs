//! Signals: each listener hears them, in whatever thread, and the process goes on.

use std::{
    collections::BTreeSet,
    io::{self, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, AsRawFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use annulus::{
    Runtime, Stall,
    future::join,
    inspect,
    signal::{self, Signal, SignalKind},
    spawn,
};
use futures_util::StreamExt as _;

use crate::{
    child::{child, descriptors},
    support::BOUND,
};

/// Runs `world` in a child on each driver.
fn on_each_driver(name: &str, world: fn()) {
    child(name, &[], world);
    child(name, &[("ANNULUS_DRIVER", "poll")], world);
}

/// Sends this process a signal, which any of its threads may take.
fn kill(kind: SignalKind) {
    let process = std::process::id() as i32;
    // SAFETY: the call takes no address.
    let result = unsafe { libc::kill(process, kind.as_raw()) };
    assert_eq!(result, 0);
}

fn listen(kind: SignalKind) -> Signal {
    signal::stream(kind).unwrap()
}

#[test]
fn every_thread_that_listens_hears_it() {
    on_each_driver("signals::every_thread_that_listens_hears_it", || {
        let (ready, all_ready) = std::sync::mpsc::channel();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let ready = ready.clone();
                thread::spawn(move || {
                    annulus::run(async {
                        let (one, other) = (signal::terminate(), signal::terminate());
                        ready.send(()).unwrap();
                        let (one, other) = join(one, other).await;
                        one.unwrap();
                        other.unwrap();
                    });
                })
            })
            .collect();
        for _ in 0..4 {
            all_ready.recv().unwrap();
        }
        kill(SignalKind::terminate());
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn it_is_heard_from_the_call_on() {
    on_each_driver("signals::it_is_heard_from_the_call_on", || {
        let outside = listen(SignalKind::user1());
        kill(SignalKind::user1());
        annulus::run(async {
            let ctrl_c = signal::ctrl_c();
            kill(SignalKind::interrupt());
            ctrl_c.await.unwrap();
            let mut outside = outside;
            outside.recv().await.unwrap();
        });
    });
}

#[test]
fn each_kind_is_heard_again_and_again_by_its_own_listeners() {
    on_each_driver(
        "signals::each_kind_is_heard_again_and_again_by_its_own_listeners",
        || {
            annulus::run(async {
                let mut one = listen(SignalKind::user1());
                let mut two = listen(SignalKind::user2());
                for _ in 0..10 {
                    // The second is asked first, and must wait for its own.
                    kill(SignalKind::user1());
                    let wait = async {
                        one.next().await.unwrap().unwrap();
                        kill(SignalKind::user2());
                    };
                    join(wait, two.next()).await.1.unwrap().unwrap();
                }
            });
        },
    );
}

#[test]
fn a_dropped_listener_leaves_the_others_and_nothing_else() {
    on_each_driver(
        "signals::a_dropped_listener_leaves_the_others_and_nothing_else",
        || {
            annulus::run(async {
                let mut kept = listen(SignalKind::hangup());
                kill(SignalKind::hangup());
                kept.recv().await.unwrap();
                let before: BTreeSet<i32> = descriptors();
                {
                    let mut dropped = listen(SignalKind::hangup());
                    kill(SignalKind::hangup());
                    dropped.recv().await.unwrap();
                    kept.recv().await.unwrap();
                    let mut in_flight = listen(SignalKind::hangup());
                    let wait = std::pin::pin!(in_flight.recv());
                    assert!(futures_util::poll!(wait).is_pending());
                }
                kill(SignalKind::hangup());
                kept.recv().await.unwrap();
                // The ring closes what it waited for at the next visits to the kernel. Should one
                // be left open, the child hangs.
                while descriptors() != before {
                    annulus::time::sleep(std::time::Duration::from_millis(1)).await;
                }
                drop(kept);
                // No listener is left, and the process goes on.
                kill(SignalKind::hangup());
            });
        },
    );
}

#[test]
fn what_cannot_be_handled_is_an_error() {
    for number in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, 0, -1, 1000] {
        let error = signal::stream(SignalKind::from_raw(number)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{number}");
    }
}

/// Runs a runtime that is stuck until that was reported, and returns the reports.
fn reports_of_a_stall() -> Vec<Stall> {
    let (sender, reports) = mpsc::channel();
    let is_reported = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_reported);
    let runtime = Runtime::builder()
        .stall_limit(Duration::from_millis(40))
        .stall_hook(move |stall| {
            let _ = sender.send(stall.clone());
            flag.store(true, Ordering::Release);
        })
        .build()
        .unwrap();
    runtime.block_on(async {
        let work = async move {
            while !is_reported.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
        };
        spawn(work).await.unwrap();
    });
    drop(runtime);
    reports.iter().collect()
}

/// Writes to standard error fail from now on.
fn break_standard_error() {
    let (near, far) = UnixStream::pair().unwrap();
    drop(far);
    // SAFETY: the call takes no address.
    assert_eq!(unsafe { libc::dup2(near.as_raw_fd(), 2) }, 2);
    assert!(io::stderr().write_all(b"lost").is_err());
}

#[test]
fn a_report_that_cannot_be_written_does_not_end_the_watchdog() {
    let name = "signals::a_report_that_cannot_be_written_does_not_end_the_watchdog";
    child(name, &[], || {
        break_standard_error();
        let is_reported = Arc::new(AtomicBool::new(false));
        let start = Instant::now();
        let is_over =
            move |flag: &AtomicBool| flag.load(Ordering::Acquire) || start.elapsed() > BOUND;
        // Its report goes to standard error, and comes first.
        let unheard = Runtime::builder()
            .stall_limit(Duration::from_millis(40))
            .build()
            .unwrap();
        let flag = Arc::clone(&is_reported);
        let heard = thread::spawn(move || {
            let set = Arc::clone(&flag);
            let runtime = Runtime::builder()
                .stall_limit(Duration::from_millis(80))
                .stall_hook(move |_| set.store(true, Ordering::Release))
                .build()
                .unwrap();
            runtime.block_on(async { while !is_over(&flag) {} });
        });
        unheard.block_on(async { while !is_over(&is_reported) {} });
        heard.join().unwrap();
        assert!(is_reported.load(Ordering::Acquire));
    });
}

/// Blocks all signals of this thread, or lets them through again, as `how` says.
fn block_signals(how: i32) {
    let mut all = MaybeUninit::uninit();
    // SAFETY: the call fills in the set.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: the set was filled in.
    let result = unsafe { libc::pthread_sigmask(how, all.as_ptr(), std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

#[test]
fn a_stuck_thread_that_blocks_all_signals_is_reported_without_its_code() {
    on_each_driver(
        "signals::a_stuck_thread_that_blocks_all_signals_is_reported_without_its_code",
        || {
            block_signals(libc::SIG_BLOCK);
            let reports = reports_of_a_stall();
            assert!(reports.iter().all(|stall| stall.location().is_none()));
            let text = reports[0].to_string();
            assert!(text.contains("did not answer to a signal"), "{text}");
            // The signal that has waited comes now, and asks for nothing any more.
            block_signals(libc::SIG_UNBLOCK);
            let reports = reports_of_a_stall();
            assert!(reports.iter().any(|stall| stall.location().is_some()));
        },
    );
}

/// Makes a descriptor standard error.
fn set_standard_error(fd: &impl AsRawFd) {
    // SAFETY: the call takes no address.
    assert_eq!(unsafe { libc::dup2(fd.as_raw_fd(), 2) }, 2);
}

#[test]
fn dumps_go_on_after_one_that_could_not_be_written() {
    let name = "signals::dumps_go_on_after_one_that_could_not_be_written";
    on_each_driver(name, || {
        let kept = io::stderr().as_fd().try_clone_to_owned().unwrap();
        thread::spawn(|| annulus::run(std::future::pending::<()>()));
        inspect::dump_on(SignalKind::user1()).unwrap();
        let (gone, _) = UnixStream::pair().unwrap();
        set_standard_error(&gone);
        kill(SignalKind::user1());
        // Long enough for the dump, most often: a test of more could not fail wrongly.
        thread::sleep(Duration::from_millis(100));
        let (mut near, far) = UnixStream::pair().unwrap();
        near.set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        set_standard_error(&far);
        let start = Instant::now();
        let mut bytes = [0; 8];
        let is_written = loop {
            kill(SignalKind::user1());
            match near.read_exact(&mut bytes) {
                Ok(()) => break true,
                Err(_) if start.elapsed() > BOUND => break false,
                Err(_) => {}
            }
        };
        set_standard_error(&kept);
        assert!(is_written && bytes.starts_with(b"annulus:"), "{bytes:?}");
    });
}
