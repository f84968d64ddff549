//! Compressed answers.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    time::Duration,
};

use annulus::{
    http::{
        self, BodyWriter, Coding, Compression, HeaderValue, Next, Request, Response, Router,
        StatusCode, header, test::TestClient,
    },
    time,
};
use flate2::read::GzDecoder;

use crate::{
    support::{Folder, http::connect, server::serve_by},
    talk::field,
};

fn text() -> String {
    "a line of text\n".repeat(200)
}

fn with(name: header::HeaderName, value: &'static str) -> Response {
    Response::text(text()).with_field(name, HeaderValue::from_static(value))
}

fn router() -> Router {
    Router::new()
        .get("/", async |_| Response::text(text()))
        .get("/small", async |_| "x".repeat(1023))
        .get("/least", async |_| "x".repeat(1024))
        .get("/large", async |_| text().repeat(100))
        .get("/strong", async |_| with(header::ETAG, "\"v\""))
        .get("/weak", async |_| with(header::ETAG, "W/\"v\""))
        .get("/vary", async |_| {
            with(header::VARY, "origin, Accept-Encoding")
        })
        .get("/anything", async |_| with(header::VARY, "*"))
        .get("/ranges", async |_| with(header::ACCEPT_RANGES, "bytes"))
        .get("/part", async |_| with(header::CONTENT_RANGE, "bytes */9"))
        .get("/coded", async |_| with(header::CONTENT_ENCODING, "br"))
        .get("/kept", async |_| {
            with(header::CACHE_CONTROL, "public, no-transform")
        })
        .get("/image", async |_| with(header::CONTENT_TYPE, "image/png"))
        .get("/error", async |_| {
            Response::text(text()).with_status(StatusCode::NOT_FOUND)
        })
        .get("/partial", async |_| {
            Response::text(text()).with_status(StatusCode::PARTIAL_CONTENT)
        })
        .get("/same", async |_| Response::new(StatusCode::NOT_MODIFIED))
        .get("/known", async |_| {
            let tag = HeaderValue::from_static("\"v\"");
            Response::new(StatusCode::NOT_MODIFIED).with_field(header::ETAG, tag)
        })
        .get("/stream", async |_| {
            Response::writer(async |mut out: BodyWriter| {
                out.write("first\n").await?;
                out.write("").await?;
                out.write("second\n").await
            })
            .with_field(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))
            .with_field(header::CONTENT_LENGTH, HeaderValue::from_static("13"))
        })
        .get("/events", async |_| Response::sse(async |_| Ok(())))
        .get("/waits", async |_| {
            Response::writer(async |mut out: BodyWriter| {
                out.write("first\n").await?;
                time::sleep(Duration::from_secs(3600)).await;
                Ok(())
            })
            .with_field(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))
        })
}

fn serve() -> std::net::SocketAddr {
    serve_by(|server| server.run_each(|| Compression::new().around(router())))
}

/// The head, and the body without chunks.
fn ask(addr: std::net::SocketAddr, method: &str, target: &str, line: &str) -> (String, Vec<u8>) {
    let mut stream = connect(addr);
    let request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{line}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let at = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
    let mut body = bytes.split_off(at);
    if head.contains("chunked") && method == "GET" {
        body = dechunked(&body);
    }
    (head, body)
}

fn dechunked(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(at) = chunks.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&chunks[..at]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        body.extend_from_slice(&chunks[at + 2..at + 2 + size]);
        chunks = &chunks[at + 2 + size + 2..];
        if size == 0 {
            break;
        }
    }
    body
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
    out
}

const GZIP: &str = "Accept-Encoding: gzip\r\n";

#[test]
fn answers_are_compressed_where_they_become_smaller_and_may_be() {
    let addr = serve();
    // Target, whether it is compressed, `Vary`, `ETag`.
    for (target, is_coded, vary, etag) in [
        ("/", true, Some("accept-encoding"), None),
        ("/least", true, Some("accept-encoding"), None),
        ("/large", true, Some("accept-encoding"), None),
        ("/small", false, None, None),
        ("/strong", true, Some("accept-encoding"), Some("W/\"v\"")),
        ("/weak", true, Some("accept-encoding"), Some("W/\"v\"")),
        ("/vary", true, Some("origin, Accept-Encoding"), None),
        ("/kept", false, None, None),
        ("/image", false, None, None),
        ("/error", true, Some("accept-encoding"), None),
        ("/partial", false, None, None),
        ("/same", false, None, None),
        ("/stream", true, Some("accept-encoding"), None),
        ("/events", false, None, None),
    ] {
        let (head, body) = ask(addr, "GET", target, GZIP);
        let coding = field(&head, "content-encoding");
        assert_eq!(coding.is_some(), is_coded, "{target}: {head}");
        assert_eq!(field(&head, "vary"), vary, "{target}");
        assert_eq!(field(&head, "etag"), etag, "{target}");
        let (plain_head, plain) = ask(addr, "GET", target, "");
        assert_eq!(field(&plain_head, "content-encoding"), None, "{target}");
        assert_eq!(field(&plain_head, "vary"), vary, "{target}");
        let found = if is_coded { gunzip(&body) } else { body };
        assert!(found == plain, "{target}");
        // HEAD has the same fields, and no length where that is not known.
        let (of_head, nothing) = ask(addr, "HEAD", target, GZIP);
        assert_eq!(field(&of_head, "content-encoding"), coding, "{target}");
        assert_eq!(field(&of_head, "etag"), etag, "{target}");
        assert!(nothing.is_empty(), "{target}");
        let length = field(&of_head, "content-length");
        assert!(!is_coded || length.is_none(), "{target}: {of_head}");
    }
    let (head, _) = ask(addr, "GET", "/coded", GZIP);
    assert_eq!(
        (field(&head, "content-encoding"), field(&head, "vary")),
        (Some("br"), None)
    );
}

