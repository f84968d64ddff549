//! The authorities that Mozilla trusts.

use super::ConfigBuilder;

impl ConfigBuilder {
    /// Trusts Mozilla's authorities, as they were when the program was built. They stand beside the
    /// system's, unless [`system_roots(false)`](Self::system_roots) leaves those out.
    ///
    /// Feature: `tls-bundled-roots`.
    pub fn bundled_roots(mut self) -> Self {
        self.roots
            .roots
            .extend_from_slice(webpki_roots::TLS_SERVER_ROOTS);
        self
    }
}
