//! Listening and accepting.

use std::{cell::RefCell, io, net, rc::Rc, time::Duration};

use annulus::{
    net::{TcpListener, TcpStream},
    spawn,
    task::JoinSet,
};
use futures_util::StreamExt as _;

use crate::support::{
    closed_port, listen, recv_exact, recv_to_end, run, settle, skip::skip, until,
};

fn has_ipv6() -> bool {
    let has = net::TcpListener::bind("[::1]:0").is_ok();
    if !has {
        skip("this machine has no IPv6");
    }
    has
}

#[test]
fn port_zero_becomes_a_port_that_can_be_connected_to() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        assert_ne!(addr.port(), 0);
        let near = TcpStream::connect(addr).await.unwrap();
        let (far, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, near.local_addr().unwrap());
        assert_eq!(far.peer_addr().unwrap(), peer);
        assert_eq!(far.local_addr().unwrap(), addr);
        assert_eq!(near.peer_addr().unwrap(), addr);
    });
}

#[test]
fn an_address_in_use_is_an_error_and_the_next_address_is_tried() {
    run(async {
        let (_taken, taken) = listen().await;
        let error = TcpListener::bind(taken).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let free: net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = TcpListener::bind(&[taken, free][..]).await.unwrap();
        assert_ne!(listener.local_addr().unwrap(), taken);
        let error = TcpListener::bind(vec![free, taken]).await;
        assert!(error.is_ok(), "the first that can be bound is taken");
    });
}

