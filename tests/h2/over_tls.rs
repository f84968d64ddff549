//! HTTP/2 over TLS: the choice by ALPN, and how such connections begin and end.

use std::{
    cell::Cell,
    fs,
    future::{Future as _, pending, poll_fn},
    io,
    net::SocketAddr,
    rc::Rc,
    task::{Context, Waker},
    time::Duration,
};

use annulus::{
    compat::Compat,
    http::{
        Connection, EndReason, Handler, HttpVersions, Report, Request, Server, ServerHandle,
        StatusCode, Timeouts,
    },
    io::{Reader, duplex},
    net::TcpStream,
    spawn,
    sync::Notify,
    task::JoinHandle,
    tls::{self, ServerConfig, ServerConfigBuilder, TlsStream},
};
use bytes::Bytes;

use crate::{
    frames::*,
    support::{BOUND, Folder, certificates::Certificates, run_each, tls::trusting},
};

const OLD: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const BOTH: [&str; 2] = ["h2", "http/1.1"];

pub(crate) fn secure(certificates: &Certificates) -> ServerConfigBuilder {
    ServerConfig::builder().certificate_files(
        certificates.path("server.pem"),
        certificates.path("server.key"),
    )
}

/// A server of one worker in this runtime.
struct Running {
    handle: ServerHandle,
    addr: SocketAddr,
    serving: JoinHandle<io::Result<Report>>,
}

impl Running {
    fn new(server: Server, config: &ServerConfig, handler: impl Handler) -> Self {
        let addr = Rc::new(Cell::new(None));
        let told = addr.clone();
        let server = server
            .listen_tls("127.0.0.1:0", config)
            .on_listening(move |addr| told.set(Some(addr)));
        let handle = server.handle();
        let mut serving = Box::pin(server.serve(handler));
        let mut context = Context::from_waker(Waker::noop());
        assert!(serving.as_mut().poll(&mut context).is_pending());
        Self {
            handle,
            addr: addr.take().unwrap(),
            serving: spawn(serving),
        }
    }

    /// A client's stream, which offers these protocols.
    async fn connect(&self, alpn: &[&str]) -> io::Result<TlsStream> {
        let certificates = Certificates::get().expect("the server has one");
        let client = trusting(certificates).alpn(alpn).build().unwrap();
        let stream = TcpStream::connect(self.addr).await.unwrap();
        tls::connect(stream, "localhost", &client).await
    }

    /// A client that has agreed on HTTP/2, and has begun.
    async fn peer(&self) -> Peer {
        let mut peer = Peer::on(self.connect(&BOTH).await.unwrap());
        peer.greet(&[]).await;
        peer
    }

    async fn stop(self) -> Report {
        self.handle.stop(BOUND);
        self.serving.await.unwrap().unwrap()
    }
}

async fn hello(_: Request) -> &'static str {
    "hello"
}

/// The answer to a request by HTTP/1.1, as text.
async fn old(mut stream: TlsStream, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    let answer = Reader::new(stream).read_to_end(1 << 16).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The versions of a server, the protocols that a client offers, and the one that is chosen: none
/// where the server refuses the handshake, and `Some(None)` where there is no choice.
type Case = (
    HttpVersions,
    &'static [&'static str],
    Option<Option<&'static str>>,
);

#[test]
fn the_handshake_chooses_the_version_among_those_that_both_speak() {
    use HttpVersions::{All, Http1, Http2};
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let cases: [Case; 12] = [
        (All, &BOTH, Some(Some("h2"))),
        (All, &["http/1.1", "h2"], Some(Some("h2"))),
        (All, &["h2"], Some(Some("h2"))),
        (All, &["http/1.1"], Some(Some("http/1.1"))),
        (All, &["http/0.9"], None),
        (All, &[], Some(None)),
        (Http1, &BOTH, Some(Some("http/1.1"))),
        (Http1, &["h2"], None),
        (Http1, &[], Some(None)),
        (Http2, &BOTH, Some(Some("h2"))),
        (Http2, &["http/1.1"], None),
        (Http2, &[], Some(None)),
    ];
    run_each(async || {
        for (versions, offered, chosen) in cases {
            let config = secure(certificates).build().unwrap();
            let server = Running::new(Server::new().http_versions(versions), &config, hello);
            let stream = server.connect(offered).await;
            let found = stream.as_ref().ok().map(TlsStream::alpn);
            let chosen = chosen.map(|name| name.map(str::as_bytes));
            assert_eq!(found, chosen, "{versions:?} {offered:?}");
            let Ok(stream) = stream else {
                let report = server.stop().await;
                assert_eq!(report.refusals(), [(EndReason::HandshakeFailed, 1)]);
                continue;
            };
            if stream.alpn() == Some(b"h2") {
                let mut peer = Peer::on(stream);
                peer.greet(&[]).await;
                peer.send(get(1, "/")).await;
                assert_eq!(peer.body(1).await, (b"hello".to_vec(), true));
            } else {
                let code = if versions == Http2 { "505" } else { "200" };
                let answer = old(stream, OLD).await;
                assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
            }
            server.stop().await;
        }
    });
}

