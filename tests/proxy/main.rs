//! The gateway `http::forward`, in front of the example `conformance` and of servers that are a
//! script.
#![cfg(feature = "http")]

#[path = "../support/mod.rs"]
mod support;

use std::{net::SocketAddr, sync::mpsc, thread, time::Duration};

use annulus::{
    Cores,
    http::{
        Client, Connection, HeaderMap, HeaderValue, Method, Server, ServerHandle, StatusCode,
        client::Body,
        forward::{Balancer, Forward},
    },
    net::{TcpListener, TcpStream},
    spawn, time,
};

use support::{BOUND, closed_port, conformance, run};

/// A proxy on a thread of its own, which ends with this value.
struct Proxy {
    addr: SocketAddr,
    handle: ServerHandle,
    thread: Option<thread::JoinHandle<()>>,
}

impl Proxy {
    fn to(upstream: SocketAddr) -> Self {
        Self::by(move || to(upstream))
    }

    fn by(make: impl Fn() -> Forward + Send + Sync + 'static) -> Self {
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let server = Server::new().listen("127.0.0.1:0").cores(Cores::Count(1));
            let handle = server.handle();
            server
                .on_listening(move |addr| tell.send((addr, handle.clone())).unwrap())
                .run_each(make)
                .unwrap();
        });
        let (addr, handle) = told.recv_timeout(BOUND).unwrap();
        Self {
            addr,
            handle,
            thread: Some(thread),
        }
    }

    fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.addr)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.handle.stop(Duration::ZERO);
        let ended = self.thread.take().expect("it is taken once").join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

fn to(upstream: SocketAddr) -> Forward {
    Forward::to(format!("http://{upstream}")).unwrap()
}

fn conformance() -> conformance::Server {
    conformance::Server::start(&["--max-body", "8000000"])
}

async fn receive_until(stream: &TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let bytes = stream.recv().await.unwrap();
        assert!(!bytes.is_empty(), "the end came before {end:?}: {text:?}");
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    text
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len)
        .map(|index| (index * 7 + index / 251) as u8)
        .collect()
}

#[test]
fn requests_and_answers_go_through() {
    let upstream = conformance();
    let proxy = Proxy::to(upstream.addr());
    run(async {
        let client = Client::new();
        let url = proxy.url("/a/../b%20c?x=1&y");
        let response = client.post(url).body("hello").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.field("x-method"), Some(&b"POST"[..]));
        let target = response.field("x-target");
        assert_eq!(target, Some(&b"/a/../b%20c?x=1&y"[..]));
        assert_eq!(response.field("via"), Some(&b"1.1 annulus"[..]));
        assert_eq!(response.bytes().await.unwrap(), b"hello");

        let head = client.head(proxy.url("/big?n=1234")).send().await.unwrap();
        assert_eq!(head.field("content-length"), Some(&b"1234"[..]));
        assert!(head.bytes().await.unwrap().is_empty());
        for status in ["204", "304", "404", "503"] {
            let response = client.get(proxy.url(&format!("/status/{status}")));
            let response = response.send().await.unwrap();
            assert_eq!(response.status().as_str(), status);
            assert!(response.bytes().await.unwrap().is_empty());
        }
        let events = client.get(proxy.url("/sse")).send().await.unwrap();
        let text = events.text().await.unwrap();
        assert!(text.contains("data: tick 2"), "{text}");
        // All of them on one connection, by both clients.
        assert_eq!(client.pool_state().opened, 1);
    });
}

