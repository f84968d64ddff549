//! Pages by `https`.

use std::{env, process::Command};

use annulus::http::{self, StatusCode, client::Body};

use crate::{
    server::TlsServer,
    support::{
        certificates::Certificates,
        http::ok,
        run_each,
        tls::{Kind, each_version},
    },
    trusting::client,
};

#[test]
fn a_page_comes_by_each_version() {
    each_version(|certificates, kind| {
        let server = TlsServer::answering(certificates, &kind, ok("hello"));
        run_each(async || {
            let client = client(certificates);
            let response = client.get(server.named_url("/x")).send().await.unwrap();
            let timings = response.timings();
            assert!(!timings.tls.is_zero(), "{timings:?}");
            assert!(
                timings.total >= timings.tls + timings.connect,
                "{timings:?}"
            );
            assert_eq!(response.text().await.unwrap(), "hello");
            let response = client.get(server.named_url("/y")).send().await.unwrap();
            let timings = response.timings();
            assert!(timings.is_reused && timings.tls.is_zero(), "{timings:?}");
            assert_eq!(response.text().await.unwrap(), "hello");
            assert_eq!(client.pool_state().opened, 1);
        });
        for seen in server.seen() {
            assert_eq!(seen.version, Some(kind.versions[0].version));
            assert_eq!(seen.alpn.as_deref(), Some("http/1.1"));
            assert_eq!(seen.name.as_deref(), Some("localhost"));
        }
        let requests = server.requests();
        assert_eq!(requests.len(), 4);
        let host = format!("\r\nHost: localhost:{}\r\n", server.addr.port());
        assert!(requests[0].starts_with("GET /x HTTP/1.1\r\n"));
        assert!(requests[0].contains(&host), "{}", requests[0]);
    });
}

#[test]
fn an_address_is_verified_and_not_named_to_the_server() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let server = TlsServer::answering(certificates, &Kind::default(), ok("hello"));
    run_each(async || {
        let client = client(certificates);
        let response = client.get(server.url("/")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "hello");
    });
    for seen in server.seen() {
        assert_eq!(seen.name, None);
    }
}

#[test]
fn large_bodies_go_both_ways() {
    const LEN: usize = 12_000_000;
    each_version(|certificates, kind| {
        // Sends back what it got.
        let server = TlsServer::new(certificates, &kind, |conn| {
            while let Ok(request) = conn.request() {
                let start = request.find("\r\n\r\n").unwrap() + 4;
                conn.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                    request.len() - start
                ))?;
                conn.send(&request[start..])?;
            }
            Ok(())
        });
        let body: Vec<u8> = (0..LEN).map(|index| b'a' + (index % 23) as u8).collect();
        run_each(async || {
            let client = client(certificates);
            let post = client.post(server.url("/")).body(body.clone());
            let response = post.body_bytes_max(LEN as u64).send().await.unwrap();
            assert!(response.bytes().await.unwrap() == body);
            let pieces = body.chunks(100_000).map(|piece| Ok(piece.to_vec()));
            let pieces: Vec<std::io::Result<_>> = pieces.collect();
            let stream = futures_util::stream::iter(pieces);
            let post = client
                .post(server.url("/"))
                .body(Body::stream(stream).sized(LEN as u64));
            let mut response = post.send().await.unwrap();
            let mut received = Vec::new();
            while let Some(piece) = response.next().await.unwrap() {
                received.extend_from_slice(&piece);
            }
            assert!(received == body);
            assert_eq!(client.pool_state().opened, 1);
        });
    });
}

#[test]
fn many_requests_at_once_are_answered() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let server = TlsServer::answering(certificates, &Kind::default(), ok("hello"));
    run_each(async || {
        let client = client(certificates);
        let requests = (0..100).map(|_| async {
            let response = client.get(server.url("/")).send().await.unwrap();
            response.text().await.unwrap()
        });
        let pages = futures_util::future::join_all(requests).await;
        assert!(pages.iter().all(|page| page == "hello"));
        assert_eq!(client.pool_state().busy(), 0);
    });
}

/// It calls itself as a program whose system trusts the tests' authority.
#[test]
fn one_line_gets_a_page_that_the_system_vouches_for() {
    const URL: &str = "ANNULUS_TEST_TLS_URL";
    const NAME: &str = "basics::one_line_gets_a_page_that_the_system_vouches_for";
    if let Ok(url) = env::var(URL) {
        let page = annulus::run(async { http::fetch(&*url).await?.text().await }).unwrap();
        assert_eq!(page, "hello");
        let page = http::client::synchronous::fetch(&*url).unwrap();
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.text().unwrap(), "hello");
        return;
    }
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let server = TlsServer::answering(certificates, &Kind::default(), ok("hello"));
    let call = |authority: &str| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", NAME, "--nocapture"]);
        command.env("SSL_CERT_FILE", certificates.path(authority));
        command.env_remove("SSL_CERT_DIR");
        command.env(URL, server.named_url("/"));
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let (succeeded, text) = call("authority.pem");
    assert!(succeeded, "{text}");
    assert_eq!(server.seen().len(), 2);
    let (succeeded, text) = call("stranger.pem");
    assert!(!succeeded && text.contains("UnknownIssuer"), "{text}");
    let (succeeded, text) = call("no-such-file.pem");
    assert!(
        !succeeded && text.contains("expected certificates"),
        "{text}"
    );
}
