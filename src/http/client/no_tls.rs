//! A client that is built without the feature `tls` knows `http` only.

use super::{Error, ErrorKind, Result, Url};
use crate::http::Transport;

/// What a client knows of TLS: nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Tls {}

impl Tls {
    #[expect(
        clippy::unused_async,
        reason = "with TLS there is a handshake to wait for"
    )]
    pub(super) async fn connect(&self, _transport: Transport, _url: &Url) -> Result<Transport> {
        let text = "https needs the feature `tls` of annulus";
        let error = std::io::Error::new(std::io::ErrorKind::Unsupported, text);
        Err(Error::with_source(ErrorKind::Tls, error))
    }
}

/// What kind of error a connection's is.
pub(super) fn error_kind(_error: &std::io::Error) -> ErrorKind {
    ErrorKind::Io
}
