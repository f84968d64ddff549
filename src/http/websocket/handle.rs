//! A hold on a connection.

use std::{ops, rc::Rc};

use super::connection::Connection;

/// A hold of a user on a connection. A client's connection is closed when the last one is dropped.
pub(super) struct Handle {
    connection: Rc<Connection>,
}

impl Handle {
    pub(super) fn new(connection: Rc<Connection>) -> Self {
        Self { connection }
    }
}

impl Handle {
    pub(super) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }
}

impl ops::Deref for Handle {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.connection))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // The driver of a client holds it, too.
        if Rc::strong_count(&self.connection) == 2 {
            self.connection.note_last_handle();
        }
    }
}
