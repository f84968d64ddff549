//! Answers every HTTP request with a greeting, on all cores.
//!
//! ```text
//! cargo run --release --example hello       # then, elsewhere: curl -i http://127.0.0.1:8080/
//! ```
//!
//! A port may be given as the argument.

use std::io;

use annulus::{
    Cores,
    http::{Response, Server},
};

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "8080".to_owned());
    Server::bind(format!("127.0.0.1:{port}"))
        .workers(Cores::All)
        .on_listening(|addr| println!("listening on http://{addr}/"))
        .run(async |_request| Response::text("Hello, World!"))
        .map(drop)
}
