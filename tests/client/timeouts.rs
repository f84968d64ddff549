//! What takes too long, and what it was doing.

use std::time::Duration;

use annulus::http::client::{Body, Builder, Client, Error, ErrorKind, Phase};

use super::support::{Script, ok, run};

const SHORT: Duration = Duration::from_millis(60);

fn check(error: &Error, limit: Phase, during: Phase) {
    assert_eq!(
        error.kind(),
        ErrorKind::Timeout {
            phase: limit,
            after: SHORT
        }
    );
    assert!(error.is_timeout());
    assert_eq!(error.phase(), Some(during));
}

fn silent() -> Script {
    Script::new(|conn| conn.wait_close())
}

/// A server that stops in the middle of its answer.
fn stalling(answer: &'static str) -> Script {
    Script::new(move |conn| {
        conn.request();
        conn.send(answer);
        conn.wait_close();
    })
}

/// A server that sends `answer` byte by byte, for ever.
fn dripping(head: &'static str, drop: &'static str) -> Script {
    Script::new(move |conn| {
        conn.request();
        conn.send(head);
        while std::io::Write::write_all(&mut conn.stream, drop.as_bytes()).is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    })
}

fn client(change: impl FnOnce(Builder) -> Builder) -> Client {
    change(Client::builder()).build()
}

#[test]
fn a_silent_server_runs_into_the_first_byte() {
    let server = silent();
    run(async {
        let client = client(|builder| builder.first_byte_timeout(SHORT));
        let error = client.get(server.url("/")).send().await.unwrap_err();
        check(&error, Phase::FirstByte, Phase::FirstByte);
        assert_eq!(client.pool_state().busy(), 0);
    });
}

#[test]
fn a_head_that_stops_and_a_body_that_stops_run_into_the_read() {
    run(async {
        let client = client(|builder| builder.read_timeout(SHORT));
        let server = stalling("HTTP/1.1 200 OK\r\nContent-");
        let error = client.get(server.url("/")).send().await.unwrap_err();
        check(&error, Phase::Body, Phase::Body);
        let server = stalling("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        let response = client.get(server.url("/")).send().await.unwrap();
        let error = response.bytes().await.unwrap_err();
        check(&error, Phase::Body, Phase::Body);
    });
}

#[test]
fn one_limit_ends_what_drips() {
    run(async {
        let client = client(|builder| builder.timeout(SHORT));
        let server = dripping("HTTP/1.1 200 OK\r\nX: ", "x");
        let error = client.get(server.url("/")).send().await.unwrap_err();
        check(&error, Phase::Total, Phase::Body);
        let server = dripping("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "x");
        let response = client.get(server.url("/")).send().await.unwrap();
        let error = response.bytes().await.unwrap_err();
        check(&error, Phase::Total, Phase::Body);
        let server = silent();
        let error = client.get(server.url("/")).send().await.unwrap_err();
        check(&error, Phase::Total, Phase::FirstByte);
    });
}

#[test]
fn a_server_that_does_not_read_runs_into_the_send() {
    let server = Script::new(|conn| {
        conn.head();
        std::thread::sleep(Duration::from_secs(3));
    });
    run(async {
        let client = client(|builder| builder.send_timeout(SHORT));
        let request = client.post(server.url("/")).body(vec![0; 64 << 20]);
        let error = request.send().await.unwrap_err();
        check(&error, Phase::Send, Phase::Send);
        // A source that gives nothing counts as well.
        let body = Body::stream(futures_util::stream::pending::<std::io::Result<Vec<u8>>>());
        let error = client.post(server.url("/")).body(body).send().await;
        check(&error.unwrap_err(), Phase::Send, Phase::Send);
    });
}

#[test]
fn looking_up_and_connecting_have_a_limit() {
    run(async {
        let never = |_: &str, _| std::future::pending();
        let client = Client::builder()
            .resolver(never)
            .connect_timeout(SHORT)
            .build();
        let error = client.get("http://a.test/").send().await.unwrap_err();
        check(&error, Phase::Dns, Phase::Dns);
        assert!(error.is_connect());
        // A listener whose queue is full leaves the next one without an answer.
        let full = annulus::net::ListenOptions::default()
            .backlog(1)
            .listen(([127, 0, 0, 1], 0).into())
            .unwrap();
        let addr = full.local_addr().unwrap();
        let _fill: Vec<_> = (0..4)
            .map(|_| std::net::TcpStream::connect_timeout(&addr, SHORT))
            .collect();
        let error = client
            .get(format!("http://{addr}/"))
            .send()
            .await
            .unwrap_err();
        check(&error, Phase::Connect, Phase::Connect);
    });
}

#[test]
fn no_limit_is_no_limit() {
    let server = Script::answering(ok("x"));
    run(async {
        let client = client(|builder| {
            builder
                .timeout(None)
                .connect_timeout(None)
                .read_timeout(None)
                .first_byte_timeout(None)
                .send_timeout(None)
        });
        let response = client.get(server.url("/")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "x");
    });
}
