//! Requests that take too long, and the phase that their error names.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixListener,
    thread,
    time::Duration,
};

use annulus::{
    http::client::{Body, Client, ClientBuilder, Error, ErrorKind, Phase},
    time,
};
use futures_util::{StreamExt as _, stream};

use crate::{
    script::Script,
    support::{BOUND, http::ok, run, run_both, run_each},
};

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

fn client(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
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
    });
}

#[test]
fn a_source_that_pauses_is_not_the_servers_doing() {
    let server = Script::answering(ok("x"));
    run_each(|| {
        let url = server.url("/");
        async move {
            let client = client(|builder| builder.send_timeout(SHORT).first_byte_timeout(BOUND));
            let pieces = stream::unfold(0, |count| async move {
                time::sleep(2 * SHORT).await;
                (count < 3).then(|| (io::Result::Ok("piece"), count + 1))
            });
            let body = Body::stream(pieces);
            client.post(&url).body(body).send().await.unwrap();

            let pieces = stream::iter([io::Result::Ok("piece")]);
            let never = stream::pending::<io::Result<&str>>();
            let body = Body::stream(pieces.chain(never));
            let request = client.post(&url).body(body).timeout(3 * SHORT);
            let error = request.send().await.unwrap_err();
            let (phase, after) = (Phase::Total, 3 * SHORT);
            assert_eq!(error.kind(), ErrorKind::Timeout { phase, after });
            assert_eq!(error.phase(), Some(Phase::Send));
        }
    });
}

/// Reads a body slowly for longer than its client may wait, without a pause as long as that.
fn read_slowly(mut stream: impl Read + Write) {
    let mut buf = vec![0; 512 << 10];
    let mut left = SLOW_BYTES;
    while left > 0 {
        thread::sleep(Duration::from_millis(100));
        let mut room = buf.len();
        while room > 0 && left > 0 {
            let count = stream.read(&mut buf[..room]).unwrap();
            assert_ne!(count, 0, "the client goes on");
            room -= count;
            left = left.saturating_sub(count);
        }
    }
    stream.write_all(ok("slow").as_bytes()).unwrap();
}

/// More than what the sockets hold.
const SLOW_BYTES: usize = 20 << 20;

#[test]
fn a_server_that_reads_slowly_reads() {
    let limit = Duration::from_secs(1);
    let builder = || Client::builder().send_timeout(limit);
    let sent = async |client: Client, url: String| {
        let whole = Body::from(vec![0; SLOW_BYTES]);
        let chunk = Body::chunked(vec![0; SLOW_BYTES]);
        let sent = [whole, chunk].map(|body| client.post(&url).body(body).send());
        for response in futures_util::future::join_all(sent).await {
            assert_eq!(response.unwrap().text().await.unwrap(), "slow");
        }
    };
    let server = Script::new(|conn| read_slowly(&conn.stream));
    let path = std::env::temp_dir().join(format!("annulus-slow-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(|| read_slowly(stream.unwrap()));
        }
    });
    run_both(async || {
        let by_path = builder().unix(&path).build();
        let tcp = sent(builder().build(), server.url("/"));
        annulus::future::join(tcp, sent(by_path, "http://a.test/".to_owned())).await;
    });
    std::fs::remove_file(&path).unwrap();
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
        let full = annulus::net::TcpListener::options()
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
