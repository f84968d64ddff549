//! Connecting.

use std::{io, net};

use annulus::net::TcpStream;

use crate::support::{closed_port, listen, recv_exact, run};

#[test]
fn a_port_without_a_listener_refuses_the_connection() {
    run(async {
        let (_held, closed) = closed_port();
        let error = TcpStream::connect(closed).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(
            error.raw_os_error().is_some(),
            "the kernel's errno is there"
        );
    });
}

#[test]
fn addresses_are_tried_in_turn() {
    run(async {
        let (listener, addr) = listen().await;
        let (_held, closed) = closed_port();
        let addrs = vec![closed, addr];
        let near = TcpStream::connect(addrs).await.unwrap();
        assert_eq!(near.peer_addr().unwrap(), addr);
        let (far, _) = listener.accept().await.unwrap();
        far.write_all("found").await.unwrap();
        assert_eq!(recv_exact(&near, 5).await, b"found");
        let error = TcpStream::connect(&[closed, closed][..]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn every_kind_of_address_is_understood() {
    run(async {
        let (listener, addr) = listen().await;
        let port = addr.port();
        let net::SocketAddr::V4(v4) = addr else {
            panic!("the listener is an IPv4 one");
        };
        TcpStream::connect(addr).await.unwrap();
        TcpStream::connect(v4).await.unwrap();
        TcpStream::connect((net::Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        TcpStream::connect(([127, 0, 0, 1], port)).await.unwrap();
        TcpStream::connect(format!("127.0.0.1:{port}"))
            .await
            .unwrap();
        TcpStream::connect(&addr.to_string()).await.unwrap();
        TcpStream::connect(addr.to_string().as_str()).await.unwrap();
        // The name may stand for an IPv6 address first, which has no listener.
        TcpStream::connect(format!("localhost:{port}"))
            .await
            .unwrap();
        TcpStream::connect(("localhost", port)).await.unwrap();
        TcpStream::connect(("127.0.0.1".to_owned(), port))
            .await
            .unwrap();
        for _ in 0..10 {
            listener.accept().await.unwrap();
        }
    });
}

#[test]
fn what_is_no_address_is_an_error() {
    run(async {
        for text in ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x"] {
            let error = TcpStream::connect(text).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text:?}");
        }
        let none: &[net::SocketAddr] = &[];
        let error = TcpStream::connect(none).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_stream_of_stds_is_taken_over_in_either_mode() {
    run(async {
        for nonblocking in [false, true] {
            let (listener, addr) = listen().await;
            let std_stream = net::TcpStream::connect(addr).unwrap();
            std_stream.set_nonblocking(nonblocking).unwrap();
            let near = TcpStream::from_std(std_stream).unwrap();
            let (far, _) = listener.accept().await.unwrap();
            near.write_all("there").await.unwrap();
            assert_eq!(recv_exact(&far, 5).await, b"there");
            far.write_all("back").await.unwrap();
            assert_eq!(recv_exact(&near, 4).await, b"back");
        }
    });
}
