//! A price that changes 20 times a second, on a live page for any number of viewers. One that reads
//! too slowly skips prices and gets the last one: nothing piles up for it.
//!
//! ```text
//! cargo run --release --example ticker                # then open http://127.0.0.1:8080/
//! cargo run --release --example ticker -- watch ws://127.0.0.1:8080/prices 10000
//! ```
//!
//! The second command is 10,000 more viewers, and tells each second how much they got. The first
//! takes a port. Ctrl-c ends both.

use std::{env, time::Duration};

use annulus::{http::Server, signal};

#[path = "../shared/plain.rs"]
mod plain;
mod price;
mod watch;

const USAGE: &str = "ticker [PORT] | ticker watch URL COUNT";

fn main() -> plain::Result {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(|text| &**text).collect();
    let port = match arguments[..] {
        [] => Ok(8080_u16),
        [port] => port.parse(),
        ["watch", url, count] => match count.parse() {
            Ok(count) => return annulus::run(watch::watch(url, count)),
            Err(error) => Err(error),
        },
        _ => plain::usage(USAGE),
    };
    let Ok(port) = port else {
        plain::usage(USAGE);
    };
    let topics = price::topics();
    let published = topics.clone();
    Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .on_listening(|addr| plain::say(format_args!("listening on http://{addr}/")))
        .shutdown_on(signal::ctrl_c(), Duration::from_secs(10))
        // One of the workers publishes, and all have viewers.
        .background(async move |job| price::publish(&published, &job).await)
        .run_each(move || price::router(topics.clone()))?;
    Ok(())
}