#[test]
fn the_protocols_of_a_configuration_are_offered_as_far_as_the_server_speaks_them() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    run_each(async || {
        let config = secure(certificates).alpn(["http/1.1", "h2", "other"]);
        let config = config.build().unwrap();
        for (versions, expected) in [
            (HttpVersions::All, &b"http/1.1"[..]),
            (HttpVersions::Http2, b"h2"),
        ] {
            let server = Running::new(Server::new().http_versions(versions), &config, hello);
            let stream = server.connect(&["other", "h2", "http/1.1"]).await.unwrap();
            assert_eq!(stream.alpn(), Some(expected));
            let stream = server.connect(&["other"]).await.unwrap();
            assert_eq!(stream.alpn(), Some(&b"other"[..]));
            drop(stream);
            server.stop().await;
        }
    });
}

#[test]
fn a_preface_without_an_agreement_is_refused() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    run_each(async || {
        let config = secure(certificates).build().unwrap();
        let server = Running::new(Server::new(), &config, hello);
        for offered in [&[][..], &["http/1.1"]] {
            let answer = old(server.connect(offered).await.unwrap(), PREFACE).await;
            assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
        }
        server.stop().await;
    });
}

/// The frames that a client gets which has agreed on HTTP/2 and begins with `bytes`.
async fn begun_with(stream: TlsStream, bytes: &[u8]) -> Vec<Frame> {
    let mut peer = Peer::on(stream);
    peer.send(bytes).await;
    peer.until(|_| false).await
}

#[test]
fn a_client_that_has_agreed_on_http_2_begins_with_its_preface() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    run_each(async || {
        let config = secure(certificates).alpn(BOTH).build().unwrap();
        let server = Running::new(Server::new(), &config, hello);
        let frames = begun_with(server.connect(&BOTH).await.unwrap(), OLD).await;
        let kinds: Vec<_> = frames.iter().map(|frame| frame.kind).collect();
        assert_eq!(kinds, [SETTINGS, GOAWAY]);
        assert_eq!(frames[1].code(), Some(PROTOCOL_ERROR));
        // What begins as the preface may end without a word.
        let almost = b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n";
        let frames = begun_with(server.connect(&BOTH).await.unwrap(), almost).await;
        assert!(frames.iter().all(|frame| frame.kind != HEADERS));
        // Other clients are served on.
        server.peer().await;
        let report = server.stop().await;
        assert_eq!(report.answered, 0, "{report}");
        let reasons: Vec<_> = report
            .refusals()
            .iter()
            .map(|(reason, _)| reason.as_str())
            .collect();
        assert_eq!(reasons, ["http2-expected"]);
        // So does a connection without a server.
        let (near, far) = duplex(1 << 16);
        let served = spawn(async move {
            let stream = tls::accept(far, &config).await.unwrap();
            Connection::new().serve(stream, hello).await;
        });
        let client = trusting(certificates).alpn(BOTH).build().unwrap();
        let stream = tls::connect(near, "localhost", &client).await.unwrap();
        let frames = begun_with(stream, OLD).await;
        assert_eq!(frames.last().and_then(Frame::code), Some(PROTOCOL_ERROR));
        served.await.unwrap();
    });
}

#[test]
fn the_preface_comes_in_any_pieces() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    run_each(async || {
        let config = secure(certificates).build().unwrap();
        let server = Running::new(Server::new(), &config, hello);
        let mut peer = Peer::on(server.connect(&BOTH).await.unwrap());
        for byte in PREFACE {
            peer.send([*byte]).await;
            annulus::task::yield_now().await;
        }
        peer.send(settings(&[])).await;
        peer.send(get(1, "/")).await;
        assert_eq!(peer.body(1).await, (b"hello".to_vec(), true));
        drop(peer);
        server.stop().await;
    });
}

/// The facts of a handshake, as a handler sees them.
async fn describe(request: Request) -> String {
    let tls = request.tls().unwrap();
    format!(
        "{:?} {:?} {} {} {} {} {}",
        tls.version().unwrap(),
        tls.cipher_suite().unwrap(),
        tls.alpn().unwrap().escape_ascii(),
        tls.server_name().unwrap(),
        tls.peer_certificates().len(),
        tls.is_resumed(),
        request
            .peer_addr()
            .is_some_and(|addr| addr.ip().is_loopback()),
    )
}

