//! Sends back whatever a client sends, to any number of clients at once.
//!
//! ```text
//! cargo run --release --example echo        # then, elsewhere: nc 127.0.0.1 7000
//! ```
//!
//! A port may be given as the argument. A client that goes away ends its own task only.

use std::io;

use annulus::{
    net::{TcpListener, TcpStream},
    spawn,
};

#[path = "shared/plain.rs"]
mod plain;
#[path = "shared/port.rs"]
mod port;

fn main() -> plain::Result {
    let port = port::argument("echo", 7000);
    annulus::run(async {
        let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
        plain::say(format_args!("listening on {}", listener.local_addr()?));
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    spawn(async move {
                        if let Err(error) = echo(&stream).await {
                            plain::note(format_args!("{peer}: {error}\n"));
                        }
                    });
                }
                // Out of descriptors, most likely: those who are here are served on.
                Err(error) => plain::note(format_args!("accept: {error}\n")),
            }
        }
    })
}

async fn echo(stream: &TcpStream) -> io::Result<()> {
    loop {
        let bytes = stream.recv().await?;
        if bytes.is_empty() {
            return Ok(());
        }
        stream.write_all(bytes).await?;
    }
}
