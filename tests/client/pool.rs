//! Connections that are kept, shared, limited and given up.

use std::{
    io::Write as _,
    sync::{Mutex, mpsc},
    time::Duration,
};

use annulus::{
    Runtime,
    http::client::{Client, ErrorKind, Phase},
    spawn,
    task::{JoinSet, yield_now},
    time,
};
use futures_util::future::join_all;

use crate::{
    script::Script,
    support::{BOUND, http::ok, run, run_each},
};

/// Lets other tasks run until `is_so`.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_connection_is_used_again_and_clones_share_it() {
    let server = Script::answering(ok("x"));
    run(async {
        let client = Client::new();
        for _ in 0..10 {
            let clone = client.clone();
            let response = clone.get(server.url("/")).send().await.unwrap();
            assert_eq!(response.bytes().await.unwrap(), b"x");
        }
        let state = client.pool_state();
        assert_eq!((state.opened, state.reused, state.died), (1, 9, 0));
        assert_eq!(state.hosts.len(), 1);
        assert_eq!(state.hosts[0].origin, format!("http://{}", server.addr));
        assert_eq!((state.idle(), state.busy(), state.waiting()), (1, 0, 0));
        client.close_idle();
        assert_eq!(client.pool_state().hosts.len(), 0);
    });
    assert_eq!(server.accepted(), 1);
}

#[test]
fn an_idle_connection_that_the_server_ends_leaves_the_pool_at_once() {
    for action in ["end", "reset", "talk"] {
        let (tell, told) = mpsc::channel::<()>();
        let told = std::sync::Mutex::new(told);
        let server = Script::new(move |conn| {
            if conn.index > 0 {
                while conn.request().is_some() {
                    conn.send(ok("second"));
                }
                return;
            }
            conn.request();
            conn.send(ok("first"));
            told.lock().unwrap().recv_timeout(BOUND).unwrap();
            match action {
                "end" => conn.finish(),
                // A close with unread bytes is a reset.
                "reset" => {
                    let mut byte = [0];
                    let _ = conn.stream.peek(&mut byte);
                }
                _ => {
                    conn.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
                    conn.wait_close();
                }
            }
        });
        run(async {
            let client = Client::new();
            let get = async || {
                let response = client.get(server.url("/")).send().await.unwrap();
                response.text().await.unwrap()
            };
            assert_eq!(get().await, "first");
            assert_eq!(client.pool_state().idle(), 1);
            tell.send(()).unwrap();
            if action == "reset" {
                // The second request is what the server leaves unread; it comes again on a fresh
                // connection.
                assert_eq!(get().await, "second");
                return;
            }
            until(|| client.pool_state().died == 1).await;
            assert_eq!(client.pool_state().idle(), 0, "{action}");
            assert_eq!(get().await, "second");
        });
    }
}

#[test]
fn an_idle_connection_is_closed_when_its_time_is_over() {
    let server = Script::answering(ok("x"));
    let short = Script::answering(
        "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=3, max=9\r\nContent-Length: 0\r\n\r\n",
    );
    run(async {
        let client = Client::new();
        client.get(server.url("/")).send().await.unwrap();
        client.get(short.url("/")).send().await.unwrap();
        assert_eq!(client.pool_state().idle(), 2);
        time::pause();
        time::advance(Duration::from_millis(3100)).await;
        assert_eq!(client.pool_state().idle(), 1, "timeout=3 counts as 2");
        time::advance(Duration::from_millis(10_000)).await;
        assert_eq!(client.pool_state().idle(), 1);
        time::advance(Duration::from_millis(3100)).await;
        assert_eq!(client.pool_state().idle(), 0);
        time::resume();
    });
}

#[test]
fn a_host_has_a_limit_and_the_others_wait_in_order() {
    let server = Script::answering(ok("x"));
    run(async {
        let client = Client::builder().connections_per_host_max(4).build();
        let get = async |number: usize| {
            let url = server.url(&format!("/{number}"));
            client.get(url).send().await.unwrap().bytes().await.unwrap();
        };
        let all = join_all((0..100).map(get));
        let watched = async {
            yield_now().await;
            let state = client.pool_state();
            assert_eq!((state.busy(), state.waiting()), (4, 96));
        };
        annulus::future::join(all, watched).await;
        let state = client.pool_state();
        assert_eq!((state.opened, state.busy(), state.waiting()), (4, 0, 0));
    });
    assert_eq!(server.accepted(), 4);
}

