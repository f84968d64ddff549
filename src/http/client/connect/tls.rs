//! The TLS connections for `https`.

use std::{cell::OnceCell, io};

use crate::{
    blocking::{self, Work},
    http::{
        client::{
            error::{Error, ErrorKind, Result},
            url::Url,
        },
        transport::Transport,
    },
    tls::{self, Config},
};

/// The protocol that a client speaks, as TLS calls it.
const ALPN: &[u8] = b"http/1.1";

/// The TLS settings of a client.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tls {
    /// The defaults are made when the first connection needs them.
    config: OnceCell<Config>,
}

impl Tls {
    /// Takes `config` in place of the defaults.
    pub(crate) fn configure(&mut self, config: &Config) {
        self.config = config.with_alpn(&[ALPN]).into();
    }

    /// Speaks TLS on a connection to the server of `url`.
    pub(crate) async fn connect(&self, transport: Transport, url: &Url) -> Result<Transport> {
        let failed = |error| Error::with_source(ErrorKind::Tls, error);
        let config = self.config().await.map_err(failed)?;
        let stream = tls::connect(transport, url.host(), &config).await;
        Ok(stream.map_err(failed)?.into())
    }

    async fn config(&self) -> io::Result<Config> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        // It reads files.
        let config = blocking::run_as(Work::Files, Config::new)
            .await?
            .with_alpn(&[ALPN]);
        // Another connection may have been faster, and its sessions are the ones to share.
        Ok(self.config.get_or_init(|| config).clone())
    }
}
