//! Ways to a server: unix sockets, proxies, another attempt, no runtime.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use annulus::http::{
    self, StatusCode,
    client::{Body, Client, ErrorKind, Proxy, Retry},
};

use crate::{
    script::Script,
    support::{
        http::{field, ok},
        run,
    },
};

#[test]
fn a_server_behind_a_socket_file_is_asked() {
    let path = std::env::temp_dir().join(format!("annulus-http-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buf = [0; 1024];
        while let Ok(1..) = stream.read(&mut buf) {
            stream.write_all(ok("unix").as_bytes()).unwrap();
        }
    });
    run(async {
        let client = Client::builder().unix(&path).build();
        for _ in 0..3 {
            let response = client.get("http://some.name/x").send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "unix");
        }
        assert_eq!(client.pool_state().opened, 1);
    });
    std::fs::remove_file(&path).unwrap();
    run(async {
        let client = Client::builder().unix(&path).build();
        let error = client.get("http://some.name/").send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
    });
}

#[test]
fn a_proxy_gets_whole_urls_and_serves_all_origins_on_one_connection() {
    let proxy = Script::answering(ok("by proxy"));
    let direct = Script::answering(ok("direct"));
    run(async {
        let url = format!("http://us:er@{}", proxy.addr);
        let proxy = Proxy::http(url).unwrap().bypass("127.0.0.1");
        let client = Client::builder().proxy(proxy).build();
        for url in ["http://a.test/x?y", "http://b.test:81/"] {
            let response = client.get(url).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "by proxy");
        }
        let response = client.get(direct.url("/z")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "direct");
    });
    assert_eq!(proxy.accepted(), 1);
    let requests = proxy.requests();
    assert!(requests[0].starts_with("GET http://a.test/x?y HTTP/1.1\r\nHost: a.test\r\n"));
    assert!(requests[1].starts_with("GET http://b.test:81/ HTTP/1.1\r\nHost: b.test:81\r\n"));
    let word = field(&requests[0], "proxy-authorization");
    assert_eq!(word, Some("Basic dXM6ZXI="));
    let request = &direct.requests()[0];
    assert!(request.starts_with("GET /z "));
    assert_eq!(field(request, "proxy-authorization"), None);
}

#[test]
fn a_proxy_that_refuses_a_tunnel_says_so() {
    let proxy = Script::answering_once("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
    run(async {
        let through = Proxy::https(proxy.url("")).unwrap();
        let client = Client::builder().proxy(through).build();
        let error = client.get("https://a.test/").send().await.unwrap_err();
        let status = StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        assert_eq!(error.kind(), ErrorKind::Proxy(status));
        assert!(error.is_connect());
    });
    assert!(proxy.requests()[0].starts_with("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n"));
}

#[test]
fn a_proxy_that_is_never_done_with_announcing_is_left() {
    let proxy = Script::answering_once("HTTP/1.1 103 Early\r\n\r\n".repeat(17));
    run(async {
        let through = Proxy::https(proxy.url("")).unwrap();
        let client = Client::builder().proxy(through).build();
        let error = client.get("https://a.test/").send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooManyInformational(16));
    });
}

#[test]
fn connect_gives_a_tunnel() {
    let server = Script::new(|conn| {
        let head = conn.head().unwrap();
        assert!(head.starts_with("CONNECT 127.0.0.1:"), "{head}");
        conn.send("HTTP/1.1 200 Yes\r\nContent-Length: 5\r\n\r\nhello");
        conn.wait_close();
    });
    run(async {
        let client = Client::new();
        let request = client.request(http::Method::CONNECT, server.url("/"));
        let tunnel = request.send().await.unwrap().upgrade().unwrap();
        assert_eq!(&tunnel.recv().await.unwrap()[..], b"hello");
    });
}

/// A server that answers 503 so many times, and then well.
fn recovering(failures: usize, fields: impl Into<String>) -> Script {
    let fields = fields.into();
    let count = AtomicUsize::new(0);
    Script::new(move |conn| {
        while conn.request().is_some() {
            if count.fetch_add(1, Ordering::SeqCst) < failures {
                conn.send(format!(
                    "HTTP/1.1 503 No\r\n{fields}Content-Length: 0\r\n\r\n"
                ));
            } else {
                conn.send(ok("well"));
            }
        }
    })
}

#[test]
fn failures_are_tried_again_where_the_caller_asks_for_it() {
    let retry = || Retry::new(3).wait_first(Duration::from_millis(1));
    run(async {
        let client = Client::builder().retry(retry()).build();
        let server = recovering(3, "");
        assert_eq!(
            client.get(server.url("/")).send().await.unwrap().status(),
            200
        );
        let server = recovering(4, "");
        assert_eq!(
            client.get(server.url("/")).send().await.unwrap().status(),
            503
        );
        assert_eq!(server.requests().len(), 4);
        // Not what may not be repeated, and not what cannot be.
        let server = recovering(1, "");
        assert_eq!(
            client.post(server.url("/")).send().await.unwrap().status(),
            503
        );
        let server = recovering(1, "");
        let stream = Body::stream(futures_util::stream::iter([std::io::Result::Ok("x")]));
        let request = client.put(server.url("/")).body(stream);
        assert_eq!(request.send().await.unwrap().status(), 503);
        let plain = Client::new();
        let server = recovering(1, "");
        assert_eq!(
            plain.get(server.url("/")).send().await.unwrap().status(),
            503
        );
    });
}

