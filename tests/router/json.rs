//! Bodies in JSON.

use std::collections::HashMap;

use annulus::http::{self, Error, ErrorKind, IntoResponse as _, Json, Request, Response, Router};

use crate::talk::{ask, body, field, send, serve, status};

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Point {
    x: i32,
    #[serde(default)]
    name: Option<String>,
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn json_is_read() {
    let addr = serve(|| {
        Router::new()
            .post("/", async |mut request: Request| -> http::Result<String> {
                let point: Point = request.json().await?;
                Ok(format!("{} {:?}", point.x, point.name))
            })
            .post(
                "/body",
                async |mut request: Request| -> http::Result<String> {
                    let numbers: Vec<u8> = request.take_body().json().await?;
                    Ok(format!("{numbers:?}"))
                },
            )
            .post("/any", async |mut request: Request| {
                request.json::<serde_json::Value>().await.map(drop)
            })
    });
    let problem = "content-type: Application/Problem+JSON; charset=utf-8\r\n";
    for (content_type, text, status_code, expected) in [
        (JSON, r#"{"x":1}"#, 200, "1 None"),
        (
            JSON,
            r#" {"name":"\u00fc","x":-1,"more":[]} "#,
            200,
            "-1 Some(\"\u{fc}\")",
        ),
        (problem, r#"{"x":1}"#, 200, "1 None"),
        (JSON, "", 400, ""),
        (JSON, r#"{"x":1"#, 400, ""),
        (JSON, r#"{"x":1} x"#, 400, ""),
        (JSON, r#"{'x':1}"#, 400, ""),
        (JSON, r#"{"x":"1"}"#, 422, ""),
        (JSON, r#"{"x":3000000000}"#, 422, ""),
        (JSON, "{}", 422, ""),
        (JSON, "7", 422, ""),
        ("", r#"{"x":1}"#, 415, ""),
        ("Content-Type: text/plain\r\n", r#"{"x":1}"#, 415, ""),
        ("Content-Type: text/json\r\n", r#"{"x":1}"#, 415, ""),
        ("Content-Type: application/jsonp\r\n", r#"{"x":1}"#, 415, ""),
        ("Content-Type: application/xml\r\n", r#"{"x":1}"#, 415, ""),
    ] {
        let answer = send(addr, "/", content_type, text.as_bytes());
        assert_eq!(
            status(&answer),
            status_code,
            "{content_type}{text}: {answer}"
        );
        assert_eq!(body(&answer), expected, "{text}");
    }
    assert_eq!(body(&send(addr, "/body", "", b"[1, 2]")), "[1, 2]");
    let deep = "[".repeat(100_000);
    assert_eq!(status(&send(addr, "/any", JSON, deep.as_bytes())), 400);
    assert_eq!(
        status(&send(addr, "/any", JSON, b"{\"name\":\"\xff\"}")),
        400
    );
}

#[test]
fn json_is_written() {
    let addr = serve(|| {
        Router::new()
            .get("/", async |_| Response::json(&Point { x: 1, name: None }))
            .get("/type", async |_| Json([Some(1), None]))
            .get("/text", async |_| Response::json("\u{fc}\r\n"))
            .get("/bad", async |_| Json(HashMap::from([((1, 2), 3)])))
    });
    for (target, status_code, expected) in [
        ("/", 200, r#"{"x":1,"name":null}"#),
        ("/type", 200, "[1,null]"),
        ("/text", 200, "\"\u{fc}\\r\\n\""),
        ("/bad", 500, ""),
    ] {
        let answer = ask(addr, "GET", target);
        assert_eq!(status(&answer), status_code, "{target}: {answer}");
        assert_eq!(body(&answer), expected, "{target}");
        let content_type = (status_code == 200).then_some("application/json");
        assert_eq!(field(&answer, "content-type"), content_type, "{target}");
    }
}

#[test]
fn json_of_the_programs_own_is_not_the_clients_mistake() {
    let error = Error::from(serde_json::from_str::<u8>("x").unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(error.into_response().status(), 500);
}

#[test]
fn an_error_in_json_says_what_was_found() {
    let addr = serve(|| {
        Router::new().post("/", async |mut request: Request| {
            let error = request.json::<Point>().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Content);
            format!("{} {error}", error.status())
        })
    });
    assert_eq!(
        body(&send(addr, "/", JSON, b"{}")),
        "422 Unprocessable Entity expected JSON of another shape: missing field `x` at line 1 \
         column 2"
    );
}
