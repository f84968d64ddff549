use std::{sync::mpsc, thread};

use super::*;

/// Polls a task once and returns its waker.
fn waker_of_a_task(tasks: &Tasks) -> (JoinHandle<()>, Waker) {
    let slot = Rc::new(RefCell::new(None));
    let handle = spawn(wait_and_show(slot.clone()));
    run_all(tasks);
    let waker = slot.borrow().clone().unwrap();
    (handle, waker)
}

#[test]
fn a_wake_from_another_thread_ends_the_sleep() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    let (sender, receiver) = mpsc::channel::<Waker>();
    let waking = thread::spawn(move || receiver.into_iter().for_each(Waker::wake));
    let mut rounds = 0;
    let waited = spawn(poll_fn(move |cx| {
        rounds += 1;
        if rounds > 1000 {
            return Poll::Ready(());
        }
        sender.send(cx.waker().clone()).unwrap();
        Poll::Pending
    }));
    block_on(&tasks, &unpark, waited).unwrap();
    waking.join().unwrap();
    assert!(unpark.calls() <= 1000);
}

#[test]
fn a_wake_of_the_root_from_another_thread_ends_the_sleep() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    let (sender, receiver) = mpsc::channel::<Waker>();
    let waking = thread::spawn(move || receiver.into_iter().for_each(|waker| waker.wake_by_ref()));
    let mut rounds = 0;
    block_on(
        &tasks,
        &unpark,
        poll_fn(move |cx| {
            rounds += 1;
            if rounds > 1000 {
                return Poll::Ready(());
            }
            sender.send(cx.waker().clone()).unwrap();
            Poll::Pending
        }),
    );
    waking.join().unwrap();
}

#[test]
fn wakers_that_are_dropped_elsewhere_end_no_sleep_after_the_first_wake_from_there() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    let (handle, waker) = waker_of_a_task(&tasks);
    let elsewhere = |call: fn(Waker)| {
        let clones: Vec<_> = (0..100).map(|_| waker.clone()).collect();
        thread::spawn(move || clones.into_iter().for_each(call))
            .join()
            .unwrap();
    };
    elsewhere(Waker::wake);
    run_all(&tasks);
    assert!(tasks.prepare_park());
    elsewhere(drop);
    assert_eq!(unpark.calls(), 0);
    elsewhere(Waker::wake);
    assert_eq!(unpark.calls(), 1);
    tasks.unparked();
    handle.abort();
    run_all(&tasks);
    assert!(handle.is_finished());
}

#[test]
fn many_wakes_end_a_sleep_once() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    let wakers: Vec<_> = (0..4).map(|_| waker_of_a_task(&tasks).1).collect();
    let wake_all = |wakers: Vec<Waker>| {
        thread::spawn(move || wakers.iter().for_each(Waker::wake_by_ref))
            .join()
            .unwrap();
    };
    // Awake: no thread has to be woken.
    wake_all(wakers.clone());
    assert_eq!(unpark.calls(), 0);
    assert!(!tasks.prepare_park());
    tasks.poll_inbox();
    assert!(!tasks.prepare_park());
    assert_eq!(tasks.run(100), 4);
    // Asleep: the first one tells.
    assert!(tasks.prepare_park());
    wake_all(wakers.clone());
    assert_eq!(unpark.calls(), 1);
    unpark.sleep();
    tasks.unparked();
    assert_eq!(tasks.run(100), 4);
    // Awake again, for another reason than a wake.
    assert!(tasks.prepare_park());
    tasks.unparked();
    wake_all(wakers);
    assert_eq!(unpark.calls(), 1);
    tasks.poll_inbox();
    assert_eq!(tasks.run(100), 4);
}

#[test]
fn wakes_from_another_thread_arrive_in_their_order() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let order = Rc::new(RefCell::new(Vec::new()));
    let mut wakers = Vec::new();
    for number in 0..5 {
        let slot = Rc::new(RefCell::new(None::<Waker>));
        let (shown, order) = (slot.clone(), order.clone());
        spawn(poll_fn::<(), _>(move |cx| {
            shown.replace(Some(cx.waker().clone()));
            order.borrow_mut().push(number);
            Poll::Pending
        }));
        run_all(&tasks);
        wakers.push(slot.take().unwrap());
    }
    order.borrow_mut().clear();
    thread::spawn(move || wakers.into_iter().rev().for_each(Waker::wake))
        .join()
        .unwrap();
    run_all(&tasks);
    assert_eq!(*order.borrow(), [4, 3, 2, 1, 0]);
}

#[test]
fn wakers_are_cloned_here_and_dropped_there() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let (handle, waker) = waker_of_a_task(&tasks);
    // More drops there than clones there, and the other way round.
    let clones: Vec<_> = (0..100).map(|_| waker.clone()).collect();
    thread::spawn(move || drop(clones)).join().unwrap();
    tasks.poll_inbox();
    let clones = thread::scope(|scope| {
        let there = scope.spawn(|| (0..100).map(|_| waker.clone()).collect::<Vec<_>>());
        there.join().unwrap()
    });
    drop(clones);
    handle.abort();
    run_all(&tasks);
    assert!(handle.is_finished());
    drop(handle);
    // The task is finished and its memory is kept by this one, which ends there.
    thread::spawn(move || {
        let other = waker.clone();
        waker.wake();
        drop(other);
    })
    .join()
    .unwrap();
}

