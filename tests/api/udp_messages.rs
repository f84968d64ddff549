//! Facts that go and come beside the bytes of datagrams: segments, marks, addresses, times.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket},
    time::{Duration, SystemTime},
};

use annulus::net::{EcnCodepoint, SendMeta, UdpSocket};

use crate::support::{is_pattern, pattern, run, settle, skip::skip};

async fn bind(addr: &str) -> Option<(UdpSocket, SocketAddr)> {
    if addr.starts_with('[') {
        if let Err(error) = StdSocket::bind("[::1]:0") {
            skip(&format!("there is no IPv6: {error}"));
            return None;
        }
    }
    let socket = UdpSocket::bind(addr).await.unwrap();
    let addr = socket.local_addr().unwrap();
    Some((socket, addr))
}

const LOOPBACKS: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

#[test]
fn one_send_makes_many_datagrams() {
    run(async {
        for loopback in LOOPBACKS {
            let Some((socket, addr)) = bind(loopback).await else {
                return;
            };
            let bytes = pattern(10_500);
            let meta = SendMeta::to(addr).segment_size(1000);
            let bytes = socket.send_message(bytes, &meta).await.unwrap();
            for index in 0..11 {
                let datagram = socket.recv().await.unwrap();
                assert_eq!(datagram.len(), if index < 10 { 1000 } else { 500 });
                assert!(is_pattern(&datagram, index * 1000));
                assert_eq!(
                    (datagram.addr(), datagram.meta().stride),
                    (addr, datagram.len())
                );
            }
            // One segment, or less, needs no splitting; nothing is one datagram, too.
            for len in [1000, 999, 0] {
                socket
                    .send_message(bytes[..len].to_vec(), &meta)
                    .await
                    .unwrap();
                assert_eq!(socket.recv().await.unwrap().len(), len);
            }
            // Where it is connected to.
            socket.connect(addr).await.unwrap();
            let connected = SendMeta::connected().segment_size(4);
            socket.try_send_message(b"onetwo", &connected).unwrap();
            assert_eq!(&*socket.recv().await.unwrap(), b"onet");
            assert_eq!(&*socket.recv().await.unwrap(), b"wo");
            // Too many of them.
            let error = socket
                .send_message(vec![0; 5000], &connected)
                .await
                .unwrap_err();
            assert_eq!(
                (error.error.raw_os_error(), error.buf.len()),
                (Some(22), 5000)
            );
        }
    });
}

#[test]
fn many_datagrams_come_as_one_with_their_length() {
    run(async {
        for loopback in LOOPBACKS {
            let Some((sender, _)) = bind(loopback).await else {
                return;
            };
            let socket = UdpSocket::options().gro(true).bind(loopback).await.unwrap();
            let addr = socket.local_addr().unwrap();
            for (size, len) in [(1000_u16, 10_500), (1200, 60_000), (7, 7), (7, 3), (9, 0)] {
                let meta = SendMeta::to(addr).segment_size(size);
                sender.send_message(pattern(len), &meta).await.unwrap();
                let mut taken = 0;
                let mut segments = 0;
                while segments < len.div_ceil(size.into()).max(1) {
                    let datagram = socket.recv().await.unwrap();
                    assert!(!datagram.is_truncated());
                    for segment in datagram.segments() {
                        let expected = (len - taken).min(size.into());
                        assert_eq!(segment.len(), expected);
                        assert!(is_pattern(segment, taken));
                        taken += segment.len();
                        segments += 1;
                    }
                }
                assert_eq!(taken, len);
            }
            // Without it they come one by one again.
            socket.set_gro(false).unwrap();
            let meta = SendMeta::to(addr).segment_size(100);
            sender.send_message(pattern(250), &meta).await.unwrap();
            for len in [100, 100, 50] {
                assert_eq!(socket.recv().await.unwrap().len(), len);
            }
        }
    });
}

#[test]
fn congestion_marks_go_and_come() {
    run(async {
        for loopback in LOOPBACKS {
            let Some((socket, addr)) = bind(loopback).await else {
                return;
            };
            socket.send_to("before", addr).await.unwrap();
            assert_eq!(socket.recv().await.unwrap().meta().ecn, None);
            // The receive that is under way has no room for marks; the next one has.
            socket.set_recv_ecn(true).unwrap();
            settle().await;
            let marks = [EcnCodepoint::Ect0, EcnCodepoint::Ect1, EcnCodepoint::Ce];
            for mark in marks.map(Some).into_iter().chain([None]) {
                let meta = SendMeta::to(addr);
                let meta = mark.map_or(meta, |mark| meta.ecn(mark));
                socket.send_message("x", &meta).await.unwrap();
                let datagram = socket.recv().await.unwrap();
                assert_eq!((&*datagram, datagram.meta().ecn), (&b"x"[..], mark));
            }
            socket.set_tos(0b0010_1010).unwrap();
            socket.send_to("x", addr).await.unwrap();
            assert_eq!(
                socket.recv().await.unwrap().meta().ecn,
                Some(EcnCodepoint::Ect0)
            );
        }
    });
}

