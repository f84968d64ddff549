//! Answers for outside test suites: what a path asks for, and for all others an echo of the body.
//!
//! ```text
//! cargo run --release --example conformance -- 8080 --idle-timeout 5
//! curl -i -d hello http://127.0.0.1:8080/any
//! ```
//!
//! The others are those in `answer`.

use std::time::Duration;

use annulus::{
    http::{self, Request, Response, StatusCode},
    time,
};

#[path = "conformance/echoes.rs"]
mod echoes;
#[path = "conformance/options.rs"]
mod options;
#[path = "shared/plain.rs"]
mod plain;
#[path = "conformance/streams.rs"]
mod streams;

fn main() -> plain::Result {
    let Some(server) = options::server(std::env::args().skip(1)) else {
        plain::usage("conformance [PORT] [--OPTION NUMBER]..; options.rs has the options");
    };
    let report = server
        .on_listening(|addr| plain::say(format_args!("listening on http://{addr}/")))
        .run(answer)?;
    plain::say(report);
    Ok(())
}

async fn answer(request: Request) -> http::Result<Response> {
    Ok(match request.path() {
        "/chunked" => streams::chunked(),
        "/big" => streams::big(streams::number(&request, "n")),
        "/sse" => streams::events(),
        "/ws" => request.websocket(echoes::messages),
        "/noread" => Response::text("early"),
        "/boom" => panic!("/boom was asked for"),
        "/static/hello.txt" => streams::file().await?,
        "/slow" => {
            time::sleep(Duration::from_millis(streams::number(&request, "ms"))).await;
            Response::text("slow")
        }
        path => match path.strip_prefix("/status/") {
            Some(status) => Response::new(status.parse().or(Err(StatusCode::NOT_FOUND))?),
            None => return echoes::body(request).await,
        },
    })
}
