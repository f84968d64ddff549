//! Addresses with TLS.

use std::{net::ToSocketAddrs, os::fd::OwnedFd};

use super::Place;
use crate::{
    http::{Server, server::tls::Tls},
    tls::ServerConfig,
};

impl Server {
    /// Listens at `addrs`, as [`listen`](Self::listen), for clients that speak TLS. A server may
    /// have addresses with and without TLS, and different ones.
    ///
    /// A handler sees by [`Request::tls`](crate::http::Request::tls) what the handshake has
    /// settled. A client that speaks plain HTTP is answered with 400. The time that a client has
    /// for its handshake is a setting of
    /// [`config`](crate::tls::ServerConfigBuilder::handshake_timeout). A signature by a key of RSA
    /// takes a worker about a millisecond, and one by an elliptic curve (P-256) a twentieth of
    /// that.
    ///
    /// Feature: `tls`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use annulus::{http::Server, tls};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let config = tls::ServerConfig::builder()
    ///     .certificate_files("site.pem", "site.key")
    ///     .build()?;
    /// Server::new()
    ///     .listen_tls("[::]:443", &config)
    ///     .listen("127.0.0.1:8080")
    ///     .run(async |_request| "hello")
    ///     .map(drop)
    /// # }
    /// ```
    #[must_use]
    pub fn listen_tls(self, addrs: impl ToSocketAddrs, config: &ServerConfig) -> Self {
        let addrs = addrs.to_socket_addrs().map(Iterator::collect);
        self.listen_secured(Place::Addrs(addrs), config)
    }

    /// Listens on sockets that listen already, as [`listen_on`](Self::listen_on), for clients that
    /// speak TLS: std's listeners, those of a
    /// [parent process](crate::net::inherited_sockets), or Unix sockets.
    ///
    /// Feature: `tls`.
    #[must_use]
    pub fn listen_tls_on<S: Into<OwnedFd>>(
        self,
        sockets: impl IntoIterator<Item = S>,
        config: &ServerConfig,
    ) -> Self {
        let sockets = sockets.into_iter().map(Into::into).collect();
        self.listen_secured(Place::Sockets(Ok(sockets)), config)
    }

    fn listen_secured(self, place: Place, config: &ServerConfig) -> Self {
        let tls = Tls(config.clone());
        self.listen_at(place.prefaced(|prefaces| prefaces.tls = Some(tls)))
    }
}
