//! `https`.

use std::{cell::OnceCell, io};

use super::{Builder, Error, ErrorKind, Result, Url};
use crate::{
    blocking::{self, Work},
    http::Transport,
    tls::{self, Config},
};

/// The protocol that a client speaks, as TLS calls it.
const ALPN: &[u8] = b"http/1.1";

/// What a client knows of TLS.
#[derive(Debug, Clone, Default)]
pub(super) struct Tls {
    /// The defaults are made when the first connection needs them.
    config: OnceCell<Config>,
}

impl Builder {
    /// Whom the client trusts for `https`, and what it shows to servers; the system's authorities
    /// and nothing by default. It takes a [`tls::Config`], or a `rustls::ClientConfig`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use annulus::{http::Client, tls};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let authority = std::fs::read("our-authority.pem")?;
    /// let config = tls::Config::builder().add_root_certificate(&authority).build()?;
    /// let client = Client::builder().tls(config).build();
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tls(mut self, config: impl Into<Config>) -> Self {
        let config = config.into().with_alpn(&[ALPN]);
        self.connector.tls.config = config.into();
        self
    }
}

impl Tls {
    /// Speaks TLS on a connection to the server of `url`.
    pub(super) async fn connect(&self, transport: Transport, url: &Url) -> Result<Transport> {
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

/// What kind of error a connection's is.
pub(super) fn error_kind(error: &io::Error) -> ErrorKind {
    if tls::is_tls_error(error) {
        ErrorKind::Tls
    } else {
        ErrorKind::Io
    }
}
