//! The records of the access log, and files.

use std::{
    io,
    sync::{Arc, Mutex},
};

use annulus::{
    DriverKind, Runtime,
    fs::File,
    http::{self, Connection, Limits, Request, Response, StatusCode},
    io::Reader,
    time,
};

use crate::{client::Client, support::BOUND};

#[test]
fn the_access_log_is_told_of_answers_refusals_and_cuts() {
    annulus::run(async {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&lines);
        let connection = Connection::new().access_log(move |access| {
            let line = access.to_string();
            // The duration is the only part that differs.
            let words: Vec<&str> = line
                .split(' ')
                .filter(|word| !word.ends_with("us"))
                .collect();
            log.lock().unwrap().push(words.join(" "));
        });
        let handler = async |mut request: Request| -> http::Result<Response> {
            let body = request.take_body().bytes().await?;
            if request.path() == "/boom" {
                panic!("as the test asks");
            }
            Ok(Response::bytes(body))
        };
        let mut client = Client::of(connection.clone(), handler);
        client
            .send("POST /a?b HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc")
            .await;
        client.until("abc").await;
        client
            .send("HEAD /a HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc")
            .await;
        client.until("\r\n\r\n").await;
        client.send("GET  / HTTP/1.1\r\n\r\n").await;
        client.rest().await;
        let mut client = Client::of(connection.clone(), handler);
        client.send("GET /boom HTTP/1.1\r\nHost: t\r\n\r\n").await;
        client.rest().await;
        let mut client = Client::of(connection.clone(), async |_: Request| {
            http::Error::new(http::StatusCode::CONFLICT, "the \"seat\"\nis taken")
        });
        client.send("GET /taken HTTP/1.1\r\nHost: t\r\n\r\n").await;
        client.until("\r\n\r\n").await;
        let mut client = Client::of(connection, handler);
        client
            .send("POST /cut HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\na")
            .await;
        client.shut_down().await;
        client.rest().await;
        assert_eq!(
            *lines.lock().unwrap(),
            [
                "- POST /a?b 200 3 3",
                "- HEAD /a 200 3 0",
                "- - - 400 0 0 request-line-invalid",
                "- GET /boom 500 0 0 handler-failed",
                "- GET /taken 409 0 0 \"the \\\"seat\\\"\\nis taken\"",
                "- POST /cut 400 1 0 body-unexpected-eof \"expected more of the body, found the end of the connection\"",
            ]
        );
    });
}

#[test]
fn a_file_is_sent_as_it_is_and_one_that_is_not_there_is_404() {
    annulus::run(async {
        let mut client = Client::of(
            Connection::new(),
            async |request: Request| -> http::Result<Response> {
                Response::file(&request.path()[1..]).await
            },
        );
        let expected = std::fs::read_to_string("Cargo.toml").unwrap();
        client
            .send("GET /Cargo.toml HTTP/1.1\r\nHost: t\r\n\r\n")
            .await;
        let head = client.until("\r\n\r\n").await;
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", expected.len())),
            "{head}"
        );
        assert_eq!(client.until(&expected).await, expected);
        for missing in ["src", "missing.txt", "Cargo.toml/x"] {
            client
                .send(format!("GET /{missing} HTTP/1.1\r\nHost: t\r\n\r\n"))
                .await;
            assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
        }
    });
}

#[test]
fn only_regular_files_are_sent() {
    let folder = std::env::temp_dir().join(format!("annulus-kinds-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (fifo, socket) = (folder.join("fifo"), folder.join("socket"));
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let paths = [folder.clone(), fifo, socket, "/dev/zero".into()];
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        runtime.block_on(async {
            for path in &paths {
                let response = time::timeout(BOUND, Response::file(path)).await.unwrap();
                let status = response.unwrap_err().status();
                assert_eq!(status, StatusCode::NOT_FOUND, "{}", path.display());
                let body = time::timeout(BOUND, http::client::Body::file(path)).await;
                assert!(body.unwrap().is_err(), "{}", path.display());
            }
        });
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_error_of_a_file_or_of_a_body_answers_what_it_is() {
    annulus::run(async {
        let limits = Limits {
            body_bytes_max: 5,
            ..Limits::default()
        };
        let handler = async |mut request: Request| -> http::Result<Response> {
            if request.path() == "/body" {
                let mut reader = Reader::new(request.take_body());
                return Ok(Response::bytes(reader.read_to_end(100).await?));
            }
            let file = File::open(&request.path()[1..]).await?;
            let (_, bytes) = file
                .read_at(Vec::with_capacity(9), 0)
                .await
                .map_err(io::Error::from)?;
            Ok(Response::bytes(bytes))
        };
        let long = "x".repeat(300);
        for (path, status) in [
            ("Cargo.toml", "200 OK"),
            ("missing", "404 Not Found"),
            ("Cargo.toml/x", "404 Not Found"),
            ("src", "404 Not Found"),
            (long.as_str(), "404 Not Found"),
        ] {
            let mut client = Client::of(Connection::new(), handler);
            client
                .send(format!("GET /{path} HTTP/1.1\r\nHost: t\r\n\r\n"))
                .await;
            let head = client.until("\r\n\r\n").await;
            assert!(
                head.starts_with(&format!("HTTP/1.1 {status}\r\n")),
                "{path}: {head}"
            );
        }
        // A reader hands the body's error through an `io::Error`.
        let mut client = Client::of(Connection::new().limits(limits), handler);
        client
            .send("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\nabcdef")
            .await;
        assert!(client.rest().await.starts_with("HTTP/1.1 413 "));
        let mut client = Client::of(Connection::new(), handler);
        client
            .send("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\nabc")
            .await;
        client.shut_down().await;
        assert!(client.rest().await.starts_with("HTTP/1.1 400 "));
    });
}

#[test]
fn the_usual_log_formats_have_what_was_read_of_each_request() {
    annulus::run(async {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&lines);
        let connection = Connection::new().access_log(move |access| {
            let line = access.combined().to_string();
            let common = access.common().to_string();
            assert!(line.starts_with(&common), "{line}");
            let age = access.time.elapsed().unwrap_or_default();
            assert!(age.as_secs() < 1000, "{age:?}");
            // The time is the only part that differs.
            let (before, behind) = line.split_once('[').unwrap();
            let (time, behind) = behind.split_once("] ").unwrap();
            assert!(time.ends_with(" +0000"), "{time}");
            log.lock().unwrap().push(format!("{before}{behind}"));
        });
        let handler = async |request: Request| match request.path() {
            "/none" => Response::new(http::StatusCode::NO_CONTENT),
            _ => Response::text("hello"),
        };
        let mut client = Client::of(connection, handler);
        client
            .send(
                "GET /a?b HTTP/1.1\r\nHost: t\r\nReferer: /\"x\"\r\nUser-Agent: curl/8.9\r\n\r\n\
                 HEAD /none HTTP/1.0\r\nConnection: keep-alive\r\nUser-Agent: old\r\n\r\n\
                 GET /lost HTTP/1.1\r\nUser-Agent: hostless\r\n\r\n\
                 GET  / HTTP/1.1\r\nUser-Agent: unread\r\n\r\n",
            )
            .await;
        client.rest().await;
        assert_eq!(
            *lines.lock().unwrap(),
            [
                r#"- - - "GET /a?b HTTP/1.1" 200 5 "/\"x\"" "curl/8.9""#,
                r#"- - - "HEAD /none HTTP/1.0" 204 - "-" "old""#,
                r#"- - - "GET /lost HTTP/1.1" 400 - "-" "hostless""#,
                r#"- - - "-" 400 - "-" "-""#,
            ]
        );
    });
}
