//! How connections begin and end.

use std::{
    cell::Cell,
    future::{Future as _, pending},
    io,
    net::SocketAddr,
    rc::Rc,
    task::{Context, Waker},
    time::Duration,
};

use annulus::{
    http::{Connection, Handler, HttpVersions, Phase, Report, Request, Server, ServerHandle},
    io::{Reader, duplex},
    net::TcpStream,
    spawn,
    sync::Notify,
    task::JoinHandle,
};

use crate::{frames::*, support::run_each};

async fn hello(_: Request) -> &'static str {
    "hello"
}

/// Asks by HTTP/1.1.
async fn old(connection: Connection, request: &[u8]) -> String {
    let (near, far) = duplex(1 << 16);
    let served = spawn(connection.serve(far, hello));
    near.write_all(request).await.unwrap();
    let answer = Reader::new(near).read_to_end(1 << 16).await.unwrap();
    served.await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_connection_speaks_the_versions_that_it_is_told_to() {
    let get = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    run_each(async || {
        let only = |versions| Connection::new().http_versions(versions);
        for versions in [HttpVersions::All, HttpVersions::Http1] {
            assert!(
                old(only(versions), get)
                    .await
                    .starts_with("HTTP/1.1 200 OK\r\n")
            );
        }
        let answer = old(only(HttpVersions::Http2), get).await;
        assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
        assert!(
            answer.contains("expected the preface of HTTP/2"),
            "{answer}"
        );
        let answer = old(only(HttpVersions::Http1), PREFACE).await;
        assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
        for versions in [HttpVersions::All, HttpVersions::Http2] {
            let mut peer = Peer::greeted(only(versions), &[], hello).await;
            peer.send(crate::frames::get(1, "/")).await;
            assert_eq!(peer.body(1).await, (b"hello".to_vec(), true));
        }
    });
}

#[test]
fn a_preface_comes_in_any_pieces_and_at_the_begin_alone() {
    run_each(async || {
        for cut in 1..PREFACE.len() {
            let mut peer = Peer::silent(Connection::new(), hello);
            peer.send(&PREFACE[..cut]).await;
            annulus::task::yield_now().await;
            peer.send(&PREFACE[cut..]).await;
            peer.send(settings(&[])).await;
            peer.send(get(1, "/")).await;
            assert!(peer.body(1).await.1, "{cut}");
        }
        // After a request of HTTP/1.1 it is no preface.
        let first = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";
        let answers = old(Connection::new(), &[&first[..], PREFACE].concat()).await;
        assert!(answers.starts_with("HTTP/1.1 200 OK\r\n"), "{answers}");
        assert!(answers.contains("HTTP/1.1 505 "), "{answers}");
        // Another text in its place.
        let mut peer = Peer::silent(Connection::new(), hello);
        peer.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await;
        let ended = peer.until(|_| false).await;
        assert!(ended.iter().all(|frame| frame.kind != HEADERS), "{ended:?}");
    });
}

/// A server of one worker in this runtime, and its address.
pub(super) fn serve(
    server: Server,
    handler: impl Handler,
) -> (ServerHandle, SocketAddr, JoinHandle<io::Result<Report>>) {
    let addr = Rc::new(Cell::new(None));
    let told = addr.clone();
    let server = server
        .listen("127.0.0.1:0")
        .on_listening(move |addr| told.set(Some(addr)));
    let handle = server.handle();
    let mut serving = Box::pin(server.serve(handler));
    let mut context = Context::from_waker(Waker::noop());
    assert!(serving.as_mut().poll(&mut context).is_pending());
    (handle, addr.take().unwrap(), spawn(serving))
}

#[test]
fn a_server_finishes_the_streams_that_have_begun_when_it_stops() {
    run_each(async || {
        let go = Rc::new(Notify::new());
        let gate = go.clone();
        let handler = async move |request: Request| {
            if request.path() == "/wait" {
                gate.notified().await;
            }
            let peer = request.peer_addr().unwrap();
            assert!(peer.ip().is_loopback());
            "hello"
        };
        let (handle, addr, serving) = serve(Server::new(), handler);
        let mut peer = Peer::on(TcpStream::connect(addr).await.unwrap());
        peer.greet(&[]).await;
        peer.send(get(1, "/wait")).await;
        peer.send(get(3, "/")).await;
        assert!(peer.body(3).await.1);
        let counts = handle.connections().await;
        assert_eq!(counts[0].phase, Phase::Handler);
        handle.stop(Duration::from_secs(600));
        // The first GOAWAY refuses nothing, since requests may be on their way.
        let told = peer.until(|frame| frame.kind == GOAWAY).await;
        let last = &told.last().unwrap().payload;
        assert_eq!(last[..4], [0x7f, 0xff, 0xff, 0xff]);
        let told = peer.until(|frame| frame.kind == PING).await;
        peer.send(get(5, "/")).await;
        let ping = told.last().unwrap().payload.clone();
        peer.send(frame(PING, ACK, 0, &ping)).await;
        let told = peer.until(|frame| frame.kind == GOAWAY).await;
        let last = &told.last().unwrap().payload;
        assert_eq!(last[..8], [0, 0, 0, 5, 0, 0, 0, 0]);
        go.notify_waiters();
        let rest = peer.until(|_| false).await;
        assert!(rest.iter().any(|frame| frame.stream == 1 && frame.is_end()));
        let report = serving.await.unwrap().unwrap();
        assert_eq!((report.answered, report.cut), (3, 0), "{report}");
    });
}

#[test]
fn the_deadline_of_a_stop_cuts_what_is_left() {
    run_each(async || {
        let dropped = Rc::new(());
        let kept = Rc::downgrade(&dropped);
        let handler = async move |_: Request| -> &'static str {
            let _dropped = dropped.clone();
            pending().await
        };
        let (handle, addr, serving) = serve(Server::new(), handler);
        let mut peer = Peer::on(TcpStream::connect(addr).await.unwrap());
        peer.greet(&[]).await;
        peer.send(get(1, "/")).await;
        peer.ping().await;
        handle.stop(Duration::ZERO);
        let report = serving.await.unwrap().unwrap();
        assert_eq!((report.answered, report.cut), (0, 1), "{report}");
        assert!(kept.upgrade().is_none());
        assert!(
            peer.until(|_| false)
                .await
                .iter()
                .all(|frame| !frame.is_end())
        );
    });
}

#[test]
fn a_client_that_is_gone_drops_its_handlers_but_those_that_keep_running() {
    run_each(async || {
        let (told, go) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let (tell, gate) = (told.clone(), go.clone());
        let handler = async move |request: Request| {
            if request.path() == "/kept" {
                request.keep_running();
                tell.notify_one();
                gate.notified().await;
                tell.notify_one();
                return "kept";
            }
            let _told = OnDrop(tell.clone());
            tell.notify_one();
            pending().await
        };
        let (near, far) = duplex(1 << 16);
        let served = spawn(Connection::new().serve(far, handler));
        let mut peer = Peer::on(near);
        peer.greet(&[]).await;
        for (stream, path) in [(1, "/kept"), (3, "/")] {
            peer.send(get(stream, path)).await;
            told.notified().await;
        }
        drop(peer);
        told.notified().await;
        go.notify_one();
        told.notified().await;
        served.await.unwrap();
    });
}

struct OnDrop(Rc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
