//! Signals: each listener hears them, in whatever thread, and the process goes on.

use std::{collections::BTreeSet, thread};

use annulus::{
    future::join,
    signal::{self, Signal, SignalKind},
};
use futures_util::StreamExt as _;

use crate::child::{child, descriptors};

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
