//! Talks to a WebSocket: each line of the input is sent as a message, and messages that come are
//! printed.
//!
//! ```text
//! cargo run --release --example ws_client -- ws://127.0.0.1:9001/
//! ```
//!
//! At the end of the input and at ctrl-c it closes the connection, and prints messages that come
//! before the server's own close frame. `arguments.rs` has the options; `wss` wants
//! `--features tls`.

use annulus::{future::race, http::Client, signal, spawn};

mod arguments;
mod input;
#[path = "../shared/plain.rs"]
mod plain;

fn main() -> plain::Result {
    let Some(arguments) = arguments::parse() else {
        plain::usage(arguments::USAGE);
    };
    annulus::run(talk(arguments))
}

async fn talk(arguments: arguments::Arguments) -> plain::Result {
    let request = Client::new().websocket(&arguments.url);
    let mut request = request.options(&arguments.options);
    for (name, value) in arguments.fields {
        request = request.with_field(name, value);
    }
    let socket = request.connect().await?;
    let protocol = socket.protocol().unwrap_or("none");
    plain::note(format_args!("connected; subprotocol: {protocol}\n"));
    // Two tasks, so that one that waits for room to send does not keep the other from receiving.
    let (sender, mut receiver) = socket.split();
    let messages = input::messages(arguments.is_binary);
    let sending = spawn(async move {
        let sent = race(input::send_all(messages, &sender), signal::ctrl_c()).await;
        sender.start_close(arguments.code, "");
        sent.into_inner()
    });
    while let Some(message) = receiver.recv().await? {
        match message.as_text() {
            Some(text) => plain::say(text),
            None => plain::say(message.as_bytes().escape_ascii()),
        }
    }
    if let Some(info) = receiver.close_info() {
        plain::note(format_args!("{info}\n"));
    }
    // The input may have failed. While it has not ended, the server has closed the connection.
    if sending.is_finished() {
        sending.await??;
    }
    Ok(())
}
