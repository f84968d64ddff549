//! The life of a connection at a client.

use std::{future::poll_fn, rc::Rc, task::Poll};

use super::{
    Options, WebSocket,
    connection::{Agreed, Connection, End},
    handle::Handle,
    keys::Keys,
};
use crate::{http::transport::upgraded::Upgraded, task};

/// Returns a connection, which a task of its own drives until both ends have closed it.
pub(crate) fn open(stream: Upgraded, agreed: Agreed, options: Options, keys: Keys) -> WebSocket {
    let connection = Rc::new(Connection::new(
        stream,
        End::Client(Box::new(keys)),
        agreed,
        options,
    ));
    let socket = WebSocket::new(Handle::new(Rc::clone(&connection)));
    drop(task::spawn(async move {
        poll_fn(|context| {
            let polled = connection.drive(context, |_| {
                if !connection.has_handles() {
                    connection.drop_messages();
                }
                Poll::Pending
            });
            if connection.is_over() {
                Poll::Ready(())
            } else {
                polled
            }
        })
        .await;
        connection.end_stream();
    }));
    socket
}
