//! Requests as they arrive, and responses as they are told.

use std::sync::Mutex;

use annulus::http::{
    self, HeaderValue, Method, StatusCode, Version,
    client::{Body, Client, ErrorKind},
};

use crate::{
    script::Script,
    support::{
        http::{field, ok},
        poll_once, run,
    },
};

#[test]
fn one_line_gets_a_page() {
    let server = Script::answering(ok("hello"));
    let url = server.url("/page");
    let page = run(async { http::fetch(url).await?.text().await }).unwrap();
    assert_eq!(page, "hello");
    let request = &server.requests()[0];
    assert!(request.starts_with("GET /page HTTP/1.1\r\n"), "{request}");
    assert_eq!(field(request, "host").unwrap(), server.addr.to_string());
    let agent = field(request, "user-agent").unwrap();
    assert!(agent.starts_with("annulus/"), "{agent}");
    assert_eq!(field(request, "content-length"), None);
}

#[test]
fn every_method_goes_out_as_it_is_called() {
    let server = Script::answering("HTTP/1.1 204 No Content\r\n\r\n");
    let url = server.url("/");
    run(async {
        let client = Client::new();
        for request in [
            client.get(&url),
            client.head(&url),
            client.post(&url),
            client.put(&url),
            client.patch(&url),
            client.delete(&url),
            client.options(&url),
            client.request(Method::from_bytes(b"BREW").unwrap(), &url),
        ] {
            assert_eq!(request.send().await.unwrap().status(), 204);
        }
    });
    let requests = server.requests();
    let methods: Vec<&str> = requests
        .iter()
        .map(|request| request.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        methods,
        [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"
        ]
    );
    for request in &requests {
        let has_length = ["POST", "PUT", "PATCH"].contains(&request.split(' ').next().unwrap());
        let length = field(request, "content-length");
        assert_eq!(length, has_length.then_some("0"), "{request}");
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn the_target_is_encoded_and_credentials_stay_out_of_it() {
    let server = Script::answering(ok(""));
    let url = format!("http://us%20er:pass@{}/a b\u{e9}?c=\"d\"#e", server.addr);
    run(async {
        let response = http::fetch(url.as_str()).await.unwrap();
        assert!(!response.url().as_str().contains("pass"));
    });
    let request = &server.requests()[0];
    assert!(
        request.starts_with("GET /a%20b%C3%A9?c=%22d%22 HTTP/1.1\r\n"),
        "{request}"
    );
    assert_eq!(
        field(request, "authorization").unwrap(),
        "Basic dXMgZXI6cGFzcw=="
    );
    assert_eq!(field(request, "host").unwrap(), server.addr.to_string());
}

#[test]
fn fields_query_and_credentials_are_sent() {
    let server = Script::answering(ok(""));
    run(async {
        let client = Client::builder()
            .with_field(http::header::FROM, HeaderValue::from_static("me"))
            .user_agent(None)
            .build();
        let request = client.get(server.url("/x?a=b")).query([("c d", "e&f")]);
        let request = request.with_field("X-Own", "1").with_field("from", "you");
        request.bearer_auth("token").send().await.unwrap();
        let request = client.get(server.url("/")).basic_auth("user", "word");
        request.send().await.unwrap();
    });
    let requests = server.requests();
    assert!(requests[0].starts_with("GET /x?a=b&c+d=e%26f HTTP/1.1"));
    assert_eq!(field(&requests[0], "x-own").unwrap(), "1");
    assert_eq!(field(&requests[0], "from").unwrap(), "you");
    assert_eq!(
        field(&requests[0], "authorization").unwrap(),
        "Bearer token"
    );
    assert_eq!(field(&requests[0], "user-agent"), None);
    assert_eq!(field(&requests[1], "from").unwrap(), "me");
    assert_eq!(
        field(&requests[1], "authorization").unwrap(),
        "Basic dXNlcjp3b3Jk"
    );
}

#[test]
fn what_cannot_be_sent_is_refused_before_anything_is() {
    let server = Script::answering(ok(""));
    run(async {
        let client = Client::new();
        let url = server.url("/");
        for request in [
            client.get(&url).with_field("bad name", "x"),
            client.get(&url).with_field("x", "a\r\nInjected: b"),
            client.get(&url).with_field("x", "a\0b"),
            client.get(&url).bearer_auth("a\nb"),
            client.get(&url).basic_auth("a:b", "c"),
            client.get(&url).with_field("Host", "a b"),
        ] {
            let error = request.send().await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Request(_)), "{error:?}");
        }
        for url in ["ftp://a/", "nothing", "http://a b/", "http://a\r\nX: y/"] {
            let error = http::fetch(url).await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Url(_)), "{error:?}");
        }
        let error = http::fetch("https://127.0.0.1:1/").await.unwrap_err();
        assert!(error.is_connect(), "{error:?}");
    });
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn the_head_is_told() {
    let server = Script::answering_once(
        "HTTP/1.0 404 Gone Fishing\r\nX-A: 1\r\nx-a:  2 \r\nContent-Length: 2\r\n\r\nno",
    );
    run(async {
        let response = http::fetch(server.url("/a")).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.version(), Version::HTTP_10);
        assert_eq!(response.field("X-a"), Some(&b"1"[..]));
        let all: Vec<&[u8]> = response.field_all("x-a").collect();
        assert_eq!(all, [b"1", b"2"]);
        assert_eq!(response.field_map().get_all("x-a").iter().count(), 2);
        assert_eq!(response.fields().count(), 3);
        assert_eq!(response.url().as_str(), server.url("/a"));
        assert_eq!(response.bytes_left(), Some(2));
        assert!(!response.timings().total.is_zero());
        assert!(!response.timings().is_reused);
        let refused = response.error_for_status().unwrap_err();
        assert_eq!(refused.text().await.unwrap(), "no");
        let ask = async || -> Result<_, http::client::Error> {
            Ok(http::fetch(server.url("/")).await?.error_for_status()?)
        };
        let error = ask().await.unwrap_err();
        assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    });
}

