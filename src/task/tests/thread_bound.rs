use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    thread,
};

use super::*;

fn elsewhere<R: Send>(call: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(call).join().unwrap())
}

/// The text of the panic of `call` on another thread, which is named `stranger`.
fn panic_elsewhere(call: impl FnOnce() + Send) -> String {
    thread::scope(|scope| {
        let stranger = thread::Builder::new().name("stranger".into());
        let panic = stranger.spawn_scoped(scope, call).unwrap().join();
        *panic.unwrap_err().downcast::<String>().unwrap()
    })
}

const fn is_send_and_sync<T: Send + Sync + Unpin>() {}
const _: () = is_send_and_sync::<ThreadBound<(Rc<()>, std::marker::PhantomPinned)>>();

#[test]
fn the_value_is_used_on_its_thread_as_ever() {
    let mut bound = ThreadBound::new(Rc::new(1));
    assert!(bound.is_here());
    assert_eq!(**bound.get(), 1);
    *Rc::get_mut(bound.get_mut()).unwrap() = 2;
    assert_eq!(bound.try_get().map(|value| **value), Some(2));
    assert_eq!(format!("{bound:?}"), "ThreadBound(2)");
    assert_eq!(Rc::strong_count(&bound.into_inner()), 1);
}

#[test]
fn each_use_on_another_thread_panics_with_what_to_do() {
    let mut bound = ThreadBound::new(std::cell::Cell::new(1));
    elsewhere(|| {
        assert!(!bound.is_here());
        assert!(bound.try_get().is_none());
        assert_eq!(format!("{bound:?}"), "ThreadBound(<on another thread>)");
    });
    let text = panic_elsewhere(|| _ = bound.get());
    assert!(
        text.contains("Cell<i32>` was used on the thread `stranger`"),
        "{text}"
    );
    assert!(text.contains("`annulus::spawn`"), "{text}");
    assert_eq!(panic_elsewhere(|| _ = bound.get_mut()), text);
    let future = ThreadBound::pin(async {});
    let text = panic_elsewhere(move || _ = poll_once(&mut { future }));
    assert!(text.contains("stranger"), "{text}");
    let bound = &mut bound;
    bound.get_mut().set(2);
    assert_eq!(bound.get().get(), 2);
}

#[test]
fn a_future_is_polled_where_it_is_pinned() {
    let (tasks, unpark) = new_tasks();
    let shared = Rc::new(5);
    let bound = ThreadBound::pin(async move {
        let borrowed = &shared; // so it must not move
        yield_now().await;
        **borrowed
    });
    let entered = tasks.enter();
    let mut handle = spawn(async { Box::pin(bound).await });
    assert_eq!(block_on(&tasks, &unpark, &mut handle).unwrap(), 5);
    drop(entered);
}

#[test]
fn dropped_elsewhere_the_value_comes_home_and_wakes_the_runtime() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    let drops = Drops::default();
    let values: Vec<_> = (0..3).map(|_| ThreadBound::new(drops.token())).collect();
    run_all(&tasks);
    assert!(tasks.prepare_park());
    let other = thread::spawn(move || drop(values));
    while drops.count() < 3 {
        unpark.sleep();
        tasks.unparked();
        run_all(&tasks);
        if drops.count() < 3 {
            assert!(tasks.prepare_park(), "all is done that was ready");
        }
    }
    other.join().unwrap();
    assert!(unpark.calls() >= 1);
    let bound = ThreadBound::new(drops.token());
    drop(bound);
    assert_eq!(drops.count(), 4, "here it is dropped at once");
}

