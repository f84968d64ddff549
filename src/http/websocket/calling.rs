//! The life of a connection at a client.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{
    Options, WebSocket,
    connection::{Agreed, Connection, Driven, End},
    handle::Handle,
    keys::Keys,
};
use crate::{
    http::{tick::TickAlarm, transport::upgraded::Upgraded},
    task,
};

/// Returns a connection, which a task of its own drives until both ends have closed it.
pub(crate) fn open(stream: Upgraded, agreed: Agreed, options: Options, keys: Keys) -> WebSocket {
    let connection = Rc::new(Connection::new(
        stream.into_departed(),
        End::Client(Box::new(keys)),
        agreed,
        options,
    ));
    let socket = WebSocket::new(Handle::new(Rc::clone(&connection)), None);
    drop(task::spawn(async move {
        let driven = Driven(connection);
        let connection = &driven.0;
        let mut alarm = TickAlarm::default();
        poll_fn(|context| {
            loop {
                if poll_client(connection, context).is_ready() {
                    return Poll::Ready(());
                }
                ready!(alarm.poll(connection.due(), context));
            }
        })
        .await;
    }));
    socket
}

/// Drives the connection of a client until both ends have closed it.
fn poll_client(connection: &Rc<Connection>, context: &mut Context<'_>) -> Poll<()> {
    let polled = connection.drive(context, None, |_| {
        // The handles hold it, too.
        if Rc::strong_count(connection) == 1 {
            connection.drop_messages();
        }
        Poll::Pending
    });
    if connection.is_over() {
        return Poll::Ready(());
    }
    polled
}
