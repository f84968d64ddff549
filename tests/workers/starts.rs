//! Starts that fail. `bad_worlds` has the one without descriptors.

use std::{
    fs, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use annulus::{Runtime, Workers};

use crate::{joined, on_each_driver, stop, waiting, within_bound};

#[test]
fn a_runtime_that_panics_as_it_is_made_is_told_with_its_number_and_none_runs() {
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ran);
    let builder = Workers::builder().count(4).thread_name("refused");
    let builder = builder.runtime(|runtime| {
        let thread = thread::current();
        assert_ne!(thread.name(), Some("refused-2"), "planned");
        runtime
    });
    let error = within_bound(move || {
        let workers = builder.start(async move |_worker| {
            counted.fetch_add(1, Ordering::Relaxed);
            io::Result::Ok(())
        });
        workers.unwrap_err()
    });
    assert_eq!(error.worker(), Some(2));
    assert!(error.is_panic());
    let text = error.to_string();
    assert!(text.starts_with("worker 2 panicked: "), "{text}");
    assert!(text.contains("planned"), "{text}");
    assert_eq!(ran.load(Ordering::Relaxed), 0);
    // A thread that was joined stays in that folder until the kernel has taken it down.
    within_bound(|| {
        while thread_named("refused-").is_some() {
            thread::yield_now();
        }
    });
}

/// The name of a thread of this process that begins so.
fn thread_named(start: &str) -> Option<String> {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let mut names = threads
        .map_while(Result::ok)
        .map(|task| fs::read_to_string(task.path().join("comm")).unwrap_or_default());
    names.find(|name| name.starts_with(start))
}

#[test]
fn the_runtimes_options_are_asked_for_on_each_workers_thread() {
    let names = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&names);
    let builder = Workers::builder().count(3).runtime(move |runtime| {
        let name = thread::current().name().map(str::to_owned);
        asked.lock().unwrap().extend(name);
        runtime.receive_buffers(8)
    });
    stop(waiting(builder));
    let mut names = names.lock().unwrap().clone();
    names.sort();
    assert_eq!(names, ["annulus-0", "annulus-1", "annulus-2"]);
}

#[test]
fn a_thread_name_with_a_zero_byte_is_an_error() {
    let builder = Workers::builder().thread_name("a\0b");
    let error = builder
        .start(async |_worker| io::Result::Ok(()))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the workers cannot start: the thread name has a zero byte"
    );
}

#[test]
fn workers_start_and_end_inside_of_a_runtime() {
    on_each_driver(|builder| {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let workers = builder
                .count(2)
                .start(async |worker| io::Result::Ok(worker.index()));
            assert_eq!(workers.unwrap().await.unwrap(), [Some(0), Some(1)]);
        });
    });
}

#[test]
fn two_sets_do_not_know_each_other() {
    let first = waiting(Workers::builder().count(2));
    let second = waiting(Workers::builder().count(2));
    assert_ne!(first.worker(0), second.worker(0));
    assert_eq!(first.worker(0), first.worker(0));
    first.stop(std::time::Duration::ZERO);
    joined(first).unwrap();
    assert!(!second.is_stopping());
    let alive = second.worker(1).unwrap().call(|| 5);
    assert_eq!(alive.join().unwrap(), 5);
    stop(second);
}
