//! The client of a request: the peer, or the one that a trusted proxy names.

use std::net::IpAddr;

use super::Request;
use crate::http::{
    proxy_header::ProxyHeader,
    server::forwarded::{self, Client},
};

impl Request {
    /// Returns the address of the client: behind proxies that
    /// [`Server::trusted_proxies`](crate::http::Server::trusted_proxies) names the one that they
    /// tell, else that of [`peer_addr`](Self::peer_addr). An IPv4 address in an IPv6 form is given
    /// as IPv4. None where there is no peer address, and no trusted proxy tells one.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{Request, Response};
    ///
    /// async fn who(request: Request) -> Response {
    ///     match request.client_addr() {
    ///         Some(addr) => Response::text(format!("{addr} by {}", request.scheme())),
    ///         None => Response::text("a Unix socket"),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn client_addr(&self) -> Option<IpAddr> {
        match self.forwarded() {
            Some(client) => client.addr,
            None => self.peer_addr().map(|peer| peer.ip().to_canonical()),
        }
    }

    /// Returns the scheme that the client has used, `http` or `https`: the one that a trusted proxy
    /// tells, else that of the connection.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        let told = self.forwarded().and_then(|client| client.is_secure);
        if told.unwrap_or_else(|| self.is_over_tls()) {
            "https"
        } else {
            "http"
        }
    }

    /// Returns the host and port that the client asked for: those that a trusted proxy tells, else
    /// [`authority`](Self::authority).
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let told = self.forwarded().and_then(|client| client.host);
        told.or_else(|| self.authority())
    }

    /// Returns the header of the PROXY protocol that the connection began with
    /// ([`Server::proxy_protocol`](crate::http::Server::proxy_protocol)). None without one, and once
    /// the connection has been handed over or is gone.
    #[must_use]
    pub fn proxy_header(&self) -> Option<ProxyHeader> {
        if !self.is_current() {
            return None;
        }
        let header = self
            .exchange()
            .with_transport(|transport| Ok(transport.proxy_header()));
        header.ok().flatten().map(|header| (*header).clone())
    }

    fn is_over_tls(&self) -> bool {
        let asked = self
            .exchange()
            .with_transport(|transport| Ok(transport.is_tls()));
        self.is_current() && asked.unwrap_or(false)
    }

    /// The client, where the server trusts proxies and knows the peer.
    fn forwarded(&self) -> Option<Client<'_>> {
        let settings = &self.exchange().shared().settings;
        let proxies = settings.trusted_proxies.as_ref()?;
        if !self.is_current() {
            return None;
        }
        let peer = self
            .exchange()
            .with_transport(|transport| Ok(transport.peer()));
        Some(forwarded::client(self.head(), peer.ok()?, proxies))
    }
}
