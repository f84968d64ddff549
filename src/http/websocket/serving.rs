//! The life of a connection at a server that an async function uses.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

pub(crate) use super::connection::Agreed;
use super::{
    Options, WebSocket,
    connection::{Connection, Driven, End},
    handle::Handle,
};
use crate::{
    http::{
        error::{Error, Result},
        tick::Tick,
        transport::{
            Transport,
            tunnelled::{Departed, Left, Tunnelled},
        },
    },
    unwind,
};

/// The reason in the close frame of a stop.
pub(super) const STOP_REASON: &str = "the server stops";

/// Gives a connection to `use_it`, and drives it until both ends have closed it.
///
/// A function that fails has its connection closed with 1011, and its error is told to the log.
pub(crate) fn serve<F>(
    departed: Departed,
    agreed: Agreed,
    options: Options,
    use_it: F,
) -> Box<dyn Tunnelled>
where
    F: AsyncFnOnce(WebSocket) -> Result<()> + 'static,
{
    let stop = departed.stop.clone();
    let connection = Rc::new(Connection::new(departed, End::Server, agreed, options));
    let socket = WebSocket::new(Handle::new(Rc::clone(&connection)), stop);
    Box::new(Served {
        driven: Driven(connection),
        user: Some(Box::pin(use_it(socket))),
    })
}

/// A connection that an async function uses, and its driver.
struct Served {
    driven: Driven,
    /// None once the function has returned.
    user: Option<Pin<Box<dyn Future<Output = Result<()>>>>>,
}

impl Tunnelled for Served {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let connection = &self.driven.0;
        if let Some(user) = &mut self.user {
            let returned = ready!(connection.drive(context, |context| user.as_mut().poll(context)));
            self.user = None;
            connection.close_after(returned);
        }
        connection.poll_end(context)
    }

    fn due(&self) -> Option<Tick> {
        self.driven.0.due()
    }

    fn stop(&mut self) {
        self.driven.0.start_stop();
    }

    fn take_error(&mut self) -> Option<Box<Error>> {
        self.driven.0.take_error()
    }

    fn look(&self, call: &mut dyn FnMut(&Transport)) {
        self.driven.0.with_stream(call);
    }

    fn leave(self: Box<Self>, has_returned: bool) -> Left {
        let Self { driven, user } = *self;
        let is_whole = unwind::caught(|| drop(user)).is_some() && has_returned;
        Left::new(is_whole, driven.0.end_stream())
    }
}