#[test]
fn into_inner_elsewhere_panics_and_the_value_comes_home() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let drops = Drops::default();
    let bound = ThreadBound::new(drops.token());
    panic_elsewhere(move || _ = bound.into_inner());
    assert_eq!(drops.count(), 0);
    run_all(&tasks);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_pinned_future_that_is_dropped_elsewhere_stays_where_it_is_and_is_dropped_at_home() {
    struct SamePlace(Cell<*const SamePlace>, Drops);
    impl Drop for SamePlace {
        fn drop(&mut self) {
            assert!(std::ptr::eq(self.0.get(), self), "it has moved");
            self.1.0.set(self.1.count() + 1);
        }
    }
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let drops = Drops::default();
    let inside = SamePlace(Cell::new(std::ptr::null()), drops.clone());
    let mut bound = ThreadBound::pin(async move {
        inside.0.set(&raw const inside);
        std::future::pending::<()>().await;
        drop(inside);
    });
    assert!(poll_once(&mut bound).is_pending());
    elsewhere(move || drop(bound));
    run_all(&tasks);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_destructor_that_panics_at_home_costs_the_others_nothing() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let drops = Drops::default();
    let bad = ThreadBound::new(OnDrop(|| panic!("a destructor")));
    let good = ThreadBound::new(drops.token());
    elsewhere(move || drop((bad, good)));
    run_all(&tasks);
    assert_eq!(drops.count(), 1);
    let later = ThreadBound::new(drops.token());
    elsewhere(move || drop(later));
    run_all(&tasks);
    assert_eq!(drops.count(), 2);
    assert_eq!(tasks.counters().panicked, 0);
}

#[test]
fn a_value_that_comes_home_may_bind_and_drop_others() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let drops = Drops::default();
    let token = drops.token();
    let mut inner = Some(ThreadBound::new(token));
    let outer = ThreadBound::new(OnDrop(move || {
        let inner = inner.take().unwrap();
        elsewhere(move || drop(inner));
    }));
    elsewhere(move || drop(outer));
    run_all(&tasks);
    assert_eq!(drops.count(), 1);
}

#[test]
fn what_has_come_home_is_dropped_when_the_runtime_ends_and_what_comes_later_is_leaked() {
    let (tasks, _unpark) = new_tasks();
    let entered = tasks.enter();
    let drops = Drops::default();
    let [in_time, late, here] = std::array::from_fn(|_| ThreadBound::new(drops.token()));
    drop(entered);
    elsewhere(move || drop(in_time));
    assert_eq!(drops.count(), 0);
    drop(tasks);
    assert_eq!(drops.count(), 1);
    elsewhere(move || drop(late));
    assert_eq!(drops.count(), 1);
    drop(here);
    assert_eq!(drops.count(), 2, "on its thread it is dropped all the same");
}

#[test]
fn outside_of_a_runtime_a_value_that_is_dropped_elsewhere_is_leaked() {
    let drops = Drops::default();
    let bound = ThreadBound::new(drops.token());
    elsewhere(move || drop(bound));
    assert_eq!(drops.count(), 0);
    let here = ThreadBound::new(drops.token());
    drop(here);
    assert_eq!(drops.count(), 1);
}

#[test]
fn bound_while_the_runtime_ends_it_is_dropped_here_and_leaked_elsewhere() {
    let (tasks, _unpark) = new_tasks();
    let entered = tasks.enter();
    let drops = Drops::default();
    let for_destructor = drops.clone();
    let bind = OnDrop(move || {
        drop(ThreadBound::new(for_destructor.token()));
        let bound = ThreadBound::new(for_destructor.token());
        elsewhere(move || drop(bound));
    });
    spawn(async move {
        let _bind = bind;
        std::future::pending::<()>().await;
    });
    run_all(&tasks);
    drop(entered);
    drop(tasks);
    assert_eq!(drops.count(), 1);
}

#[test]
fn the_last_reference_to_a_home_may_end_on_another_thread() {
    let (tasks, _unpark) = new_tasks();
    let entered = tasks.enter();
    let drops = Drops::default();
    let [first, last] = std::array::from_fn(|_| ThreadBound::new(drops.token()));
    drop(entered);
    // A runtime that is forgotten leaves its home open.
    std::mem::forget(tasks);
    elsewhere(move || drop((first, last)));
    assert_eq!(drops.count(), 0);
}

#[test]
fn a_panic_of_the_destructor_here_is_the_caller_s() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let bound = ThreadBound::new(OnDrop(|| panic!("a destructor")));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(bound))).is_err());
    let mut after = pin!(ThreadBound::pin(async { 1 }));
    assert_eq!(poll_once(&mut after), Poll::Ready(1));
}
