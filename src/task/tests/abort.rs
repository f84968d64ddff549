use super::*;

fn is_cancelled<T>(handle: &mut JoinHandle<T>) -> bool {
    matches!(poll_once(handle), Poll::Ready(Err(error)) if error.is_cancelled())
}

#[test]
fn abort_before_the_first_poll_never_polls() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let drops = Drops::default();
    let token = drops.token();
    let mut handle = spawn(async move {
        let _token = token;
        unreachable!("it was aborted before its first turn");
    });
    handle.abort();
    handle.abort();
    assert!(!handle.is_finished());
    run_all(&tasks);
    assert!(handle.is_finished());
    assert_eq!(drops.count(), 1);
    assert!(is_cancelled::<()>(&mut handle));
    assert_eq!(tasks.counters().polled, 0);
}

#[test]
fn abort_while_waiting_drops_the_future_at_the_next_turn() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let drops = Drops::default();
    let token = drops.token();
    let mut handle = spawn(async move {
        let _token = token;
        std::future::pending::<()>().await;
    });
    run_all(&tasks);
    handle.abort_handle().abort();
    assert_eq!(drops.count(), 0);
    run_all(&tasks);
    assert_eq!(drops.count(), 1);
    assert!(is_cancelled(&mut handle));
}

#[test]
fn abort_while_running_ends_at_the_next_wait() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let slot = Rc::new(RefCell::new(None::<AbortHandle>));
    let own = slot.clone();
    let steps = Rc::new(Cell::new(0));
    let seen = steps.clone();
    let mut handle = spawn(async move {
        own.borrow().as_ref().unwrap().abort();
        seen.set(1);
        yield_now().await;
        seen.set(2);
    });
    slot.replace(Some(handle.abort_handle()));
    run_all(&tasks);
    assert_eq!(steps.get(), 1);
    assert!(is_cancelled(&mut handle));
    assert_eq!(tasks.counters().polled, 1);
}

#[test]
fn a_task_that_aborts_itself_and_ends_keeps_its_output() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let slot = Rc::new(RefCell::new(None::<AbortHandle>));
    let own = slot.clone();
    let mut handle = spawn(async move {
        own.borrow().as_ref().unwrap().abort();
        5
    });
    slot.replace(Some(handle.abort_handle()));
    run_all(&tasks);
    assert!(matches!(poll_once(&mut handle), Poll::Ready(Ok(5))));
}

#[test]
fn abort_after_the_end_changes_nothing() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let mut handle = spawn(async { 5 });
    run_all(&tasks);
    handle.abort();
    run_all(&tasks);
    assert!(matches!(poll_once(&mut handle), Poll::Ready(Ok(5))));
}

#[test]
fn abort_outside_the_runtime_goes_through_the_inbox() {
    let (tasks, unpark) = new_tasks();
    let mut handle = {
        let _entered = tasks.enter();
        let handle = spawn(std::future::pending::<()>());
        run_all(&tasks);
        handle
    };
    handle.abort();
    assert!(!tasks.has_ready());
    let _entered = tasks.enter();
    assert!(!tasks.prepare_park());
    run_all(&tasks);
    assert!(is_cancelled(&mut handle));
    assert_eq!(unpark.calls(), 0);
}

#[test]
fn abort_handles_outlive_the_runtime() {
    let (tasks, _unpark) = new_tasks();
    let handle = {
        let _entered = tasks.enter();
        spawn(std::future::pending::<()>()).abort_handle()
    };
    drop(tasks);
    handle.abort();
    assert!(handle.clone().is_finished());
}

#[test]
fn tasks_that_abort_each_other_while_they_are_dropped_all_end() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let handles = Rc::new(RefCell::new(Vec::<JoinHandle<()>>::new()));
    for _ in 0..5 {
        let others = handles.clone();
        let on_drop = OnDrop(move || {
            for handle in others.borrow().iter() {
                handle.abort();
            }
        });
        let handle = spawn(async move {
            let _on_drop = on_drop;
            std::future::pending().await
        });
        handles.borrow_mut().push(handle);
    }
    run_all(&tasks);
    handles.borrow()[2].abort();
    run_all(&tasks);
    assert!(handles.borrow().iter().all(JoinHandle::is_finished));
    handles.borrow_mut().clear();
}