#[test]
fn those_who_wait_are_served_in_order() {
    let server = Script::answering(ok("x"));
    run(async {
        let client = Client::builder().connections_per_host_max(1).build();
        let get = async |number: usize| {
            let url = server.url(&format!("/{number}"));
            client.get(url).send().await.unwrap().bytes().await.unwrap();
        };
        join_all((0..100).map(get)).await;
    });
    for (place, request) in server.requests().iter().enumerate() {
        assert!(request.starts_with(&format!("GET /{place} ")), "{request}");
    }
}

#[test]
fn the_queue_is_bounded_and_a_wait_in_it_has_its_own_error() {
    let server = Script::new(|conn| conn.wait_close());
    run(async {
        let client = Client::builder()
            .connections_per_host_max(1)
            .waiting_per_host_max(2)
            .queue_timeout(Duration::from_millis(50))
            .build();
        let url = server.url("/");
        let first = spawn(client.get(&url).send());
        until(|| client.pool_state().busy() == 1).await;
        let mut waiting = JoinSet::new();
        waiting.spawn(client.get(&url).send());
        waiting.spawn(client.get(&url).send());
        until(|| client.pool_state().waiting() == 2).await;
        let error = client.get(&url).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QueueFull);
        while let Some(result) = waiting.join_next().await {
            let error = result.unwrap().unwrap_err();
            let after = Duration::from_millis(50);
            let phase = Phase::Queue;
            assert_eq!(error.kind(), ErrorKind::Timeout { phase, after });
            assert_eq!(error.phase(), Some(Phase::Queue));
        }
        assert_eq!(client.pool_state().waiting(), 0);
        first.abort();
        let _ = first.await;
        assert_eq!(client.pool_state().busy(), 0);
    });
}

#[test]
fn a_waiter_that_is_dropped_leaves_its_place_to_the_next() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let server = Script::new(move |conn| {
        while conn.request().is_some() {
            released.lock().unwrap().recv_timeout(BOUND).unwrap();
            conn.send(ok("x"));
        }
    });
    run(async {
        let client = Client::builder().connections_per_host_max(1).build();
        let url = server.url("/");
        let first = spawn(client.get(&url).send());
        until(|| server.requests().len() == 1).await;
        let dropped = spawn(client.get(&url).send());
        until(|| client.pool_state().waiting() == 1).await;
        let last = spawn(client.get(&url).send());
        until(|| client.pool_state().waiting() == 2).await;
        dropped.abort();
        let _ = dropped.await;
        assert_eq!(client.pool_state().waiting(), 1);
        release.send(()).unwrap();
        release.send(()).unwrap();
        first.await.unwrap().unwrap();
        last.await.unwrap().unwrap();
        assert_eq!(client.pool_state().opened, 1);
    });
}

#[test]
fn a_response_that_is_dropped_with_its_body_under_way_closes_its_connection() {
    let server = Script::new(|conn| {
        while let Some(request) = conn.request() {
            if request.starts_with("GET /half") {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ");
            } else {
                conn.send(ok("whole"));
            }
        }
    });
    run(async {
        let client = Client::new();
        drop(client.get(server.url("/half")).send().await.unwrap());
        assert_eq!(client.pool_state().idle() + client.pool_state().busy(), 0);
        // A body that came with its head frees the connection, read or not.
        drop(client.get(server.url("/")).send().await.unwrap());
        assert_eq!(client.pool_state().idle(), 1);
        let response = client.get(server.url("/")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "whole");
        assert_eq!(client.pool_state().opened, 2);
    });
}

#[test]
fn no_more_than_the_idle_limit_is_kept() {
    let server = Script::answering(ok("x"));
    run(async {
        let client = Client::builder().idle_per_host_max(3).build();
        let get = async |_| drop(client.get(server.url("/")).send().await.unwrap());
        join_all((0..10).map(get)).await;
        assert_eq!(client.pool_state().idle(), 3);
        let none = Client::builder().idle_per_host_max(0).build();
        drop(none.get(server.url("/")).send().await.unwrap());
        assert_eq!(none.pool_state().idle(), 0);
    });
}

#[test]
fn a_client_outlives_its_runtime() {
    let server = Script::answering(ok("x"));
    let client = Client::new();
    let get = async || {
        let response = client.get(server.url("/")).send().await.unwrap();
        response.text().await.unwrap()
    };
    for _ in 0..3 {
        assert_eq!(run(get()), "x");
        assert_eq!(client.pool_state().idle(), 0);
    }
    for _ in 0..3 {
        let page = run(async { annulus::http::fetch(server.url("/")).await?.text().await });
        assert_eq!(page.unwrap(), "x");
    }
    assert_eq!(server.accepted(), 6);
}

