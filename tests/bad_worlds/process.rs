//! Forks, and what the end of a runtime waits for and leaves.

use std::{
    future::poll_fn,
    io,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use annulus::{DriverKind, Runtime, spawn, time};

use crate::{
    child::{child, cpu_time, descriptors},
    support::{echo, pair, recv_at_least},
};

/// Forks; the child runs `last` and is gone.
fn fork(last: impl FnOnce()) {
    // SAFETY: the child calls nothing but what is allowed between fork and exit.
    let process = unsafe { libc::fork() };
    assert!(process >= 0, "{}", io::Error::last_os_error());
    if process == 0 {
        last();
        // SAFETY: the call takes no address and does not come back.
        unsafe { libc::_exit(7) };
    }
    let mut status = 0;
    // SAFETY: the kernel writes to the status during the call.
    let waited = unsafe { libc::waitpid(process, &raw mut status, 0) };
    assert_eq!(waited, process);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7);
}

fn forks(name: &str, driver: DriverKind) {
    child(name, &[], move || {
        annulus::run(crate::child::everything_works());
        let before = descriptors();
        let runtime = Runtime::builder().driver(driver).build().unwrap();
        runtime.block_on(async {
            let (near, far) = pair().await;
            let server = spawn(echo(far));
            let (silent, peer) = pair().await;
            let silent = Rc::new(silent);
            let waiter = spawn({
                let silent = Rc::clone(&silent);
                async move { silent.recv().await.map(|bytes| bytes.len()) }
            });
            for round in 0..50_u8 {
                near.write_all(vec![round; 1000]).await.unwrap();
                if round % 5 == 0 {
                    // Something is always under way: a receive, and what was just written.
                    fork(|| ());
                }
                if round % 5 == 1 {
                    let fd = std::os::fd::AsRawFd::as_raw_fd(&near);
                    fork(|| {
                        // SAFETY: the call takes no address; the child's table is its own.
                        unsafe { libc::close(fd) };
                    });
                }
                assert_eq!(recv_at_least(&near, 1000).await, [round; 1000]);
            }
            assert!(!waiter.is_finished());
            peer.write_all("late").await.unwrap();
            assert_eq!(waiter.await.unwrap().unwrap(), 4);
            drop(near);
            server.await.unwrap();
        });
        drop(runtime);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_fork_in_the_middle_leaves_the_parent_alone() {
    let name = "process::a_fork_in_the_middle_leaves_the_parent_alone";
    forks(name, DriverKind::Auto);
}

#[test]
fn a_fork_in_the_middle_leaves_the_parent_alone_on_epoll() {
    let name = "process::a_fork_in_the_middle_leaves_the_parent_alone_on_epoll";
    forks(name, DriverKind::Poll);
}

#[test]
fn a_program_that_was_started_inherits_nothing() {
    let name = "process::a_program_that_was_started_inherits_nothing";
    child(name, &[], || {
        annulus::run(async {
            let (_near, _far) = pair().await;
            let _file = annulus::fs::File::open("Cargo.toml").await.unwrap();
            let listed = annulus::blocking::run(|| {
                std::process::Command::new("ls")
                    .args(["-l", "/proc/self/fd"])
                    .output()
                    .unwrap()
            })
            .await;
            let listed = String::from_utf8(listed.stdout).unwrap();
            for kind in ["socket:", "io_uring", "eventpoll", "eventfd", "Cargo.toml"] {
                assert!(!listed.contains(kind), "{kind} is inherited:\n{listed}");
            }
        });
    });
}

#[test]
fn a_waker_that_outlives_its_runtime_keeps_no_descriptor() {
    let name = "process::a_waker_that_outlives_its_runtime_keeps_no_descriptor";
    child(name, &[], || {
        let before = descriptors();
        for driver in [DriverKind::Auto, DriverKind::Poll] {
            let runtime = Runtime::builder().driver(driver).build().unwrap();
            let waker = runtime.block_on(poll_fn(|context| Poll::Ready(context.waker().clone())));
            let task_waker = runtime.block_on(async {
                let waker = spawn(poll_fn(|context| Poll::Ready(context.waker().clone())));
                waker.await.unwrap()
            });
            drop(runtime);
            assert_eq!(descriptors(), before, "{driver:?}");
            // They wake nothing, also not a descriptor that has the number now.
            let wake = move || [waker, task_waker].into_iter().for_each(Waker::wake);
            std::thread::spawn(wake).join().unwrap();
        }
    });
}

fn the_end_waits_asleep(name: &str, is_paused: bool) {
    child(name, &[], move || {
        let before = descriptors();
        for driver in [DriverKind::Auto, DriverKind::Poll] {
            let runtime = Runtime::builder()
                .driver(driver)
                .shutdown_timeout(Duration::from_secs(2))
                .build()
                .unwrap();
            let far = runtime.block_on(async {
                let (near, far) = pair().await;
                let mut write = Box::pin(near.write_all(vec![1; 32 << 20]));
                let late = time::timeout(Duration::from_millis(5), &mut write).await;
                assert!(late.is_err());
                drop(write);
                drop(near);
                if is_paused {
                    time::pause();
                }
                far
            });
            let start = cpu_time();
            // The peer does not read, so the write is given up when the time is over.
            drop(runtime);
            let used = cpu_time() - start;
            assert!(
                used < Duration::from_millis(500),
                "{driver:?} used {used:?}"
            );
            drop(far);
        }
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn the_end_of_a_runtime_waits_asleep() {
    let name = "process::the_end_of_a_runtime_waits_asleep";
    the_end_waits_asleep(name, false);
}

#[test]
fn the_end_of_a_runtime_waits_asleep_with_a_stopped_clock() {
    let name = "process::the_end_of_a_runtime_waits_asleep_with_a_stopped_clock";
    the_end_waits_asleep(name, true);
}