#[test]
fn informational_responses_are_skipped_and_told() {
    thread_local! {
        static TOLD: Mutex<Vec<String>> = const { Mutex::new(Vec::new()) };
    }
    let server = Script::answering(format!(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n{}",
        ok("at last")
    ));
    run(async {
        let client = Client::new();
        let request = client.get(server.url("/")).on_informational(|response| {
            let link = response.field("link").unwrap_or_default();
            let told = format!("{} {}", response.status().as_u16(), link.escape_ascii());
            TOLD.with(|list| list.lock().unwrap().push(told));
        });
        let text = request.send().await.unwrap().text().await.unwrap();
        assert_eq!(text, "at last");
    });
    TOLD.with(|list| assert_eq!(*list.lock().unwrap(), ["103 </a>", "102 "]));
}

#[test]
fn errors_of_the_connection_say_where_they_were() {
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", refused.local_addr().unwrap());
    drop(refused);
    run(async {
        let error = http::fetch(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert!(error.is_connect() && !error.is_timeout());
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.to_string().contains("refused"), "{source}");
        let error = http::fetch("http://no-such-host.invalid/")
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Dns);
    });
    let closing = Script::new(|conn| drop(conn.head()));
    run(async {
        let error = http::fetch(closing.url("/")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        let error: std::io::Error = error.into();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    });
}

#[test]
fn a_host_is_looked_up_where_the_client_says() {
    let server = Script::answering(ok("here"));
    let addr = server.addr;
    run(async {
        let client = Client::builder().resolve("Some.Test", addr).build();
        let response = client.get("http://some.test/").send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "here");
        let resolver = move |host: &str, port: u16| {
            let is_known = host == "other.test" && port == 81;
            async move {
                match is_known {
                    true => Ok(vec![([127, 0, 0, 2], 9).into(), addr]),
                    false => Ok(Vec::new()),
                }
            }
        };
        let client = Client::builder().resolver(resolver).build();
        let response = client.get("http://other.test:81/").send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "here");
        let error = client.get("http://x.test/").send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Dns);
    });
    let hosts: Vec<_> = server
        .requests()
        .iter()
        .map(|request| field(request, "host").unwrap().to_owned())
        .collect();
    assert_eq!(hosts, ["some.test", "other.test:81"]);
}

#[test]
fn a_connection_may_change_its_protocol() {
    let server = Script::new(|conn| {
        let head = conn.head().unwrap();
        assert_eq!(field(&head, "upgrade"), Some("echo"));
        assert_eq!(field(&head, "connection"), Some("upgrade"));
        conn.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\nfirst");
        let mut bytes = [0; 4];
        std::io::Read::read_exact(&mut conn.stream, &mut bytes).unwrap();
        conn.send(bytes);
    });
    run(async {
        let client = Client::new();
        let response = client
            .get(server.url("/"))
            .upgrade("echo")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 101);
        let stream = response.upgrade().unwrap();
        assert_eq!(client.pool_state().busy(), 0);
        assert_eq!(&stream.recv().await.unwrap()[..], b"first");
        // No server is there that could stop.
        assert!(
            poll_once(&mut Box::pin(stream.stopping()))
                .await
                .is_pending()
        );
        stream.write_all("ping").await.unwrap();
        assert_eq!(&stream.recv().await.unwrap()[..], b"ping");
        assert_eq!(&stream.recv().await.unwrap()[..], b"");
    });
    let server = Script::answering(ok(""));
    run(async {
        let client = Client::new();
        let request = client.get(server.url("/")).upgrade("echo");
        let error = request.send().await.unwrap().upgrade().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoUpgrade(StatusCode::OK));
    });
}