#[test]
fn a_server_on_a_wildcard_address_answers_from_where_it_was_asked() {
    run(async {
        let server = UdpSocket::options()
            .recv_pktinfo(true)
            .bind("0.0.0.0:0")
            .await
            .unwrap();
        let port = server.local_addr().unwrap().port();
        let Some((client, _)) = bind("127.0.0.1:0").await else {
            return;
        };
        for last in 1..5 {
            let asked = Ipv4Addr::new(127, 0, 0, last);
            client.send_to("who?", (asked, port).into()).await.unwrap();
            let meta = server.recv().await.unwrap().meta();
            assert_eq!(meta.dst_ip, Some(IpAddr::V4(asked)));
            assert_eq!(meta.interface_index, Some(1), "that of loopback");
            let back = SendMeta::to(meta.addr).src_ip(asked.into());
            server.send_message("me", &back).await.unwrap();
            assert_eq!(client.recv().await.unwrap().addr(), (asked, port).into());
        }
        // An address of another host, and one of another family.
        for ip in [IpAddr::from([192, 0, 2, 1]), Ipv6Addr::LOCALHOST.into()] {
            let meta = SendMeta::to(client.local_addr().unwrap()).src_ip(ip);
            let error = server.send_message("x", &meta).await.unwrap_err();
            assert!(error.error.raw_os_error().is_some(), "{ip}: {error}");
        }
    });
}

#[test]
fn a_server_of_both_families_knows_where_it_was_asked() {
    run(async {
        let Some(_) = bind("[::1]:0").await else {
            return;
        };
        let options = UdpSocket::options()
            .only_v6(false)
            .recv_pktinfo(true)
            .recv_ecn(true);
        let server = options.bind("[::]:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        for loopback in LOOPBACKS {
            let Some((client, at_client)) = bind(loopback).await else {
                return;
            };
            let asked = match at_client.ip() {
                IpAddr::V4(_) => IpAddr::from([127, 0, 0, 2]),
                ip => ip,
            };
            let meta = SendMeta::to((asked, port).into()).ecn(EcnCodepoint::Ce);
            client.send_message("who?", &meta).await.unwrap();
            let meta = server.recv().await.unwrap().meta();
            assert_eq!(meta.dst_ip.map(|ip| ip.to_canonical()), Some(asked));
            assert_eq!(
                (meta.ecn, meta.interface_index),
                (Some(EcnCodepoint::Ce), Some(1))
            );
            client.set_recv_ecn(true).unwrap();
            let back = SendMeta::to(meta.addr)
                .src_ip(asked)
                .ecn(EcnCodepoint::Ect1);
            server.send_message("me", &back).await.unwrap();
            let answer = client.recv().await.unwrap();
            assert_eq!(
                (answer.addr(), answer.meta().ecn),
                ((asked, port).into(), back_mark())
            );
        }
    });
}

fn back_mark() -> Option<EcnCodepoint> {
    Some(EcnCodepoint::Ect1)
}

#[test]
fn the_time_of_arrival_is_told() {
    run(async {
        for loopback in LOOPBACKS {
            let Some((socket, addr)) = bind(loopback).await else {
                return;
            };
            socket.set_recv_timestamps(true).unwrap();
            socket.send_to("x", addr).await.unwrap();
            let time = socket.recv().await.unwrap().meta().timestamp.unwrap();
            let age = SystemTime::now().duration_since(time).unwrap_or_default();
            assert!(age < Duration::from_secs(100), "{age:?}");
            socket.set_recv_timestamps(false).unwrap();
            settle().await;
            socket.send_to("x", addr).await.unwrap();
            assert_eq!(socket.recv().await.unwrap().meta().timestamp, None);
        }
    });
}

#[test]
fn everything_is_told_at_once() {
    run(async {
        for loopback in LOOPBACKS {
            let Some((sender, from)) = bind(loopback).await else {
                return;
            };
            let options = UdpSocket::options()
                .gro(true)
                .recv_ecn(true)
                .recv_pktinfo(true);
            let socket = options.recv_timestamps(true).bind(loopback).await.unwrap();
            let addr = socket.local_addr().unwrap();
            let meta = SendMeta::to(addr)
                .segment_size(1000)
                .ecn(EcnCodepoint::Ect0);
            let meta = meta.src_ip(from.ip()).interface_index(1);
            sender.send_message(pattern(3000), &meta).await.unwrap();
            let mut lens = Vec::new();
            while lens.len() < 3 {
                let datagram = socket.recv().await.unwrap();
                lens.extend(datagram.segments().map(<[u8]>::len));
                let meta = datagram.meta();
                assert_eq!((meta.addr, meta.dst_ip), (from, Some(addr.ip())));
                assert_eq!(
                    (meta.ecn, meta.interface_index),
                    (Some(EcnCodepoint::Ect0), Some(1))
                );
                assert!(meta.timestamp.is_some());
            }
            assert_eq!(lens, [1000; 3]);
        }
    });
}

#[test]
fn options_that_change_under_way_lose_nothing() {
    run(async {
        let Some((socket, addr)) = bind("127.0.0.1:0").await else {
            return;
        };
        let (std, mut next) = (StdSocket::bind("127.0.0.1:0").unwrap(), 0_u32);
        for round in 0..60_u32 {
            for number in 5 * round..5 * round + 5 {
                std.send_to(&number.to_ne_bytes(), addr).unwrap();
            }
            match round % 6 {
                0 => socket.set_recv_pktinfo(round % 4 == 0).unwrap(),
                1 => socket.set_recv_timestamps(round % 4 == 1).unwrap(),
                2 => socket.set_datagram_bytes_max(if round % 4 == 2 { 60_000 } else { 100 }),
                3 => settle().await,
                _ => {}
            }
            for _ in 0..(round % 9).min(5 * round + 5 - next) {
                assert_eq!(&*socket.recv().await.unwrap(), &next.to_ne_bytes());
                next += 1;
            }
        }
        while next < 300 {
            assert_eq!(&*socket.recv().await.unwrap(), &next.to_ne_bytes());
            next += 1;
        }
    });
}
