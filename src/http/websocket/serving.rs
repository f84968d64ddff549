//! The life of a connection at a server that an async function uses.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

pub(crate) use super::connection::{Agreed, Connection};
use super::{
    Error, Options, WebSocket,
    connection::{Driven, End},
    handle::Handle,
};
use crate::{
    http::{
        tick::Tick,
        transport::{
            Transport,
            tunnelled::{Departed, Left, Tunnelled},
        },
    },
    net::Outbox,
    unwind,
};

/// The reason in the close frame of a stop.
pub(super) const STOP_REASON: &str = "the server stops";

/// An error of the code that uses a connection.
pub(crate) trait UserError: 'static {
    /// The error as the server's log has it. `failure` tells how the connection has ended, if that
    /// was otherwise than by a close frame of the client.
    fn told(self, failure: Option<Error>) -> Box<dyn Any>;
}

/// Gives a connection to `use_it`, and drives it until both ends have closed it.
///
/// A function that fails has its connection closed with 1011, and the log has its error.
pub(crate) fn serve<F, E>(
    departed: Departed,
    agreed: Agreed,
    options: Options,
    use_it: F,
) -> Box<dyn Tunnelled>
where
    F: AsyncFnOnce(WebSocket) -> Result<(), E> + 'static,
    E: UserError,
{
    let stop = departed.stop.clone();
    let connection = Rc::new(connection_of_server(departed, agreed, options));
    let socket = WebSocket::new(Handle::new(Rc::clone(&connection)), stop);
    Box::new(Served {
        driven: Driven(connection),
        user: Some(Box::pin(use_it(socket))),
    })
}

/// A connection of a server's, which its tunnel drives.
pub(crate) fn connection_of_server(
    departed: Departed,
    agreed: Agreed,
    options: Options,
) -> Connection {
    Connection::new(departed, End::Server, agreed, options)
}

/// The future of a function that uses a connection.
type Using<E> = Pin<Box<dyn Future<Output = Result<(), E>>>>;

/// A connection that an async function uses, and its driver.
struct Served<E> {
    driven: Driven,
    /// None once the function has returned.
    user: Option<Using<E>>,
}

impl<E: UserError> Tunnelled for Served<E> {
    fn poll(&mut self, context: &mut Context<'_>, outbox: &Rc<Outbox>) -> Poll<()> {
        let connection = &self.driven.0;
        if let Some(user) = &mut self.user {
            let poll = |context: &mut Context<'_>| user.as_mut().poll(context);
            let returned = ready!(connection.drive(context, Some(outbox), poll));
            self.user = None;
            connection.close_after(returned);
        }
        connection.poll_end(context, outbox)
    }

    fn due(&self) -> Option<Tick> {
        self.driven.0.due()
    }

    fn stop(&mut self) {
        self.driven.0.start_stop();
    }

    fn take_error(&mut self) -> Option<Box<dyn Any>> {
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
