//! Servers that close connections when they like, and callers that leave when they like.

use std::{
    cell::Cell,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use annulus::{
    http::client::{Client, Error, ErrorKind},
    task::{JoinSet, yield_now},
    time,
};

use crate::{
    script::Script,
    support::{http::ok, long_repetitions, random::Random, run},
};

/// Answers the first request on its first connection, and closes at the second without a word.
fn stale() -> Script {
    Script::new(|conn| {
        conn.request();
        conn.send(ok("first"));
        conn.request();
        if conn.index > 0 {
            conn.send(ok("second"));
            conn.wait_close();
        }
    })
}

#[test]
fn a_request_that_may_be_repeated_is_sent_again_when_its_connection_was_stale() {
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let server = stale();
        run(async {
            let client = Client::new();
            client.get(server.url("/")).send().await.unwrap();
            let method = method.parse().unwrap();
            let request = client.request(method, server.url("/")).body("body");
            request.send().await.unwrap();
            assert_eq!(client.pool_state().opened, 2);
        });
        assert_eq!(server.requests().len(), 3, "{method}");
    }
}

#[test]
fn a_request_that_may_not_be_repeated_is_sent_once() {
    for method in ["POST", "PATCH", "BREW"] {
        let server = stale();
        run(async {
            let client = Client::new();
            client.get(server.url("/")).send().await.unwrap();
            let method = method.parse().unwrap();
            let error = client.request(method, server.url("/")).send().await;
            assert_eq!(error.unwrap_err().kind(), ErrorKind::Closed);
        });
        assert_eq!(server.requests().len(), 2, "{method}");
    }
}

