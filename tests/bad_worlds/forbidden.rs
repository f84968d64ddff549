//! Worlds without a ring.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use annulus::{DriverKind, Runtime};

use crate::{
    child::{child, descriptors, everything_works, is_child},
    support::{
        seccomp::{Filter, RING},
        skip::skip,
    },
};

/// Makes some system calls of this thread, and of those that it starts, fail with `errno`.
pub(crate) fn forbid(calls: &[i64], errno: i32) {
    Filter::of(calls, errno).install().unwrap();
}

/// Whether rings are allowed here; where they are not, a filter shows nothing.
pub(crate) fn rings_are_allowed() -> bool {
    // What a child has found out before the filter it would remember.
    if is_child() {
        return true;
    }
    let allowed = Runtime::builder().driver(DriverKind::Ring).build().is_ok();
    if !allowed {
        skip("this machine allows no ring to begin with");
    }
    allowed
}

/// The variables of a child that is free to choose.
const FREE: [(&str, &str); 2] = [("ANNULUS_DRIVER", ""), ("ANNULUS_KERNEL", "")];

fn falls_back(name: &str, calls: &'static [i64], errno: i32, reason: &str) {
    if !rings_are_allowed() {
        return;
    }
    let written = child(name, &FREE, || {
        let before = descriptors();
        forbid(calls, errno);
        for _ in 0..3 {
            let runtime = Runtime::new().unwrap();
            assert_eq!(runtime.driver_kind(), DriverKind::Poll);
            runtime.block_on(everything_works());
        }
        thread::spawn(|| annulus::run(everything_works()))
            .join()
            .unwrap();
        annulus::run(everything_works());
        assert_eq!(descriptors(), before);
    });
    let warnings = written.warnings();
    assert_eq!(warnings.len(), 1, "one warning a process: {warnings:?}");
    assert!(warnings[0].contains(reason), "{}", warnings[0]);
    assert!(warnings[0].ends_with("; using epoll instead"));
}

#[test]
fn a_filter_that_says_eperm_leads_to_epoll() {
    let name = "forbidden::a_filter_that_says_eperm_leads_to_epoll";
    falls_back(name, &RING, libc::EPERM, "seccomp");
}

#[test]
fn a_filter_that_says_enosys_leads_to_epoll() {
    let name = "forbidden::a_filter_that_says_enosys_leads_to_epoll";
    falls_back(name, &RING, libc::ENOSYS, "this kernel has no io_uring");
}

#[test]
fn a_filter_that_says_eacces_leads_to_epoll() {
    let name = "forbidden::a_filter_that_says_eacces_leads_to_epoll";
    falls_back(name, &RING, libc::EACCES, "seccomp");
}

#[test]
fn a_filter_of_register_only_leads_to_epoll() {
    let name = "forbidden::a_filter_of_register_only_leads_to_epoll";
    falls_back(name, &RING[2..], libc::EPERM, "seccomp");
}

#[test]
fn a_filter_of_enter_only_leads_to_epoll() {
    let name = "forbidden::a_filter_of_enter_only_leads_to_epoll";
    falls_back(name, &RING[1..2], libc::EPERM, "seccomp");
}

fn refuses(name: &str, variables: &[(&str, &str)], errno: i32, kind: io::ErrorKind, reason: &str) {
    if !rings_are_allowed() {
        return;
    }
    let by_environment = variables.contains(&("ANNULUS_DRIVER", "ring"));
    let written = child(name, variables, || {
        let before = descriptors();
        forbid(&RING, errno);
        let builder = if by_environment {
            Runtime::builder()
        } else {
            Runtime::builder().driver(DriverKind::Ring)
        };
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(reason), "{error}");
        if by_environment {
            let panic = catch_unwind(AssertUnwindSafe(|| annulus::run(async {}))).unwrap_err();
            let text = panic.downcast_ref::<String>().unwrap();
            assert!(text.starts_with("annulus cannot start: "), "{text}");
            assert!(text.contains(reason), "{text}");
        }
        // Who asks for epoll gets it, without a word.
        let poll = Runtime::builder().driver(DriverKind::Poll).build().unwrap();
        poll.block_on(everything_works());
        drop(poll);
        assert_eq!(descriptors(), before);
    });
    assert!(written.warnings().is_empty());
}

#[test]
fn a_ring_that_was_asked_for_and_is_forbidden_is_an_error() {
    let name = "forbidden::a_ring_that_was_asked_for_and_is_forbidden_is_an_error";
    let kind = io::ErrorKind::PermissionDenied;
    refuses(name, &FREE, libc::EPERM, kind, "seccomp");
}

#[test]
fn a_ring_that_was_asked_for_and_does_not_exist_is_an_error() {
    let name = "forbidden::a_ring_that_was_asked_for_and_does_not_exist_is_an_error";
    let kind = io::ErrorKind::Unsupported;
    let reason = "this kernel has no io_uring";
    refuses(name, &FREE, libc::ENOSYS, kind, reason);
}

#[test]
fn a_forbidden_ring_that_the_environment_asks_for_is_an_error() {
    let name = "forbidden::a_forbidden_ring_that_the_environment_asks_for_is_an_error";
    let variables = [("ANNULUS_DRIVER", "ring"), ("ANNULUS_KERNEL", "")];
    let kind = io::ErrorKind::PermissionDenied;
    refuses(name, &variables, libc::EPERM, kind, "seccomp");
}

#[test]
fn the_warning_needs_no_standard_error() {
    if !rings_are_allowed() {
        return;
    }
    let name = "forbidden::the_warning_needs_no_standard_error";
    let written = child(name, &FREE, || {
        forbid(&RING, libc::EPERM);
        // SAFETY: the call takes no address, and this process uses the descriptor no more.
        unsafe { libc::close(2) };
        let runtime = Runtime::new().unwrap();
        assert_eq!(runtime.driver_kind(), DriverKind::Poll);
        runtime.block_on(everything_works());
        println!("survived");
    });
    assert!(written.out.contains("survived"));
}

#[test]
fn a_call_for_a_helper_thread_is_made_also_when_no_thread_can_be_had() {
    let name = "forbidden::a_call_for_a_helper_thread_is_made_also_when_no_thread_can_be_had";
    child(name, &[], || {
        forbid(&[libc::SYS_clone, libc::SYS_clone3], libc::EAGAIN);
        assert!(thread::Builder::new().spawn(|| ()).is_err());
        for driver in [DriverKind::Auto, DriverKind::Poll] {
            let runtime = Runtime::builder().driver(driver).build().unwrap();
            runtime.block_on(async {
                everything_works().await;
                assert_eq!(annulus::blocking::run(|| 5).await, 5);
                let file = annulus::fs::File::open("Cargo.toml").await.unwrap();
                let (count, _) = file.read_at(vec![0; 9], 0).await.unwrap();
                assert_eq!(count, 9);
            });
        }
    });
}