#[test]
fn a_handler_sees_the_handshake_by_http_2_too() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    run_each(async || {
        let config = secure(certificates)
            .client_authorities_file(certificates.path("authority.pem"))
            .alpn(BOTH)
            .build()
            .unwrap();
        let client = trusting(certificates)
            .client_certificate(
                &certificates.text("client.pem"),
                &certificates.text("client.key"),
            )
            .alpn(BOTH)
            .build()
            .unwrap();
        let server = Running::new(Server::new(), &config, describe);
        let expected = "Tls13 TLS13_AES_256_GCM_SHA384 h2 localhost 1";
        for is_resumed in [false, true] {
            let stream = TcpStream::connect(server.addr).await.unwrap();
            let stream = tls::connect(stream, "localhost", &client).await.unwrap();
            let mut peer = Peer::on(stream);
            peer.greet(&[]).await;
            for stream in [1, 3] {
                peer.send(get(stream, "/")).await;
                let (body, _) = peer.body(stream).await;
                let body = String::from_utf8(body).unwrap();
                assert_eq!(body, format!("{expected} {is_resumed} true"));
            }
        }
        server.stop().await;
        let (near, far) = duplex(1 << 16);
        let served = spawn(async move {
            let stream = tls::accept(far, &config).await.unwrap();
            Connection::new().serve(stream, describe).await;
        });
        let mut peer = Peer::on(tls::connect(near, "localhost", &client).await.unwrap());
        peer.greet(&[]).await;
        peer.send(get(1, "/")).await;
        let (body, _) = peer.body(1).await;
        assert!(body.starts_with(expected.as_bytes()));
        drop(peer);
        served.await.unwrap();
    });
}

/// Takes the word that the server stops, and answers the ping by which it learns that.
async fn answer_goaway(peer: &mut Peer) {
    let told = peer.until(|frame| frame.kind == GOAWAY).await;
    assert_eq!(told.last().and_then(Frame::code), Some(NO_ERROR));
    let ping = peer.until(|frame| frame.kind == PING).await;
    let payload = &ping.last().unwrap().payload;
    peer.send(frame(PING, ACK, 0, payload)).await;
}

#[test]
fn a_request_that_is_kept_does_not_keep_its_connection() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    run_each(async || {
        let config = secure(certificates).build().unwrap();
        let kept = Rc::new(Cell::new(None));
        let place = kept.clone();
        let handler = async move |request: Request| {
            place.set(Some(request));
            "kept"
        };
        let server = Running::new(Server::new(), &config, handler);
        let mut peer = server.peer().await;
        peer.send(get(1, "/")).await;
        assert!(peer.body(1).await.1);
        server.handle.stop(BOUND);
        answer_goaway(&mut peer).await;
        peer.until(|_| false).await;
        assert!(peer.has_finished().await);
        server.stop().await;
        assert!(kept.take().unwrap().tls().is_none());
    });
}

#[test]
fn a_stop_says_goaway_and_ends_with_a_close_notify() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    run_each(async || {
        let go = Rc::new(Notify::new());
        let gate = go.clone();
        let handler = async move |_: Request| {
            gate.notified().await;
            "late"
        };
        let config = secure(certificates).build().unwrap();
        let server = Running::new(Server::new(), &config, handler);
        let mut idle = server.peer().await;
        let mut silent = server.connect(&BOTH).await.unwrap();
        let mut busy = server.peer().await;
        busy.send(get(1, "/")).await;
        busy.ping().await;
        server.handle.stop(BOUND);
        for peer in [&mut idle, &mut busy] {
            answer_goaway(peer).await;
        }
        go.notify_waiters();
        assert_eq!(busy.body(1).await, (b"late".to_vec(), true));
        for peer in [&mut idle, &mut busy] {
            peer.until(|_| false).await;
            assert!(peer.has_finished().await);
        }
        assert!(silent.recv().await.unwrap().is_empty());
        let report = server.stop().await;
        assert_eq!((report.answered, report.cut), (1, 0), "{report}");
    });
}

#[test]
fn a_full_server_says_goaway() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    run_each(async || {
        let config = secure(certificates).build().unwrap();
        let server = Server::new().connections_max(1).refuse_when_full(true);
        let server = Running::new(server, &config, hello);
        let first = server.peer().await;
        let stream = server.connect(&BOTH).await.unwrap();
        let frames = begun_with(stream, &[PREFACE, &settings(&[]), &get(1, "/")].concat()).await;
        let kinds: Vec<_> = frames.iter().map(|frame| frame.kind).collect();
        assert_eq!(kinds, [SETTINGS, GOAWAY]);
        assert_eq!(frames[1].payload, [0; 8]);
        drop(first);
        server.stop().await;
    });
}

