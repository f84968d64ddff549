//! Events of the feature `tracing` for the subscriber of a whole process.

use std::{thread, time::Duration};

use annulus::{Runtime, task};
use tracing::Level;

use crate::{
    child::child,
    forbidden::{forbid, rings_are_allowed},
    support::{recorder::Recorder, seccomp::RING},
};

/// Records the events of all threads of this process.
fn record() -> Recorder {
    let recorder = Recorder::default();
    tracing::subscriber::set_global_default(recorder.clone()).unwrap();
    recorder
}

#[test]
fn a_subscriber_hears_once_that_epoll_takes_the_rings_place() {
    if !rings_are_allowed() {
        return;
    }
    let name = "traced::a_subscriber_hears_once_that_epoll_takes_the_rings_place";
    let free = [("ANNULUS_DRIVER", ""), ("ANNULUS_KERNEL", "")];
    child(name, &free, || {
        let seen = record();
        forbid(&RING, libc::EPERM);
        for _ in 0..2 {
            drop(Runtime::new().unwrap());
        }
        let event = seen.event("epoll takes the place of io_uring");
        assert_eq!(event.level, Level::WARN);
        assert!(event.fields["reason"].contains("io_uring is forbidden here"));
        assert_eq!(seen.count("a runtime begins"), 2);
    });
}

#[test]
fn a_subscriber_hears_which_features_of_the_ring_are_missing() {
    if !rings_are_allowed() {
        return;
    }
    let name = "traced::a_subscriber_hears_which_features_of_the_ring_are_missing";
    let old = [("ANNULUS_DRIVER", "ring"), ("ANNULUS_KERNEL", "5.6")];
    child(name, &old, || {
        let seen = record();
        drop(Runtime::new().unwrap());
        let event = seen.event("a runtime begins");
        assert_eq!(
            (event.level, &*event.fields["driver"]),
            (Level::DEBUG, "ring")
        );
        let missing = &event.fields["missing"];
        assert!(missing.starts_with("FAST_POLL EXT_ARG "), "{missing}");
    });
}

#[test]
fn a_subscriber_hears_of_a_stall_while_it_lasts_and_when_it_is_over() {
    let name = "traced::a_subscriber_hears_of_a_stall_while_it_lasts_and_when_it_is_over";
    child(name, &[], || {
        let seen = record();
        let builder = Runtime::builder().stall_limit(Duration::from_millis(20));
        let runtime = builder.stall_hook(|_| ()).build().unwrap();
        let events = seen.clone();
        runtime.block_on(async {
            let stuck = task::Builder::new().name("stuck").spawn(async move {
                while events.count("a thread is stuck") == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            });
            stuck.await.unwrap();
        });
        drop(runtime);
        while seen.count("a thread that was stuck goes on") == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let event = seen.event("a thread is stuck");
        assert_eq!(event.level, Level::WARN);
        assert_eq!(event.fields["task.name"], "stuck");
        assert!(event.fields["code.file.path"].ends_with("traced.rs"));
    });
}
