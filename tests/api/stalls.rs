//! Threads that are stuck are reported, with what they do.

use std::{
    hint, panic,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
    time::Duration,
};

use annulus::{Runtime, Stall, spawn, task, time};

use crate::support::BOUND;

/// Short, so that tests end soon. No test depends on a stall that does not come.
const LIMIT: Duration = Duration::from_millis(40);

/// Makes a runtime whose reports go to a channel and set a flag.
fn watched() -> (Runtime, Receiver<Stall>, Arc<AtomicBool>) {
    let (sender, receiver) = mpsc::channel();
    let is_reported = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_reported);
    let runtime = Runtime::builder()
        .stall_limit(LIMIT)
        .stall_hook(move |stall| {
            let _ = sender.send(stall.clone());
            flag.store(true, Ordering::Release);
        })
        .build()
        .unwrap();
    (runtime, receiver, is_reported)
}

/// Sleeps as a blocking program does until the flag is set.
fn block_until(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(500));
    }
}

/// The first report of that kind. A machine without time may bring others before.
fn next(reports: &Receiver<Stall>, wanted: impl Fn(&Stall) -> bool) -> Stall {
    loop {
        let stall = reports.recv_timeout(BOUND).expect("a report");
        if wanted(&stall) {
            return stall;
        }
    }
}

/// Whether the kernel tells the system calls of threads.
fn tells_calls() -> bool {
    std::fs::read_to_string("/proc/thread-self/syscall").is_ok()
}

/// Whether the report is about a task that was spawned in this file at one of two lines from
/// `line` on.
fn is_from(stall: &Stall, line: u32) -> bool {
    stall
        .location()
        .is_some_and(|place| place.file() == file!() && (line..line + 2).contains(&place.line()))
}

#[cfg(debug_assertions)]
#[test]
fn a_debug_build_reports_without_being_asked() {
    let (sender, reports) = mpsc::channel();
    let hook = move |stall: &Stall| sender.send(stall.is_over()).unwrap_or_default();
    let runtime = Runtime::builder().stall_hook(hook).build().unwrap();
    // The thread is stuck until the report has come.
    let is_over = runtime.block_on(async { reports.recv_timeout(BOUND) });
    assert_eq!(is_over, Ok(false));
}

#[test]
fn a_sleep_that_blocks_is_reported_with_its_place_while_it_lasts() {
    let (runtime, reports, is_reported) = watched();
    let line = line!() + 3;
    runtime.block_on(async {
        let good = spawn(async { time::sleep(LIMIT * 2).await });
        let bad = spawn(async move { block_until(&is_reported) });
        good.await.unwrap();
        bad.await.unwrap();
    });
    let stall = next(&reports, |stall| is_from(stall, line));
    assert!(!stall.is_over());
    assert!(stall.duration() >= LIMIT, "{:?}", stall.duration());
    assert_eq!(stall.task(), None);
    if tells_calls() {
        assert_eq!(stall.system_call(), Some("clock_nanosleep"));
    }
    assert!(!stall.addresses().is_empty());
    let name = thread::current().name().unwrap().to_owned();
    assert_eq!(stall.thread(), name);
    let over = next(&reports, Stall::is_over);
    assert!(over.duration() >= stall.duration());
    let text = over.to_string();
    let start = format!("thread `{name}` goes on; it was stuck for about ");
    assert!(text.starts_with(&start), "{text}");
}

#[test]
fn a_name_is_told_and_a_long_one_is_cut() {
    for name in ["resize", &"name".repeat(100)] {
        let (runtime, reports, is_reported) = watched();
        let task = task::Builder::new().name(name.to_owned());
        runtime.block_on(async {
            let task = task.spawn(async move { block_until(&is_reported) });
            task.await.unwrap();
        });
        let stall = next(&reports, |stall| stall.task().is_some());
        assert_eq!(stall.task(), Some(&name[..name.len().min(128)]));
    }
}

