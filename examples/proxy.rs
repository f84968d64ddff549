//! A reverse proxy: sends every request on to one of several servers, and its answer back.
//!
//! ```text
//! cargo run --release --example hello -- 8081                     # in another terminal
//! cargo run --release --example hello -- 8082                     # and one more
//! cargo run --release --example proxy -- 8080 127.0.0.1:8081 127.0.0.1:8082
//! curl -i http://127.0.0.1:8080/                                  # says Via: 1.1 annulus
//! ```
//!
//! Bodies go through piece by piece, each way only as fast as they are taken. A server that fails
//! rests for ten seconds, and requests that may be repeated go to another meanwhile. The answer is
//! 502 where none can be had or makes sense, and 504 where it takes too long. Ctrl-c finishes what
//! has begun.

use std::{env, time::Duration};

use annulus::{
    http::{
        Server,
        forward::{Balancer, Forward},
    },
    signal,
};

#[path = "shared/plain.rs"]
mod plain;

fn main() -> plain::Result {
    let mut arguments = env::args().skip(1);
    let port = arguments.next().map_or(Ok(8080_u16), |port| port.parse());
    let Ok(port) = port else {
        plain::usage("proxy [PORT [HOST:PORT ..]]");
    };
    let mut backends: Vec<String> = arguments.map(|host| format!("http://{host}")).collect();
    if backends.is_empty() {
        backends.push("http://127.0.0.1:8081".to_owned());
    }
    balance(&backends)?; // An invalid address ends the program here, before it listens.
    Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .on_listening(|addr| plain::say(format_args!("listening on http://{addr}/")))
        .shutdown_on(signal::ctrl_c(), Duration::from_secs(30))
        .run_each(move || Forward::balanced(balance(&backends).expect("it was checked")))?;
    Ok(())
}

fn balance(backends: &[String]) -> annulus::http::client::Result<Balancer> {
    let mut backends = backends.iter();
    backends.try_fold(Balancer::new(), |balancer, url| balancer.backend(url))
}
