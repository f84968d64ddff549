//! Dumps and measures: what each task waits for, and how long polls take.

use std::{
    rc::Rc,
    sync::{Arc, Mutex as StdMutex, mpsc as std_mpsc},
    thread,
    time::{Duration, Instant},
};

use annulus::{
    DriverKind, Dump, Runtime, TaskDump, blocking, dump,
    future::race,
    inspect::{self, Silence},
    io::duplex,
    net::UnixStream,
    sync::{CancellationToken, Mutex, Notify, Semaphore, mpsc, oneshot, remote, watch},
    task, time,
};

use crate::support::{BOUND, guarded};

const KINDS: [DriverKind; 2] = [DriverKind::Auto, DriverKind::Poll];

fn runtime(kind: DriverKind) -> Runtime {
    Runtime::builder().driver(kind).build().unwrap()
}

fn task<'a>(dump: &'a Dump, name: &str) -> &'a TaskDump {
    let found = dump.tasks().iter().find(|task| task.name() == Some(name));
    found.unwrap_or_else(|| panic!("no task `{name}` in:\n{dump}"))
}

fn waits(dump: &Dump, name: &str) -> String {
    let waits = task(dump, name).waits_for().iter();
    let words: Vec<_> = waits.map(ToString::to_string).collect();
    words.join(", ")
}

fn named<F: Future + 'static>(name: &'static str, future: F) -> task::JoinHandle<F::Output> {
    task::Builder::new().name(name).spawn(future)
}

#[test]
fn a_dump_tells_what_each_task_waits_for() {
    for kind in KINDS {
        runtime(kind).block_on(guarded(async {
            let mutex = Rc::new(Mutex::new(()));
            let locked = Rc::clone(&mutex);
            let guard = mutex.lock().await;
            drop(named("mutex", async move { drop(locked.lock().await) }));
            let semaphore = Rc::new(Semaphore::new(0));
            drop(named("semaphore", async move {
                let _ = semaphore.acquire().await;
            }));
            let notify = Rc::new(Notify::new());
            drop(named("notify", async move { notify.notified().await }));
            let (_sender, mut values) = mpsc::unbounded::<u8>();
            drop(named("values", async move { values.recv().await }));
            let (full, _room) = mpsc::channel(1);
            full.try_send(1).unwrap();
            drop(named("room", async move {
                let _ = full.send(2).await;
            }));
            let (_once, once) = oneshot::channel::<u8>();
            drop(named("oneshot", once));
            let (_watched, mut changes) = watch::channel(1);
            drop(named("watch", async move {
                let _ = changes.changed().await;
            }));
            let (near, _far) = duplex(10);
            drop(named("duplex", async move {
                let _ = near.recv().await;
            }));
            let (stream, _peer) = UnixStream::pair().unwrap();
            drop(named("stream", async move {
                let _ = stream.recv().await;
            }));
            drop(named("timer", time::sleep(Duration::from_secs(999))));
            let other = named("other", std::future::pending::<()>());
            drop(named("joining", async move {
                let _ = other.await;
            }));
            let never = async {
                let sleep = time::sleep(Duration::from_secs(999));
                let _ = race(sleep, std::future::pending::<()>()).await;
            };
            drop(named("racing", never));
            let (tell, told) = std_mpsc::channel::<()>();
            drop(named("helper", blocking::run(move || told.recv())));
            drop(named("ready", async {
                loop {
                    task::yield_now().await;
                }
            }));
            time::sleep(Duration::from_millis(2)).await;
            let dump = dump();
            println!("{dump}");
            assert!(dump.tasks()[0].location().is_none() && dump.tasks()[0].is_ready());
            let expected = [
                ("mutex", "a `Mutex`"),
                ("semaphore", "a permit of a `Semaphore`"),
                ("notify", "a `Notify`"),
                ("values", "a value of a channel"),
                ("room", "room in a channel"),
                ("oneshot", "the value of a oneshot channel"),
                ("watch", "a change of a watched value"),
                ("duplex", "the other end of a `Duplex`"),
                ("helper", "a call on a helper thread"),
                ("other", "something that this crate does not know"),
                ("ready", ""),
            ];
            for (name, words) in expected {
                assert_eq!(waits(&dump, name), words, "{name}");
            }
            let ready = task(&dump, "ready");
            assert!(ready.is_ready() && ready.location().unwrap().file().ends_with("dumps.rs"));
            assert!(waits(&dump, "stream").contains(" on descriptor "), "{dump}");
            assert!(waits(&dump, "timer").starts_with("a timer in 99"), "{dump}");
            assert!(
                waits(&dump, "racing").starts_with("a timer in 99"),
                "{dump}"
            );
            let joining = waits(&dump, "joining");
            assert!(
                joining.starts_with("the end of the task `other` of "),
                "{dump}"
            );
            assert_eq!(task(&dump, "mutex").polls(), None, "it is not measured");
            drop((guard, tell));
        }));
    }
}

