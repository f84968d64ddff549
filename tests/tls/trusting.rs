//! Clients that trust the tests' authority.

use annulus::{http::Client, tls};

use crate::support::{certificates::Certificates, tls::trusting};

/// A client that trusts the tests' authority, and finds every name here.
pub(crate) fn client(certificates: &Certificates) -> Client {
    client_of(trusting(certificates))
}

pub(crate) fn client_of(config: tls::ConfigBuilder) -> Client {
    Client::builder().tls(config.build().unwrap()).build()
}