#[test]
fn large_bodies_go_through_both_ways() {
    let upstream = conformance();
    let proxy = Proxy::to(upstream.addr());
    run(async {
        let client = Client::new();
        let mut response = client
            .get(proxy.url("/big?n=50000000"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.field("content-length"), Some(&b"50000000"[..]));
        let mut received = 0;
        while let Some(piece) = response.next().await.unwrap() {
            received += piece.len();
        }
        assert_eq!(received, 50_000_000);

        let sent = bytes(3_000_000);
        let sized = Body::from(sent.clone());
        for (body, expects) in [
            (sized, false),
            (Body::chunked(sent.clone()), false),
            (Body::chunked(sent.clone()), true),
        ] {
            let request = client.request(Method::PUT, proxy.url("/echo"));
            let request = request.body(body).expect_continue(expects);
            let response = request.send().await.unwrap();
            assert!(response.bytes().await.unwrap() == sent);
        }
        // A larger one is refused by the server behind.
        let request = client.post(proxy.url("/echo"));
        let request = request.expect_continue(true).body(bytes(9_000_000));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    });
}

#[test]
fn what_is_about_one_connection_stays_there() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::to(listener.local_addr().unwrap());
        let client = TcpStream::connect(proxy.addr).await.unwrap();
        let request = "GET /x HTTP/1.1\r\nHost: public.test\r\nConnection: keep-alive, X-Own\r\n\
            Keep-Alive: timeout=5\r\nX-Own: 1\r\nTE: trailers\r\nUpgrade: h2c\r\n\
            Proxy-Authorization: Basic eDp5\r\nVia: 1.0 before\r\nX-Forwarded-For: 192.0.2.1\r\n\
            X-Forwarded-Proto: https\r\nForwarded: for=192.0.2.9\r\n\
            Accept-Encoding: br\r\nCookie: a=b\r\n\r\n";
        client.write_all(request).await.unwrap();
        let (upstream, _) = listener.accept().await.unwrap();
        let head = receive_until(&upstream, "\r\n\r\n").await;
        let head = head.trim_end().to_ascii_lowercase();
        let mut lines: Vec<&str> = head.lines().collect();
        lines.sort_unstable();
        let expected = [
            "accept-encoding: br",
            "connection: te",
            "cookie: a=b",
            "get /x http/1.1",
            "host: public.test",
            "te: trailers",
            "via: 1.0 before",
            "via: 1.1 annulus",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-for: 192.0.2.1",
            "x-forwarded-host: public.test",
            "x-forwarded-proto: http",
        ];
        assert_eq!(lines, expected);

        let answer = "HTTP/1.1 200 OK\r\nConnection: X-Own\r\nX-Own: 1\r\nKeep-Alive: timeout=9\r\n\
            Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok";
        upstream.write_all(answer).await.unwrap();
        let answer = receive_until(&client, "ok").await.to_ascii_lowercase();
        assert!(answer.contains("set-cookie: a\r\n") && answer.contains("set-cookie: b\r\n"));
        assert!(answer.contains("via: 1.1 annulus\r\n"), "{answer}");
        for name in ["x-own", "keep-alive", "connection"] {
            assert!(!answer.contains(name), "{answer}");
        }
        // The next request goes by the same connection.
        client.write_all(request).await.unwrap();
        receive_until(&upstream, "\r\n\r\n").await;
    });
}

#[test]
fn a_server_that_is_not_there_is_502() {
    run(async {
        let (_held, addr) = closed_port();
        let proxy = Proxy::to(addr);
        let response = Client::new().get(proxy.url("/")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    });
}

#[test]
fn a_server_that_speaks_something_else_is_502() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::to(listener.local_addr().unwrap());
        spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            receive_until(&stream, "\r\n\r\n").await;
            stream.write_all("220 mail.test ESMTP\r\n").await.unwrap();
        });
        let response = Client::new().get(proxy.url("/")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    });
}

#[test]
fn a_server_that_does_not_answer_is_504() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = listener.local_addr().unwrap();
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = front.local_addr().unwrap();
        let client = TcpStream::connect(addr).await.unwrap();
        let (served, _) = front.accept().await.unwrap();
        spawn(Connection::new().serve(served, to(upstream)));
        client
            .write_all("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let (silent, _) = listener.accept().await.unwrap();
        receive_until(&silent, "\r\n\r\n").await;
        time::pause();
        time::advance(Duration::from_secs(31)).await;
        time::resume();
        let answer = receive_until(&client, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    });
}

