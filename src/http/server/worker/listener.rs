//! A socket that a worker accepts at, and the handshakes of those that speak TLS.

use std::{cell::Cell, collections::VecDeque, rc::Rc, sync::Arc, time::Duration};

use super::connection_list::Connections;
use crate::{
    http::{
        server::{
            prefaces::Prefaces,
            settings::Settings,
            tls::{Secured, Tls},
        },
        transport::{
            Transport, peer_of,
            proxied::{Begin, plain},
        },
        trusted_proxies::TrustedProxies,
    },
    net::{Acceptor, Socket},
};

/// The time that a proxy has for its header, from the accept on. With TLS it is that of the header
/// and the handshake together.
const PROXY_HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections whose handshakes are watched before the list looks which are over. Later it looks
/// when there are twice as many as at the last look.
const WATCHED_MIN: usize = 1024;

/// A socket that a worker accepts at.
pub(crate) struct Listener {
    pub(crate) acceptor: Acceptor,
    tls: Option<Secured>,
    /// The peers that begin with a header of the PROXY protocol, and the function that makes the
    /// stream after it.
    proxied: Option<(Arc<TrustedProxies>, Begin)>,
    /// The connections that had their handshake before them when they were last looked at, first
    /// accepted first: the index, and the second at which it was accepted. A connection that was
    /// closed is still among them.
    handshakes: VecDeque<(u32, u32)>,
    /// How many there may be until the next look.
    watched_max: usize,
}

impl Listener {
    pub(crate) fn new(
        acceptor: Acceptor,
        prefaces: Prefaces,
        settings: &Settings,
        handshakes_left: &Rc<Cell<u32>>,
    ) -> Self {
        let http2 = &settings.http2;
        let secure = |tls: Tls| tls.secure(http2.has_http1(), http2.has_http2(), handshakes_left);
        let tls = prefaces.tls.map(secure);
        let begin: Begin = match &tls {
            Some(tls) => tls.begin(),
            None => Rc::new(|socket, unread| (plain(socket, unread), Ok(()))),
        };
        Self {
            acceptor,
            tls,
            proxied: prefaces.proxies.map(|proxies| (proxies, begin)),
            handshakes: VecDeque::new(),
            watched_max: WATCHED_MIN,
        }
    }

    /// The connection of a client that was accepted here.
    pub(crate) fn transport(&self, socket: Socket) -> Transport {
        if let Some((proxies, begin)) = &self.proxied {
            if proxies.trusts(peer_of(&socket)) {
                return Transport::proxied(socket, begin);
            }
        }
        match &self.tls {
            Some(tls) => tls.transport(socket),
            None => socket.into(),
        }
    }

    /// Watches the handshake of a connection, if there is one. True if it is the only one.
    pub(crate) fn watch(&mut self, index: u32, accepted: u32, connections: &Connections) -> bool {
        if self.tls.is_none() && self.proxied.is_none() {
            return false;
        }
        if self.handshakes.len() >= self.watched_max {
            let goes_on =
                |&(index, accepted): &_| connections.is_handshaking_since(index, accepted);
            self.handshakes.retain(goes_on);
            self.watched_max = WATCHED_MIN.max(self.handshakes.len() * 2);
        }
        self.handshakes.push_back((index, accepted));
        self.handshakes.len() == 1
    }

    /// The second by which the first of the handshakes has to be over.
    pub(crate) fn handshake_due(&self) -> Option<u64> {
        let (_, accepted) = self.handshakes.front()?;
        Some(self.due(*accepted))
    }

    fn due(&self, accepted: u32) -> u64 {
        let timeout = self.tls.as_ref().map(Secured::handshake_timeout);
        let of_header = self.proxied.is_some().then_some(PROXY_HEADER_TIMEOUT);
        let timeout = timeout.into_iter().chain(of_header).min();
        // The second of the accept may be nearly over.
        let timeout = timeout.map_or(u64::MAX, |timeout| timeout.as_secs().saturating_add(1));
        timeout.saturating_add(u64::from(accepted))
    }

    /// Takes a connection whose handshake had to be over by second `now` and is not.
    pub(crate) fn take_overdue(&mut self, now: u32, connections: &Connections) -> Option<u32> {
        while self.handshake_due()? <= u64::from(now) {
            let (index, accepted) = self.handshakes.pop_front()?;
            if connections.is_handshaking_since(index, accepted) {
                return Some(index);
            }
        }
        None
    }
}
