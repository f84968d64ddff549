use super::*;

#[test]
fn a_handle_returns_the_output() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    let output = block_on(&tasks, &unpark, async {
        let doubled = spawn(async { spawn(async { 21 }).await.unwrap() * 2 });
        doubled.await.unwrap()
    });
    assert_eq!(output, 42);
}

#[test]
fn outputs_and_futures_of_any_size_and_alignment_come_through() {
    #[repr(align(256))]
    struct Aligned(u8);

    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    block_on(&tasks, &unpark, async {
        spawn(async {}).await.unwrap();
        let large = [7_u8; 10_000];
        assert_eq!(spawn(async move { large }).await.unwrap(), [7; 10_000]);
        let aligned = Aligned(9);
        let aligned = spawn(async move {
            yield_now().await;
            assert_eq!((&raw const aligned).addr() % 256, 0);
            aligned
        });
        assert_eq!(aligned.await.unwrap().0, 9);
    });
}

#[test]
fn tasks_run_in_the_order_in_which_they_became_ready() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let order = Rc::new(RefCell::new(Vec::new()));
    for number in 0..3 {
        let order = order.clone();
        spawn(async move {
            for round in 0..3 {
                order.borrow_mut().push((round, number));
                yield_now().await;
            }
        });
    }
    run_all(&tasks);
    let expected: Vec<_> = (0..3)
        .flat_map(|round| (0..3).map(move |number| (round, number)))
        .collect();
    assert_eq!(*order.borrow(), expected);
}

#[test]
fn run_polls_no_more_than_its_budget() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    assert!(!tasks.has_ready());
    assert_eq!(tasks.run(10), 0);
    for _ in 0..5 {
        spawn(yield_now());
    }
    assert_eq!(tasks.run(0), 0);
    assert_eq!(tasks.run(3), 3);
    assert!(tasks.has_ready());
    assert_eq!(tasks.run(4), 4);
    assert_eq!(tasks.run(100), 3);
    assert!(!tasks.has_ready());
    assert_eq!(tasks.counters().polled, 10);
}

#[test]
fn a_task_is_polled_once_however_often_it_is_woken() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let waker = Rc::new(RefCell::new(None));
    spawn(wait_and_show(waker.clone()));
    run_all(&tasks);
    for _ in 0..3 {
        let waker: Waker = waker.borrow().clone().unwrap();
        waker.wake_by_ref();
        waker.wake();
    }
    assert_eq!(tasks.run(100), 1);
}

#[test]
fn a_dropped_handle_detaches() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let done = Rc::new(Cell::new(false));
    let flag = done.clone();
    drop(spawn(async move {
        yield_now().await;
        flag.set(true);
    }));
    run_all(&tasks);
    assert!(done.get());
}

#[test]
fn the_output_of_a_detached_task_is_dropped() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let drops = Drops::default();
    let token = drops.token();
    let handle = spawn(async move { token });
    run_all(&tasks);
    assert_eq!(drops.count(), 0);
    drop(handle);
    assert_eq!(drops.count(), 1);
    let token = drops.token();
    drop(spawn(async move { token }));
    run_all(&tasks);
    assert_eq!(drops.count(), 2);
}

#[test]
fn a_task_may_drop_its_own_handle() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let slot = Rc::new(RefCell::new(None));
    let own = slot.clone();
    let handle = spawn(async move {
        yield_now().await;
        drop(own.take());
        yield_now().await;
    });
    slot.replace(Some(handle));
    run_all(&tasks);
    assert!(slot.borrow().is_none());
    assert_eq!(tasks.counters().completed, 1);
}

#[test]
fn a_task_that_waits_for_itself_goes_away_with_the_runtime() {
    let (tasks, _unpark) = new_tasks();
    let entered = tasks.enter();
    let drops = Drops::default();
    let slot = Rc::new(RefCell::new(None::<JoinHandle<()>>));
    let (own, token) = (slot.clone(), drops.token());
    let handle = spawn(async move {
        let _token = token;
        let handle = own.take().unwrap();
        handle.await.unwrap();
    });
    slot.replace(Some(handle));
    run_all(&tasks);
    drop(entered);
    drop(tasks);
    assert_eq!(drops.count(), 1);
}

