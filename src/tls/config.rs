//! The TLS configuration of a client.

use std::{fmt, io, sync::Arc};

use rustls::ClientConfig;

use super::ConfigBuilder;

/// The TLS configuration of a client: the authorities that it trusts, and its offers to servers. A
/// clone shares everything with its original, the sessions to resume included, and may go to any
/// thread.
#[derive(Clone)]
pub struct Config {
    pub(super) inner: Arc<ClientConfig>,
}

impl Config {
    /// Makes the default configuration: the system's authorities, TLS 1.2 and 1.3.
    ///
    /// # Errors
    ///
    /// As [`ConfigBuilder::build`], which also tells what it reads.
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// Returns a builder for other settings.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::new()
    }

    /// Offers these protocols in place of those so far, and shares the rest.
    pub(crate) fn with_alpn(&self, protocols: &[&[u8]]) -> Self {
        if self.inner.alpn_protocols == protocols {
            return self.clone();
        }
        let mut config = ClientConfig::clone(&self.inner);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Self {
            inner: Arc::new(config),
        }
    }
}

/// Everything that rustls can do.
impl From<Arc<ClientConfig>> for Config {
    fn from(inner: Arc<ClientConfig>) -> Self {
        Self { inner }
    }
}

/// Everything that rustls can do.
impl From<ClientConfig> for Config {
    fn from(config: ClientConfig) -> Self {
        Arc::new(config).into()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}
