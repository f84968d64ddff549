//! The TLS settings of a client's builder.

use super::ClientBuilder;
use crate::tls::Config;

impl ClientBuilder {
    /// Sets the TLS configuration for `https`: the authorities that the client trusts, and the
    /// certificate that it shows to servers. By default it trusts the system's authorities and
    /// shows none. It takes a [`tls::Config`](Config), or a `rustls::ClientConfig`.
    ///
    /// Feature: `tls`.
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
        self.connector.tls.configure(&config.into());
        self
    }
}
