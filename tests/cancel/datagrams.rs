//! The operations of a UDP socket, dropped at every moment of their lives.

use std::net::UdpSocket as StdSocket;

use annulus::net::UdpSocket;

use super::{
    moment::{drop_at, turns},
    sockets::at_every_moment,
};

async fn sockets() -> (UdpSocket, StdSocket) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let std = StdSocket::bind("127.0.0.1:0").unwrap();
    std.connect(socket.local_addr().unwrap()).unwrap();
    (socket, std)
}

#[test]
fn received_datagrams_are_kept() {
    at_every_moment(async |moment| {
        let (socket, std) = sockets().await;
        let send = async || {
            std.send(b"first").unwrap();
        };
        let taken = drop_at(moment, socket.recv(), send).await;
        std.send(b"second").unwrap();
        let mut all: Vec<Vec<u8>> = taken.into_iter().map(|d| d.unwrap().to_vec()).collect();
        while all.len() < 2 {
            all.push(socket.recv().await.unwrap().to_vec());
        }
        assert_eq!(all, [&b"first"[..], b"second"]);
    });
}

#[test]
fn datagrams_that_no_task_took_go_with_their_socket() {
    at_every_moment(async |moment| {
        let (socket, std) = sockets().await;
        let send = async || {
            for _ in 0..10 {
                std.send(b"untaken").unwrap();
            }
        };
        drop(drop_at(moment, socket.recv(), send).await);
        turns(2).await;
        drop(socket);
        turns(2).await;
    });
}

#[test]
fn a_dropped_send_gives_everything_back() {
    at_every_moment(async |moment| {
        let (socket, std) = sockets().await;
        let addr = std.local_addr().unwrap();
        let meta = annulus::net::SendMeta::to(addr).segment_size(10);
        let sent = drop_at(moment, socket.send_message(vec![7; 25], &meta), async || {}).await;
        assert!(sent.is_none_or(|sent| sent.is_ok()));
        socket.send_to("last", addr).await.unwrap();
        let mut bytes = [0; 32];
        while std.recv(&mut bytes).unwrap() != 4 {}
    });
}

#[test]
fn a_socket_that_is_taken_apart_half_way_is_closed() {
    at_every_moment(async |moment| {
        let (socket, std) = sockets().await;
        std.send(b"parked").unwrap();
        socket.recv().await.unwrap();
        std.send(b"parked").unwrap();
        let taken = drop_at(moment, Box::pin(socket.into_std()), async || {}).await;
        assert!(taken.is_none_or(|taken| taken.is_ok()));
    });
}