#[test]
fn a_future_that_computes_for_ever_is_reported_while_it_does() {
    let (runtime, reports, is_reported) = watched();
    runtime.block_on(async {
        while !is_reported.load(Ordering::Acquire) {
            hint::spin_loop();
        }
    });
    let stall = next(&reports, |_| true);
    assert_eq!(stall.location(), None);
    assert_eq!(stall.system_call(), None);
    let text = stall.to_string();
    assert!(
        text.contains("the future given to `run` or `block_on`"),
        "{text}"
    );
}

/// Two tasks of a thread that never ends: the mutex is locked over an await by one, and the other
/// waits for it by blocking the thread that both need.
#[test]
fn a_mutex_of_std_held_over_an_await_is_reported_as_a_wait_for_a_futex() {
    let (sender, receiver) = mpsc::channel();
    // It is stuck for ever.
    thread::spawn(move || {
        let (runtime, reports, _) = watched();
        thread::spawn(move || {
            for stall in reports {
                let _ = sender.send(stall);
            }
        });
        let mutex = Arc::new(Mutex::new(()));
        runtime.block_on(async {
            let other = Arc::clone(&mutex);
            #[expect(clippy::await_holding_lock, reason = "the mistake that is reported")]
            let holder = spawn(async move {
                let _guard = other.lock().unwrap();
                time::sleep(Duration::from_millis(1)).await;
            });
            task::yield_now().await;
            task::Builder::new()
                .name("waits")
                .spawn(async move { drop(mutex.lock()) })
                .await
                .unwrap();
            holder.await.unwrap();
        });
    });
    let stall = next(&receiver, |stall| stall.task() == Some("waits"));
    if tells_calls() {
        assert_eq!(stall.system_call(), Some("futex"));
    }
}

#[test]
fn polls_below_the_limit_are_not_reported() {
    let (sender, reports) = mpsc::channel();
    let runtime = Runtime::builder()
        .stall_limit(BOUND)
        .stall_hook(move |stall| sender.send(stall.clone()).unwrap())
        .build()
        .unwrap();
    for _ in 0..3 {
        runtime.block_on(async {
            spawn(async { thread::sleep(LIMIT) }).await.unwrap();
            time::sleep(LIMIT).await;
        });
        // Outside of the runtime the thread may do what it likes.
        thread::sleep(LIMIT);
    }
    drop(runtime);
    assert!(reports.recv().is_err());
}

/// The calls in which a runtime sleeps, and that of a sleep outside of it.
const SLEEPS: [&str; 4] = [
    "io_uring_enter",
    "epoll_wait",
    "epoll_pwait",
    "clock_nanosleep",
];

#[test]
fn a_thread_that_sleeps_in_its_runtime_or_is_outside_is_not_stuck() {
    let (runtime, reports, _) = watched();
    for _ in 0..2 {
        runtime.block_on(async { time::sleep(LIMIT * 5).await });
        thread::sleep(LIMIT * 5);
    }
    drop(runtime);
    // A machine without time may bring reports of the runtime's own code, which has no processor
    // then and is in no call.
    let asleep = reports.iter().find(|stall| {
        let call = stall.system_call();
        call.is_some_and(|call| SLEEPS.contains(&call))
    });
    assert!(asleep.is_none(), "{asleep:?}");
}

#[test]
fn each_runtime_has_its_own_reports() {
    let threads: Vec<_> = ["first", "second"]
        .into_iter()
        .map(|name| {
            let work = move || {
                let (runtime, reports, is_reported) = watched();
                runtime.block_on(async {
                    let task = task::Builder::new().name(name);
                    let work = async move { block_until(&is_reported) };
                    task.spawn(work).await.unwrap();
                });
                drop(runtime);
                let all: Vec<Stall> = reports.iter().collect();
                assert!(all.iter().all(|stall| stall.thread() == name));
                assert!(all.iter().any(|stall| stall.task() == Some(name)));
            };
            thread::Builder::new().name(name.to_owned()).spawn(work)
        })
        .collect();
    for thread in threads {
        thread.unwrap().join().unwrap();
    }
}