/// The client has the compressed answer, or the other one.
#[test]
fn a_304_has_the_tag_and_the_vary_of_the_answer_that_the_client_has() {
    let addr = serve();
    for (known, vary, etag) in [
        ("W/\"v\"", Some("accept-encoding"), "W/\"v\""),
        ("\"u\" , W/\"v\"", Some("accept-encoding"), "W/\"v\""),
        ("\"v\"", None, "\"v\""),
        ("W/\"u\"", None, "\"v\""),
        ("*", None, "\"v\""),
    ] {
        let line = format!("{GZIP}If-None-Match: {known}\r\n");
        let (head, _) = ask(addr, "GET", "/known", &line);
        assert_eq!(field(&head, "vary"), vary, "{known}");
        assert_eq!(field(&head, "etag"), Some(etag), "{known}");
    }
}

#[test]
fn a_layer_compresses_what_is_below_its_router() {
    let addr = serve_by(|server| {
        server.run_each(|| {
            let small = async |request: Request, next: Next<'_>| {
                let response = next.run(request).await;
                response.with_field(header::ALLOW, HeaderValue::from_static("GET"))
            };
            let below = Router::new()
                .get("/text", async |_| Response::text(text()))
                .layer(Compression::new())
                .layer(small);
            router().nest("/below", below)
        })
    });
    let (head, body) = ask(addr, "GET", "/below/text", GZIP);
    assert_eq!(field(&head, "content-encoding"), Some("gzip"));
    assert_eq!(field(&head, "allow"), Some("GET"));
    assert_eq!(gunzip(&body), text().as_bytes());
    let (head, body) = ask(addr, "GET", "/below/text", "");
    assert_eq!(field(&head, "vary"), Some("accept-encoding"));
    assert_eq!(body, text().as_bytes());
    let (head, _) = ask(addr, "HEAD", "/below/text", GZIP);
    assert_eq!(field(&head, "content-encoding"), Some("gzip"));
    let (head, body) = ask(addr, "GET", "/", GZIP);
    assert_eq!(field(&head, "content-encoding"), None);
    assert_eq!(body, text().as_bytes());
}

#[test]
fn the_coding_is_the_one_that_the_client_likes_best() {
    let addr = serve_by(|server| {
        let codings = [Coding::Brotli, Coding::Gzip];
        server.run_each(move || Compression::new().codings(&codings).around(router()))
    });
    for (value, expected) in [
        ("gzip, br", Some("br")),
        ("gzip, br;q=0.5", Some("gzip")),
        ("br;q=0, *", Some("gzip")),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0, gzip;q=0.1", Some("gzip")),
        ("*;q=0", None),
        ("zstd, deflate", None),
    ] {
        let line = format!("Accept-Encoding: {value}\r\n");
        let (head, _) = ask(addr, "GET", "/", &line);
        assert_eq!(field(&head, "content-encoding"), expected, "{value}");
    }
    // A client that wants nothing plain gets small answers compressed, too.
    let line = "Accept-Encoding: gzip, identity;q=0\r\n";
    let (head, _) = ask(addr, "GET", "/small", line);
    assert_eq!(field(&head, "content-encoding"), Some("gzip"));
}

#[test]
fn a_write_can_be_decoded_while_the_answer_goes_on() {
    let addr = serve();
    let mut stream = connect(addr);
    let request = format!("GET /waits HTTP/1.1\r\nHost: a\r\n{GZIP}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let (mut bytes, mut piece) = (Vec::new(), [0; 1024]);
    loop {
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0);
        bytes.extend_from_slice(&piece[..count]);
        let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let body = &bytes[at + 4..];
        let Some(at) = body.windows(2).position(|two| two == b"\r\n") else {
            continue;
        };
        let mut out = [0; 6];
        if GzDecoder::new(&body[at + 2..]).read_exact(&mut out).is_ok() {
            assert_eq!(&out, b"first\n");
            break;
        }
    }
}

