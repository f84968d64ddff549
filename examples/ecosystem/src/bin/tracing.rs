//! The spans of requests, with method, route and status, and lines that know their request.
//!
//! ```text
//! cargo run --bin tracing          # then, elsewhere: curl http://127.0.0.1:8080/users/7
//! ```
//!
//! A port may be given as the argument. Ctrl-c ends it.

use std::time::Duration;

use annulus::{
    blocking,
    http::{self, Request, Router, Server},
    signal, spawn, time,
};
use tracing::{Instrument as _, Span, info, warn};
use tracing_subscriber::fmt::format::FmtSpan;

async fn user(request: Request) -> http::Result<String> {
    let id: u32 = request.param("id")?;
    info!(id, "looking the user up");
    // A task and a call on another thread are not inside of the request's span, unless they are
    // told to be.
    let name = spawn(name_of(id).in_current_span());
    let name = name.await.expect("it does not panic");
    let span = Span::current();
    let hash = blocking::run(move || span.in_scope(|| hash_of(&name))).await;
    Ok(format!("user {id} has {hash}\n"))
}

async fn name_of(id: u32) -> String {
    time::sleep(Duration::from_millis(5)).await;
    if id == 0 {
        warn!(id, "there is no such user");
    }
    format!("user-{id}")
}

/// A call that would block the others of its thread.
fn hash_of(name: &str) -> u32 {
    info!(name, "hashing");
    name.bytes().fold(5381, |hash: u32, byte| {
        hash.wrapping_mul(33) ^ u32::from(byte)
    })
}

fn router() -> Router {
    Router::new().get("/users/{id}", user)
}

fn main() -> std::io::Result<()> {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_target(false)
        .with_span_events(FmtSpan::CLOSE)
        .init();
    let port = std::env::args().nth(1).unwrap_or("8080".into());
    let report = Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .on_listening(|addr| info!("listening on {addr}"))
        // The server's own record of each request, also of those that never reach a handler: bytes
        // that are no HTTP, a client that left, an answer that was cut off.
        .access_log(|access| match access.reason {
            None => info!(sent = access.sent, "answered {}", access.target),
            Some(reason) => warn!(reason = reason.as_str(), "ended {}", access.target),
        })
        .shutdown_on(signal::ctrl_c(), Duration::from_secs(10))
        .run_each(router)?;
    info!("{report}");
    Ok(())
}
