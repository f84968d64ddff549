//! Sends each message of a WebSocket back, at every path: for outside test suites.
//!
//! ```text
//! cargo run --release --features compress --example ws_echo -- 9001
//! cargo run --release --features compress --example ws_echo -- 9001 --deflate --max-message 65536
//! ```
//!
//! `--deflate` compresses messages if the client can, and `--max-message` limits their bytes.
//! Otherwise they may have 16 MiB. Some have 65,536 fragments: cases of Autobahn need that.

use std::time::Duration;

use annulus::{
    http::{
        self, Request, Server,
        websocket::{Options, Origins, WebSocket},
    },
    signal,
};

#[path = "shared/plain.rs"]
mod plain;

fn main() -> plain::Result {
    let Some((port, options)) = arguments(std::env::args().skip(1)) else {
        plain::usage("ws_echo [PORT] [--deflate] [--max-message BYTES]");
    };
    let report = Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .shutdown_on(signal::terminate(), Duration::from_secs(10))
        .on_listening(|addr| plain::say(format_args!("listening on ws://{addr}/")))
        .run(async move |request: Request| request.websocket_with(&options, echo))?;
    plain::say(report);
    Ok(())
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Option<(u16, Options)> {
    let (mut port, mut bytes_max) = (9001, 16 << 20);
    let options = Options::new().origins(Origins::Any);
    let mut options = options.fragments_max(1 << 17);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--deflate" => options = options.compression(true),
            "--max-message" => bytes_max = arguments.next()?.parse().ok()?,
            number => port = number.parse().ok()?,
        }
    }
    Some((port, options.message_bytes_max(bytes_max)))
}

async fn echo(mut socket: WebSocket) -> http::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}
