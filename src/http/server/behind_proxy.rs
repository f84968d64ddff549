//! The proxies in front of a server or a connection.

use std::sync::Arc;

use super::{Connection, Server};
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

impl Connection {
    /// Trusts these proxies, as [`Server::trusted_proxies`].
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.settings.trusted_proxies = Some(Arc::new(proxies));
        self
    }
}
