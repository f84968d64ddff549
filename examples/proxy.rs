//! A reverse proxy: carries every request on to another server, and its answer back.
//!
//! ```text
//! cargo run --release --example hello -- 8081                     # in another terminal
//! cargo run --release --example proxy -- 8080 127.0.0.1:8081
//! curl -i http://127.0.0.1:8080/                                  # says Via: 1.1 annulus
//! ```
//!
//! Bodies go through piece by piece, each way only as fast as they are taken. The answer is 502
//! where the other server cannot be had or makes no sense, and 504 where it takes too long. Ctrl-c
//! finishes what has begun.

use std::{env, time::Duration};

use annulus::{http::Server, signal};

#[path = "proxy/fields.rs"]
mod fields;
#[path = "proxy/forward.rs"]
mod forward;
#[path = "shared/plain.rs"]
mod plain;

fn main() -> plain::Result {
    let mut arguments = env::args().skip(1);
    let port = arguments.next().map_or(Ok(8080_u16), |port| port.parse());
    let upstream = arguments.next().unwrap_or("127.0.0.1:8081".to_owned());
    let (Ok(port), None) = (port, arguments.next()) else {
        plain::usage("proxy [PORT [HOST:PORT]]");
    };
    Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .on_listening(|addr| plain::say(format_args!("listening on http://{addr}/")))
        .shutdown_on(signal::ctrl_c(), Duration::from_secs(30))
        .run_each(move || forward::to(upstream.clone()))?;
    Ok(())
}
