//! The proxies in front of a server or a connection.

use std::{io, sync::Arc};

use super::{Connection, Server, listening::Place};
use crate::http::TrustedProxies;

impl Server {
    /// Trusts these proxies: [`Request::client_addr`](crate::http::Request::client_addr), [`scheme`](crate::http::Request::scheme) and
    /// [`host`](crate::http::Request::host) are what their fields tell of the client, and the access log shows
    /// the client's address. No peer is trusted by default, and a field of one that is not is
    /// ignored.
    ///
    /// The fields are `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`, or `Forwarded`
    /// (RFC 7239) after [`TrustedProxies::forwarded`]; never both. A proxy adds its peer's address
    /// at the end of the list, so the client is the last address that is not trusted itself. Scheme
    /// and host are those that the proxy which saw this client has told. Where an address is hidden
    /// or malformed, the client is the last proxy that is known; a scheme other than `http` and
    /// `https` and a malformed host are ignored.
    ///
    /// The proxy has to write all of the fields that are read, or to remove them: one that sets the
    /// address alone lets clients choose their scheme and host.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use annulus::http::{Request, Server};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Server::new()
    ///     .listen("127.0.0.1:8080")
    ///     .trusted_proxies("loopback, 10.1.0.0/16".parse()?)
    ///     .run(async |request: Request| format!("hello, {:?}", request.client_addr()))
    ///     .map(drop)
    /// # }
    /// ```
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.settings.trusted_proxies = Some(Arc::new(proxies));
        self
    }
}

impl Server {
    /// Expects a header of the PROXY protocol, version 1 or 2, from these peers at the addresses of
    /// the last call before this one: [`listen`](Self::listen), `listen_tls` or another of that
    /// kind.
    ///
    /// The header stands before all else, TLS included, and names the client: its address is
    /// [`Request::peer_addr`](crate::http::Request::peer_addr) then, and that of logs and
    /// [`trusted_proxies`](Self::trusted_proxies). The other facts are
    /// [`Request::proxy_header`](crate::http::Request::proxy_header). Where the header tells no
    /// client (`LOCAL`, `UNKNOWN`, a Unix socket), the peer stays the proxy.
    ///
    /// A trusted peer has to send one, in ten seconds: a connection that begins with other bytes is
    /// closed without an answer and counted by
    /// [`EndReason::ProxyHeader`](crate::http::EndReason::ProxyHeader). A peer that is not trusted
    /// is a client, and its header a bad request: it may not choose its address.
    ///
    /// [`run`](Self::run) fails when there is no such call.
    ///
    /// # Examples
    ///
    /// HAProxy in front (`server app 10.0.0.5:8080 send-proxy-v2`), and a port without it for the
    /// machine itself:
    ///
    /// ```no_run
    /// use annulus::http::Server;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Server::new()
    ///     .listen("10.0.0.5:8080")
    ///     .proxy_protocol("10.0.0.0/24".parse()?)
    ///     .listen("127.0.0.1:8081")
    ///     .run(async |_request| "hello")
    ///     .map(drop)
    /// # }
    /// ```
    #[must_use]
    pub fn proxy_protocol(mut self, proxies: TrustedProxies) -> Self {
        let place = self.places.pop().unwrap_or_else(|| {
            let text = "expected an address to listen at before `proxy_protocol`, found none";
            Place::Sockets(Err(io::Error::new(io::ErrorKind::InvalidInput, text)))
        });
        let proxies = Arc::new(proxies);
        let place = place.prefaced(|prefaces| prefaces.proxies = Some(proxies));
        self.places.push(place);
        self
    }
}

impl Connection {
    /// Trusts these proxies, as [`Server::trusted_proxies`].
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.settings.trusted_proxies = Some(Arc::new(proxies));
        self
    }
}
