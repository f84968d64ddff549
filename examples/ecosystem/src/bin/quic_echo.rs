//! A QUIC echo server and its client, by quinn.
//!
//! The server makes a certificate of its own and leaves it in a file, for clients to trust. It ends
//! with ctrl-c. The client sends its standard input and prints what comes back:
//!
//! ```text
//! $ cargo run --bin quic_echo -- serve 127.0.0.1:4433 /tmp/echo.der
//! listening on 127.0.0.1:4433
//! $ echo hello | cargo run --bin quic_echo -- send 127.0.0.1:4433 /tmp/echo.der
//! hello
//! ```

use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    net::SocketAddr,
};

use annulus::{future::race, signal};
use ecosystem::quic_echo::{Identity, Result, accept, client, close, echo, exchange, server};

const PROTOCOL: &[u8] = b"echo";
/// The most that the client sends.
const BYTES_MAX: u64 = 64 << 20;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", addr, certificate] => annulus::run(serve(addr.parse()?, certificate)),
        ["send", addr, certificate] => annulus::run(send(addr.parse()?, certificate)),
        _ => Err("expected `serve ADDRESS FILE` or `send ADDRESS FILE`".into()),
    }
}

async fn serve(addr: SocketAddr, certificate: &str) -> Result<()> {
    let identity = Identity::new()?;
    let endpoint = server(addr, &identity, PROTOCOL)?;
    fs::write(certificate, &identity.certificate)?;
    println!("listening on {}", endpoint.local_addr()?);
    race(
        std::pin::pin!(accept(&endpoint, echo)),
        std::pin::pin!(signal::ctrl_c()),
    )
    .await;
    close(endpoint).await;
    Ok(())
}

async fn send(addr: SocketAddr, certificate: &str) -> Result<()> {
    let mut bytes = Vec::new();
    io::stdin().take(BYTES_MAX).read_to_end(&mut bytes)?;
    let endpoint = client(fs::read(certificate)?.into(), PROTOCOL)?;
    let connection = endpoint.connect(addr, "localhost")?.await?;
    let answer = exchange(&connection, bytes).await?;
    close(endpoint).await;
    Ok(io::stdout().write_all(&answer)?)
}