#[test]
fn bodies_of_every_kind_arrive() {
    let server = Script::answering(ok(""));
    let path = std::env::temp_dir().join(format!("annulus-client-{}", std::process::id()));
    let content = "0123456789".repeat(20_000);
    std::fs::write(&path, &content).unwrap();
    run(async {
        let client = Client::new();
        let post = || client.post(server.url("/"));
        post().body("text").send().await.unwrap();
        post().body(vec![b'v'; 3]).send().await.unwrap();
        post()
            .form([("a", "b c"), ("d", "\u{e9}")])
            .send()
            .await
            .unwrap();
        let pieces = || {
            let pieces = ["one", "", "three"].map(std::io::Result::Ok);
            Body::stream(futures_util::stream::iter(pieces))
        };
        post().body(pieces()).send().await.unwrap();
        post().body(pieces().sized(8)).send().await.unwrap();
        let file = Body::file(&path).await.unwrap();
        post().body(file).send().await.unwrap();
        post().body("x".repeat(1 << 20)).send().await.unwrap();
    });
    std::fs::remove_file(&path).unwrap();
    let requests = server.requests();
    let parts: Vec<(&str, &str)> = requests
        .iter()
        .map(|request| request.split_once("\r\n\r\n").unwrap())
        .collect();
    assert_eq!(parts[0].1, "text");
    assert_eq!(parts[1].1, "vvv");
    assert_eq!(parts[2].1, "a=b+c&d=%C3%A9");
    assert_eq!(
        field(parts[2].0, "content-type").unwrap(),
        "application/x-www-form-urlencoded"
    );
    assert_eq!(parts[3].1, "3\r\none\r\n5\r\nthree\r\n0\r\n\r\n");
    assert_eq!(parts[4].1, "onethree");
    assert_eq!(field(parts[4].0, "content-length").unwrap(), "8");
    assert_eq!(parts[5].1, content);
    assert_eq!(parts[6].1.len(), 1 << 20);
    assert_eq!(server.accepted(), 1);
}

#[test]
fn trailers_follow_on_a_body_in_chunks() {
    let server = Script::new(|conn| {
        let mut request = conn.head().unwrap();
        while !request.ends_with("\r\n0\r\nx-sum: 3\r\n\r\n") {
            request.push_str(&conn.head().unwrap());
        }
        conn.send(ok(&request[request.len() - 35..]));
        // Of known length: there is no room.
        let request = conn.request().unwrap();
        conn.send(ok(&request[request.len() - 5..]));
    });
    run(async {
        let client = Client::new();
        let sum = std::rc::Rc::new(std::cell::Cell::new(0));
        let counts = std::rc::Rc::clone(&sum);
        let pieces = ["a", "bc"].into_iter().inspect(move |piece| {
            counts.set(counts.get() + piece.len());
        });
        let pieces = futures_util::stream::iter(pieces.map(std::io::Result::Ok));
        let trailers = move || {
            let mut fields = http::HeaderMap::new();
            fields.insert("x-sum", sum.get().into());
            fields.insert("content-length", 7.into());
            fields
        };
        let post = async |body: Body| {
            let response = client.post(server.url("/")).body(body).send().await;
            response.unwrap().text().await.unwrap()
        };
        let body = Body::stream(pieces).with_trailers(trailers);
        let sent = post(body).await;
        assert!(
            sent.ends_with("1\r\na\r\n2\r\nbc\r\n0\r\nx-sum: 3\r\n\r\n"),
            "{sent}"
        );
        let none = || unreachable!("a whole body has no room for them");
        assert_eq!(post(Body::from("whole").with_trailers(none)).await, "whole");
    });
}

