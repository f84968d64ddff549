//! Bodies of responses, pulled in every way.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
};

use annulus::{
    fs::File,
    http::{self, client::Client},
};

use crate::{
    script::Script,
    support::{http::ok, run},
};

fn chunked() -> Script {
    Script::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\none, \r\n5\r\ntwo, \r\n5\r\nthree\r\n0\r\nX-Sum: 15\r\nHost: no\r\n\r\n",
    )
}

#[test]
fn pieces_come_one_by_one_and_trailers_behind_them() {
    let server = chunked();
    run(async {
        let client = Client::new();
        let mut response = client.get(server.url("/")).send().await.unwrap();
        let mut text = Vec::new();
        while let Some(piece) = response.next().await.unwrap() {
            text.extend_from_slice(&piece);
        }
        assert_eq!(text, b"one, two, three");
        assert!(response.next().await.unwrap().is_none());
        let trailers = response.trailers();
        assert_eq!(trailers.get("x-sum").unwrap(), "15");
        assert_eq!(trailers.len(), 1);
        // The connection is free while the response is still here.
        assert_eq!(client.pool_state().idle(), 1);
    });
}

#[test]
fn a_body_is_read_by_lines_and_as_a_stream() {
    let server = Script::answering(ok("one\ntwo\n"));
    run(async {
        let response = http::fetch(server.url("/")).await.unwrap();
        let mut reader = response.reader();
        assert_eq!(reader.read_until(b'\n', 100).await.unwrap(), b"one\n");
        assert_eq!(reader.read_until(b'\n', 100).await.unwrap(), b"two\n");
        assert!(reader.fill(1).await.unwrap().is_none());
        let response = http::fetch(server.url("/")).await.unwrap();
        let pieces: Vec<_> = futures_util::StreamExt::collect(response.into_stream()).await;
        assert_eq!(&pieces[0].as_ref().unwrap()[..], b"one\ntwo\n");
    });
}

/// Panics when it is dropped.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(thread::panicking(), "planned");
    }
}

#[test]
fn a_poll_that_panics_leaves_the_response_with_its_reader() {
    let (go_on, may_go_on) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let server = Script::new(move |conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\none\n");
        let _ = may_go_on.lock().unwrap().recv();
        conn.send("two\n");
    });
    run(async {
        let mut reader = http::fetch(server.url("/")).await.unwrap().reader();
        assert_eq!(reader.read_until(b'\n', 100).await.unwrap(), b"one\n");
        let bomb = Waker::from(Arc::new(Bomb));
        let poll = |reader: &mut annulus::io::Reader<_>, waker: &Waker| {
            let polled = pin!(reader.fill(1)).poll(&mut Context::from_waker(waker));
            polled.map(|_| ())
        };
        assert_eq!(poll(&mut reader, &bomb), Poll::Pending);
        // The connection has the last one, and drops it for the waker of the next poll.
        drop(bomb);
        let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut reader, Waker::noop())));
        assert!(polled.is_err(), "a waker has panicked");
        go_on.send(()).unwrap();
        assert_eq!(reader.read_until(b'\n', 100).await.unwrap(), b"two\n");
        assert!(reader.fill(1).await.unwrap().is_none());
    });
}

#[test]
fn a_body_is_written_to_a_file() {
    let body = "0123456789abcdef".repeat(50_000);
    let server = Script::answering(ok(&body));
    let path = std::env::temp_dir().join(format!("annulus-copy-{}", std::process::id()));
    run(async {
        let response = http::fetch(server.url("/")).await.unwrap();
        assert_eq!(response.copy_to(&path).await.unwrap(), body.len() as u64);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), body);
        let file = File::create(&path).await.unwrap();
        let mut response = http::fetch(server.url("/")).await.unwrap();
        assert_eq!(
            response.copy_to_at(&file, 5).await.unwrap(),
            body.len() as u64
        );
        assert_eq!(std::fs::read(&path).unwrap().len(), body.len() + 5);
        let response = http::fetch(server.url("/")).await.unwrap();
        assert!(response.copy_to("/no/such/folder/file").await.is_err());
    });
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_flood_arrives_whole_and_leaves_its_connection_usable() {
    let body: Vec<u8> = (0..16_000_000_u32)
        .map(|number| (number / 7) as u8)
        .collect();
    let sized = body.clone();
    let server = Script::new(move |conn| {
        while let Some(request) = conn.request() {
            if request.starts_with("GET /sized") {
                conn.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                    sized.len()
                ));
                conn.send(&sized);
                continue;
            }
            conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for chunk in sized.chunks(777_777) {
                conn.send(format!("{:x}\r\n", chunk.len()));
                conn.send(chunk);
                conn.send("\r\n");
            }
            conn.send("0\r\n\r\n");
        }
    });
    let path = std::env::temp_dir().join(format!("annulus-flood-{}", std::process::id()));
    run(async {
        for target in ["/sized", "/chunked", "/sized"] {
            let response = http::fetch(server.url(target)).await.unwrap();
            response.copy_to(&path).await.unwrap();
            assert!(std::fs::read(&path).unwrap() == body, "{target}");
        }
    });
    std::fs::remove_file(&path).unwrap();
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_body_may_come_in_any_pieces() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                  5;x=y\r\none, \r\n00A\r\ntwo, three\r\n0\r\nA: b\r\n\r\n";
    let server = Script::new(move |conn| {
        let mut cut = 1;
        while conn.request().is_some() {
            conn.send(&answer[..cut]);
            // The client has time to see the first part alone.
            std::thread::sleep(std::time::Duration::from_millis(1));
            conn.send(&answer[cut..]);
            cut += 1;
        }
    });
    run(async {
        let client = Client::new();
        for _ in 1..answer.len() {
            let response = client.get(server.url("/")).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "one, two, three");
        }
    });
    assert_eq!(server.accepted(), 1);
}

#[test]
fn text_comes_in_the_charset_of_its_server() {
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
                       Content-Length: 2\r\n\r\n"
        .to_vec();
    answer.extend_from_slice(b"\xe9\x80");
    let server = Script::answering(answer);
    run(async {
        let text = http::fetch(server.url("/"))
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert_eq!(text, "\u{e9}\u{20ac}");
    });
}
