//! A forked child cannot use its parent's UDP sockets, and does not harm them.

use std::{
    future::Future as _,
    task::{Context, Poll, Waker},
    time::Duration,
};

use annulus::{net::UdpSocket, spawn, time};

use crate::{
    child::descriptors,
    forked::{fork, is_explained, on_each_driver, runtime},
    support::guarded,
};

/// A datagram that was received and not taken stays the parent's, as the receive that goes on does.
#[test]
fn a_udp_socket_that_a_child_drops_goes_on_in_the_parent() {
    let name = "forked_udp::a_udp_socket_that_a_child_drops_goes_on_in_the_parent";
    on_each_driver(name, || {
        let before = descriptors();
        let runtime = runtime();
        let std = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let from = std.local_addr().unwrap();
        let kept = runtime.block_on(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let (addr, silent_addr) = (socket.local_addr().unwrap(), silent.local_addr().unwrap());
            let waiter = spawn(async move { silent.recv().await.map(|bytes| bytes.to_vec()) });
            for text in ["taken", "left", "also left"] {
                std.send_to(text.as_bytes(), addr).unwrap();
            }
            let taken = guarded(socket.recv()).await.unwrap();
            time::sleep(Duration::from_millis(1)).await;
            (socket, taken, waiter, silent_addr)
        });
        let mut all = Some((kept, runtime));
        fork(|| {
            let ((socket, taken, waiter, _), inherited) = all.take().unwrap();
            assert_eq!(&*taken, b"taken", "received bytes are a copy");
            is_explained(&socket.try_recv().unwrap_err().to_string());
            is_explained(&socket.try_send_to(b"no", from).unwrap_err().to_string());
            let context = &mut Context::from_waker(Waker::noop());
            match Box::pin(socket.recv()).as_mut().poll(context) {
                Poll::Ready(Err(error)) => is_explained(&error.to_string()),
                other => panic!("{other:?}"),
            }
            match Box::pin(socket.send_to("no", from)).as_mut().poll(context) {
                Poll::Ready(Err(error)) => is_explained(&error.to_string()),
                other => panic!("{other:?}"),
            }
            drop((socket, taken, waiter, inherited));
            annulus::run(async {
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                let addr = socket.local_addr().unwrap();
                socket.send_to("the child's own", addr).await.unwrap();
                let datagram = guarded(socket.recv()).await.unwrap();
                assert_eq!(&*datagram, b"the child's own");
            });
        });
        let ((socket, taken, waiter, silent_addr), runtime) = all.unwrap();
        runtime.block_on(async {
            let addr = socket.local_addr().unwrap();
            std.send_to(b"later", addr).unwrap();
            for text in ["left", "also left", "later"] {
                let datagram = guarded(socket.recv()).await.unwrap();
                assert_eq!((&*datagram, datagram.addr()), (text.as_bytes(), from));
            }
            std.send_to(b"awaited", silent_addr).unwrap();
            assert_eq!(guarded(waiter).await.unwrap().unwrap(), b"awaited");
            socket.send_to(taken, from).await.unwrap();
            assert_eq!(
                std.recv(&mut [0; 9]).unwrap(),
                5,
                "the child has sent nothing"
            );
        });
        drop((socket, std));
        drop(runtime);
        assert_eq!(descriptors(), before);
    });
}
