//! Sends back whatever a client sends, on all cores: each has a worker with a listener of its own,
//! and the kernel deals the connections out.
//!
//! ```text
//! cargo run --release --example echo_all_cores      # then, elsewhere: nc 127.0.0.1 7000
//! ```
//!
//! A port may be given as the argument. `taskset -c 0` in front of the program leaves it one core.

use std::io;

use annulus::{
    Workers,
    net::{TcpListener, TcpStream},
    spawn,
};

#[path = "shared/plain.rs"]
mod plain;
#[path = "shared/port.rs"]
mod port;

fn main() -> plain::Result {
    let port = port::argument("echo_all_cores", 7000);
    let workers = Workers::builder().start(async move |worker| -> io::Result<()> {
        let options = TcpListener::options().reuse_port(true);
        let listener = options.bind(format!("127.0.0.1:{port}")).await?;
        let addr = listener.local_addr()?;
        plain::say(format_args!("worker {} listens on {addr}", worker.index()));
        loop {
            let (stream, _peer) = listener.accept().await?;
            spawn(echo(stream));
        }
    })?;
    workers.join()?;
    Ok(())
}

/// Until the client has finished. One that goes away ends its own task only.
async fn echo(stream: TcpStream) -> io::Result<()> {
    loop {
        let bytes = stream.recv().await?;
        if bytes.is_empty() {
            return Ok(());
        }
        stream.write_all(bytes).await?;
    }
}
