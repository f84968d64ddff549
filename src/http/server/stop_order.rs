//! Futures that order a stop.

use std::{any::Any, cell::RefCell, future::poll_fn, io, pin::Pin, rc::Rc};

use super::workers::{MakeOrder, Order};
use crate::signal::NextSignal;

/// The output of a future that orders a stop: nothing, or a `Result` that tells whether it could
/// wait at all, as the futures of [`signal`](crate::signal) give.
pub trait StopOrder {
    /// The order, or why it will never come.
    fn into_result(self) -> io::Result<()>;
}

impl StopOrder for () {
    fn into_result(self) -> io::Result<()> {
        Ok(())
    }
}

impl StopOrder for io::Result<()> {
    fn into_result(self) -> io::Result<()> {
        self
    }
}

/// The order that `future` is, and what makes another of a kind that can come again.
pub(super) fn of<F>(future: F) -> (Order, Option<MakeOrder>)
where
    F: Future<Output: StopOrder> + 'static,
{
    let mut future = Some(future);
    let signal = (&mut future as &mut dyn Any)
        .downcast_mut::<Option<NextSignal>>()
        .and_then(Option::take);
    if let Some(signal) = signal {
        // Both hear by one listener, which misses nothing between them.
        let signal = Rc::new(RefCell::new(signal));
        let again = Rc::clone(&signal);
        return (wait(signal), Some(Box::new(|| wait(again))));
    }
    let order = future.map(|future| async { future.await.into_result() });
    (Box::pin(order.expect("only a signal is taken")), None)
}

fn wait(signal: Rc<RefCell<NextSignal>>) -> Order {
    Box::pin(poll_fn(move |context| {
        Pin::new(&mut *signal.borrow_mut()).poll(context)
    }))
}