#[test]
fn a_dump_tells_who_waits_for_another_thread_a_token_or_a_scope() {
    for kind in KINDS {
        runtime(kind).block_on(guarded(async {
            let (_values, mut received) = remote::mpsc::unbounded::<u8>();
            drop(named("values", async move { received.recv().await }));
            let (full, _room) = remote::mpsc::channel(1);
            full.try_send(1).unwrap();
            drop(named("room", async move {
                let _ = full.send(2).await;
            }));
            let (_answer, answered) = remote::oneshot::channel::<u8>();
            drop(named("oneshot", answered));
            let (mut wanted, _receiver) = remote::oneshot::channel::<u8>();
            drop(named("unwanted", async move { wanted.closed().await }));
            let token = CancellationToken::new();
            drop(named("token", token.child_token().cancelled_owned()));
            let until = token.clone();
            drop(named("until", async move {
                let sleep = time::sleep(Duration::from_secs(1000));
                until.run_until_cancelled(sleep).await
            }));
            let sleeper = |scope: &task::Scope<()>| {
                drop(scope.spawn(async {
                    time::sleep(Duration::from_secs(1000)).await;
                    Ok(())
                }));
            };
            drop(named("scope", async move {
                task::scope(async |scope| {
                    sleeper(&scope);
                    Ok(())
                })
                .await
            }));
            drop(named("body", async move {
                let notify = Notify::new();
                task::scope(async |scope| {
                    sleeper(&scope);
                    notify.notified().await;
                    Ok(())
                })
                .await
            }));
            time::sleep(Duration::from_millis(2)).await;
            let dump = dump();
            println!("{dump}");
            let expected = [
                ("values", "a value of a channel between threads"),
                ("room", "room in a channel between threads"),
                ("oneshot", "the value of a oneshot channel between threads"),
                ("unwanted", "the end of a channel between threads"),
                ("token", "the cancellation of a `CancellationToken`"),
                ("scope", "a task of a scope"),
                ("body", "a `Notify`"),
            ];
            for (name, words) in expected {
                assert_eq!(waits(&dump, name), words, "{name}");
            }
            let until = waits(&dump, "until");
            assert!(until.starts_with("a timer in 99"), "{dump}");
            assert!(until.contains("`CancellationToken`"), "{dump}");
        }));
    }
}

#[test]
fn tasks_that_are_alike_share_a_line() {
    Runtime::new().unwrap().block_on(guarded(async {
        for _ in 0..1000 {
            drop(task::spawn(time::sleep(Duration::from_secs(1000))));
        }
        while dump().tasks()[1..].iter().any(TaskDump::is_ready) {
            task::yield_now().await;
        }
        let text = dump().to_string();
        assert!(text.lines().count() < 10, "{text}");
        assert!(text.contains("; and 999 like it"), "{text}");
    }));
}

#[test]
fn polls_and_sleeps_are_measured_when_asked_for() {
    for kind in KINDS {
        let runtime = Runtime::builder()
            .driver(kind)
            .measure(true)
            .build()
            .unwrap();
        let stats = runtime.block_on(guarded(async {
            let slow = named("slow", async {
                thread::sleep(Duration::from_millis(20));
                time::sleep(Duration::from_millis(30)).await;
                task::yield_now().await;
                let dump = dump();
                assert!(task(&dump, "slow").is_ready(), "it runs");
                std::future::pending::<()>().await;
            });
            drop(slow);
            loop {
                time::sleep(Duration::from_millis(5)).await;
                let dump = dump();
                let slow = task(&dump, "slow");
                if slow.polls() == Some(3) && annulus::stats().times.sleeps > 0 {
                    assert!(slow.longest_poll().unwrap() >= Duration::from_millis(20));
                    break;
                }
            }
            annulus::stats()
        }));
        assert!(stats.is_measured);
        assert!(stats.polls.longest >= Duration::from_millis(20));
        assert!(stats.polls.total >= stats.polls.longest && stats.polls.count >= 5);
        let count: u64 = stats.polls.histogram().map(|(_, count)| count).sum();
        assert_eq!(count, stats.polls.count);
        assert!(stats.times.busy >= Duration::from_millis(20));
        assert!(stats.times.idle > Duration::ZERO && stats.driver.turns > 0);
        let entries: u64 = stats.driver.kinds.iter().map(|(_, count)| count).sum();
        assert!(entries <= stats.driver.entries);
        if runtime.driver_kind() == DriverKind::Ring {
            assert!(entries > 0);
        }
    }
    let off = Runtime::new().unwrap().block_on(async { annulus::stats() });
    assert!(!off.is_measured && off.polls.count == 0 && off.times.sleeps == 0);
    assert!(off.buffers >= off.buffers_free && off.buffers > 0);
}

