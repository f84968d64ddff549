//! Gets pages: heads on standard error, bodies on standard output.
//!
//! ```text
//! cargo run --example fetch http://127.0.0.1:8080/ [URL..] > page
//! ```
//!
//! `https` wants `--features tls`. A body that is large, or tells no length, comes with its progress.

use std::{
    env,
    io::{self, Write as _},
};

use annulus::http::Client;

/// Bodies from here on are worth a progress bar.
const LARGE: u64 = 1 << 20;

async fn fetch(client: &Client, url: &str) -> io::Result<()> {
    let mut response = client.get(url).timeout(None).send().await?;
    eprintln!("{:?} {}", response.version(), response.status());
    for (name, value) in response.fields() {
        eprintln!("{name}: {}", value.escape_ascii());
    }
    let total = response.bytes_left();
    let (mut received, mut told) = (0, 0);
    while let Some(piece) = response.next().await? {
        io::stdout().write_all(&piece)?;
        received += piece.len() as u64;
        if received - told >= LARGE {
            told = received;
            progress(received, total);
        }
    }
    eprintln!("\n{received} bytes in {:.1?}", response.timings().total);
    Ok(())
}

fn progress(received: u64, total: Option<u64>) {
    match total {
        Some(total) => {
            let done = (received * 40 / total.max(1)) as usize;
            eprint!("\r[{:40}] {received} of {total}", "#".repeat(done));
        }
        None => eprint!("\r{received}"),
    }
}

fn main() -> io::Result<()> {
    let urls: Vec<String> = env::args().skip(1).collect();
    annulus::run(async {
        let client = Client::new();
        for url in &urls {
            fetch(&client, url).await?;
        }
        Ok(())
    })
}
