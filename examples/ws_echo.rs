//! Sends each message of a WebSocket back, at every path: for outside test suites.
//!
//! ```text
//! cargo run --release --features compress --example ws_echo -- 9001
//! cargo run --release --features compress --example ws_echo -- 9001 --deflate --max-message 65536
//! ```
//!
//! `--deflate` compresses messages if the client can, and `--max-message` limits their bytes.
//! Otherwise they may have 16 MiB. With `--handler` an object serves all connections, in place of an
//! async function for each. Some have 65,536 fragments: cases of Autobahn need that.

use std::time::Duration;

use annulus::{
    http::{
        self, Request, Server,
        websocket::{Endpoint, Handler, Message, Options, Origins, Peer, WebSocket},
    },
    signal,
};

#[path = "shared/plain.rs"]
mod plain;

fn main() -> plain::Result {
    let Some((port, options, by_handler)) = arguments(std::env::args().skip(1)) else {
        plain::usage("ws_echo [PORT] [--deflate] [--max-message BYTES] [--handler]");
    };
    let report = Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .shutdown_on(signal::terminate(), Duration::from_secs(10))
        .on_listening(|addr| plain::say(format_args!("listening on ws://{addr}/")))
        .run_each(move || {
            let options = options.clone();
            let endpoint = Endpoint::new(Echo).options(options.clone());
            async move |request: Request| match by_handler {
                true => request.websocket_endpoint(&endpoint, ()),
                false => request.websocket_with(&options, echo),
            }
        })?;
    plain::say(report);
    Ok(())
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Option<(u16, Options, bool)> {
    let (mut port, mut bytes_max, mut by_handler) = (9001, 16 << 20, false);
    let options = Options::new().origins(Origins::Any);
    let mut options = options.fragments_max(1 << 17);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--deflate" => options = options.compression(true),
            "--max-message" => bytes_max = arguments.next()?.parse().ok()?,
            "--handler" => by_handler = true,
            number => port = number.parse().ok()?,
        }
    }
    Some((port, options.message_bytes_max(bytes_max), by_handler))
}

async fn echo(mut socket: WebSocket) -> http::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

struct Echo;

impl Handler for Echo {
    type Data = ();

    async fn message(&self, peer: &Peer, message: Message) -> http::Result<()> {
        peer.send(message).await?;
        Ok(())
    }
}