/// Looks at the runtime of a thread until `look` is content.
fn until<T>(thread: &str, look: impl Fn(Result<&Dump, &Silence>) -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        let all = inspect::blocking_dumps(Duration::from_millis(50));
        let own = all.iter().find(|one| one.thread() == thread);
        if let Some(found) = own.and_then(|own| look(own.answer())) {
            return found;
        }
        assert!(start.elapsed() < BOUND, "{all:?}");
    }
}

#[test]
fn a_runtime_whose_tasks_all_wait_answers_another_thread() {
    for kind in KINDS {
        let (tell, told) = oneshot_across();
        let waiting = thread::Builder::new().name("standing still".to_owned());
        let waiting = waiting.spawn(move || {
            runtime(kind).block_on(async {
                let mutex = Rc::new(Mutex::new(()));
                let other = Rc::clone(&mutex);
                let guard = mutex.lock().await;
                let second = async move { drop(other.lock().await) };
                drop(named("second", second));
                let _ = told.await;
                drop(guard);
            });
        });
        let waits = until("standing still", |answer| {
            let dump = answer.ok()?;
            let _second = dump.tasks().get(1)?;
            // Before its first poll it is ready.
            Some(waits(dump, "second")).filter(|it| !it.is_empty())
        });
        assert_eq!(waits, "a `Mutex`");
        drop(tell);
        waiting.unwrap().join().unwrap();
    }
}

fn oneshot_across() -> (
    annulus::sync::remote::oneshot::Sender<()>,
    annulus::sync::remote::oneshot::Receiver<()>,
) {
    annulus::sync::remote::oneshot::channel()
}

#[test]
fn a_thread_that_is_stuck_is_named_with_its_system_call() {
    let lock = Arc::new(StdMutex::new(()));
    let guard = lock.lock().unwrap();
    let own = Arc::clone(&lock);
    let stuck = thread::Builder::new().name("stuck in a lock".to_owned());
    let stuck = stuck.spawn(move || {
        annulus::run(async move {
            time::sleep(Duration::from_millis(1)).await;
            drop(own.lock());
        });
    });
    let call = until("stuck in a lock", |answer| match answer {
        Err(Silence::Stuck { system_call }) => Some(system_call.clone()),
        _ => None,
    });
    if std::fs::read_to_string("/proc/thread-self/syscall").is_ok() {
        // It may have been on its way into or out of the call.
        println!("in {call:?}");
    }
    drop(guard);
    stuck.unwrap().join().unwrap();
}

#[test]
fn a_runtime_outside_of_its_calls_is_silent_and_one_that_has_ended_is_gone() {
    let thread = thread::Builder::new().name("outside".to_owned());
    let (go, gone) = std_mpsc::channel::<()>();
    let thread = thread.spawn(move || {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {});
        let _ = gone.recv();
    });
    let silence = until("outside", |answer| answer.err().cloned());
    assert_eq!(silence, Silence::Outside);
    drop(go);
    thread.unwrap().join().unwrap();
    let all = inspect::blocking_stats(Duration::ZERO);
    assert!(all.iter().all(|one| one.thread() != "outside"));
}

#[test]
fn a_question_inside_of_a_runtime_reaches_this_one_too() {
    Runtime::new().unwrap().block_on(guarded(async {
        let own = thread::current().name().unwrap().to_owned();
        let start = Instant::now();
        loop {
            let all = inspect::stats(Duration::from_millis(50)).await;
            let own = all.iter().find(|one| one.thread() == own);
            if own.unwrap().answer().is_ok() {
                return;
            }
            assert!(start.elapsed() < BOUND);
        }
    }));
}

#[test]
#[should_panic = "inside a runtime"]
fn a_blocking_question_inside_of_a_runtime_panics() {
    annulus::run(async { drop(inspect::blocking_stats(Duration::from_secs(1))) });
}
