//! UDP sockets: datagrams whole, in order, with their senders.

use std::{
    future::poll_fn,
    io,
    net::{SocketAddr, UdpSocket as StdSocket},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use annulus::{Runtime, net::UdpSocket, spawn, task::yield_now};

use crate::support::{
    counted::Counted,
    guarded, is_pattern,
    nosy::{at_clone, is_set, nosy},
    pattern, poll_once, rings_since, run, run_each, settle,
    skip::skip,
    until,
};

/// A socket of either family, or of IPv4 alone where the machine has no other.
fn loopbacks() -> Vec<&'static str> {
    let mut addrs = vec!["127.0.0.1:0"];
    match StdSocket::bind("[::1]:0") {
        Ok(_) => addrs.push("[::1]:0"),
        Err(error) => skip(&format!("there is no IPv6: {error}")),
    }
    addrs
}

/// A socket on a free port, and its address.
pub(crate) async fn bind() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// As [`bind`], of std.
pub(crate) fn std_socket() -> (StdSocket, SocketAddr) {
    let socket = StdSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

#[test]
fn a_datagram_comes_with_its_sender() {
    run(async {
        for addr in loopbacks() {
            let server = UdpSocket::bind(addr).await.unwrap();
            let client = UdpSocket::bind(addr).await.unwrap();
            let (at_server, at_client) =
                (server.local_addr().unwrap(), client.local_addr().unwrap());
            for text in ["one", "two", "three"] {
                client.send_to(text, at_server).await.unwrap();
                let (datagram, from) = server.recv_from().await.unwrap();
                assert_eq!((&*datagram, from), (text.as_bytes(), at_client));
                assert_eq!(
                    (datagram.sent_len(), datagram.is_truncated()),
                    (text.len(), false)
                );
                let sent = server.send_to(datagram, from).await.unwrap();
                assert_eq!((&*sent, sent.addr()), (text.as_bytes(), at_client));
                let answer = client.recv().await.unwrap();
                assert_eq!((&*answer, answer.addr()), (text.as_bytes(), at_server));
            }
        }
    });
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    run(async {
        let (server, at_server) = bind().await;
        let (client, at_client) = bind().await;
        let (stranger, _) = bind().await;
        assert!(client.peer_addr().is_err());
        let error = client.send("to nowhere").await.unwrap_err();
        assert_eq!(
            (error.error.raw_os_error(), error.buf),
            (Some(89), "to nowhere")
        );
        // The first that the kernel accepts: there is no way from loopback to IPv6.
        client
            .connect(vec!["[::1]:9".parse().unwrap(), at_server])
            .await
            .unwrap();
        assert_eq!(client.peer_addr().unwrap(), at_server);
        stranger.send_to("stranger", at_client).await.unwrap();
        client.send("hello").await.unwrap();
        assert_eq!(&*server.recv().await.unwrap(), b"hello");
        server.send_to("peer", at_client).await.unwrap();
        assert_eq!(&*client.recv().await.unwrap(), b"peer");
        assert!(client.try_recv().is_err());
    });
}

#[test]
fn an_empty_datagram_is_one() {
    run(async {
        let (socket, addr) = bind().await;
        let (std, from) = std_socket();
        for round in 0..5 {
            for bytes in [&b""[..], b"", b"x", b"", b"yz"] {
                std.send_to(bytes, addr).unwrap();
            }
            for expected in [&b""[..], b"", b"x", b"", b"yz"] {
                let datagram = socket.recv().await.unwrap();
                assert_eq!((&*datagram, datagram.addr()), (expected, from), "{round}");
                assert_eq!(
                    (datagram.sent_len(), datagram.segments().count()),
                    (expected.len(), 1)
                );
            }
        }
        socket.send_to(Vec::new(), from).await.unwrap();
        assert_eq!(std.recv_from(&mut [0; 9]).unwrap(), (0, addr));
    });
}

#[test]
fn datagrams_that_no_task_took_are_kept_in_order() {
    run(async {
        let (socket, addr) = bind().await;
        let (std, _) = std_socket();
        for first in [0_u32, 1000] {
            for number in first..first + 100 {
                std.send_to(&number.to_ne_bytes(), addr).unwrap();
                if number % 10 == 0 {
                    yield_now().await;
                }
            }
            settle().await;
            for number in first..first + 100 {
                assert_eq!(&*socket.recv().await.unwrap(), &number.to_ne_bytes());
            }
            assert!(socket.try_recv().is_err());
        }
    });
}

#[test]
fn a_datagram_that_is_cut_says_so() {
    run(async {
        let (socket, addr) = bind().await;
        let (std, from) = std_socket();
        let long = pattern(9000);
        for _ in 0..3 {
            std.send_to(&long, addr).unwrap();
            std.send_to(b"short", addr).unwrap();
            let datagram = socket.recv().await.unwrap();
            assert!(
                datagram.is_truncated() && datagram.len() >= 2048,
                "{}",
                datagram.len()
            );
            assert!(is_pattern(&datagram, 0));
            let meta = datagram.meta();
            assert_eq!(
                (meta.sent_len, meta.len, meta.addr),
                (9000, datagram.len(), from)
            );
            let datagram = socket.recv().await.unwrap();
            assert_eq!(
                (&*datagram, datagram.is_truncated()),
                (&b"short"[..], false)
            );
        }
        // With room it is whole, and so is the longest that there is.
        socket.set_datagram_bytes_max(65_507);
        // The receive that is under way ends with the next visit to the kernel.
        settle().await;
        for len in [9000, 65_507, 1, 0, 20_000] {
            std.send_to(&pattern(len), addr).unwrap();
        }
        for len in [9000, 65_507, 1, 0, 20_000] {
            let datagram = socket.recv().await.unwrap();
            assert_eq!((datagram.len(), datagram.is_truncated()), (len, false));
            assert!(is_pattern(&datagram, 0) && datagram.addr() == from);
        }
        // And back.
        socket.set_datagram_bytes_max(0);
        std.send_to(&long, addr).unwrap();
        assert!(socket.recv().await.unwrap().is_truncated());
    });
}

#[test]
fn receive_buffers_that_are_too_small_for_datagrams_are_left_alone() {
    let builder = Runtime::builder()
        .receive_buffer_bytes(64)
        .receive_buffers(4);
    builder.build().unwrap().block_on(guarded(async {
        let (socket, addr) = bind().await;
        for len in [0, 1, 100, 1472, 2048] {
            socket.send_to(pattern(len), addr).await.unwrap();
            let datagram = socket.recv().await.unwrap();
            assert!(datagram.len() == len && is_pattern(&datagram, 0) && !datagram.is_truncated());
        }
    }));
}

#[test]
fn reading_into_ones_own_memory_tells_what_did_not_fit() {
    run(async {
        let (socket, addr) = bind().await;
        socket.send_to("hello, world", addr).await.unwrap();
        for _ in 0..2 {
            let (meta, buf) = socket.peek_from(Vec::with_capacity(5)).await.unwrap();
            assert_eq!((&buf[..5], meta.sent_len), (&b"hello"[..], 12));
            assert_eq!(meta.stride, meta.len);
        }
        let (meta, buf) = socket.read_from(vec![b'-'; 100]).await.unwrap();
        assert_eq!(
            (buf.as_slice(), meta.len, meta.addr),
            (&b"hello, world"[..], 12, addr)
        );
        assert!(!meta.is_truncated());
        socket.send_to("hello, world", addr).await.unwrap();
        let (meta, buf) = socket.read_from(vec![0; 4]).await.unwrap();
        assert!(meta.is_truncated() && meta.len == 4 && buf == b"hell");
        assert!(socket.try_recv().is_err(), "the rest is gone");
        let error = socket.read_from(Vec::new()).await.unwrap_err();
        assert_eq!(error.error.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_refusal_is_told_once_and_ends_nothing() {
    run(async {
        let (client, at_client) = bind().await;
        // It keeps its port, and takes nothing but what it sends to itself.
        let (gone, at_gone) = std_socket();
        gone.connect(at_gone).unwrap();
        client.connect(at_gone).await.unwrap();
        for _ in 0..3 {
            // Told to the receive that waits.
            let mut recv = pin!(client.recv());
            assert!(poll_once(&mut recv).await.is_pending());
            settle().await;
            client.send("hello").await.unwrap();
            let error = recv.await.unwrap_err();
            assert!(is_refused(&error), "{error}");
            // Told to one that begins later.
            client.send("hello").await.unwrap();
            let error = client.recv().await.unwrap_err();
            assert!(is_refused(&error), "{error}");
        }
        assert!(client.take_error().unwrap().is_none());
        gone.connect(at_client).unwrap();
        client.send("hello").await.unwrap();
        assert_eq!(gone.recv_from(&mut [0; 9]).unwrap(), (5, at_client));
        gone.send(b"back").unwrap();
        assert_eq!(&*client.recv().await.unwrap(), b"back");
    });
}

#[test]
fn a_datagram_that_is_too_long_is_an_error_with_its_buffer() {
    run(async {
        let (socket, addr) = bind().await;
        let error = socket.send_to(vec![7; 65_508], addr).await.unwrap_err();
        assert_eq!(
            (error.error.raw_os_error(), error.buf.len()),
            (Some(90), 65_508)
        );
        assert_eq!(
            socket
                .try_send_to(&[7; 65_508], addr)
                .unwrap_err()
                .raw_os_error(),
            Some(90)
        );
        socket.set_dont_fragment(true).unwrap();
        socket.send_to(vec![7; 1000], addr).await.unwrap();
        assert_eq!(socket.recv().await.unwrap().len(), 1000);
    });
}

#[test]
fn calls_that_do_not_wait_say_when_there_is_nothing() {
    run(async {
        let (socket, addr) = bind().await;
        for round in 0..3_u8 {
            assert_eq!(
                socket.try_recv_from().unwrap_err().kind(),
                io::ErrorKind::WouldBlock
            );
            for number in 0..5 {
                socket.try_send_to(&[round, number], addr).unwrap();
            }
            settle().await;
            for number in 0..5 {
                let (datagram, from) = socket.try_recv_from().unwrap();
                assert_eq!((&*datagram, from), (&[round, number][..], addr));
            }
            // What comes while a receive waits is its own.
            let mut recv = pin!(socket.recv());
            assert!(poll_once(&mut recv).await.is_pending());
            socket.try_send_to(&[round], addr).unwrap();
            settle().await;
            assert!(socket.try_recv().is_err());
            assert_eq!(&*recv.await.unwrap(), &[round]);
        }
    });
}

#[test]
fn receives_are_served_in_the_order_of_asking() {
    run(async {
        let (socket, addr) = bind().await;
        let socket = Rc::new(socket);
        let tasks: Vec<_> = (0..50_u8)
            .map(|number| {
                let socket = Rc::clone(&socket);
                spawn(async move { (number, socket.recv().await.unwrap().to_vec()) })
            })
            .collect();
        settle().await;
        for number in 0..50 {
            socket.send_to(vec![number], addr).await.unwrap();
        }
        for task in tasks {
            let (number, bytes) = task.await.unwrap();
            assert_eq!(bytes, [number]);
        }
    });
}

#[test]
fn many_sockets_share_few_buffers() {
    let runtime = Runtime::builder().receive_buffers(4).build().unwrap();
    runtime.block_on(guarded(async {
        let (client, at_client) = bind().await;
        let mut addrs = Vec::new();
        for _ in 0..64 {
            let (socket, addr) = bind().await;
            addrs.push(addr);
            spawn(async move {
                loop {
                    let (datagram, from) = socket.recv_from().await.unwrap();
                    socket.send_to(datagram, from).await.unwrap();
                }
            });
        }
        settle().await;
        for round in 0..20_u8 {
            // All at once, so that the thread is busy, too.
            for addr in &addrs {
                client.try_send_to(&[round], *addr).unwrap();
            }
            let mut missing = addrs.clone();
            while !missing.is_empty() {
                let datagram = client.recv().await.unwrap();
                assert_eq!(&*datagram, &[round]);
                let index = missing.iter().position(|addr| *addr == datagram.addr());
                missing.swap_remove(index.expect("each answers once"));
            }
        }
        // Datagrams that are kept leave the others without buffers, and lose nothing.
        let mut kept = Vec::new();
        for number in 0..40_u8 {
            client.send_to(vec![number], at_client).await.unwrap();
            kept.push(client.recv().await.unwrap());
        }
        let numbers: Vec<u8> = kept.iter().map(|datagram| datagram[0]).collect();
        assert_eq!(numbers, (0..40).collect::<Vec<u8>>());
    }));
}

#[test]
fn polls_wake_the_last_one_who_has_polled() {
    run(async {
        let (socket, addr) = bind().await;
        let (first, last) = (Counted::new(), Counted::new());
        for round in 0..3 {
            assert!(socket.poll_recv_from(&mut first.context()).is_pending());
            assert!(socket.poll_recv_from(&mut last.context()).is_pending());
            let sent = poll_fn(|context| socket.poll_send_to(context, b"hello", addr)).await;
            sent.unwrap();
            until(|| last.count() > round).await;
            assert_eq!((first.count(), last.count()), (0, round + 1));
            let Poll::Ready(received) = socket.poll_recv_from(&mut last.context()) else {
                panic!("a datagram that was told is there");
            };
            let (datagram, from) = received.unwrap();
            assert_eq!((&*datagram, from), (&b"hello"[..], addr));
        }
        // While a task waits by a call, a poll waits for that one.
        let mut recv = pin!(socket.recv());
        assert!(poll_once(&mut recv).await.is_pending());
        assert!(socket.poll_recv_from(&mut last.context()).is_pending());
        socket.send_to("one", addr).await.unwrap();
        socket.send_to("two", addr).await.unwrap();
        assert_eq!(&*recv.await.unwrap(), b"one");
        let (datagram, _) = poll_fn(|context| socket.poll_recv_from(context))
            .await
            .unwrap();
        assert_eq!(&*datagram, b"two");
    });
}

#[test]
fn a_waker_that_polls_as_it_is_cloned_loses_no_datagram() {
    run_each(async || {
        let (socket, addr) = bind().await;
        let socket = Rc::new(socket);
        let inner = Rc::clone(&socket);
        at_clone(move || {
            let polled = inner.poll_recv_from(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
        });
        let waker = nosy();
        let polled = socket.poll_recv_from(&mut Context::from_waker(&waker));
        assert!(polled.is_pending() && !is_set());
        for number in 0..100 {
            socket.send_to(vec![number], addr).await.unwrap();
        }
        settle().await;
        for number in 0..100 {
            assert_eq!(&*socket.recv().await.unwrap(), [number]);
        }
    });
}

#[test]
fn a_task_that_finds_everything_ready_lets_others_go_on() {
    run(async {
        let (socket, addr) = bind().await;
        let others = Rc::new(std::cell::Cell::new(0));
        let counted = Rc::clone(&others);
        let other = spawn(async move {
            loop {
                yield_now().await;
                counted.set(counted.get() + 1);
            }
        });
        for _ in 0..1000 {
            socket.send_to("x", addr).await.unwrap();
            socket.recv().await.unwrap();
        }
        assert!(others.get() >= 20, "{}", others.get());
        other.abort();
    });
}

#[test]
fn one_operation_receives_many_datagrams() {
    if !rings_since(6, 0) {
        return;
    }
    let runtime = Runtime::new().unwrap();
    runtime.block_on(guarded(async {
        let (socket, addr) = bind().await;
        let (std, _) = std_socket();
        std.send_to(b"first", addr).unwrap();
        socket.recv().await.unwrap();
        let before = annulus::stats().driver.entries;
        for _ in 0..20 {
            std.send_to(b"more", addr).unwrap();
            socket.recv().await.unwrap();
        }
        let entries = annulus::stats().driver.entries - before;
        assert!(entries <= 5, "{entries} entries");
    }));
}
