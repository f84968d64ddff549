//! Answers for outside test suites: what a path asks for, and for all others an echo of the body.
//!
//! ```text
//! cargo run --release --example conformance -- 8080 --idle-timeout 5
//! curl -i -d hello http://127.0.0.1:8080/any
//! ```
//!
//! The others are those in `answer`.

use std::{io, time::Duration};

use annulus::{
    http::{self, HeaderName, HeaderValue, Request, Response, StatusCode},
    time,
};

#[path = "conformance/options.rs"]
mod options;
#[path = "conformance/streams.rs"]
mod streams;

fn main() -> io::Result<()> {
    options::server(std::env::args().skip(1))?
        .on_listening(|addr| println!("listening on http://{addr}/"))
        .run(answer)
        .map(|report| println!("{report}"))
}

async fn answer(request: Request) -> http::Result<Response> {
    Ok(match request.path() {
        "/chunked" => streams::chunked(),
        "/big" => streams::big(number(&request, "n")),
        "/sse" => streams::events(),
        "/noread" => Response::text("early"),
        "/boom" => panic!("/boom was asked for"),
        "/static/hello.txt" => streams::file().await?,
        "/slow" => {
            time::sleep(Duration::from_millis(number(&request, "ms"))).await;
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

fn number(request: &Request, name: &str) -> u64 {
    let mut pairs = request.query().unwrap_or("").split('&');
    let text = pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
