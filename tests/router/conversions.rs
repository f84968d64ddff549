//! Forms, the types of the `http` crate, and fields.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use annulus::http::{
    self, Error, HeaderMap, HeaderName, HeaderValue, Request, Response, Router, StatusCode,
};

use crate::talk::{ask, body, field, send, serve, status};

#[test]
fn a_form_is_read() {
    let addr = serve(|| {
        Router::new().post("/", async |mut request: Request| -> http::Result<String> {
            let form = request.form().await?;
            let number: Option<u8> = form.param("n")?;
            Ok(format!("{number:?} {:?}", form.pairs()))
        })
    });
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let with_charset = "Content-Type: Application/X-WWW-Form-Urlencoded; charset=UTF-8\r\n";
    let text = "Content-Type: text/plain\r\n";
    let multipart = "Content-Type: multipart/form-data; boundary=x\r\n";
    for (content_type, bytes, status_code, expected) in [
        (
            form,
            "n=1&t=%C3%BC+%2B",
            200,
            "Some(1) [(\"n\", \"1\"), (\"t\", \"\u{fc} +\")]",
        ),
        (with_charset, "a", 200, "None [(\"a\", \"\")]"),
        (form, "", 200, "None []"),
        (form, "n=300", 400, ""),
        (text, "n=1", 415, ""),
        (multipart, "n=1", 415, ""),
        ("", "n=1", 415, ""),
    ] {
        let answer = send(addr, "/", content_type, bytes.as_bytes());
        assert_eq!(status(&answer), status_code, "{bytes}: {answer}");
        assert_eq!(body(&answer), expected, "{bytes}");
    }
    let answer = send(addr, "/", form, b"a=\xff\0\r\n");
    assert_eq!(body(&answer), "None [(\"a\", \"\u{fffd}\\0\\r\\n\")]");
    let long = vec![b'x'; 3 << 20];
    let mut stream = TcpStream::connect(addr).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\n{form}Content-Length: {}\r\n\r\n",
        long.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[test]
fn fields_are_told_in_order_and_as_they_were_sent() {
    let addr = serve(|| {
        Router::new().post("/", async |request: Request| {
            let mut text = String::new();
            for (name, value) in request.fields() {
                text += &format!("{name}={};", value.escape_ascii());
            }
            text
        })
    });
    let answer = send(addr, "/", "X-B: 1\r\nx-a:  2 \r\nx-b: \u{fc}\r\n", b"");
    let told = body(&answer);
    assert!(told.contains("X-B=1;x-a=2;x-b=\\xc3\\xbc;"), "{told}");
}

#[test]
fn requests_and_responses_convert_to_the_http_crate() {
    let addr = serve(|| {
        Router::new()
            .post("/{a}", async |request: Request| {
                let request = request.into_http()?;
                let (parts, body) = request.into_parts();
                let body = body.bytes().await?;
                Ok::<_, Error>(
                    ::http::Response::builder()
                        .status(201)
                        .header("content-type", "text/x")
                        .header("set-cookie", "a=1")
                        .header("set-cookie", "b=2")
                        .header("content-length", "999")
                        .extension("forgotten")
                        .body([parts.uri.to_string().as_bytes(), b" ", &body].concat())
                        .unwrap(),
                )
            })
            .any("/x/{*rest}", async |request: Request| {
                let request = ::http::Request::try_from(request)?;
                Ok::<_, Error>(format!(
                    "{} {:?}",
                    request.method(),
                    request.headers()["host"]
                ))
            })
    });
    let answer = send(addr, "/x?y", "", b"sent");
    assert_eq!(status(&answer), 201);
    assert_eq!(body(&answer), "/x?y sent");
    assert_eq!(field(&answer, "content-type"), Some("text/x"));
    assert_eq!(answer.matches("ontent-Type: ").count(), 1, "{answer}");
    let cookies = answer.to_ascii_lowercase();
    assert!(
        cookies.contains("set-cookie: a=1\r\nset-cookie: b=2\r\n"),
        "{answer}"
    );
    assert_eq!(field(&answer, "content-length"), Some("9"), "{answer}");
    assert_eq!(body(&ask(addr, "GET", "/x/y")), "GET \"a\"");
    assert_eq!(
        status(&ask(addr, "GET", "/x/<y>")),
        400,
        "Uri cannot hold it"
    );
}

#[test]
fn fields_come_with_an_answer_in_many_ways() {
    let addr = serve(|| {
        let name = || HeaderName::from_static("x-a");
        let value = |text| HeaderValue::from_static(text);
        let map = move || HeaderMap::from_iter([(name(), value("1")), (name(), value("2"))]);
        Router::new()
            .get("/array", async move |_| {
                ([(name(), value("1")), (name(), value("2"))], "text")
            })
            .get("/status", async move |_| {
                (
                    StatusCode::CREATED,
                    [(name(), value("1")), (name(), value("2"))],
                    "text",
                )
            })
            .get("/map", async move |_| (map(), "text"))
            .get("/status_map", async move |_| {
                (StatusCode::CREATED, map(), "text")
            })
            .get("/fields", async move |_| {
                Response::text("text").with_fields(map())
            })
            .get("/str", async |_| {
                Response::text("text")
                    .try_with_field("X-A", "1")?
                    .try_with_field("x-a", "2")
            })
            .get("/type", async |_| {
                Response::text("text").try_with_field("Content-Type", "text/x")
            })
            .get("/bad", async |_| {
                Response::text("text").try_with_field("X-A", "1\r\nX-B: 2")
            })
            .get("/bad_name", async |_| {
                Response::text("text").try_with_field("X-A:", "1")
            })
    });
    for (target, status_code) in [
        ("/array", 200),
        ("/status", 201),
        ("/map", 200),
        ("/status_map", 201),
        ("/fields", 200),
        ("/str", 200),
    ] {
        let answer = ask(addr, "GET", target);
        assert_eq!(status(&answer), status_code, "{target}");
        assert_eq!(body(&answer), "text", "{target}");
        let lower = answer.to_ascii_lowercase();
        assert!(lower.contains("x-a: 1\r\nx-a: 2\r\n"), "{target}: {answer}");
    }
    assert_eq!(
        field(&ask(addr, "GET", "/type"), "content-type"),
        Some("text/x")
    );
    for target in ["/bad", "/bad_name"] {
        let answer = ask(addr, "GET", target);
        assert_eq!(status(&answer), 500);
        assert_eq!(field(&answer, "x-b"), None);
    }
}

#[test]
fn a_redirect_cannot_break_out_of_its_field() {
    let addr = serve(|| {
        Router::new().get("/{a}", async |request: Request| -> http::Result<Response> {
            let location = request.param_str("a")?;
            Ok(match request.query() {
                Some("temporary") => Response::redirect_temporary(&location),
                Some("permanent") => Response::redirect_permanent(&location),
                _ => Response::redirect(&location),
            })
        })
    });
    for (target, status_code, location) in [
        ("/x", 303, "x"),
        ("/x?temporary", 307, "x"),
        ("/x?permanent", 308, "x"),
        ("/%2Fa%3Fb=1%2526c%23d", 303, "/a?b=1%26c#d"),
        (
            "/a%0D%0ASet-Cookie:%20b%00",
            303,
            "a%0D%0ASet-Cookie:%20b%00",
        ),
        ("/%C3%BC", 303, "%C3%BC"),
    ] {
        let answer = ask(addr, "GET", target);
        assert_eq!(status(&answer), status_code, "{target}");
        assert_eq!(field(&answer, "location"), Some(location), "{target}");
        assert_eq!(field(&answer, "set-cookie"), None, "{target}");
    }
}
