//! A connector that is built without the feature `tls`: `http` only.

use std::io;

use crate::{io::ByteStream, net::TcpStream};

/// The TLS settings of a connector without the feature `tls`: none.
#[derive(Clone, Debug, Default)]
pub(super) struct Tls {}

impl Tls {
    #[expect(
        clippy::unused_async,
        reason = "with TLS there is a handshake to wait for"
    )]
    pub(super) async fn connect(
        &self,
        _stream: TcpStream,
        _host: &str,
    ) -> io::Result<(Box<dyn ByteStream>, bool)> {
        let text = "https needs the feature `tls` of annulus";
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }
}
