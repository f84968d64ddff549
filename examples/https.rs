//! Serves `https`, and reads its certificate again when it changes, while it serves on.
//!
//! ```text
//! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 \
//!     -keyout key.pem -out cert.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost
//! cargo run --release --features tls --example https cert.pem key.pem
//! curl --cacert cert.pem https://localhost:8443/
//! ```
//!
//! It looks at the files once a minute, and at once after `pkill -HUP -x https`. It uses what they
//! have then, or the old ones if that is wrong.

use std::{env, time::Duration};

use annulus::{
    future::{Either, race},
    http::{Job, Request, Server},
    tls::ServerConfig,
};

#[path = "shared/plain.rs"]
mod plain;

/// Says over what the request has come.
async fn answer(request: Request) -> String {
    let tls = request.tls().map(|tls| (tls.version(), tls.is_resumed()));
    format!("{tls:?}\n")
}

/// Reads the files again when they have changed, and at each `SIGHUP`.
async fn reload(config: ServerConfig, job: Job) {
    let report = |reloaded| match reloaded {
        Ok(()) => plain::note("the certificate was read again\n"),
        Err(error) => plain::note(format_args!("the old certificate stays: {error}\n")),
    };
    let watching = config.watch(Duration::from_secs(60), report);
    if let Either::Left(Err(error)) = race(watching, job.stopping()).await {
        plain::note(format_args!("no reloads: {error}\n"));
    }
}

fn main() -> plain::Result {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (certificate, key, port) = match &arguments[..] {
        [certificate, key] => (certificate, key, "8443"),
        [certificate, key, port] => (certificate, key, &**port),
        _ => plain::usage("https CERTIFICATE KEY [PORT]"),
    };
    let config = ServerConfig::builder().certificate_files(certificate, key);
    let config = config.build()?;
    let renewed = config.clone();
    Server::new()
        .listen_tls(("127.0.0.1", port.parse()?), &config)
        .on_listening(|addr| plain::say(format_args!("listening on https://{addr}/")))
        .background(async move |job| reload(renewed, job).await)
        .run(answer)?;
    Ok(())
}
