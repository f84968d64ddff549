//! The start and the end of tokio's runtimes, and forks.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::Duration,
};

use annulus::{
    Cores, Runtime,
    compat::{Tokio, in_tokio, on_tokio},
    pin_to_core, spawn,
};

use crate::{
    alone, panic_of, sentence,
    support::{BOUND, run, run_each},
};

/// Threads of tokio's that run in this process, as the kernel names them.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let name =
        |task: io::Result<fs::DirEntry>| fs::read_to_string(task.ok()?.path().join("comm")).ok();
    tasks
        .filter_map(name)
        .filter(|name| name.trim() == "annulus-tokio")
        .count()
}

/// Waits until the kernel has taken apart what has ended.
fn threads_become(count: usize) {
    while threads() != count {
        thread::yield_now();
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The processors that the calling thread may use, as the kernel has them.
fn processors() -> String {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let mut lines = status.lines();
    let line = lines.find(|line| line.starts_with("Cpus_allowed_list:"));
    line.unwrap().to_owned()
}

/// Those that a pinned thread starts, and those that it starts of a runtime from before.
#[test]
fn its_threads_are_not_pinned() {
    let _alone = alone();
    let all = processors();
    let before = Tokio::new().unwrap();
    let of_pinned = move || {
        pin_to_core(Cores::All.list()[0]).unwrap();
        for tokio in [before, Tokio::new().unwrap()] {
            let (worker, helper) = run(async {
                let helper = tokio.context(async { tokio::task::spawn_blocking(processors).await });
                (
                    tokio.spawn(async { processors() }).await,
                    helper.await.unwrap(),
                )
            });
            assert_eq!((&worker, &helper), (&all, &all));
        }
    };
    thread::spawn(of_pinned).join().unwrap();
}

fn counted() -> usize {
    Runtime::new().unwrap().stats().tokio.threads
}

#[test]
fn a_runtime_ends_with_its_last_handle_and_leaves_nothing() {
    let _alone = alone();
    run(in_tokio(async {}));
    let (threads_before, counted_before) = (threads(), counted());
    let descriptors_before = descriptors();
    for round in 0..20 {
        let tokio = Tokio::new().unwrap();
        assert_eq!(counted(), counted_before + 1);
        if round % 2 == 0 {
            let clone = tokio.clone();
            run(async move {
                clone.spawn(async {}).await;
                let waits = clone.spawn(std::future::pending::<()>());
                drop(clone);
                // The handle of its task keeps the runtime.
                drop(spawn(waits));
            });
        }
        assert_eq!(counted(), counted_before + 1);
        drop(tokio);
        assert_eq!(counted(), counted_before);
    }
    threads_become(threads_before);
    assert_eq!(descriptors(), descriptors_before);
}

#[test]
fn the_shared_one_is_the_same_until_it_is_shut_down() {
    let _alone = alone();
    let first = Tokio::shared().unwrap();
    assert_eq!(first.handle().id(), Tokio::shared().unwrap().handle().id());
    run_each(async || {
        let used = in_tokio(async { tokio::runtime::Handle::current().id() }).await;
        assert_eq!(used, Tokio::shared().unwrap().handle().id());
    });
    first.shutdown(BOUND).unwrap();
    assert_eq!(counted(), 0);
    first.shutdown(BOUND).unwrap();
    assert_eq!(run(on_tokio(async { 3 })), 3);
    assert_eq!(counted(), 1);
    assert_ne!(first.handle().id(), Tokio::shared().unwrap().handle().id());
}

#[test]
fn an_end_keeps_its_time_limit_and_says_so() {
    let _alone = alone();
    let tokio = Tokio::new().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let (started, starts) = mpsc::channel();
    tokio
        .spawn(async {
            let call = move || {
                started.send(()).unwrap();
                let _ = released.recv();
            };
            drop(tokio::task::spawn_blocking(call));
        })
        .detach();
    starts.recv().unwrap();
    let error = tokio.shutdown(Duration::from_millis(5)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(
        error.to_string().contains("1 of tokio's threads"),
        "{error}"
    );
    drop(release);
    tokio.shutdown(BOUND).unwrap();
}

#[test]
fn a_future_whose_runtime_is_shut_down_says_so() {
    let _alone = alone();
    run_each(async || {
        let tokio = Tokio::new().unwrap();
        let waits = spawn(tokio.spawn(std::future::pending::<()>()));
        tokio.shutdown(BOUND).unwrap();
        let error = waits.await.unwrap_err();
        assert!(error.to_string().contains("was shut down"), "{error}");
        let late = spawn(tokio.spawn(async {}));
        assert!(
            late.await
                .unwrap_err()
                .to_string()
                .contains("was shut down")
        );
        // tokio's own sentence.
        let late = spawn(tokio.context(async { tokio::time::sleep(Duration::ZERO).await }));
        let text = late.await.unwrap_err().to_string();
        assert!(text.contains("is being shutdown"), "{text}");
    });
}

#[test]
fn the_last_handle_may_be_dropped_on_one_of_its_own_threads() {
    let _alone = alone();
    let before = counted();
    let tokio = Tokio::new().unwrap();
    let own = tokio.clone();
    let (send, wait) = mpsc::channel::<()>();
    tokio
        .spawn(async move {
            let _ = wait.recv();
            let error = own.shutdown(BOUND).unwrap_err();
            assert_eq!(
                error.kind(),
                io::ErrorKind::TimedOut,
                "it would wait for itself"
            );
            drop(own);
        })
        .detach();
    drop(tokio);
    drop(send);
    while counted() != before {
        thread::yield_now();
    }
}

#[test]
fn an_end_inside_of_another_runtime_of_tokio_s_does_not_panic() {
    let _alone = alone();
    let outer = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    outer.block_on(async {
        let tokio = Tokio::new().unwrap();
        assert_eq!(tokio.spawn(async { 1 }).await, 1);
        drop(tokio);
    });
}

#[test]
fn a_runtime_of_the_program_s_goes_on() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let before = counted();
    run_each(async || {
        let tokio = Tokio::with(runtime.handle().clone());
        assert_eq!(tokio.spawn(async { 6 }).await, 6);
        tokio
            .context(async { tokio::time::sleep(Duration::from_millis(1)).await })
            .await;
        tokio.shutdown(Duration::ZERO).unwrap();
        drop(tokio);
    });
    assert_eq!(counted(), before);
    assert_eq!(runtime.block_on(async { 8 }), 8);
}

/// Forks, and runs `last` in the child.
fn fork(last: impl FnOnce()) {
    // SAFETY: other threads of this process hold no lock that the child needs: the tests of this
    // suite run one at a time, and those of tokio's that are asked here are idle.
    let process = unsafe { libc::fork() };
    assert!(process >= 0, "{}", io::Error::last_os_error());
    if process == 0 {
        let result = catch_unwind(AssertUnwindSafe(last));
        if let Err(panic) = &result {
            eprintln!("in the child: {:?}", panic.downcast_ref::<String>());
        }
        // SAFETY: the call takes no address and does not come back.
        unsafe { libc::_exit(if result.is_ok() { 7 } else { 8 }) };
    }
    let mut status = 0;
    // SAFETY: the kernel writes to the status during the call.
    let waited = unsafe { libc::waitpid(process, &raw mut status, 0) };
    assert_eq!(waited, process);
    assert!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7,
        "{status:x}"
    );
}

#[test]
fn a_forked_child_is_told_and_starts_its_own() {
    let _alone = alone();
    let told = "was started before fork(2)";
    let own = Tokio::new().unwrap();
    run(async { assert_eq!(on_tokio(async { 1 }).await, 1) });
    let counted_before = counted();
    let context = in_tokio(async {});
    let running = own.spawn(std::future::pending::<()>());
    // The parent's, and one that is dropped with what was for the child.
    let _kept = own.clone();
    let clone = own.clone();
    fork(|| {
        assert_eq!(counted(), 0);
        assert!(panic_of(|| run(context)).contains(told));
        assert!(panic_of(|| run(running)).contains(told));
        assert!(panic_of(|| drop(own.spawn(async {}))).contains(told));
        assert!(panic_of(|| drop(own.enter())).contains(told));
        own.shutdown(Duration::ZERO).unwrap();
        drop(clone);
        drop(own);
        // Its own.
        assert_eq!(run(on_tokio(async { 2 })), 2);
        run(in_tokio(async {
            tokio::time::sleep(Duration::from_millis(1)).await
        }));
        assert_eq!(counted(), 1);
        Tokio::shared().unwrap().shutdown(BOUND).unwrap();
        assert_eq!(counted(), 0);
    });
    assert_eq!(counted(), counted_before);
    assert_eq!(run(on_tokio(async { 3 })), 3);
}

#[test]
fn out_of_descriptors_is_an_error_or_a_sentence() {
    let _alone = alone();
    Tokio::shared().unwrap().shutdown(BOUND).unwrap();
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes to the limit during the call.
    let read = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    assert_eq!(read, 0);
    let set = |descriptors_max| {
        let limit = libc::rlimit {
            rlim_cur: descriptors_max,
            ..limit
        };
        // SAFETY: the kernel reads the limit during the call.
        let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
        assert_eq!(set, 0);
    };
    set(0);
    let error = Tokio::new().map(drop);
    let panic = catch_unwind(|| drop(in_tokio(async {})));
    set(limit.rlim_cur);
    assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::EMFILE));
    assert!(sentence(panic.unwrap_err()).starts_with("tokio cannot start: "));
}
