//! Handles that other tasks keep, or that outlive their connection and its runtime.

use std::{io, rc::Rc};

use annulus::{
    DriverKind, Runtime,
    http::{
        Client, Connection, Request, Response,
        websocket::{CloseCode, CloseInfo, Error, Message, TrySendError, WebSocket},
    },
    net::TcpListener,
    spawn,
    sync::{Notify, oneshot},
};

use super::{
    echoes,
    peer::{Peer, close},
    telling,
};
use crate::support::run_each;

const ABORTED: Error = Error::Lost(io::ErrorKind::ConnectionAborted);

/// The results of `recv`, of `closed` and of a late `send`, of three tasks that waited for them.
type Found = (
    Result<Option<Message>, Error>,
    Result<CloseInfo, Error>,
    Result<(), Error>,
);

/// A handler whose function gives its halves to other tasks and waits. It panics when it is
/// notified.
fn handing_over() -> (
    impl AsyncFn(Request) -> Response + 'static,
    Rc<Notify>,
    oneshot::Receiver<Found>,
) {
    let (tell, told) = telling();
    let fails = Rc::new(Notify::new());
    let gate = Rc::clone(&fails);
    let handler = async move |request: Request| {
        let (tell, gate) = (tell(), Rc::clone(&gate));
        request.websocket(async move |socket: WebSocket| {
            let (sender, mut receiver) = socket.split();
            spawn(async move {
                let also = sender.clone();
                let closed = spawn(async move { also.closed().await });
                let received = receiver.recv().await;
                let closed = closed.await.unwrap();
                drop(tell.send((received, closed, sender.send("late").await)));
            });
            gate.notified().await;
            panic!("a function that fails");
        })
    };
    (handler, fails, told)
}

#[test]
fn a_close_frame_is_told_to_all_that_wait() {
    run_each(async || {
        let (handler, _fails, told) = handing_over();
        let mut peer = Peer::open(handler).await;
        peer.send(close(1000, "enough")).await;
        let (received, closed, sent) = told.await.unwrap();
        assert_eq!((received, sent), (Ok(None), Err(Error::Closed)));
        let info = closed.unwrap();
        assert_eq!(info.code(), Some(CloseCode::NORMAL));
        assert_eq!((info.reason(), info.is_answer()), ("enough", false));
    });
}

#[test]
fn an_end_without_a_close_frame_is_told_to_all_that_wait() {
    enum Way {
        PeerLeaves,
        FunctionPanics,
        ServerIsDropped,
    }
    run_each(async || {
        for (way, error) in [
            (Way::PeerLeaves, Error::Lost(io::ErrorKind::UnexpectedEof)),
            (Way::FunctionPanics, ABORTED),
            (Way::ServerIsDropped, ABORTED),
        ] {
            let (handler, fails, told) = handing_over();
            let mut peer = Peer::open(handler).await;
            match way {
                Way::PeerLeaves => peer.leave().await,
                Way::FunctionPanics => fails.notify_one(),
                Way::ServerIsDropped => peer.cut(),
            }
            assert_eq!(
                told.await.unwrap(),
                (Err(error), Err(error), Err(error)),
                "{error}"
            );
        }
    });
}

/// Its socket is open until then, so that the peer sees no end.
#[test]
fn a_connection_whose_function_panics_is_cut_although_a_handle_is_kept() {
    run_each(async || {
        let (handler, fails, told) = handing_over();
        let mut peer = Peer::open(handler).await;
        fails.notify_one();
        drop(told.await.unwrap());
        peer.expect_cut().await;
    });
}

#[test]
fn a_socket_that_outlives_its_runtime_is_lost() {
    for driver in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = || Runtime::builder().driver(driver).build().unwrap();
        let first = runtime();
        let mut socket = first.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            drop(spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                Connection::new().serve(stream, echoes).await;
            }));
            let url = format!("ws://{addr}/");
            let mut socket = Client::new().websocket(url).connect().await.unwrap();
            socket.send("here").await.unwrap();
            assert_eq!(socket.recv().await, Ok(Some("here".into())));
            socket
        });
        // A runtime that stands still does not end it.
        first.block_on(async {
            socket.send("again").await.unwrap();
            assert_eq!(socket.recv().await, Ok(Some("again".into())));
            socket.send("on its way").await.unwrap();
        });
        drop(first);
        assert_eq!(
            socket.try_send("late"),
            Err(TrySendError::Closed("late".into()))
        );
        runtime().block_on(async {
            assert_eq!(socket.recv().await, Err(ABORTED));
            assert_eq!(socket.send("late").await, Err(ABORTED));
            assert_eq!(socket.flush().await, Err(ABORTED));
            assert_eq!(socket.closed().await, Err(ABORTED));
            assert_eq!(socket.close(CloseCode::NORMAL, "").await, Err(ABORTED));
            assert_eq!(socket.peer_addr(), None);
        });
    }
}
