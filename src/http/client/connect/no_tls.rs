//! The connections of a client that is built without the feature `tls`: `http` only.

use crate::http::{
    client::{
        error::{Error, ErrorKind, Result},
        url::Url,
    },
    transport::Transport,
};

/// The TLS settings of a client without the feature `tls`: none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tls {}

impl Tls {
    #[expect(
        clippy::unused_async,
        reason = "with TLS there is a handshake to wait for"
    )]
    pub(crate) async fn connect(&self, _transport: Transport, _url: &Url) -> Result<Transport> {
        let text = "https needs the feature `tls` of annulus";
        let error = std::io::Error::new(std::io::ErrorKind::Unsupported, text);
        Err(Error::with_source(ErrorKind::Tls, error))
    }
}
