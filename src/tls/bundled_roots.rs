//! The authorities that Mozilla trusts.

use super::ConfigBuilder;

impl ConfigBuilder {
    /// Trusts the authorities that Mozilla does, as of the build of the program. They stand beside
    /// the system's, unless [`system_roots(false)`](Self::system_roots) leaves those out.
    ///
    /// Feature: `tls-bundled-roots`.
    pub fn bundled_roots(mut self) -> Self {
        self.roots
            .roots
            .extend_from_slice(webpki_roots::TLS_SERVER_ROOTS);
        self
    }
}
