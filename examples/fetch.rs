//! Gets pages: heads on standard error, bodies on standard output.
//!
//! ```text
//! cargo run --example fetch http://127.0.0.1:8080/ [URL..] > page
//! ```
//!
//! `https` wants `--features tls`. Large bodies come with their progress.

use std::{
    env,
    io::{self, Write as _},
};

use annulus::http::Client;

#[expect(dead_code, reason = "a body is written as it is, and not by lines")]
#[path = "shared/plain.rs"]
mod plain;
#[path = "fetch/progress.rs"]
mod progress;

/// Bodies from here on are worth a progress bar.
const LARGE: u64 = 1 << 20;

async fn fetch(client: &Client, url: &str) -> io::Result<()> {
    let mut response = client.get(url).timeout(None).send().await?;
    let (version, status) = (response.version(), response.status());
    plain::note(format_args!("{version:?} {status}\n"));
    for (name, value) in response.fields() {
        plain::note(format_args!("{name}: {}\n", value.escape_ascii()));
    }
    let total = response.bytes_left();
    let (mut received, mut told) = (0, 0);
    while let Some(piece) = response.next().await? {
        io::stdout().write_all(&piece)?;
        received += piece.len() as u64;
        if received - told >= LARGE {
            told = received;
            progress::show(received, total);
        }
    }
    io::stdout().flush()?;
    let total = response.timings().total;
    plain::note(format_args!("\n{received} bytes in {total:.1?}\n"));
    Ok(())
}

fn main() -> plain::Result {
    let urls: Vec<String> = env::args().skip(1).collect();
    if urls.is_empty() {
        plain::usage("fetch URL..");
    }
    annulus::run(async {
        let client = Client::new();
        for url in &urls {
            fetch(&client, url).await?;
        }
        Ok(())
    })
}
