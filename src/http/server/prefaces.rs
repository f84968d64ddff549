//! The protocols that clients speak before HTTP at an address: that of a proxy, and TLS.

use std::sync::Arc;

use super::tls::Tls;
use crate::http::trusted_proxies::TrustedProxies;

/// The protocols before HTTP at an address.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefaces {
    pub(super) tls: Option<Tls>,
    /// The peers that begin with a header of the PROXY protocol.
    pub(super) proxies: Option<Arc<TrustedProxies>>,
}