/// A client that is used in one runtime while another one, in which it was used before, does not
/// run.
#[test]
fn idle_connections_are_watched_in_whichever_runtime_they_are() {
    let (close, may_close) = mpsc::channel::<()>();
    let may_close = Mutex::new(may_close);
    let server = Script::new(move |conn| {
        while let Some(request) = conn.request() {
            conn.send(ok("x"));
            if request.starts_with("GET /closes") {
                let _ = may_close.lock().unwrap().recv();
                return conn.finish();
            }
        }
    });
    let client = Client::new();
    let get = async |target| {
        let response = client.get(server.url(target)).send().await.unwrap();
        response.text().await.unwrap()
    };
    let (one, other) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    one.block_on(get("/"));
    for _ in 0..2 {
        other.block_on(async {
            get("/closes").await;
            let before = client.pool_state().idle();
            close.send(()).unwrap();
            until(|| client.pool_state().idle() < before).await;
        });
    }
    one.block_on(async {
        assert_eq!(get("/").await, "x");
        assert_eq!(client.pool_state().busy(), 0);
    });
    drop(one);
    drop(other);
    assert_eq!(client.pool_state().idle(), 0);
}

#[test]
fn dropping_the_client_closes_what_is_idle_and_lets_the_rest_finish() {
    let server = Script::new(|conn| {
        while conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na");
            std::thread::sleep(Duration::from_millis(20));
            conn.send("b");
        }
        let _ = conn.stream.flush();
    });
    run(async {
        let client = Client::new();
        let response = client.get(server.url("/")).send().await.unwrap();
        drop(client);
        assert_eq!(response.text().await.unwrap(), "ab");
    });
}

#[test]
fn a_connection_that_the_server_is_about_to_close_is_not_kept() {
    for (fields, is_kept) in [
        ("Connection: close\r\n", false),
        ("Connection: CLOSE\r\n", false),
        ("Connection: keep-alive, close\r\n", false),
        ("Connection: , x,close ,\r\n", false),
        ("Connection: keep-alive\r\nConnection: close\r\n", false),
        ("Connection: close\r\nConnection: keep-alive\r\n", false),
        ("Connection: closed\r\n", true),
        ("X: close\r\n", true),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 1\r\n\r\nx");
        let server = Script::answering(answer);
        run(async {
            let client = Client::new();
            for count in 1..=2 {
                let response = client.post(server.url("/")).body("y").send().await;
                assert_eq!(response.unwrap().bytes().await.unwrap(), b"x");
                let idle = client.pool_state().idle();
                assert_eq!(idle, usize::from(is_kept), "{fields:?} {count}");
            }
        });
        assert_eq!(server.accepted(), if is_kept { 1 } else { 2 });
    }
}

#[test]
fn a_connection_whose_request_was_not_sent_whole_is_not_kept() {
    let cases = [
        ("200 OK", true),
        ("200 OK", false),
        ("413 Content Too Large", true),
        ("413 Content Too Large", false),
    ];
    let servers = cases.map(|(status, comes_whole)| {
        Script::new(move |conn| {
            conn.head().unwrap();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\n");
            if comes_whole {
                conn.send(format!("{head}body"));
            } else {
                conn.send(head);
                conn.send("body");
            }
            conn.wait_close();
        })
    });
    // All at once, because the client waits some seconds before it leaves the endless body.
    run_each(|| {
        let clients = servers
            .iter()
            .map(|server| sends_two_bodies(server.url("/")));
        async { drop(join_all(clients).await) }
    });
}

/// Sends a body that does not end and one that is large to a server that answers early.
async fn sends_two_bodies(url: String) {
    let client = Client::new();
    let begin = futures_util::stream::iter([std::io::Result::Ok("begin")]);
    let never = futures_util::stream::pending();
    let pieces = futures_util::StreamExt::chain(begin, never);
    let endless = annulus::http::client::Body::stream(pieces);
    let large = vec![0; 64 << 20].into();
    for body in [endless, large] {
        let response = client.post(&url).body(body).send().await.unwrap();
        let status = response.status();
        assert_eq!(response.bytes().await.unwrap(), b"body");
        let state = client.pool_state();
        assert_eq!((state.idle(), state.busy()), (0, 0), "{status}");
    }
}