#[test]
fn no_address_and_no_port_are_invalid_input() {
    run(async {
        let none: Vec<net::SocketAddr> = Vec::new();
        let error = TcpListener::bind(none).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = TcpListener::bind("localhost").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = TcpListener::bind("127.0.0.1:65536").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_name_is_looked_up() {
    run(async {
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        assert!(listener.local_addr().unwrap().ip().is_loopback());
    });
}

#[test]
fn an_address_that_is_not_this_machines_is_an_error() {
    run(async {
        // An address of a network that is kept for documentation.
        let error = TcpListener::bind("192.0.2.1:0").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn ipv6_works_as_ipv4_does() {
    if !has_ipv6() {
        return;
    }
    run(async {
        let listener = TcpListener::bind("[::1]:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        assert!(addr.is_ipv6());
        let near = TcpStream::connect((net::Ipv6Addr::LOCALHOST, addr.port()))
            .await
            .unwrap();
        let (far, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, near.local_addr().unwrap());
        near.write_all("six").await.unwrap();
        assert_eq!(recv_exact(&far, 3).await, b"six");
    });
}

#[test]
fn only_v6_decides_whether_ipv4_is_served_too() {
    if !has_ipv6() {
        return;
    }
    run(async {
        let both = TcpListener::options()
            .only_v6(false)
            .bind("[::]:0")
            .await
            .unwrap();
        let port = both.local_addr().unwrap().port();
        let _near = TcpStream::connect((net::Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        both.accept().await.unwrap();

        // The port of IPv4 may be another process's. It is free for ours with an IPv6 socket only.
        let options = TcpListener::options().only_v6(true);
        let mut taken = Vec::new();
        let (_six, four) = loop {
            assert!(taken.len() < 20, "the listener has the port of IPv4, too");
            let six = options.bind("[::]:0").await.unwrap();
            let port = six.local_addr().unwrap().port();
            match net::TcpListener::bind((net::Ipv4Addr::LOCALHOST, port)) {
                Ok(four) => break (six, four),
                Err(_) => taken.push(six),
            }
        };
        let near = TcpStream::connect(four.local_addr().unwrap())
            .await
            .unwrap();
        assert_eq!(four.accept().unwrap().1, near.local_addr().unwrap());
    });
}

#[test]
fn several_listeners_share_a_port_only_when_told_to() {
    run(async {
        let options = TcpListener::options().reuse_port(true);
        let first = options.bind("127.0.0.1:0").await.unwrap();
        let addr = first.local_addr().unwrap();
        let second = options.bind(addr).await.unwrap();
        assert_eq!(second.local_addr().unwrap(), addr);
        let error = TcpListener::bind(addr).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    });
}

#[test]
fn accepted_streams_inherit_nodelay() {
    run(async {
        for nodelay in [true, false] {
            let options = TcpListener::options().nodelay(nodelay).backlog(1);
            let listener = options.bind("127.0.0.1:0").await.unwrap();
            let near = TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            let (far, _) = listener.accept().await.unwrap();
            assert!(near.nodelay().unwrap());
            assert_eq!(far.nodelay().unwrap(), nodelay);
        }
    });
}

#[test]
fn waiters_are_served_in_the_order_of_asking() {
    run(async {
        let (listener, addr) = listen().await;
        let listener = Rc::new(listener);
        let served = Rc::new(RefCell::new(Vec::new()));
        let mut waiters = JoinSet::new();
        for number in 0..20 {
            let (listener, served) = (Rc::clone(&listener), Rc::clone(&served));
            waiters.spawn(async move {
                let (_stream, peer) = listener.accept().await.unwrap();
                served.borrow_mut().push((number, peer));
            });
        }
        settle().await;
        let mut streams = Vec::new();
        let mut expected = Vec::new();
        for number in 0..20 {
            let stream = TcpStream::connect(addr).await.unwrap();
            expected.push((number, stream.local_addr().unwrap()));
            streams.push(stream);
        }
        while let Some(done) = waiters.join_next().await {
            done.unwrap();
        }
        assert_eq!(*served.borrow(), expected);
    });
}

#[test]
fn connections_that_came_before_the_accept_come_in_their_order() {
    run(async {
        let (listener, addr) = listen().await;
        let mut streams = Vec::new();
        for _ in 0..100 {
            streams.push(TcpStream::connect(addr).await.unwrap());
        }
        for stream in &streams {
            let (_, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, stream.local_addr().unwrap());
        }
    });
}

#[test]
fn incoming_is_a_stream_of_connections() {
    run(async {
        let (listener, addr) = listen().await;
        let clients = spawn(async move {
            let mut streams = Vec::new();
            for number in 0..40_u8 {
                let stream = TcpStream::connect(addr).await.unwrap();
                stream.write_all(vec![number]).await.unwrap();
                streams.push(stream);
            }
            streams
        });
        let mut incoming = listener.incoming();
        for number in 0..40_u8 {
            let stream = incoming.next().await.unwrap().unwrap();
            assert_eq!(recv_exact(&stream, 1).await, [number]);
        }
        drop(incoming);
        drop(clients.await.unwrap());
    });
}

#[test]
fn an_accept_that_was_dropped_leaves_its_connection_to_the_next() {
    run(async {
        let (listener, addr) = listen().await;
        for _ in 0..50 {
            {
                let mut accept = Box::pin(listener.accept());
                assert!(crate::support::poll_once(&mut accept).await.is_pending());
            }
            {
                let mut incoming = listener.incoming();
                let mut next = incoming.next();
                assert!(crate::support::poll_once(&mut next).await.is_pending());
            }
            let near = TcpStream::connect(addr).await.unwrap();
            settle().await;
            let (_far, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, near.local_addr().unwrap());
        }
    });
}

/// Connects, sends `bytes` if there are any, and resets; returns the address that it had.
async fn send_and_reset(addr: net::SocketAddr, bytes: &'static str) -> net::SocketAddr {
    let client = TcpStream::connect(addr).await.unwrap();
    let own = client.local_addr().unwrap();
    client.write_all(bytes).await.unwrap();
    client.set_linger(Some(Duration::ZERO)).unwrap();
    // As std's it closes at once.
    drop(client.detach().await.unwrap().into_std().unwrap());
    own
}

#[test]
fn a_peer_that_resets_before_it_is_accepted_is_delivered_with_its_bytes() {
    run(async {
        let (listener, addr) = listen().await;
        // The first waits in the kernel's backlog, the later ones may be accepted ahead.
        for round in 0..40 {
            let own = send_and_reset(addr, "last words").await;
            if round % 2 == 1 {
                settle().await;
            }
            let (stream, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, own);
            assert_eq!(&*stream.recv().await.unwrap(), b"last words");
            let error = stream.recv().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn a_peer_that_only_resets_is_delivered_too_and_each_in_its_place() {
    run(async {
        let (listener, addr) = listen().await;
        let mut peers = Vec::new();
        for _ in 0..10 {
            peers.push(send_and_reset(addr, "").await);
            let client = TcpStream::connect(addr).await.unwrap();
            peers.push(client.local_addr().unwrap());
        }
        for expected in &peers[..10] {
            assert_eq!(listener.accept().await.unwrap().1, *expected);
        }
        let mut incoming = listener.incoming();
        for _ in 10..20 {
            incoming.next().await.unwrap().unwrap();
        }
    });
}

#[test]
fn an_ipv6_peer_that_has_reset_has_its_address() {
    if !has_ipv6() {
        return;
    }
    run(async {
        let listener = TcpListener::bind("[::1]:0").await.unwrap();
        let own = send_and_reset(listener.local_addr().unwrap(), "bytes").await;
        let (stream, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, own);
        assert_eq!(&*stream.recv().await.unwrap(), b"bytes");
    });
}

#[test]
fn a_dropped_listener_closes_connections_that_were_not_accepted() {
    run(async {
        // The port is kept, so that no other process listens there in the end.
        let (_held, addr) = closed_port();
        let options = TcpListener::options().reuse_port(true);
        let listener = options.bind(addr).await.unwrap();
        {
            let mut accept = Box::pin(listener.accept());
            assert!(crate::support::poll_once(&mut accept).await.is_pending());
        }
        let mut streams = Vec::new();
        for _ in 0..30 {
            streams.push(TcpStream::connect(addr).await.unwrap());
        }
        settle().await;
        drop(listener);
        for stream in streams {
            // The kernel resets what it had in its backlog, and ends what was accepted.
            match stream.recv().await {
                Ok(bytes) => assert!(bytes.is_empty()),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
            }
        }
        let mut refused = false;
        until(|| {
            refused = net::TcpStream::connect(addr).is_err();
            refused
        })
        .await;
    });
}

#[test]
fn a_listener_of_stds_is_taken_over() {
    let std_listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = std_listener.local_addr().unwrap();
    run(async {
        let listener = TcpListener::from_std(std_listener).unwrap();
        assert_eq!(listener.local_addr().unwrap(), addr);
        let near = TcpStream::connect(addr).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        near.write_all("std").await.unwrap();
        drop(near);
        assert_eq!(recv_to_end(&far).await, b"std");
    });
}

#[test]
fn a_burst_of_connections_is_accepted_while_they_come() {
    run(async {
        let (listener, addr) = listen().await;
        let server = spawn(async move {
            for _ in 0..300 {
                let (stream, _) = listener.accept().await.unwrap();
                spawn(async move {
                    let bytes = stream.recv().await.unwrap();
                    stream.write_all(bytes).await.unwrap();
                });
            }
        });
        let mut clients = JoinSet::new();
        for number in 0..300_u32 {
            clients.spawn(async move {
                let stream = TcpStream::connect(addr).await.unwrap();
                stream
                    .write_all(number.to_le_bytes().to_vec())
                    .await
                    .unwrap();
                assert_eq!(recv_exact(&stream, 4).await, number.to_le_bytes());
            });
        }
        while let Some(done) = clients.join_next().await {
            done.unwrap();
        }
        server.await.unwrap();
    });
}
