//! The settings that hold for every connection of a server.

#[cfg(feature = "http2")]
mod http2;

use std::{fmt, net::IpAddr, sync::Arc};

#[cfg(feature = "http2")]
use super::http2_options::Options;
#[cfg(not(feature = "http2"))]
use super::no_http2_options::Options;
use super::{
    access_log::AccessLog, end_reason::EndReason, forwarded, refusals::Hook, timeouts::Timeouts,
    trace::Hooks,
};
use crate::http::{
    h1::{RequestError, RequestHead, Rules},
    trusted_proxies::{Peer, TrustedProxies},
};

/// When a handler's future is dropped because its client left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenGone {
    /// Never.
    GoOn,
    /// When the connection was reset or broke.
    Reset,
    /// When the client closed its side, too: the handler asked for that.
    HalfClose,
    /// The same, since the answer has no end that the client could wait for.
    EndlessHalfClose,
}

/// The settings of a server, as its workers know them.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    pub(crate) rules: Rules,
    pub(crate) timeouts: Timeouts,
    pub(crate) access_log: Option<AccessLog>,
    /// Writes the answers that the server gives by itself.
    pub(crate) refusals: Option<Hook>,
    /// The proxies whose fields tell the client.
    pub(crate) trusted_proxies: Option<Arc<TrustedProxies>>,
    /// Handlers go on when their client has left.
    pub(crate) keeps_running: bool,
    /// The requests that are served, where it is not all of them.
    restriction: Option<Arc<Restriction>>,
    pub(crate) http2: Options,
    pub(crate) hooks: Hooks,
}

/// The requests that a server serves.
#[derive(Clone, Default)]
struct Restriction {
    /// The names that are served, where it is not all of them.
    hosts: Option<Arc<[String]>>,
    /// HTTP/2 is spoken alone.
    refuses_http1: bool,
}

impl Restriction {
    /// Whether the request is for a host that is served. One that names none is.
    fn has_host(&self, head: &RequestHead) -> bool {
        match &self.hosts {
            None => true,
            Some(hosts) => head
                .authority()
                .is_none_or(|authority| is_among(hosts, authority)),
        }
    }
}

impl Settings {
    /// Whether a request of HTTP/1.1 is served.
    #[inline]
    pub(crate) fn serves(&self, head: &RequestHead) -> bool {
        match &self.restriction {
            None => true,
            Some(restriction) => !restriction.refuses_http1 && restriction.has_host(head),
        }
    }

    /// The address of the client that a request came from, as far as it is known.
    #[cold]
    pub(crate) fn client_addr(&self, peer: Peer, head: Option<&RequestHead>) -> Option<IpAddr> {
        match (&self.trusted_proxies, head) {
            (Some(proxies), Some(head)) => forwarded::client(head, peer, proxies).addr,
            _ => peer.addr().map(|peer| peer.ip().to_canonical()),
        }
    }

    /// Why a request of HTTP/1.1 is not served.
    #[cold]
    pub(crate) fn refusal(&self) -> EndReason {
        match &self.restriction {
            Some(restriction) if restriction.refuses_http1 => RequestError::Http2Expected.into(),
            _ => EndReason::Misdirected,
        }
    }

    /// Sets the names that are served.
    pub(crate) fn set_hosts(&mut self, hosts: Arc<[String]>) {
        self.restrict(|restriction| restriction.hosts = Some(hosts));
    }

    fn restrict(&mut self, restrict: impl FnOnce(&mut Restriction)) {
        restrict(Arc::make_mut(self.restriction.get_or_insert_default()));
    }

    /// When a handler's future is dropped, unless its request says otherwise.
    pub(crate) fn when_gone(&self) -> WhenGone {
        if self.keeps_running {
            WhenGone::GoOn
        } else {
            WhenGone::Reset
        }
    }
}

fn is_among(hosts: &[String], authority: &str) -> bool {
    // The port follows the last colon, unless that is inside of an address in brackets.
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    };
    hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("rules", &self.rules)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_compared_without_its_port_and_in_any_case() {
        let hosts = ["example.org".to_owned(), "[::1]".to_owned()];
        let check = |authority, expected| {
            assert_eq!(is_among(&hosts, authority), expected, "{authority}");
        };
        check("example.org", true);
        check("EXAMPLE.org:8080", true);
        check("example.org:", true);
        check("[::1]", true);
        check("[::1]:80", true);
        check("www.example.org", false);
        check("example.org.evil.net", false);
        check("[::2]:1", false);
    }
}