#[test]
fn the_server_may_say_how_long_to_wait() {
    run(async {
        let server = recovering(1, "Retry-After: 1\r\n");
        let client = Client::builder().retry(Retry::new(3)).build();
        let start = Instant::now();
        assert_eq!(
            client.get(server.url("/")).send().await.unwrap().status(),
            200
        );
        assert!(start.elapsed() >= Duration::from_secs(1));
        // Longer than the request may take: its answer stands.
        let server = recovering(1, "Retry-After: 40\r\n");
        assert_eq!(
            client.get(server.url("/")).send().await.unwrap().status(),
            503
        );
    });
}

#[test]
fn the_server_may_say_until_when_to_wait() {
    run(async {
        let client = Client::builder().retry(Retry::new(3)).build();
        let get =
            async |server: &Script| client.get(server.url("/")).send().await.unwrap().status();
        // By the server's clock, whatever that says.
        let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        let server = recovering(
            1,
            format!("{date}Retry-After: Sunday, 06-Nov-94 08:49:38 GMT\r\n"),
        );
        let start = Instant::now();
        assert_eq!(get(&server).await, 200);
        assert!(start.elapsed() >= Duration::from_secs(1));
        let server = recovering(
            1,
            format!("{date}Retry-After: Sun, 06 Nov 1994 08:59:37 GMT\r\n"),
        );
        assert_eq!(get(&server).await, 503, "ten minutes are too long");
        // One that does not tell its clock has ours.
        let server = recovering(1, "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(get(&server).await, 200);
        let server = recovering(1, "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n");
        assert_eq!(get(&server).await, 503);
        // What is neither number nor date counts as not there.
        let server = recovering(1, "Retry-After: soon\r\n");
        assert_eq!(get(&server).await, 200);
    });
}

#[test]
fn connections_are_opened_from_the_address_that_the_caller_names() {
    let server = Script::new(|conn| {
        let peer = conn.stream.peer_addr().unwrap().ip().to_string();
        while conn.request().is_some() {
            conn.send(ok(&peer));
        }
    });
    run(async {
        let client = Client::builder().local_addr([127, 0, 0, 2].into()).build();
        let response = client.get(server.url("/")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "127.0.0.2");

        let client = Client::builder()
            .local_addr(std::net::Ipv6Addr::LOCALHOST.into())
            .build();
        let error = client.get(server.url("/")).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
        // Documentation's own, which no machine has.
        let client = Client::builder().local_addr([192, 0, 2, 1].into()).build();
        let error = client.get(server.url("/")).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
    });
}

#[test]
fn retries_have_a_budget() {
    let server = recovering(usize::MAX, "");
    run(async {
        let retry = Retry::new(5).wait_first(Duration::ZERO);
        let client = Client::builder().retry(retry).build();
        for _ in 0..100 {
            assert_eq!(
                client.get(server.url("/")).send().await.unwrap().status(),
                503
            );
        }
    });
    assert_eq!(server.requests().len(), 110);
}

#[test]
fn a_program_without_a_runtime_gets_pages_too() {
    let server = Script::answering(ok("page"));
    let page = http::client::synchronous::fetch(server.url("/")).unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.field_map().get("content-length").unwrap(), "4");
    assert_eq!(page.text().unwrap(), "page");
    let page =
        http::client::synchronous::send(|client| client.post(server.url("/")).body("x")).unwrap();
    assert_eq!(page.bytes(), b"page");
    assert!(server.requests()[1].ends_with("\r\n\r\nx"));
}

#[test]
fn our_own_server_and_client_understand_each_other() {
    use annulus::http::{Request, Response, Server};
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let echo = async |mut request: Request| -> http::Result<Response> {
            let body = request.take_body().bytes().await?;
            Ok(Response::bytes(body))
        };
        Server::new()
            .listen("127.0.0.1:0")
            .cores(annulus::Cores::Count(1))
            .on_listening(move |addr| tell.send(addr).unwrap())
            .run(echo)
            .unwrap();
    });
    let url = format!("http://{}/", told.recv().unwrap());
    run(async {
        let client = Client::new();
        let body = "0123456789".repeat(90_000);
        for _ in 0..3 {
            let response = client.post(&url).body(body.clone()).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), body);
            let chunked = client.post(&url).body(Body::chunked(body.clone()));
            let response = chunked.expect_continue(true).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), body);
        }
        assert_eq!(client.pool_state().opened, 1);
    });
}
