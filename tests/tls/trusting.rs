//! Clients that trust the tests' authority.

use annulus::{http::Client, tls};

use super::certificates::Certificates;

/// Trusts the tests' authority and nobody else.
pub(crate) fn trusting(certificates: &Certificates) -> tls::Builder {
    tls::Config::builder()
        .system_roots(false)
        .add_root_certificate(&certificates.text("authority.pem"))
}

/// A client that trusts the tests' authority, and finds every name here.
pub(crate) fn client(certificates: &Certificates) -> Client {
    client_of(trusting(certificates))
}

pub(crate) fn client_of(config: tls::Builder) -> Client {
    Client::builder().tls(config.build().unwrap()).build()
}
