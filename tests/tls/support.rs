//! Helpers that the tests share.

use std::time::Duration;

use annulus::{Builder, DriverKind, http::Client, tls};

use super::certificates::Certificates;

/// How long a test waits for what must come.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// Runs a test's future on each driver, and fails when it takes too long.
pub(crate) fn run(mut test: impl AsyncFnMut()) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Builder::new().driver(kind).build().unwrap();
        runtime.block_on(async {
            annulus::time::timeout(BOUND, test())
                .await
                .expect("a test ends in time");
        });
    }
}

/// The value of a field in a head.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// `200 OK` with a body of known length.
pub(crate) fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

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