#[test]
fn answers_beyond_the_most_at_a_time_go_out_as_they_are() {
    let addr =
        serve_by(|server| server.run_each(|| Compression::new().streams_max(1).around(router())));
    let mut first = connect(addr);
    let request = format!("GET /waits HTTP/1.1\r\nHost: a\r\n{GZIP}\r\n");
    first.write_all(request.as_bytes()).unwrap();
    let mut piece = [0; 12];
    first.read_exact(&mut piece).unwrap();
    assert_eq!(&piece, b"HTTP/1.1 200");
    let (head, body) = ask(addr, "GET", "/", GZIP);
    assert_eq!(field(&head, "content-encoding"), None);
    assert_eq!(field(&head, "vary"), Some("accept-encoding"));
    assert_eq!(body, text().as_bytes());
}

#[test]
fn an_answer_that_would_grow_goes_out_as_it_is() {
    let addr = serve_by(|server| {
        server.run_each(|| {
            let router = Router::new().get("/", async |_| "short");
            Compression::new().bytes_min(1).around(router)
        })
    });
    let (head, body) = ask(addr, "GET", "/", GZIP);
    assert_eq!(field(&head, "content-encoding"), None);
    assert_eq!(field(&head, "content-length"), Some("5"));
    assert_eq!(field(&head, "vary"), Some("accept-encoding"));
    assert_eq!(body, b"short");
}

#[test]
fn fields_fit_an_answer_that_was_compressed() {
    let addr = serve();
    let (head, _) = ask(addr, "GET", "/anything", GZIP);
    assert_eq!(field(&head, "content-encoding"), Some("gzip"));
    let vary: Vec<&str> = head.lines().filter(|line| is_vary(line)).collect();
    assert_eq!(vary.len(), 1, "{head}");
    // A range of the compressed bytes is of no use to a client.
    let (head, _) = ask(addr, "GET", "/ranges", GZIP);
    assert_eq!(field(&head, "content-encoding"), Some("gzip"));
    assert_eq!(field(&head, "accept-ranges"), None);
    let (head, _) = ask(addr, "GET", "/part", GZIP);
    assert_eq!(field(&head, "content-encoding"), None);
}

fn is_vary(line: &str) -> bool {
    line.to_ascii_lowercase().starts_with("vary:")
}

#[test]
fn one_answer_is_compressed_by_its_handler() {
    let addr = serve_by(|server| {
        server.run(async |request: Request| Response::text(text()).compressed(&request))
    });
    let (head, body) = ask(addr, "GET", "/", GZIP);
    assert_eq!(field(&head, "content-encoding"), Some("gzip"));
    assert_eq!(gunzip(&body), text().as_bytes());
}

#[test]
fn a_compressed_body_keeps_the_length_that_its_handler_promised() {
    let promising = |length: &'static str| {
        Response::writer(async |mut out: BodyWriter| {
            out.write("the first part, ").await?;
            out.flush().await?;
            out.write("and the second").await
        })
        .with_field(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))
        .with_field(header::CONTENT_LENGTH, HeaderValue::from_static(length))
    };
    let router = Router::new()
        .get("/whole", async move |_| promising("30"))
        .get("/short", async move |_| promising("31"))
        .get("/surplus", async move |_| promising("29"));
    annulus::run(async {
        let client = TestClient::new(Compression::new().around(router));
        for (path, is_whole) in [("/whole", true), ("/short", false), ("/surplus", false)] {
            let gzip = HeaderValue::from_static("gzip");
            let request = client.get(path).with_field(header::ACCEPT_ENCODING, gzip);
            let answer = request.send().await.unwrap();
            let body = answer.bytes().await;
            assert_eq!(body.is_ok(), is_whole, "{path}: {body:?}");
        }
    });
}

#[test]
fn a_file_is_compressed_whole_for_a_client_of_http_1_0() {
    // Its body ends with the connection, so its bytes could go past the encoder.
    let folder = Folder::new("compressed-file");
    let path = folder.path("lines.txt");
    std::fs::write(&path, text().repeat(100)).unwrap();
    let addr = serve_by(move |server| {
        server.run(async move |request: Request| -> http::Result<Response> {
            Ok(Response::file(&path).await?.compressed(&request))
        })
    });
    let mut stream = connect(addr);
    stream
        .write_all(b"GET / HTTP/1.0\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let at = answer.windows(4).position(|part| part == b"\r\n\r\n");
    let mut found = String::new();
    GzDecoder::new(&answer[at.unwrap() + 4..])
        .read_to_string(&mut found)
        .unwrap();
    assert!(found == text().repeat(100), "{} bytes", found.len());
}
