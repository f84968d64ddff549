//! UDP sockets beside those of std and beside another runtime.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    task::Poll,
    time::Duration,
};

use annulus::{
    Runtime,
    net::{Datagram, UdpSocket},
};

use crate::{
    support::{counted::Counted, guarded, poll_once, run, settle},
    udp::{bind, std_socket},
};

#[test]
fn a_socket_goes_to_std_and_back_with_what_it_had_received() {
    run(async {
        let (std, addr) = std_socket();
        let socket = UdpSocket::from_std(std).unwrap();
        assert_eq!(socket.as_fd().as_raw_fd(), socket.as_raw_fd());
        let mut recv = Box::pin(socket.recv());
        assert!(poll_once(&mut recv).await.is_pending());
        for number in 0..10 {
            socket.send_to(vec![number], addr).await.unwrap();
        }
        settle().await;
        drop(recv);
        let (std, received) = socket.into_std().await.unwrap();
        let mut numbers: Vec<u8> = received
            .iter()
            .map(|datagram: &Datagram| datagram[0])
            .collect();
        std.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        while numbers.len() < 10 {
            let mut byte = [0];
            assert_eq!(std.recv(&mut byte).unwrap(), 1);
            numbers.extend(byte);
        }
        assert_eq!(numbers, (0..10).collect::<Vec<u8>>());
        let socket = UdpSocket::from_std(std).unwrap();
        socket.send_to("again", addr).await.unwrap();
        assert_eq!(&*socket.recv().await.unwrap(), b"again");
    });
}

fn says_so<T>(result: io::Result<T>) {
    let Err(error) = result else {
        panic!("it belongs to another runtime");
    };
    let text = error.to_string();
    assert!(
        text.contains("belongs to another annulus runtime"),
        "{text}"
    );
}

#[test]
fn in_another_runtime_and_after_the_end_of_its_own_each_call_says_so() {
    let own = Runtime::new().unwrap();
    let (socket, addr) = own.block_on(bind());
    let elsewhere = async || {
        let counted = Counted::new();
        says_so(socket.recv().await);
        says_so(socket.recv_from().await);
        says_so(socket.try_recv());
        says_so(socket.read_from(vec![0; 9]).await.map_err(io::Error::from));
        says_so(socket.send_to("x", addr).await.map_err(io::Error::from));
        says_so(socket.try_send_to(b"x", addr));
        says_so(socket.connect(addr).await);
        let Poll::Ready(polled) = socket.poll_recv_from(&mut counted.context()) else {
            panic!("it never waits");
        };
        says_so(polled);
        let Poll::Ready(polled) = socket.poll_send_to(&mut counted.context(), b"x", addr) else {
            panic!("it never waits");
        };
        says_so(polled);
    };
    let mut begun = Box::pin(socket.recv());
    own.block_on(async { assert!(poll_once(&mut begun).await.is_pending()) });
    let other = Runtime::new().unwrap();
    other.block_on(guarded(async { says_so(begun.await) }));
    other.block_on(guarded(elsewhere()));
    drop(own);
    other.block_on(guarded(elsewhere()));
    other.block_on(guarded(async { says_so(socket.into_std().await) }));
    let outside = std_socket().0;
    assert!(UdpSocket::from_std(outside).is_err());
}
