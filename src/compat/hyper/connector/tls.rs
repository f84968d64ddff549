//! The TLS connections for `https`.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use super::Connector;
use crate::{
    blocking::{self, Work},
    io::ByteStream,
    net::TcpStream,
    tls::{self, Config},
};

/// The TLS settings of a connector.
#[derive(Clone, Debug, Default)]
pub(super) struct Tls {
    /// The defaults are made when the first connection needs them. Clones share them, on all
    /// threads.
    config: Arc<OnceLock<Config>>,
}

impl Tls {
    /// Speaks TLS on a connection to `host`. Returns whether HTTP/2 was agreed on beside it.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> io::Result<(Box<dyn ByteStream>, bool)> {
        let config = self.config().await?;
        let stream = tls::connect(stream, host, &config).await?;
        let is_http2 = stream.alpn() == Some(b"h2");
        Ok((Box::new(stream), is_http2))
    }

    async fn config(&self) -> io::Result<Config> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        // It reads files.
        let config = blocking::run_as(Work::Files, Config::new).await?;
        // Another connection may have been faster, and its sessions are the ones to share.
        Ok(self.config.get_or_init(|| config).clone())
    }
}

impl Connector {
    /// Takes `config` in place of the defaults. With `h2` among its protocols (ALPN) a server may
    /// choose HTTP/2, which [`ClientStream::is_http2`](super::ClientStream::is_http2) tells.
    ///
    /// Feature: `tls`.
    #[must_use]
    pub fn with_tls(mut self, config: &Config) -> Self {
        self.tls.config = Arc::new(config.clone().into());
        self
    }
}
