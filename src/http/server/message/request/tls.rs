//! The TLS that a request came by.

use super::Request;
use crate::tls::HandshakeInfo;

impl Request {
    /// Returns the facts of the connection's TLS handshake: the version, the name that the client
    /// has asked for, its certificates. None without TLS, and once the connection has been handed
    /// over or is gone.
    ///
    /// Feature: `tls`.
    ///
    /// # Examples
    ///
    /// A handler for clients that have shown a certificate:
    ///
    /// ```
    /// use annulus::http::{Request, Response, StatusCode};
    ///
    /// async fn secret(request: Request) -> Response {
    ///     let tls = request.tls();
    ///     match tls.as_ref().and_then(|tls| tls.peer_certificates().first()) {
    ///         Some(certificate) => Response::text(format!("{} bytes", certificate.len())),
    ///         None => Response::new(StatusCode::FORBIDDEN),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn tls(&self) -> Option<HandshakeInfo> {
        if !self.is_current() {
            return None;
        }
        let info = self
            .exchange()
            .with_transport(|transport| Ok(transport.handshake_info()));
        info.ok().flatten()
    }
}
