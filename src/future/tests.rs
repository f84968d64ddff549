use std::{
    cell::Cell,
    future::{Future, pending, poll_fn, ready},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use super::*;

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Ready at the poll after `pending_count` others. Counts its polls and shares the count.
fn after(pending_count: u32, polls: &Rc<Cell<u32>>) -> impl Future<Output = u32> + use<> {
    let polls = polls.clone();
    poll_fn(move |_| {
        polls.set(polls.get() + 1);
        if polls.get() > pending_count {
            Poll::Ready(polls.get())
        } else {
            Poll::Pending
        }
    })
}

#[test]
fn race_prefers_the_first_and_does_not_poll_the_second_then() {
    let polls = Rc::new(Cell::new(0));
    let mut race = pin!(race(ready(1), after(0, &polls)));
    assert_eq!(poll_once(&mut race), Poll::Ready(Either::Left(1)));
    assert_eq!(polls.get(), 0);
}

#[test]
fn race_drops_the_loser_with_itself() {
    let polls = Rc::new(Cell::new(0));
    let loser = after(9, &polls);
    {
        let mut race = pin!(race(loser, ready("right")));
        assert_eq!(poll_once(&mut race), Poll::Ready(Either::Right("right")));
        assert_eq!(Rc::strong_count(&polls), 2);
    }
    assert_eq!(Rc::strong_count(&polls), 1);
}

#[test]
fn race_waits_while_neither_is_ready() {
    let polls = Rc::new(Cell::new(0));
    let mut race = pin!(race(pending::<()>(), after(1, &polls)));
    assert_eq!(poll_once(&mut race), Poll::Pending);
    assert_eq!(poll_once(&mut race), Poll::Ready(Either::Right(2)));
}

#[test]
fn either_gives_up_its_side() {
    assert_eq!(Either::<_, u32>::Left(1).into_inner(), 1);
    assert_eq!(Either::<u32, _>::Right(2).into_inner(), 2);
}

#[test]
fn join_returns_both_and_polls_none_that_is_ready() {
    let (left, right) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let mut join = pin!(join(after(0, &left), after(2, &right)));
    assert_eq!(poll_once(&mut join), Poll::Pending);
    assert_eq!(
        Rc::strong_count(&left),
        1,
        "a future that is ready is dropped"
    );
    assert_eq!(poll_once(&mut join), Poll::Pending);
    assert_eq!(poll_once(&mut join), Poll::Ready((1, 3)));
    assert_eq!((left.get(), right.get()), (1, 3));
}

#[test]
fn join_drops_what_it_has_when_it_is_dropped() {
    let output = Rc::new(());
    {
        let mut join = pin!(join(ready(output.clone()), pending::<()>()));
        assert_eq!(poll_once(&mut join), Poll::Pending);
        assert_eq!(Rc::strong_count(&output), 2);
    }
    assert_eq!(Rc::strong_count(&output), 1);
}

#[test]
#[should_panic(expected = "polled after it was ready")]
fn join_panics_when_polled_after_it_was_ready() {
    let mut join = pin!(join(ready(1), ready(2)));
    assert_eq!(poll_once(&mut join), Poll::Ready((1, 2)));
    let _polled = poll_once(&mut join);
}