#[test]
fn a_client_that_leaves_takes_its_request_along() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::to(listener.local_addr().unwrap());
        // Before the answer, in the middle of it, and in the middle of its own body.
        for (method, answer) in [
            ("GET", ""),
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf-"),
            ("POST", ""),
        ] {
            let client = TcpStream::connect(proxy.addr).await.unwrap();
            let length = if method == "POST" {
                "Content-Length: 9\r\n"
            } else {
                ""
            };
            let head = format!("{method} / HTTP/1.1\r\nHost: a\r\n{length}\r\n");
            client.write_all(head).await.unwrap();
            let (upstream, _) = listener.accept().await.unwrap();
            receive_until(&upstream, "\r\n\r\n").await;
            if !answer.is_empty() {
                upstream.write_all(answer).await.unwrap();
                receive_until(&client, "half-").await;
            }
            client.set_linger(Some(Duration::ZERO)).unwrap();
            drop(client);
            // The end, or a reset.
            while upstream.recv().await.is_ok_and(|bytes| !bytes.is_empty()) {}
        }
    });
}

#[test]
fn an_answer_that_is_cut_off_stays_cut_off() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::to(listener.local_addr().unwrap());
        for framing in ["Content-Length: 9", "Transfer-Encoding: chunked"] {
            let fetched = spawn(Client::new().get(proxy.url("/")).send());
            let (upstream, _) = listener.accept().await.unwrap();
            receive_until(&upstream, "\r\n\r\n").await;
            let answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n4\r\nhalf");
            upstream.write_all(answer).await.unwrap();
            let response = fetched.await.unwrap().unwrap();
            drop(upstream);
            assert!(response.bytes().await.is_err(), "{framing}");
        }
    });
}

#[test]
fn trailers_go_through_both_ways() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::to(listener.local_addr().unwrap());
        let body = Body::chunked("some text").with_trailers(|| {
            let mut fields = HeaderMap::new();
            fields.insert("x-sum", HeaderValue::from_static("93a5"));
            fields
        });
        let request = Client::new()
            .post(proxy.url("/"))
            .with_field("te", "trailers");
        let fetched = spawn(request.body(body).send());
        let (upstream, _) = listener.accept().await.unwrap();
        let text = receive_until(&upstream, "\r\n0\r\nx-sum: 93a5\r\n\r\n").await;
        assert!(text.contains("\r\n9\r\nsome text\r\n"), "{text}");
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n\
            2\r\nok\r\n0\r\nX-End: 1\r\n\r\n";
        upstream.write_all(answer).await.unwrap();
        let mut response = fetched.await.unwrap().unwrap();
        while response.next().await.unwrap().is_some() {}
        assert_eq!(response.trailers()["x-end"], "1");
    });
}

#[test]
fn a_change_of_protocol_makes_a_tunnel_or_is_refused() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::to(listener.local_addr().unwrap());
        let request = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\
            Sec-WebSocket-Key: k\r\n\r\n";
        let client = TcpStream::connect(proxy.addr).await.unwrap();
        client.write_all(request).await.unwrap();
        let (upstream, _) = listener.accept().await.unwrap();
        let head = receive_until(&upstream, "\r\n\r\n").await;
        assert!(head.contains("\r\nUpgrade: echo\r\n"), "{head}");
        assert!(head.contains("Sec-WebSocket-Key: k"), "{head}");
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\
            Sec-WebSocket-Accept: a\r\n\r\nearly";
        upstream.write_all(answer).await.unwrap();
        let answer = receive_until(&client, "early").await.to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 101 "), "{answer}");
        assert!(answer.contains("sec-websocket-accept: a"), "{answer}");
        client.write_all("there").await.unwrap();
        receive_until(&upstream, "there").await;
        // The end of one direction leaves the other open.
        client.shutdown(std::net::Shutdown::Write).await.unwrap();
        assert!(upstream.recv().await.unwrap().is_empty());
        upstream.write_all("last").await.unwrap();
        drop(upstream);
        receive_until(&client, "last").await;

        let client = TcpStream::connect(proxy.addr).await.unwrap();
        client.write_all(request).await.unwrap();
        let (upstream, _) = listener.accept().await.unwrap();
        receive_until(&upstream, "\r\n\r\n").await;
        let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-A: b\r\n\r\nno";
        upstream.write_all(answer).await.unwrap();
        let answer = receive_until(&client, "no").await.to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 403 "), "{answer}");
        assert!(answer.contains("x-a: b\r\n"), "{answer}");
    });
}

