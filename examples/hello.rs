//! Answers every HTTP request with a greeting, on all cores.
//!
//! ```text
//! cargo run --release --example hello       # then, elsewhere: curl -i http://127.0.0.1:8080/
//! ```
//!
//! A port may be given as the argument.

use annulus::{
    Cores,
    http::{Response, Server},
};

#[path = "shared/plain.rs"]
mod plain;
#[path = "shared/port.rs"]
mod port;

fn main() -> plain::Result {
    let port = port::argument("hello", 8080);
    Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .cores(Cores::All)
        .on_listening(|addr| plain::say(format_args!("listening on http://{addr}/")))
        .run(async |_request| Response::text("Hello, World!"))?;
    Ok(())
}