#[test]
fn a_body_that_is_not_what_it_promised_fails_the_request() {
    let server = Script::answering(ok(""));
    run(async {
        let client = Client::new();
        let pieces = |text: &'static str| {
            Body::stream(futures_util::stream::iter([std::io::Result::Ok(text)]))
        };
        let broken = Body::stream(futures_util::stream::iter([
            Ok("a"),
            Err("the source is broken"),
        ]));
        for body in [pieces("four").sized(3), pieces("four").sized(5), broken] {
            let error = client
                .post(server.url("/"))
                .body(body)
                .send()
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RequestBody);
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(
                cause.contains("promised") || cause == "the source is broken",
                "{cause}"
            );
        }
        assert_eq!(client.pool_state().idle(), 0);
    });
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn expect_waits_for_the_word_of_the_server_and_not_for_ever() {
    let willing = Script::new(|conn| {
        let head = conn.head().unwrap();
        assert_eq!(field(&head, "expect"), Some("100-continue"));
        conn.send("HTTP/1.1 100 Continue\r\n\r\n");
        let mut body = [0; 4];
        std::io::Read::read_exact(&mut conn.stream, &mut body).unwrap();
        conn.send(ok("got it"));
    });
    let refusing = Script::new(|conn| {
        conn.head().unwrap();
        conn.send("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut conn.stream, &mut rest);
        assert!(rest.is_empty(), "the body was sent all the same");
    });
    let silent = Script::new(|conn| {
        conn.head().unwrap();
        let mut body = [0; 4];
        std::io::Read::read_exact(&mut conn.stream, &mut body).unwrap();
        conn.send(ok("late"));
    });
    let unable = Script::new(|conn| {
        while let Some(head) = conn.head() {
            if field(&head, "expect").is_some() {
                conn.send("HTTP/1.1 417 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                return conn.finish();
            }
            let mut body = [0; 4];
            std::io::Read::read_exact(&mut conn.stream, &mut body).unwrap();
            conn.send(ok("without"));
        }
    });
    run(async {
        let client = Client::new();
        let send = async |server: &Script| {
            let request = client.post(server.url("/")).expect_continue(true);
            request.body("body").send().await.unwrap()
        };
        assert_eq!(send(&willing).await.text().await.unwrap(), "got it");
        assert_eq!(send(&refusing).await.status(), 413);
        let response = send(&silent).await;
        assert!(response.timings().send.as_millis() >= 990);
        assert_eq!(response.text().await.unwrap(), "late");
        assert_eq!(send(&unable).await.text().await.unwrap(), "without");
    });
}

#[test]
fn an_early_answer_stops_the_upload() {
    let server = Script::new(|conn| {
        conn.head().unwrap();
        conn.send("HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nenough");
        conn.wait_close();
    });
    run(async {
        let client = Client::new();
        let endless =
            futures_util::stream::repeat_with(|| std::io::Result::Ok(vec![b'x'; 1 << 16]));
        let request = client.post(server.url("/")).body(Body::stream(endless));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(response.text().await.unwrap(), "enoug");
        assert_eq!(client.pool_state().idle(), 0);
        // A body that the server does not read.
        let request = client.post(server.url("/")).body(vec![b'x'; 64 << 20]);
        assert_eq!(request.send().await.unwrap().status(), 413);
    });
}

#[test]
fn both_directions_stream_at_once() {
    let server = Script::new(|conn| {
        conn.head().unwrap();
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        // Each chunk comes back: "2\r\nab\r\n" at a time.
        let mut chunk = [0; 7];
        for _ in 0..3 {
            std::io::Read::read_exact(&mut conn.stream, &mut chunk).unwrap();
            conn.send(chunk);
        }
        let mut end = [0; 5];
        std::io::Read::read_exact(&mut conn.stream, &mut end).unwrap();
        conn.send(end);
        conn.wait_close();
    });
    run(async {
        let client = Client::new();
        let (feed, pieces) = fed();
        let request = client.post(server.url("/")).body(Body::stream(pieces));
        let mut response = request.send().await.unwrap();
        for piece in ["ab", "cd", "ef"] {
            feed(Some(piece));
            assert_eq!(
                &response.next().await.unwrap().unwrap()[..],
                piece.as_bytes()
            );
        }
        feed(None);
        assert!(response.next().await.unwrap().is_none());
        assert_eq!(client.pool_state().idle(), 1);
    });
}

/// A function that feeds a stream, and the stream.
fn fed() -> (
    impl Fn(Option<&'static str>),
    impl futures_util::Stream<Item = std::io::Result<bytes::Bytes>>,
) {
    let (sender, mut receiver) = annulus::sync::mpsc::channel(8);
    let send = move |piece: Option<&'static str>| sender.try_send(piece).unwrap();
    let stream = futures_util::stream::poll_fn(move |context| {
        let piece = receiver.poll_recv(context);
        piece.map(|piece| piece.flatten().map(|piece| Ok(piece.into())))
    });
    (send, stream)
}
