//! An HTTP/3 server that answers each request by its method and its path, and its client.
//!
//! ```text
//! $ cargo run --bin http3 -- serve 127.0.0.1:4433 /tmp/http3.der
//! listening on 127.0.0.1:4433
//! $ cargo run --bin http3 -- get 127.0.0.1:4433 /tmp/http3.der /hello
//! GET /hello
//! ```

use std::{env, fs, net::SocketAddr};

use annulus::{future::race, signal};
use ecosystem::{
    http3,
    quic_echo::{Identity, Result, accept, client, close, server},
};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", addr, certificate] => annulus::run(serve(addr.parse()?, certificate)),
        ["get", addr, certificate, path] => annulus::run(get(addr.parse()?, certificate, path)),
        _ => Err("expected `serve ADDRESS FILE` or `get ADDRESS FILE PATH`".into()),
    }
}

async fn serve(addr: SocketAddr, certificate: &str) -> Result<()> {
    let identity = Identity::new()?;
    let endpoint = server(addr, &identity, http3::PROTOCOL)?;
    fs::write(certificate, &identity.certificate)?;
    println!("listening on {}", endpoint.local_addr()?);
    race(
        std::pin::pin!(accept(&endpoint, http3::serve)),
        std::pin::pin!(signal::ctrl_c()),
    )
    .await;
    close(endpoint).await;
    Ok(())
}

async fn get(addr: SocketAddr, certificate: &str, path: &str) -> Result<()> {
    let endpoint = client(fs::read(certificate)?.into(), http3::PROTOCOL)?;
    let connection = endpoint.connect(addr, "localhost")?.await?;
    for body in http3::get(connection, &[path]).await? {
        print!("{body}");
    }
    close(endpoint).await;
    Ok(())
}
