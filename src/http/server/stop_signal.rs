//! Futures that stop a server.

use std::{any::Any, cell::RefCell, future::poll_fn, io, pin::Pin, rc::Rc};

use super::workers::{MakeStopSignal, StopSignal};
use crate::signal::NextSignal;

/// The signal that `future` is, and the maker of another one if its kind can come again.
///
/// Its output stops the server, whatever it is. An error of type `io::Error` says that it could not
/// wait at all, as that of a [`signal`](crate::signal) does, and is an error of the server.
pub(super) fn of<F>(future: F) -> (StopSignal, Option<MakeStopSignal>)
where
    F: Future<Output: 'static> + 'static,
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
    let future = future.expect("only a signal is taken");
    (Box::pin(async { result_of(future.await) }), None)
}

/// The output itself if it is an `io::Result<()>`.
fn result_of(output: impl Any) -> io::Result<()> {
    let mut output = Some(output);
    (&mut output as &mut dyn Any)
        .downcast_mut::<Option<io::Result<()>>>()
        .and_then(Option::take)
        .unwrap_or(Ok(()))
}

fn wait(signal: Rc<RefCell<NextSignal>>) -> StopSignal {
    Box::pin(poll_fn(move |context| {
        Pin::new(&mut *signal.borrow_mut()).poll(context)
    }))
}
