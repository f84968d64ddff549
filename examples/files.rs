//! Serves the files of a folder: types, validators, ranges, compressed siblings, a cache policy.
//!
//! ```text
//! cargo run --release --example files               # the folder `docs`, at port 8080
//! curl -i http://127.0.0.1:8080/style.md            # ETag, Last-Modified, Content-Type
//! curl -r 0-99 http://127.0.0.1:8080/style.md       # 206, its first 100 bytes
//! curl -z 'tomorrow' -i http://127.0.0.1:8080/style.md          # 304
//! curl -i --path-as-is http://127.0.0.1:8080/../Cargo.toml      # 404
//! cargo run --release --example files 8081 public   # another port, another folder
//! ```
//!
//! Ctrl-c finishes what has begun.

use std::{env, time::Duration};

use annulus::{
    http::{CachePolicy, Coding, Files, Router, Server},
    signal,
};

#[path = "shared/plain.rs"]
mod plain;

fn main() -> plain::Result {
    let mut arguments = env::args().skip(1);
    let port: Option<u16> = arguments
        .next()
        .map_or(Some(8080), |port| port.parse().ok());
    let folder = arguments.next().unwrap_or_else(|| "docs".to_owned());
    let (Some(port), None) = (port, arguments.next()) else {
        plain::usage(format_args!("files [PORT [FOLDER]]"));
    };
    Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .on_listening(|addr| plain::say(format_args!("listening on http://{addr}/")))
        .shutdown_on(signal::ctrl_c(), Duration::from_secs(10))
        .run_each(move || router(&folder))?;
    Ok(())
}

fn router(folder: &str) -> Router {
    let files = Files::new(folder)
        // `app.js.br` or `app.js.gz`, if it is there, to clients that take it.
        .precompressed([Coding::Brotli, Coding::Gzip])
        // A year for `app.3f9c1a2b.js`; all others are asked for again, and answered 304.
        .cache(CachePolicy::by_name)
        // `/anything` is the page of a program in the browser.
        .fallback("index.html");
    Router::new()
        .get("/version", async |_| "1")
        .files("/", files)
}