#[test]
fn a_fresh_connection_that_dies_is_not_tried_again() {
    let server = Script::new(|conn| drop(conn.request()));
    run(async {
        let error = Client::new().get(server.url("/")).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    });
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_response_that_has_begun_is_not_asked_for_again() {
    let server = Script::new(|conn| {
        conn.request();
        conn.send(ok("first"));
        conn.request();
        conn.send("HTTP/1.1 2");
        conn.finish();
    });
    run(async {
        let client = Client::new();
        client.get(server.url("/")).send().await.unwrap();
        let error = client.get(server.url("/")).send().await.unwrap_err();
        assert_eq!(error.kind().as_str(), "body-unexpected-eof");
    });
    assert_eq!(server.accepted(), 1);
}

/// A server that closes each connection at a random moment after its first answer: at once, or when
/// the next request has come, or when it has read a part of that. It notes every POST it read.
struct Closing {
    addr: SocketAddr,
    posts: Arc<Mutex<Vec<u64>>>,
    answered: Arc<AtomicUsize>,
}

fn closing_at_random(seed: u64) -> Closing {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let posts = Arc::new(Mutex::new(Vec::new()));
    let answered = Arc::new(AtomicUsize::new(0));
    let (log, count) = (Arc::clone(&posts), Arc::clone(&answered));
    thread::spawn(move || {
        let mut random = Random::new(seed);
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut random = Random::new(random.next());
            let (log, count) = (Arc::clone(&log), Arc::clone(&count));
            thread::spawn(move || {
                let mut buf = [0; 4096];
                let mut is_first = true;
                loop {
                    let len = match stream.read(&mut buf) {
                        Ok(len) if len > 0 => len,
                        _ => return,
                    };
                    let head = std::str::from_utf8(&buf[..len]).unwrap();
                    assert!(head.ends_with("\r\n\r\n"), "a request comes whole");
                    if let Some(rest) = head.strip_prefix("POST /") {
                        let number = rest.split(' ').next().unwrap().parse().unwrap();
                        log.lock().unwrap().push(number);
                    }
                    // Read, and never answered.
                    if !is_first && random.one_in(20) {
                        return;
                    }
                    is_first = false;
                    if stream.write_all(ok("ok").as_bytes()).is_err() {
                        return;
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    match random.below(20) {
                        // Closes just when the next request may be on its way.
                        0 => return,
                        1 => {
                            thread::sleep(Duration::from_micros(random.below(300) as u64));
                            return;
                        }
                        _ => {}
                    }
                }
            });
        }
    });
    Closing {
        addr,
        posts,
        answered,
    }
}

/// How many requests the test does.
fn request_count() -> u64 {
    let count = std::env::var("ANNULUS_CLIENT_REQUESTS");
    count.map_or(long_repetitions(100_000) as u64, |count| {
        count.parse().unwrap()
    })
}

#[test]
fn a_server_that_closes_at_random_costs_no_get_and_repeats_no_post() {
    let count = request_count();
    let server = closing_at_random(42);
    let (failed, sent) = annulus::run(async {
        // Half of the workers find an idle connection, the others wait for one.
        let client = Client::builder().connections_per_host_max(8).build();
        let next = Cell::new(0);
        let failed = Cell::new(0_u64);
        let sent = Cell::new(0_u64);
        let worker = async || {
            while next.get() < count {
                let number = next.replace(next.get() + 1);
                let url = format!("http://{}/{number}", server.addr);
                if number % 10 != 0 {
                    let response = client.get(url).send().await.unwrap();
                    assert_eq!(response.bytes().await.unwrap(), b"ok");
                    continue;
                }
                sent.set(sent.get() + 1);
                match client.post(url).send().await {
                    Ok(response) => assert_eq!(response.bytes().await.unwrap(), b"ok"),
                    Err(error) => {
                        let is_expected = matches!(error.kind(), ErrorKind::Closed | ErrorKind::Io);
                        assert!(is_expected, "{error:?}");
                        failed.set(failed.get() + 1);
                    }
                }
            }
        };
        futures_util::future::join_all((0..16).map(|_| worker())).await;
        let state = client.pool_state();
        assert_eq!((state.busy(), state.waiting()), (0, 0));
        println!("{state:?}");
        (failed.get(), sent.get())
    });
    let mut posts = server.posts.lock().unwrap().clone();
    let seen = posts.len();
    posts.sort_unstable();
    posts.dedup();
    assert_eq!(posts.len(), seen, "a POST was sent twice");
    let answered = server.answered.load(Ordering::SeqCst);
    println!("{count} requests, {answered} answers; {sent} POST, {seen} seen, {failed} failed");
}

#[test]
fn requests_that_are_dropped_in_any_phase_leave_a_good_pool_behind() {
    let server = Script::new(|conn| {
        let mut random = Random::new(conn.index as u64);
        while let Some(request) = conn.request() {
            let target = request.split(' ').nth(1).unwrap().to_owned();
            let body = format!("this is {target}");
            let answer = match random.below(4) {
                0 => format!(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                ),
                1 => format!("HTTP/1.1 103 Hm\r\nLink: x\r\n\r\n{}", ok(&body)),
                _ => ok(&body),
            };
            let cut = random.below(answer.len());
            conn.send(&answer[..cut]);
            if random.one_in(3) {
                thread::sleep(Duration::from_micros(random.below(500) as u64));
            }
            conn.send(&answer[cut..]);
        }
    });
    run(async {
        let client = Client::builder().connections_per_host_max(8).build();
        let mut random = Random::new(7);
        let mut tasks = JoinSet::new();
        let mut aborts = Vec::new();
        for number in 0..4000 {
            let client = client.clone();
            let target = format!("/{number}");
            let url = server.url(&target);
            let abort = tasks.spawn(async move {
                let request = client.post(url).body("some bytes").send();
                let text = request.await?.text().await?;
                assert_eq!(text, format!("this is {target}"));
                Ok::<(), Error>(())
            });
            aborts.push(abort);
            match random.below(3) {
                0 => yield_now().await,
                1 => time::sleep(Duration::from_micros(random.below(2000) as u64)).await,
                _ => {}
            }
            if random.one_in(2) {
                let index = random.below(aborts.len());
                aborts[index].abort();
            }
        }
        let mut finished = 0;
        while let Some(result) = tasks.join_next().await {
            if let Ok(result) = result {
                result.unwrap();
                finished += 1;
            }
        }
        assert!(finished > 500, "{finished}");
        let state = client.pool_state();
        assert_eq!((state.busy(), state.waiting()), (0, 0), "{state:?}");
        let response = client.get(server.url("/end")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "this is /end");
    });
}

#[test]
fn ten_thousand_pages_a_hundred_at_a_time_leave_nothing_behind() {
    let server = Script::new(|conn| {
        while conn.request().is_some() {
            conn.send(ok("<a href=\"/next\">page</a>"));
        }
    });
    run(async {
        let client = Client::new();
        let mut random = Random::new(3);
        let mut tasks = JoinSet::new();
        let (mut pages, mut dropped) = (0, 0);
        let mut note = |result: Option<Result<usize, annulus::task::JoinError>>| match result {
            Some(Ok(len)) => pages += usize::from(len == 24),
            _ => dropped += 1,
        };
        for number in 0..10_000 {
            if tasks.len() == 100 {
                note(tasks.join_next().await);
            }
            let (client, url) = (client.clone(), server.url(&format!("/{number}")));
            let abort = tasks.spawn(async move {
                let response = client.get(url).send().await.unwrap();
                response.bytes().await.unwrap().len()
            });
            if random.one_in(10) {
                yield_now().await;
                abort.abort();
            }
        }
        while let Some(result) = tasks.join_next().await {
            note(Some(result));
        }
        assert!(dropped > 500, "{dropped}");
        assert_eq!(pages + dropped, 10_000);
        let state = client.pool_state();
        assert_eq!((state.busy(), state.waiting()), (0, 0), "{state:?}");
        assert!(state.idle() <= 32, "{state:?}");
    });
}
