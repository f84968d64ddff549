//! Worlds with too little locked memory or too few descriptors to begin.

use std::{
    io,
    time::{Duration, Instant},
};

use annulus::{DriverKind, Runtime, Workers};

use crate::{
    child::{child, descriptors, everything_works},
    support::skip::{leave_out, skip},
};

fn set_limit(resource: libc::__rlimit_resource_t, limit: u64) {
    let limits = libc::rlimit {
        rlim_cur: limit,
        rlim_max: limit,
    };
    // SAFETY: the kernel reads the struct during the call.
    let result = unsafe { libc::setrlimit(resource, &raw const limits) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// Changes the soft limit on descriptors.
pub(crate) fn set_descriptors_max(count: u64) {
    let mut limits = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes to the struct during the call.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    limits.rlim_cur = count.min(limits.rlim_max);
    // SAFETY: the kernel reads the struct during the call.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

fn is_root() -> bool {
    // SAFETY: the call takes no address and cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        skip("only root can become a user without the right to lock memory");
    }
    is_root
}

/// Becomes a user without rights, and with no locked memory of other processes on its account.
fn become_nobody(locked_bytes: u64) {
    set_limit(libc::RLIMIT_MEMLOCK, locked_bytes);
    let user = 1_000_000 + std::process::id();
    // SAFETY: the call takes no address.
    let result = unsafe { libc::setuid(user) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// Whether this kernel counts rings as locked memory: through 5.11 and from 6.14 on.
fn rings_are_charged() -> bool {
    let mut parameters = [0_u64; 15];
    let address = parameters.as_mut_ptr();
    // SAFETY: the kernel writes to the 120 bytes of parameters during the call.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 8, address) };
    if fd >= 0 {
        // SAFETY: the descriptor is new and has no other owner.
        unsafe { libc::close(fd as i32) };
    }
    fd < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOMEM)
}

#[test]
fn without_locked_memory_the_error_says_what_to_raise() {
    if !is_root() {
        return;
    }
    let name = "limits::without_locked_memory_the_error_says_what_to_raise";
    let free = [("ANNULUS_DRIVER", ""), ("ANNULUS_KERNEL", "")];
    let written = child(name, &free, || {
        become_nobody(0);
        if !rings_are_charged() {
            // The next kernel does.
            leave_out("this kernel does not count rings as locked memory");
            return;
        }
        let before = descriptors();
        for driver in [DriverKind::Ring, DriverKind::Auto] {
            let error = Runtime::builder().driver(driver).build().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
            assert!(error.to_string().contains("ulimit -l"), "{error}");
        }
        let poll = Runtime::builder().driver(DriverKind::Poll).build().unwrap();
        poll.block_on(everything_works());
        drop(poll);
        assert_eq!(descriptors(), before);
    });
    assert!(written.warnings().is_empty(), "a limit is no refusal");
}

/// Builds a runtime on a ring. The kernel gives the memory of the ring before it back when it comes
/// to it, which a busy machine may put off for longer than a runtime is patient.
fn ring_once_there_is_memory() -> Runtime {
    let begin = Instant::now();
    loop {
        match Runtime::builder().driver(DriverKind::Ring).build() {
            Err(error)
                if error.kind() == io::ErrorKind::OutOfMemory
                    && begin.elapsed() < Duration::from_secs(60) => {}
            built => return built.unwrap(),
        }
    }
}

fn works_with(name: &str, locked_bytes: u64) {
    if !is_root() {
        return;
    }
    let free = [("ANNULUS_DRIVER", ""), ("ANNULUS_KERNEL", "")];
    child(name, &free, || {
        become_nobody(locked_bytes);
        let before = descriptors();
        for _ in 0..10 {
            ring_once_there_is_memory().block_on(everything_works());
        }
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_ring_shrinks_until_sixty_four_kilobytes_are_enough() {
    let name = "limits::a_ring_shrinks_until_sixty_four_kilobytes_are_enough";
    works_with(name, 64 << 10);
}

#[test]
fn a_ring_shrinks_until_forty_eight_kilobytes_are_enough() {
    let name = "limits::a_ring_shrinks_until_forty_eight_kilobytes_are_enough";
    works_with(name, 48 << 10);
}

#[test]
fn whatever_the_limit_on_locked_memory_a_build_works_or_says_what_to_raise() {
    if !is_root() {
        return;
    }
    let name = "limits::whatever_the_limit_on_locked_memory_a_build_works_or_says_what_to_raise";
    let free = [("ANNULUS_DRIVER", ""), ("ANNULUS_KERNEL", "")];
    child(name, &free, || {
        set_limit(libc::RLIMIT_MEMLOCK, 256 << 10);
        become_nobody(256 << 10);
        let before = descriptors();
        for kilobytes in (0..=256).rev().step_by(4) {
            set_limit(libc::RLIMIT_MEMLOCK, kilobytes << 10);
            match Runtime::builder().driver(DriverKind::Ring).build() {
                Ok(runtime) => runtime.block_on(everything_works()),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
                    assert!(
                        error.to_string().contains("ulimit -l"),
                        "{kilobytes}: {error}"
                    );
                }
            }
        }
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn whatever_the_limit_on_descriptors_a_build_works_or_says_what_to_raise() {
    let name = "limits::whatever_the_limit_on_descriptors_a_build_works_or_says_what_to_raise";
    let written = child(name, &[("ANNULUS_DRIVER", "")], || {
        let before = descriptors();
        let first_free = (0..).find(|fd| !before.contains(fd)).unwrap();
        // The helper threads and the guard need none, so every descriptor is a runtime's.
        for driver in [DriverKind::Poll, DriverKind::Auto, DriverKind::Ring] {
            let mut refused = 0;
            let mut built = 0;
            for more in 0..8 {
                set_descriptors_max(u64::try_from(first_free + more).unwrap());
                match Runtime::builder().driver(driver).build() {
                    Ok(runtime) => {
                        built += 1;
                        runtime.block_on(async {
                            assert_eq!(annulus::spawn(async { 1 }).await.unwrap(), 1);
                        });
                    }
                    Err(error) => {
                        refused += 1;
                        let text = error.to_string();
                        assert!(text.contains("ulimit -n"), "{driver:?} {more}: {text}");
                    }
                }
                assert_eq!(descriptors(), before, "{driver:?} {more}");
            }
            assert!(
                refused > 0,
                "with no descriptor at all nothing can be built"
            );
            assert!(built > 0, "{driver:?}: what failed once is tried again");
            set_descriptors_max(1024);
            let runtime = Runtime::builder().driver(driver).build().unwrap();
            runtime.block_on(everything_works());
        }
        assert_eq!(descriptors(), before);
    });
    let _ = written;
}

#[test]
fn hundreds_of_runtimes_one_after_the_other_leave_nothing() {
    let name = "limits::hundreds_of_runtimes_one_after_the_other_leave_nothing";
    child(name, &[], || {
        annulus::run(everything_works());
        let before = descriptors();
        for _ in 0..300 {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                let (near, far) = crate::support::pair().await;
                annulus::spawn(async move { far.recv().await.map(|bytes| bytes.len()) });
                near.write_all("x").await.unwrap();
                annulus::task::yield_now().await;
            });
        }
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn workers_without_descriptors_do_not_start_and_leave_none_behind() {
    let name = "limits::workers_without_descriptors_do_not_start_and_leave_none_behind";
    for variables in [&[][..], &[("ANNULUS_DRIVER", "poll")]] {
        let written = child(name, variables, || {
            let start = |count| {
                Workers::builder()
                    .count(count)
                    .start(async |worker| io::Result::Ok(worker.index()))
            };
            start(1).unwrap().join().unwrap();
            let before = descriptors();
            set_descriptors_max(before.len() as u64 + 12);
            let error = start(20).unwrap_err();
            let number = error.worker().expect("a worker has failed");
            let text = format!("worker {number} cannot start: ");
            assert!(error.to_string().starts_with(&text), "{error}");
            assert_eq!(descriptors(), before);
            assert_eq!(start(1).unwrap().join().unwrap(), [Some(0)]);
            println!("as it should be");
        });
        assert!(written.out.contains("as it should be"), "{written:?}");
    }
}
