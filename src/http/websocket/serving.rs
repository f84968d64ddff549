//! The life of a connection at a server.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
};

pub(crate) use super::connection::Agreed;
use super::{
    CloseCode, Options, WebSocket,
    connection::{Connection, End},
    handle::Handle,
};
use crate::http::transport::upgraded::Upgraded;

/// Gives a connection to `use_it`, and drives it until both ends have closed it.
///
/// A function that fails has its connection closed with 1011. `use_it` returns whether it did not.
pub(crate) async fn serve<F>(stream: Upgraded, agreed: Agreed, options: Options, use_it: F)
where
    F: AsyncFnOnce(WebSocket) -> bool,
{
    let connection = Rc::new(Connection::new(stream, End::Server, agreed, options));
    let is_done = {
        let mut user = pin!(use_it(WebSocket::new(Handle::new(Rc::clone(&connection)))));
        let mut stopping = Some(pin!(connection.stopping()));
        poll_fn(|context| {
            if let Some(stop) = &mut stopping {
                if stop.as_mut().poll(context).is_ready() {
                    stopping = None;
                    connection.start_close(CloseCode::GOING_AWAY, "the server stops");
                }
            }
            connection.drive(context, |context| user.as_mut().poll(context))
        })
        .await
    };
    let code = if is_done {
        CloseCode::NORMAL
    } else {
        CloseCode::INTERNAL_ERROR
    };
    connection.start_close(code, "");
    poll_fn(|context| {
        let polled = connection.drive(context, |_| {
            connection.drop_messages();
            Poll::Pending
        });
        if connection.is_over() {
            Poll::Ready(())
        } else {
            polled
        }
    })
    .await;
    // Handles that are kept elsewhere have no stream any more, so that the server closes it.
    connection.end_stream();
}
