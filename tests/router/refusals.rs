//! The hook that writes the answers which the server gives by itself.

use std::{net::SocketAddr, time::Duration};

use annulus::http::{
    BodyWriter, HeaderName, HeaderValue, Next, Request, Response, Router, StatusCode, Timeouts,
};

use crate::{
    support::server::serve_by,
    talk::{ask, body, field, status, talk},
};

/// The number that a layer gives to a request.
struct Id(u32);

fn start() -> SocketAddr {
    serve_by(|server| {
        let timeouts = Timeouts {
            head: Duration::from_secs(1),
            ..Timeouts::default()
        };
        let server = server
            .hosts(["a"])
            .timeouts(timeouts)
            .on_refusal(|refusal| {
                let id = refusal.extension::<Id>().map_or(0, |id| id.0);
                let about = format!(
                    "{id} {} {}",
                    refusal.method().map_or("-", |method| method.as_str()),
                    refusal.target().unwrap_or("-"),
                );
                assert!(refusal.field("x-panic").is_none(), "the hook panics");
                let name = HeaderName::from_static("about");
                refusal
                    .to_problem()
                    .try_with_field("About", &about)
                    .unwrap()
                    .with_field(name, HeaderValue::from_static("two"))
            });
        server.run_each(|| {
            Router::new()
                .get("/panic", async |_| -> StatusCode { panic!("a handler") })
                .get("/late", async |_| {
                    Response::writer(async |_: BodyWriter| -> _ { panic!("a writer") })
                })
                .get("/upgrade", async |_| {
                    Response::upgrade(HeaderValue::from_static("echo"), async |_| ())
                })
                .layer(async |request: Request, next: Next<'_>| {
                    request.extensions().insert(Id(7));
                    assert!(request.path() != "/layer", "a layer");
                    next.run(request).await
                })
        })
    })
}

#[test]
fn a_hook_writes_each_answer_that_the_server_gives_by_itself() {
    let addr = start();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(100_000));
    for (request, code, about, detail) in [
        ("nonsense\r\n\r\n".to_owned(), 400, "0 - -", "expected"),
        (long, 414, "0 - -", "expected"),
        ("GET / HT".to_owned(), 400, "0 - -", "expected"),
        (
            "GET /x HTTP/1.1\r\n\r\n".to_owned(),
            400,
            "0 GET /x",
            "expected",
        ),
        (
            "GET /y HTTP/1.1\r\nHost: b\r\n\r\n".to_owned(),
            421,
            "0 GET /y",
            "expected a host of this server, found another",
        ),
        (
            get("/panic"),
            500,
            "7 GET /panic",
            "the request could not be handled",
        ),
        (
            get("/layer"),
            500,
            "7 GET /layer",
            "the request could not be handled",
        ),
        (
            get("/late"),
            500,
            "7 GET /late",
            "the request could not be handled",
        ),
        (get("/upgrade"), 426, "7 GET /upgrade", "expected an offer"),
    ] {
        let answer = talk(addr, request.as_bytes());
        if answer.is_empty() && request == "GET / HT" {
            // A client that leaves in the middle of a head gets none.
            continue;
        }
        assert_eq!(status(&answer), code, "{request}");
        assert_eq!(field(&answer, "about"), Some(about), "{request}");
        let json = body(&answer);
        assert!(
            json.starts_with(&format!("{{\"status\":{code},\"title\":\"")),
            "{json}"
        );
        assert!(json.contains(&format!("\"detail\":\"{detail}")), "{json}");
        let content_type = field(&answer, "content-type");
        assert_eq!(content_type, Some("application/problem+json"), "{request}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
    let upgrade = talk(addr, get("/upgrade").as_bytes());
    assert_eq!(field(&upgrade, "upgrade"), Some("echo"));
}

#[test]
fn a_refused_head_request_has_the_length_of_a_body_and_none() {
    let answer = ask(start(), "HEAD", "/panic");
    // No route has HEAD alone: it is GET's.
    assert_eq!(status(&answer), 500);
    assert!(
        field(&answer, "content-length")
            .unwrap()
            .parse::<usize>()
            .unwrap()
            > 0
    );
    assert_eq!(body(&answer), "");
}

#[test]
fn a_hook_that_panics_leaves_the_line_of_text() {
    let addr = start();
    let request = "GET /panic HTTP/1.1\r\nHost: a\r\nX-Panic: 1\r\n\r\n";
    let answer = talk(addr, request.as_bytes());
    assert_eq!(status(&answer), 500);
    assert_eq!(body(&answer), "the request could not be handled\n");
    assert_eq!(field(&answer, "content-type"), Some("text/plain"));
    // The worker lives on.
    assert_eq!(status(&ask(addr, "GET", "/panic")), 500);
}