#[test]
fn a_reload_changes_new_connections_and_leaves_those_that_are_there() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    run_each(async || {
        let folder = Folder::new("h2-reload");
        let (pem, key) = (folder.path("site.pem"), folder.path("site.key"));
        let copy = |name: &str| {
            fs::copy(certificates.path(&format!("{name}.pem")), &pem).unwrap();
            fs::copy(certificates.path(&format!("{name}.key")), &key).unwrap();
        };
        copy("server");
        let builder = ServerConfig::builder().certificate_files(&pem, &key);
        let config = builder.build().unwrap();
        let server = Running::new(Server::new(), &config, hello);
        let mut before = server.peer().await;
        copy("client");
        config.reload().unwrap();
        before.send(get(1, "/")).await;
        assert_eq!(before.body(1).await, (b"hello".to_vec(), true));
        let stream = server.connect(&BOTH).await.unwrap();
        assert_eq!(stream.alpn(), Some(&b"h2"[..]));
        let shown = stream.peer_certificates()[0].to_vec();
        let mut after = Peer::on(stream);
        after.greet(&[]).await;
        let old = server.connect(&["http/1.1"]).await.unwrap();
        assert_eq!(old.peer_certificates()[0].to_vec(), shown);
        drop((before, after, old));
        server.stop().await;
    });
}

#[test]
fn a_panic_of_a_handler_is_a_500_and_harms_no_other_stream() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    run_each(async || {
        let go = Rc::new(Notify::new());
        let gate = go.clone();
        let handler = async move |request: Request| {
            assert_ne!(request.path(), "/panic", "as the test wants");
            gate.notified().await;
            "hello"
        };
        let config = secure(certificates).build().unwrap();
        let server = Running::new(Server::new(), &config, handler);
        let stream = server.connect(&BOTH).await.unwrap();
        let (client, connection) = ::h2::client::handshake(Compat::new(stream)).await.unwrap();
        let driven = spawn(connection);
        let mut client = client.ready().await.unwrap();
        let mut ask = |path: &str| {
            let uri = format!("https://localhost{path}");
            let request = ::http::Request::get(uri).body(()).unwrap();
            client.send_request(request, true).unwrap().0
        };
        let (waits, panics) = (ask("/"), ask("/panic"));
        let answer = panics.await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        drop(answer);
        go.notify_waiters();
        let mut body = waits.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), Bytes::from("hello"));
        drop((body, client));
        driven.await.unwrap().unwrap();
        server.stop().await;
    });
}

#[test]
fn a_client_that_is_dropped_in_the_middle_ends_its_handlers() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    struct OnDrop(Rc<Notify>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    run_each(async || {
        let told = Rc::new(Notify::new());
        let tell = told.clone();
        let handler = async move |_: Request| -> &'static str {
            let _told = OnDrop(tell.clone());
            tell.notify_one();
            pending().await
        };
        let config = secure(certificates).build().unwrap();
        let server = Running::new(Server::new(), &config, handler);
        let mut peer = server.peer().await;
        peer.send(get(1, "/")).await;
        told.notified().await;
        drop(peer);
        told.notified().await;
        server.stop().await;
    });
}

#[test]
fn silent_clients_are_ended_in_time() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    stopped_each(async || {
        // Silent from the first byte on, in the preface, and with all streams answered.
        for bytes in [&b""[..], b"PRI * HT", PREFACE] {
            let config = secure(certificates).alpn(BOTH).build().unwrap();
            let (near, far) = duplex(1 << 16);
            let timeouts = Timeouts::default();
            let longest = timeouts.idle.max(timeouts.head) + Duration::from_secs(30);
            let served = spawn(async move {
                let stream = tls::accept(far, &config).await.unwrap();
                Connection::new().serve(stream, hello).await;
            });
            let client = trusting(certificates).alpn(BOTH).build().unwrap();
            let stream = tls::connect(near, "localhost", &client).await.unwrap();
            let mut peer = Peer::on(stream);
            peer.send(bytes).await;
            let ended = annulus::time::timeout(longest, served).await;
            ended.expect("it has ended in time").unwrap();
        }
    });
}

#[test]
fn reloads_lose_no_request_of_many() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    run_each(async || {
        let config = secure(certificates).build().unwrap();
        let server = Running::new(Server::new(), &config, hello);
        for round in 0..20 {
            let stream = server.connect(&BOTH).await.unwrap();
            let (client, connection) = ::h2::client::handshake(Compat::new(stream)).await.unwrap();
            let driven = spawn(connection);
            let mut client = client;
            for number in 0..10 {
                poll_fn(|context| client.poll_ready(context)).await.unwrap();
                let request = ::http::Request::get("https://localhost/");
                let request = request.body(()).unwrap();
                let (answer, _) = client.send_request(request, true).unwrap();
                if number == 5 {
                    config.reload().unwrap();
                }
                assert_eq!(answer.await.unwrap().status(), StatusCode::OK, "{round}");
            }
            drop(client);
            driven.await.unwrap().unwrap();
        }
        let report = server.stop().await;
        assert_eq!((report.answered, report.refused()), (200, 0), "{report}");
    });
}