#[test]
fn the_future_is_dropped_before_the_handle_is_woken() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let drops = Drops::default();
    let token = drops.token();
    let mut handle = spawn(async move {
        let _token = token;
        yield_now().await;
    });
    let seen = Arc::new(AtomicUsize::new(0));
    let woken = seen.clone();
    let waker = Waker::from(Arc::new(CallOnWake(move || {
        woken.fetch_add(1, Ordering::SeqCst);
    })));
    assert!(
        Pin::new(&mut handle)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    run_all(&tasks);
    assert_eq!((drops.count(), seen.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn only_the_last_waker_of_a_handle_is_woken() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let mut handle = spawn(yield_now());
    let counts = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    for count in &counts {
        let count = count.clone();
        let waker = Waker::from(Arc::new(CallOnWake(move || {
            count.fetch_add(1, Ordering::SeqCst);
        })));
        assert!(
            Pin::new(&mut handle)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        assert!(
            Pin::new(&mut handle)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    run_all(&tasks);
    assert_eq!(counts.map(|count| count.load(Ordering::SeqCst)), [0, 1]);
}

#[test]
#[should_panic(expected = "polled after it returned")]
fn a_handle_that_returned_must_not_be_polled() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let mut handle = spawn(async {});
    run_all(&tasks);
    assert!(poll_once(&mut handle).is_ready());
    let _ = poll_once(&mut handle);
}

#[test]
#[should_panic(expected = "a task can only be spawned inside a runtime")]
fn spawning_outside_a_runtime_panics() {
    spawn(async {});
}

#[test]
fn a_system_task_of_a_runtime_that_is_gone_is_dropped() {
    let drops = Drops::default();
    let token = drops.token();
    let (tasks, _unpark) = new_tasks();
    let spawner = tasks.system_spawner();
    drop(tasks);
    spawner.spawn(async move { drop(token) });
    assert_eq!(drops.count(), 1);
}

#[test]
fn names_and_places_are_those_of_the_running_task() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    assert_eq!(name(), None);
    block_on(&tasks, &unpark, async {
        assert_eq!(name(), None);
        assert_eq!(location(), None);
        let task = async { (name(), location()) };
        let named = Builder::new().name("static");
        let (line, named) = (line!(), named.spawn(task));
        let (found, place) = named.await.unwrap();
        assert_eq!(found.as_deref(), Some("static"));
        let place = place.unwrap();
        assert_eq!((place.file(), place.line()), (file!(), line));
        let named = Builder::new()
            .name(format!("number {}", 7))
            .spawn(async { name() });
        assert_eq!(named.await.unwrap().as_deref(), Some("number 7"));
        assert_eq!(Builder::new().spawn(async { name() }).await.unwrap(), None);
        assert_eq!(spawn(async { name() }).await.unwrap(), None);
    });
}

#[test]
fn handles_tell_about_their_task() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let handle = Builder::new().name("shown").spawn(async {});
    let shown = format!("{handle:?} {:?}", handle.abort_handle());
    assert!(
        shown.contains("shown") && shown.contains("life.rs"),
        "{shown}"
    );
    assert!(shown.contains("is_finished: false"), "{shown}");
}

#[test]
fn counters_count() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    assert_eq!(tasks.counters(), TaskCounters::default());
    spawn(yield_now());
    spawn(async { panic!("expected") });
    let aborted = spawn(std::future::pending::<()>());
    run_all(&tasks);
    aborted.abort();
    run_all(&tasks);
    let counters = tasks.counters();
    assert_eq!((counters.spawned, counters.polled), (3, 4));
    assert_eq!((counters.completed, counters.panicked), (3, 1));
}

#[test]
fn runtimes_may_follow_and_enclose_each_other_on_a_thread() {
    let (first, first_unpark) = new_tasks();
    let (second, second_unpark) = new_tasks();
    let waker = Rc::new(RefCell::new(None));
    let handle;
    {
        let _entered = first.enter();
        spawn(wait_and_show(waker.clone()));
        handle = spawn(async { 1 });
        run_all(&first);
        {
            let _entered = second.enter();
            let inner = block_on(&second, &second_unpark, async { spawn(async { 2 }).await });
            assert_eq!(inner.unwrap(), 2);
            // The first one's waker and handle, while the second one is current.
            let waker = waker.borrow().clone().unwrap();
            waker.wake();
            assert!(!second.has_ready());
        }
        assert!(!first.has_ready());
        first.poll_inbox();
        assert!(first.has_ready());
        run_all(&first);
        assert_eq!(block_on(&first, &first_unpark, handle).unwrap(), 1);
    }
    let _entered = second.enter();
    waker.borrow().as_ref().unwrap().wake_by_ref();
    assert!(!second.has_ready());
    drop(first);
    waker.borrow().as_ref().unwrap().wake_by_ref();
    drop(waker);
    assert_eq!(second.run(100), 0);
}

#[test]
fn a_guard_keeps_its_tasks_when_the_runtime_is_gone() {
    let (tasks, _unpark) = new_tasks();
    let entered = tasks.enter();
    drop(tasks);
    let mut handle = spawn(async {});
    assert!(matches!(poll_once(&mut handle), Poll::Ready(Err(error)) if error.is_cancelled()));
    drop(entered);
    drop(handle);
}

#[test]
fn handles_stay_on_their_thread() {
    trait NotBoth<A> {
        fn check() {}
    }
    impl<T: ?Sized> NotBoth<()> for T {}
    impl<T: ?Sized + Send> NotBoth<Waker> for T {}

    // Whether these compile is the test: for a type that is `Send` the call would be ambiguous.
    <JoinHandle<()> as NotBoth<_>>::check();
    <JoinSet<()> as NotBoth<_>>::check();
    <AbortHandle as NotBoth<_>>::check();
    <Tasks as NotBoth<_>>::check();
    <crate::task::current::Entered as NotBoth<_>>::check();
    <IndexWakes as NotBoth<_>>::check();
}

#[test]
fn a_task_costs_at_most_96_bytes_besides_its_future() {
    assert!(size_of::<header::Header>() <= 96);
    assert_eq!(size_of::<JoinHandle<[u8; 100]>>(), size_of::<usize>());
    assert_eq!(size_of::<JoinError>(), size_of::<usize>());
}