#[test]
fn a_waker_whose_owner_ended_does_nothing() {
    let (tasks, unpark) = new_tasks();
    let (kept_here, kept_there) = {
        let _entered = tasks.enter();
        let (_handle, waker) = waker_of_a_task(&tasks);
        let (other_handle, other) = waker_of_a_task(&tasks);
        other_handle.abort();
        run_all(&tasks);
        ([waker.clone(), other.clone()], [waker, other])
    };
    let root = tasks.root_waker();
    drop(tasks);
    for waker in kept_here {
        waker.wake_by_ref();
        clone_and_wake(&waker);
    }
    thread::spawn(move || {
        for waker in kept_there {
            waker.wake_by_ref();
            clone_and_wake(&waker);
        }
        clone_and_wake(&root);
        root.wake_by_ref();
    })
    .join()
    .unwrap();
    assert_eq!(unpark.calls(), 0);
    assert_eq!(Arc::strong_count(&unpark), 1);
}

#[test]
fn threads_that_use_wakers_while_the_runtime_ends_do_no_harm() {
    for round in 0..200 {
        let (tasks, _unpark) = new_tasks();
        let entered = tasks.enter();
        let wakers: Vec<_> = (0..8).map(|_| waker_of_a_task(&tasks).1).collect();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let wakers = wakers.clone();
                thread::spawn(move || {
                    for waker in wakers.iter().cycle().take(round) {
                        waker.wake_by_ref();
                        clone_and_wake(waker);
                        drop(waker.clone());
                    }
                })
            })
            .collect();
        drop(wakers);
        for _ in 0..round / 2 {
            run_all(&tasks);
        }
        drop(entered);
        drop(tasks);
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn a_waker_that_is_sent_round_the_threads_keeps_its_count() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    let (to_thread, from_here) = mpsc::channel::<Vec<Waker>>();
    let (to_here, from_thread) = mpsc::channel::<Vec<Waker>>();
    let thread = thread::spawn(move || {
        for mut wakers in from_here {
            wakers.extend(wakers.clone());
            wakers.truncate(11);
            wakers[0].wake_by_ref();
            if to_here.send(wakers).is_err() {
                break;
            }
        }
    });
    for _ in 0..200 {
        let (handle, waker) = waker_of_a_task(&tasks);
        let mut wakers = vec![waker];
        for _ in 0..4 {
            to_thread.send(wakers).unwrap();
            wakers = from_thread.recv().unwrap();
            wakers.extend(wakers.clone());
            wakers.truncate(17);
            run_all(&tasks);
        }
        to_thread.send(wakers).unwrap();
        handle.abort();
        drop(handle);
        run_all(&tasks);
        wakers = from_thread.recv().unwrap();
        wakers.extend(wakers.clone());
    }
    drop(to_thread);
    thread.join().unwrap();
    run_all(&tasks);
    drop(_entered);
    drop(tasks);
    assert_eq!(Arc::strong_count(&unpark), 1);
}

#[test]
fn a_waker_whose_drop_spawns_and_drops_others_does_no_harm() {
    struct Busy(Mutex<Option<Waker>>);
    impl Busy {
        fn act(&self) {
            let waker = self.0.lock().unwrap().take();
            drop(waker);
            for _ in 0..10 {
                spawn(async { spawn(yield_now()).abort() });
            }
        }
    }
    impl Wake for Busy {
        fn wake(self: Arc<Self>) {
            self.act();
        }
    }
    impl Drop for Busy {
        fn drop(&mut self) {
            self.act();
        }
    }

    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let mut handles: Vec<_> = (0..4).map(|_| spawn(yield_now())).collect();
    for handle in &mut handles {
        for _ in 0..2 {
            let (_handle, other) = waker_of_a_task(&tasks);
            let waker = Waker::from(Arc::new(Busy(Mutex::new(Some(other)))));
            // The second one replaces the first, which is dropped in `poll`.
            let _ = Pin::new(&mut *handle).poll(&mut Context::from_waker(&waker));
            if handle.is_finished() {
                break;
            }
        }
    }
    handles.truncate(2);
    run_all(&tasks);
    drop(handles);
    run_all(&tasks);
    tasks.shutdown();
}

#[test]
fn wakers_are_woken_together_in_their_order() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let order = Rc::new(RefCell::new(Vec::new()));
    let mut wakers = Vec::new();
    let mut handles = Vec::new();
    // Fewer and more than are looked at ahead, and one that is no task's among them.
    for number in 0..9 {
        let slot = Rc::new(RefCell::new(None));
        let (shown, order) = (slot.clone(), order.clone());
        let mut is_woken = false;
        handles.push(spawn(poll_fn(move |cx| {
            if std::mem::replace(&mut is_woken, true) {
                order.borrow_mut().push(number);
                return Poll::Ready(());
            }
            shown.replace(Some(cx.waker().clone()));
            Poll::Pending
        })));
        run_all(&tasks);
        wakers.push(slot.borrow().clone().unwrap());
    }
    wakers.insert(5, Waker::noop().clone());
    super::super::wake_all(&mut wakers);
    assert!(wakers.is_empty());
    run_all(&tasks);
    assert_eq!(*order.borrow(), (0..9).collect::<Vec<_>>());
}
