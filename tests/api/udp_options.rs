//! The options of UDP sockets.

use std::{
    io,
    net::{SocketAddr, UdpSocket as StdSocket},
};

use annulus::net::{SendMeta, UdpSocket};

use crate::support::{run, skip::skip};

async fn bind() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

#[test]
fn the_first_address_that_can_be_bound_is() {
    run(async {
        let (taken, addr) = bind().await;
        let error = UdpSocket::bind(addr).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let free = "127.0.0.1:0".parse().unwrap();
        let socket = UdpSocket::bind(vec![addr, free]).await.unwrap();
        assert_ne!(socket.local_addr().unwrap(), addr);
        let error = UdpSocket::bind(Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = socket.connect(Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        drop(taken);
        UdpSocket::bind(addr).await.unwrap();
    });
}

#[test]
fn options_are_set_before_it_is_bound() {
    run(async {
        let options = UdpSocket::options()
            .reuse_port(true)
            .reuse_address(true)
            .recv_buffer_bytes(100_000)
            .send_buffer_bytes(50_000)
            .broadcast(true)
            .ttl(7)
            .tos(0b1011_1000)
            .dont_fragment(true);
        let first = options.bind("127.0.0.1:0").await.unwrap();
        let second = options.bind(first.local_addr().unwrap()).await.unwrap();
        for socket in [&first, &second] {
            assert_eq!(
                (socket.ttl().unwrap(), socket.tos().unwrap()),
                (7, 0b1011_1000)
            );
            assert!(socket.broadcast().unwrap());
            assert_eq!(socket.recv_buffer_bytes().unwrap(), 200_000);
            assert_eq!(socket.send_buffer_bytes().unwrap(), 100_000);
        }
        assert!(first.set_ttl(256).is_err());
        first.set_broadcast(false).unwrap();
        assert!(!first.broadcast().unwrap());
        let to_all = "127.255.255.255:9".parse().unwrap();
        let error = first.send_to("all", to_all).await.unwrap_err();
        assert_eq!(error.error.kind(), io::ErrorKind::PermissionDenied);
        assert!(second.send_to("all", to_all).await.is_ok());
    });
}

#[test]
fn a_wildcard_socket_of_ipv6_takes_part_in_ipv4_unless_told() {
    run(async {
        if let Err(error) = StdSocket::bind("[::1]:0") {
            return skip(&format!("there is no IPv6: {error}"));
        }
        let both = UdpSocket::options()
            .only_v6(false)
            .bind("[::]:0")
            .await
            .unwrap();
        let (client, at_client) = bind().await;
        let port = both.local_addr().unwrap().port();
        client
            .send_to("hello", ([127, 0, 0, 1], port).into())
            .await
            .unwrap();
        let (datagram, from) = both.recv_from().await.unwrap();
        assert_eq!((&*datagram, from.port()), (&b"hello"[..], at_client.port()));
        assert_eq!(from.ip().to_canonical(), at_client.ip());
        // To the mapped address, and to the address itself.
        both.send_to("back", from).await.unwrap();
        both.send_to("back", at_client).await.unwrap();
        for _ in 0..2 {
            assert_eq!(&*client.recv().await.unwrap(), b"back");
        }
        let options = UdpSocket::options().only_v6(true).ttl(9).tos(4).clone();
        // The port of IPv4 may be another process's. It is free for ours with an IPv6 socket only.
        let mut taken = Vec::new();
        let (one, four) = loop {
            assert!(taken.len() < 20, "the socket has the port of IPv4, too");
            let one = options.bind("[::]:0").await.unwrap();
            let four = ([127, 0, 0, 1], one.local_addr().unwrap().port());
            match StdSocket::bind(SocketAddr::from(four)) {
                Ok(four) => break (one, four),
                Err(_) => taken.push(one),
            }
        };
        assert_eq!((one.ttl().unwrap(), one.tos().unwrap()), (9, 4));
        client.connect(four.local_addr().unwrap()).await.unwrap();
        client.send("hello").await.unwrap();
        assert_eq!(four.recv_from(&mut [0; 9]).unwrap(), (5, at_client));
    });
}

#[test]
fn a_group_gets_what_is_sent_to_it() {
    run(async {
        let group = "239.255.77.77".parse().unwrap();
        let socket = UdpSocket::options()
            .reuse_address(true)
            .bind("0.0.0.0:0")
            .await
            .unwrap();
        let interface = "127.0.0.1".parse().unwrap();
        if let Err(error) = socket.join_multicast_v4(group, interface) {
            return skip(&format!("there are no groups: {error}"));
        }
        let port = socket.local_addr().unwrap().port();
        let (sender, _) = bind().await;
        sender.set_multicast_loop(true).unwrap();
        sender.set_multicast_ttl(0).unwrap();
        let meta = SendMeta::to((group, port).into()).interface_index(1);
        if let Err(error) = sender.send_message("to all", &meta).await {
            return skip(&format!("loopback has no groups: {error}"));
        }
        assert_eq!(&*socket.recv().await.unwrap(), b"to all");
        socket.leave_multicast_v4(group, interface).unwrap();
        assert!(socket.leave_multicast_v4(group, interface).is_err());
        assert!(
            socket
                .join_multicast_v4([127, 0, 0, 1].into(), interface)
                .is_err()
        );
        if let Ok(v6) = UdpSocket::bind("[::1]:0").await {
            v6.set_multicast_loop(true).unwrap();
            v6.set_multicast_ttl(3).unwrap();
            let group = "ff01::7777".parse().unwrap();
            v6.join_multicast_v6(group, 1).unwrap();
            v6.leave_multicast_v6(group, 1).unwrap();
        }
    });
}
