//! The connections of one worker, in the order of their last use.

use crate::http::{
    server::trace::{ConnectionId, ConnectionSpans},
    transport::Transport,
};

/// The index of no connection.
const NONE: u32 = u32::MAX;
/// In place of a time: it has not been used.
const NEVER: u32 = u32::MAX;

/// The activity of a connection.
pub(crate) enum Doing {
    /// It waits for its next request; its socket receives.
    Idle(Transport),
    /// An exchange serves it, or it has left HTTP: a number of the worker's. A third variant would
    /// cost a request 15 instructions.
    Active(u32),
}

struct Connection {
    doing: Doing,
    /// Seconds of the worker's clock when it was accepted.
    accepted: u32,
    /// Seconds of the worker's clock at its last use.
    last_used: u32,
    newer: u32,
    older: u32,
}

impl Connection {
    /// Since when it is idle, if it is.
    fn idle_since(&self) -> u32 {
        match self.last_used {
            NEVER => self.accepted,
            last_used => last_used,
        }
    }

    /// Whether it is idle and something is under way to its client.
    fn is_unsent(&self) -> bool {
        matches!(&self.doing, Doing::Idle(transport) if transport.is_sending())
    }
}

/// The connections of one worker. Idle ones stand in a list, longest idle first, so that the ones
/// to close are found without a timer for each.
pub(crate) struct Connections {
    slots: slab::Slab<Connection>,
    oldest: u32,
    newest: u32,
    spans: ConnectionSpans,
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self {
            slots: slab::Slab::new(),
            oldest: NONE,
            newest: NONE,
            spans: ConnectionSpans::default(),
        }
    }

    /// Adds an idle connection and returns its index.
    pub(crate) fn insert(&mut self, stream: Transport, now: u32) -> u32 {
        let entry = self.slots.vacant_entry();
        let index = u32::try_from(entry.key()).expect("there are fewer than 2^32 descriptors");
        self.spans.insert(index, &stream);
        let connection = Connection {
            doing: Doing::Idle(stream),
            accepted: now,
            last_used: NEVER,
            newer: NONE,
            older: NONE,
        };
        entry.insert(connection);
        self.link(index);
        index
    }

    /// The span of a connection.
    #[inline]
    pub(crate) fn span(&self, index: u32) -> ConnectionId {
        self.spans.id(index)
    }

    pub(crate) fn doing(&mut self, index: u32) -> Option<&mut Doing> {
        self.slots
            .get_mut(index as usize)
            .map(|connection| &mut connection.doing)
    }

    /// Whether a connection is served by the exchange or the tunnel of this number.
    pub(crate) fn is_served_by(&self, index: u32, number: u32) -> bool {
        let connection = self.slots.get(index as usize);
        connection.is_some_and(
            |connection| matches!(connection.doing, Doing::Active(its) if its == number),
        )
    }

    /// Notes that exchange `exchange` serves an idle connection now, and takes its stream.
    pub(crate) fn activate(&mut self, index: u32, exchange: u32) -> Option<Transport> {
        let connection = self.slots.get_mut(index as usize)?;
        let Doing::Idle(_) = connection.doing else {
            return None;
        };
        let before = std::mem::replace(&mut connection.doing, Doing::Active(exchange));
        self.unlink(index);
        match before {
            Doing::Idle(stream) => Some(stream),
            Doing::Active(_) => None,
        }
    }

    /// Notes that an active connection has another number.
    pub(crate) fn renumber(&mut self, index: u32, number: u32) {
        self.slots[index as usize].doing = Doing::Active(number);
    }

    /// Notes that a connection is idle again.
    pub(crate) fn rest(&mut self, index: u32, stream: Transport, now: u32) {
        let connection = &mut self.slots[index as usize];
        connection.doing = Doing::Idle(stream);
        connection.last_used = now;
        self.link(index);
    }

    /// Forgets a connection, and gives what it was doing, to be dropped.
    pub(crate) fn remove(&mut self, index: u32) -> Doing {
        if let Doing::Idle(_) = self.slots[index as usize].doing {
            self.unlink(index);
        }
        self.spans.remove(index);
        self.slots.remove(index as usize).doing
    }

    /// The connection that has been idle longest, and since when.
    pub(crate) fn longest_idle(&self) -> Option<(u32, u32)> {
        let connection = self.slots.get(self.oldest as usize)?;
        Some((self.oldest, connection.idle_since()))
    }

    /// Whether a connection has been accepted at `since` or later and not been used.
    pub(crate) fn is_fresh(&self, index: u32, since: u32) -> bool {
        let connection = &self.slots[index as usize];
        connection.last_used == NEVER && connection.accepted >= since
    }

    /// The idle connections, longest idle first.
    pub(crate) fn idle(&self) -> impl Iterator<Item = u32> + '_ {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let index = next;
            next = self.slots.get(index as usize)?.newer;
            Some(index)
        })
    }

    /// The idle connections that were used at second `since` or later and have something under way
    /// to their client.
    pub(crate) fn unsent_since(&self, since: u32) -> Vec<u32> {
        let mut unsent = Vec::new();
        let mut next = self.newest;
        while let Some(connection) = self.slots.get(next as usize) {
            if connection.idle_since() < since {
                break;
            }
            if connection.is_unsent() {
                unsent.push(next);
            }
            next = connection.older;
        }
        unsent
    }

    /// Since when a connection is idle; none for one that is not, or is gone.
    pub(crate) fn idle_since(&self, index: u32) -> Option<u32> {
        let connection = self.slots.get(index as usize)?;
        matches!(connection.doing, Doing::Idle(_)).then(|| connection.idle_since())
    }

    /// Whether a connection is idle and its client has sent something that was not received.
    pub(crate) fn has_unreceived(&self, index: u32) -> bool {
        let doing = self
            .slots
            .get(index as usize)
            .map(|connection| &connection.doing);
        matches!(doing, Some(Doing::Idle(transport)) if transport.has_unreceived())
    }

    /// Whether a connection that was accepted at this second is still in its handshake.
    pub(crate) fn is_handshaking_since(&self, index: u32, accepted: u32) -> bool {
        let connection = self.slots.get(index as usize);
        connection.is_some_and(|connection| {
            connection.accepted == accepted
                && matches!(&connection.doing, Doing::Idle(stream) if stream.is_handshaking())
        })
    }

    /// Puts an idle connection last in the list, as if it were used now: what its client has sent
    /// is on the way to us.
    pub(crate) fn postpone(&mut self, index: u32, now: u32) {
        self.unlink(index);
        self.slots[index as usize].last_used = now;
        self.link(index);
    }

    /// Moves the last use of the idle connections that were used at second `from` or later to `to`.
    pub(crate) fn move_last_use(&mut self, from: u32, to: u32) {
        let mut next = self.newest;
        while let Some(connection) = self.slots.get_mut(next as usize) {
            if connection.idle_since() < from {
                break;
            }
            if connection.last_used != NEVER {
                connection.last_used = to;
            }
            next = connection.older;
        }
    }

    /// Whether a connection is idle and has something under way to its client.
    pub(crate) fn is_unsent(&self, index: u32) -> bool {
        self.slots[index as usize].is_unsent()
    }

    /// The second at which a connection was accepted.
    pub(crate) fn accepted(&self, index: u32) -> u32 {
        self.slots[index as usize].accepted
    }

    /// The second of a connection's last use.
    pub(crate) fn last_used(&self, index: u32) -> u32 {
        self.slots[index as usize].last_used
    }

    /// Forgets all connections. The idle ones are closed.
    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.spans.clear();
        (self.oldest, self.newest) = (NONE, NONE);
    }

    /// All connections: what each does, and the second at which it was accepted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Doing, u32)> {
        self.slots
            .iter()
            .map(|(_, connection)| (&connection.doing, connection.accepted))
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn link(&mut self, index: u32) {
        let newest = std::mem::replace(&mut self.newest, index);
        let connection = &mut self.slots[index as usize];
        connection.newer = NONE;
        connection.older = newest;
        match self.slots.get_mut(newest as usize) {
            Some(before) => before.newer = index,
            None => self.oldest = index,
        }
    }

    fn unlink(&mut self, index: u32) {
        let (newer, older) = {
            let connection = &self.slots[index as usize];
            (connection.newer, connection.older)
        };
        match self.slots.get_mut(newer as usize) {
            Some(connection) => connection.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(connection) => connection.newer = newer,
            None => self.oldest = newer,
        }
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections")
            .field("count", &self.slots.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{TcpListener, TcpStream};

    #[test]
    fn an_idle_connections_record_is_small() {
        assert!(size_of::<Connection>() <= 32, "{}", size_of::<Connection>());
    }

    #[test]
    fn the_longest_idle_is_first_in_line() {
        crate::run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let mut connections = Connections::new();
            let mut indices = Vec::new();
            for second in 0..3 {
                let stream = TcpStream::connect(addr).await.unwrap().into();
                indices.push(connections.insert(stream, second));
            }
            assert_eq!(connections.longest_idle(), Some((indices[0], 0)));
            assert!(connections.idle().eq(indices.iter().copied()));
            assert!(connections.is_fresh(indices[1], 1) && !connections.is_fresh(indices[1], 2));
            let stream = connections.activate(indices[0], 7).unwrap();
            assert!(connections.activate(indices[0], 8).is_none());
            assert_eq!(connections.longest_idle(), Some((indices[1], 1)));
            connections.remove(indices[1]);
            connections.rest(indices[0], stream, 3);
            assert!(!connections.is_fresh(indices[0], 0));
            assert_eq!(connections.longest_idle(), Some((indices[2], 2)));
            connections.remove(indices[2]);
            assert_eq!(connections.longest_idle(), Some((indices[0], 3)));
            // A turn that began in second 3 has lasted until second 7, and another until 9.
            connections.move_last_use(4, 7);
            assert_eq!(connections.idle_since(indices[0]), Some(3));
            connections.move_last_use(3, 7);
            assert_eq!(connections.idle_since(indices[0]), Some(7));
            let stream = TcpStream::connect(addr).await.unwrap().into();
            let new = connections.insert(stream, 7);
            connections.postpone(indices[0], 9);
            assert_eq!(connections.longest_idle(), Some((new, 7)));
            connections.move_last_use(7, 9);
            assert!(connections.is_fresh(new, 7), "it was never used");
            connections.remove(new);
            connections.remove(indices[0]);
            assert_eq!(connections.idle_since(indices[0]), None);
            assert_eq!(connections.longest_idle(), None);
            assert_eq!(connections.idle().next(), None);
            assert!(connections.is_empty());
        });
    }
}