#[test]
fn a_runtime_that_ends_while_it_is_stuck_is_reported_as_over() {
    let (runtime, reports, is_reported) = watched();
    let end = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        runtime.block_on(async {
            block_until(&is_reported);
            panic!("it ends");
        });
    }));
    assert!(end.is_err());
    drop(runtime);
    // The end of the reports is that of the hook.
    let all: Vec<Stall> = reports.iter().collect();
    assert!(!all[0].is_over());
    assert!(all.last().unwrap().is_over());
}

#[test]
fn a_destructor_that_blocks_the_end_of_a_runtime_is_reported() {
    struct Slow(Arc<AtomicBool>);
    impl Drop for Slow {
        fn drop(&mut self) {
            block_until(&self.0);
        }
    }
    let (runtime, reports, is_reported) = watched();
    runtime.block_on(async {
        let slow = Slow(is_reported);
        drop(task::Builder::new().name("slow").spawn(async move {
            let _slow = slow;
            std::future::pending::<()>().await;
        }));
        task::yield_now().await;
    });
    drop(runtime);
    next(&reports, |stall| stall.task() == Some("slow"));
}

#[test]
fn a_turn_of_a_foreign_loop_is_watched() {
    let (runtime, reports, is_reported) = watched();
    let task = runtime.enter(|| {
        let task = task::Builder::new().name("in a turn");
        task.spawn(async move { block_until(&is_reported) })
    });
    while !task.is_finished() {
        let _ = runtime.turn();
    }
    next(&reports, |stall| stall.task() == Some("in a turn"));
}

#[test]
fn a_hook_that_panics_ends_nothing() {
    let is_reported = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_reported);
    let runtime = Runtime::builder()
        .stall_limit(LIMIT)
        .stall_hook(move |_| {
            flag.store(true, Ordering::Release);
            panic!("of the hook");
        })
        .build()
        .unwrap();
    runtime.block_on(async { block_until(&is_reported) });
    drop(runtime);
    let (runtime, reports, is_reported) = watched();
    runtime.block_on(async { block_until(&is_reported) });
    next(&reports, |stall| !stall.is_over());
}

/// The text with each figure, place and name of a file or function replaced.
fn shape(report: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in report.lines() {
        let label = line.get(..13).unwrap_or(line);
        if line.starts_with("  backtrace ") {
            lines.push(label.to_owned());
            break;
        }
        let words = line.split_inclusive(' ').map(|word| {
            let is_figure = word.starts_with(|first: char| first.is_ascii_digit());
            let is_place = word.contains(".rs:");
            match (is_figure, is_place) {
                (true, _) => "1 ",
                (_, true) => "a place",
                _ => word,
            }
        });
        lines.push(words.collect());
    }
    lines
}

#[test]
fn the_report_of_the_page_is_one() {
    let page = include_str!("../../docs/operating.md");
    let start = page.find("annulus: thread `main` is stuck").unwrap();
    let shown = &page[start..];
    let shown = &shown[..shown.find("```").unwrap()];
    let (sender, receiver) = mpsc::channel();
    let work = move || {
        let (runtime, reports, is_reported) = watched();
        runtime.block_on(async {
            let task = task::Builder::new().name("resize");
            let work = async move { block_until(&is_reported) };
            task.spawn(work).await.unwrap();
        });
        let stuck = next(&reports, |stall| stall.task() == Some("resize"));
        let over = next(&reports, Stall::is_over);
        sender.send((stuck, over)).unwrap();
    };
    let thread = thread::Builder::new().name("main".to_owned()).spawn(work);
    thread.unwrap().join().unwrap();
    let (stuck, over) = receiver.recv().unwrap();
    if tells_calls() && cfg!(target_env = "gnu") {
        assert_eq!(shape(&format!("annulus: {stuck}")), shape(shown));
    }
    let last = shown.lines().last().unwrap();
    let unit = |text: &str| text.replace(" ms", " s");
    assert_eq!(
        shape(&unit(&format!("annulus: {over}"))),
        shape(&unit(last))
    );
}
