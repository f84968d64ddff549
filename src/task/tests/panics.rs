use std::{env, io, os::unix::process::ExitStatusExt, panic::resume_unwind, process::Command};

use super::*;

/// Panics without a word from the panic hook.
fn quiet_panic(message: &'static str) -> ! {
    resume_unwind(Box::new(message))
}

fn message_of(error: JoinError) -> &'static str {
    assert!(error.is_panic() && !error.is_cancelled());
    error.into_panic().downcast_ref::<&'static str>().unwrap()
}

fn join<T>(handle: &mut JoinHandle<T>) -> Result<T, JoinError> {
    match poll_once(handle) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the task is not finished"),
    }
}

#[test]
fn a_panic_goes_to_the_handle_and_nowhere_else() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let mut panicking = spawn(async {
        yield_now().await;
        quiet_panic("in poll")
    });
    let mut other = spawn(async { 3 });
    run_all(&tasks);
    assert_eq!(
        message_of(join::<()>(&mut panicking).unwrap_err()),
        "in poll"
    );
    assert_eq!(join(&mut other).unwrap(), 3);
}

#[test]
fn a_panic_of_the_futures_drop_after_its_output_goes_to_the_handle() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let drops = Drops::default();
    let mut token = Some(drops.token());
    let on_drop = OnDrop(|| quiet_panic("in drop"));
    let mut handle = spawn(poll_fn(move |_| {
        let _captured = &on_drop;
        Poll::Ready(token.take())
    }));
    run_all(&tasks);
    assert_eq!(
        message_of(join(&mut handle).map(drop).unwrap_err()),
        "in drop"
    );
    assert_eq!(drops.count(), 1);
}

#[test]
fn of_two_panics_the_first_goes_to_the_handle() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let on_drop = OnDrop(|| quiet_panic("in drop"));
    let mut handle = spawn(poll_fn::<(), _>(move |_| {
        let _captured = &on_drop;
        quiet_panic("in poll")
    }));
    run_all(&tasks);
    assert_eq!(message_of(join(&mut handle).unwrap_err()), "in poll");
    assert_eq!(tasks.counters().panicked, 1);
}

#[test]
fn a_panic_of_an_aborted_futures_drop_goes_to_the_handle() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let on_drop = OnDrop(|| quiet_panic("in drop"));
    let mut handle = spawn(async move {
        let _on_drop = on_drop;
        std::future::pending::<()>().await;
    });
    run_all(&tasks);
    handle.abort();
    run_all(&tasks);
    assert_eq!(message_of(join(&mut handle).unwrap_err()), "in drop");
}

#[test]
fn a_panic_of_a_detached_output_stops_no_other_task() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    drop(spawn(async { OnDrop(|| quiet_panic("in the output")) }));
    let mut other = spawn(async { 3 });
    run_all(&tasks);
    assert_eq!(join(&mut other).unwrap(), 3);
}

#[test]
fn a_payload_whose_drop_panics_for_ever_does_no_harm() {
    struct Hydra; // without a size, as its last head is leaked
    impl Drop for Hydra {
        fn drop(&mut self) {
            resume_unwind(Box::new(Hydra));
        }
    }

    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    drop(spawn(async { resume_unwind(Box::new(Hydra)) }));
    let mut other = spawn(async { 3 });
    run_all(&tasks);
    assert_eq!(join(&mut other).unwrap(), 3);
}

#[test]
fn a_join_waker_that_panics_does_no_harm() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let mut handle = spawn(yield_now());
    let waker = Waker::from(Arc::new(CallOnWake(|| quiet_panic("in wake"))));
    assert!(
        Pin::new(&mut handle)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    run_all(&tasks);
    join(&mut handle).unwrap();
}

#[test]
fn the_hook_sees_the_panics_of_detached_tasks_only() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let seen_by_hook = seen.clone();
    tasks.set_task_panic_hook(move |panic| {
        assert!(panic.location().file().ends_with("panics.rs"));
        assert!(panic.payload().is::<&'static str>());
        let name = panic.name().map(String::from);
        seen_by_hook
            .borrow_mut()
            .push((name, panic.message().map(String::from)));
        // The hook may do what a task may do, and its own panic is ignored.
        spawn(async {});
        quiet_panic("in the hook");
    });

    drop(
        Builder::new()
            .name("early")
            .spawn(async { quiet_panic("detached before") }),
    );
    run_all(&tasks);
    let late = Builder::new()
        .name("late")
        .spawn(async { quiet_panic("detached after") });
    run_all(&tasks);
    assert_eq!(seen.borrow().len(), 1);
    drop::<JoinHandle<()>>(late);
    let mut joined = spawn(async { quiet_panic("joined") });
    run_all(&tasks);
    join::<()>(&mut joined).unwrap_err();
    drop(joined);
    tasks
        .system_spawner()
        .spawn(async { quiet_panic("system") });
    run_all(&tasks);

    let expected = [
        (Some("early"), Some("detached before")),
        (Some("late"), Some("detached after")),
        (None, Some("system")),
    ];
    let expected =
        expected.map(|(name, message)| (name.map(String::from), message.map(String::from)));
    assert_eq!(*seen.borrow(), expected);
    assert_eq!(tasks.counters().panicked, 4);
}

#[test]
fn the_abort_policy_aborts_the_process() {
    const CHILD: &str = "ANNULUS_TEST_ABORTS";
    const SIGABRT: i32 = 6;
    if env::var_os(CHILD).is_none() {
        let this_test = concat!(module_path!(), "::the_abort_policy_aborts_the_process");
        let (_crate, this_test) = this_test.split_once("::").unwrap();
        let mut child = Command::new(env::current_exe().unwrap());
        let output = child
            .args([this_test, "--exact"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(SIGABRT), "{output:?}");
        return;
    }
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    tasks.set_on_task_panic(OnTaskPanic::Abort);
    let mut joined = spawn(async { quiet_panic("joined") });
    run_all(&tasks);
    join::<()>(&mut joined).unwrap_err();
    drop(joined);
    drop(spawn(async { quiet_panic("detached") }));
    run_all(&tasks);
}

#[test]
fn a_join_error_tells_what_happened() {
    let cancelled = JoinError::cancelled();
    assert!(cancelled.is_cancelled() && !cancelled.is_panic());
    assert_eq!(cancelled.to_string(), "the task was cancelled");
    assert_eq!(format!("{cancelled:?}"), "the task was cancelled");
    assert!(cancelled.try_into_panic().unwrap_err().is_cancelled());

    let panicked = JoinError::panicked(Box::new("why"));
    assert_eq!(panicked.to_string(), "the task panicked: why");
    assert_eq!(format!("{panicked:?}"), "the task panicked: why");
    let panicked = JoinError::panicked(Box::new(String::from("formatted")));
    assert_eq!(panicked.to_string(), "the task panicked: formatted");
    let panicked = JoinError::panicked(Box::new(7_u8));
    assert_eq!(panicked.to_string(), "the task panicked");
    assert_eq!(*panicked.into_panic().downcast::<u8>().unwrap(), 7);

    let error = io::Error::from(JoinError::cancelled());
    assert_eq!(error.kind(), io::ErrorKind::Other);
    assert!(error.get_ref().unwrap().is::<JoinError>());
}

#[test]
#[should_panic(expected = "the task was cancelled, it did not panic")]
fn a_cancelled_task_has_no_panic() {
    JoinError::cancelled().into_panic();
}

#[test]
fn a_join_error_can_be_sent_and_shared() {
    fn is<T: Send + Sync + 'static>() {}
    is::<JoinError>();
}
