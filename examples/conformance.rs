//! Answers for outside test suites: what a path asks for, and for all others an echo of the body.
//!
//! ```text
//! cargo run --release --example conformance -- 8080 --idle-timeout 5
//! curl -i -d hello http://127.0.0.1:8080/any
//! ```
//!
//! `/status/N`, `/slow?ms=N`, `/big?n=N`, `/noread`, `/boom` and `/static/hello.txt` are the others.

use std::{io, time::Duration};

use annulus::{
    http::{self, HeaderName, HeaderValue, Request, Response, StatusCode},
    time,
};

#[path = "conformance/options.rs"]
mod options;

fn main() -> io::Result<()> {
    let server = options::server(std::env::args().skip(1))?;
    server
        .on_listening(|addr| println!("listening on http://{addr}/"))
        .run(answer)
        .map(drop)
}

async fn answer(request: Request) -> http::Result<Response> {
    let number = |name| option(request.query().unwrap_or(""), name);
    Ok(match request.path() {
        "/noread" => Response::text("early"),
        "/boom" => panic!("/boom was asked for"),
        "/static/hello.txt" => Response::text("hello, static world\n"),
        "/big" => Response::bytes(vec![b'x'; number("n") as usize]),
        "/slow" => {
            time::sleep(Duration::from_millis(number("ms"))).await;
            Response::text("slow")
        }
        path => match path.strip_prefix("/status/") {
            Some(status) => Response::new(status.parse().or(Err(StatusCode::NOT_FOUND))?),
            None => return echo(request).await,
        },
    })
}

async fn echo(mut request: Request) -> http::Result<Response> {
    let value = |text: &str| HeaderValue::from_str(text).or(Err(StatusCode::BAD_REQUEST));
    let (method, target) = (value(request.method().as_str())?, value(request.target())?);
    Ok(Response::bytes(request.take_body().bytes().await?)
        .field(HeaderName::from_static("x-method"), method)
        .field(HeaderName::from_static("x-target"), target))
}

fn option(query: &str, name: &str) -> u64 {
    let found = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.and_then(|number| number.parse().ok()).unwrap_or(0)
}