#[test]
fn max_forwards_is_counted_down_and_ends() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::to(listener.local_addr().unwrap());
        let client = TcpStream::connect(proxy.addr).await.unwrap();
        let ask = |hops| format!("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: {hops}\r\n\r\n");
        client.write_all(ask(0)).await.unwrap();
        let answer = receive_until(&client, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
        client.write_all(ask(7)).await.unwrap();
        let (upstream, _) = listener.accept().await.unwrap();
        let head = receive_until(&upstream, "\r\n\r\n").await;
        assert!(head.contains("\r\nMax-Forwards: 6\r\n"), "{head}");
        let trace = "TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n";
        let client = TcpStream::connect(proxy.addr).await.unwrap();
        client.write_all(trace).await.unwrap();
        let answer = receive_until(&client, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    });
}

#[test]
fn forwarded_is_written_where_that_is_chosen() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = listener.local_addr().unwrap();
        let proxy = Proxy::by(move || to(upstream).forwarded());
        let client = TcpStream::connect(proxy.addr).await.unwrap();
        let request = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
        client.write_all(request).await.unwrap();
        let (upstream, _) = listener.accept().await.unwrap();
        let head = receive_until(&upstream, "\r\n\r\n").await;
        let field = "\r\nForwarded: for=127.0.0.1;proto=http;host=\"a.test\"\r\n";
        assert!(head.contains(field), "{head}");
        assert!(!head.contains("X-Forwarded"), "{head}");
    });
}

#[test]
fn requests_that_may_be_repeated_survive_the_death_of_servers() {
    let mut servers: Vec<_> = (0..3).map(|_| conformance()).collect();
    let addrs: Vec<SocketAddr> = servers.iter().map(|server| server.addr()).collect();
    let proxy = Proxy::by(move || {
        let backends = addrs.iter().map(|addr| format!("http://{addr}"));
        let balancer = Balancer::new().rest(Duration::from_secs(3600));
        let balancer = { backends }.try_fold(balancer, Balancer::backend);
        Forward::balanced(balancer.unwrap())
    });
    run(async {
        let client = Client::new();
        for survivors in [2, 1] {
            let tasks: Vec<_> = (0..16)
                .map(|_| {
                    let (client, url) = (client.clone(), proxy.url("/big?n=3000"));
                    spawn(async move {
                        for _ in 0..60 {
                            let response = client.get(url.as_str()).send().await.unwrap();
                            assert_eq!(response.status(), StatusCode::OK);
                            assert_eq!(response.bytes().await.unwrap().len(), 3000);
                        }
                    })
                })
                .collect();
            // Under load, and with requests under way.
            client.get(proxy.url("/big?n=1")).send().await.unwrap();
            servers.truncate(survivors);
            for task in tasks {
                task.await.unwrap();
            }
        }
        servers.clear();
        let response = client.get(proxy.url("/")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    });
}

#[test]
fn a_request_that_may_have_been_handled_is_not_repeated() {
    run(async {
        let mut listeners = Vec::new();
        for _ in 0..2 {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let addrs: Vec<_> = listeners
            .iter()
            .map(|it| it.local_addr().unwrap())
            .collect();
        let proxy = Proxy::by(move || {
            let mut backends = addrs.iter().map(|addr| format!("http://{addr}"));
            Forward::balanced(
                backends
                    .try_fold(Balancer::new(), Balancer::backend)
                    .unwrap(),
            )
        });
        let post = Client::new().post(proxy.url("/")).body("x");
        let posted = spawn(post.send());
        let (upstream, _) = listeners[0].accept().await.unwrap();
        receive_until(&upstream, "\r\n\r\nx").await;
        drop(upstream);
        let response = posted.await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        // The same by GET goes to the other.
        let fetched = spawn(Client::new().get(proxy.url("/")).send());
        let (upstream, _) = listeners[1].accept().await.unwrap();
        receive_until(&upstream, "\r\n\r\n").await;
        drop(upstream);
        let (upstream, _) = listeners[0].accept().await.unwrap();
        receive_until(&upstream, "\r\n\r\n").await;
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        upstream.write_all(answer).await.unwrap();
        assert_eq!(fetched.await.unwrap().unwrap().status(), StatusCode::OK);
    });
}
