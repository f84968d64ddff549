//! Receives that the kernel ends early, with more behind: at a descriptor that was passed, and at
//! urgent data, which any peer of a TCP connection can send.

use std::{
    future::Future,
    io::{self, Write as _},
    net::TcpStream as StdTcpStream,
    os::{fd::AsRawFd as _, unix::net::UnixStream as StdUnixStream},
};

use annulus::{
    DriverKind, ManagedBuf, Runtime,
    net::{TcpStream, UnixStream},
};

use crate::support::{guarded, is_pattern, pattern, poll_once, settle, std_pair};

/// Runs a test on the driver that the environment chooses, and on the poll driver.
fn on_both_drivers<F: Future<Output = ()>>(test: impl Fn() -> F) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        runtime.block_on(guarded(test()));
    }
}

/// Sends `bytes` together with a descriptor.
fn send_with_descriptor(to: &StdUnixStream, bytes: &[u8]) {
    let mut part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut control = [0_u64; 4];
    // SAFETY: zeroes are a message without anything.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: the function computes a size.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as _;
    // SAFETY: the message has room for a header.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: the room is zeroed, and nothing else refers to it meanwhile.
    let header = unsafe { &mut *header };
    header.cmsg_level = libc::SOL_SOCKET;
    header.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: the function computes a size.
    header.cmsg_len = unsafe { libc::CMSG_LEN(4) } as _;
    // SAFETY: the header is one of a message.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: the header was given room for a descriptor behind it.
    unsafe { data.cast::<i32>().write(to.as_raw_fd()) };
    // SAFETY: the message and all that it points to live through the call.
    let sent = unsafe { libc::sendmsg(to.as_raw_fd(), &raw const message, 0) };
    assert_eq!(sent, bytes.len() as isize, "{}", io::Error::last_os_error());
}

/// Sends a byte of urgent data, which a receiver does not see among the others.
fn send_urgent(to: &StdTcpStream) {
    // SAFETY: the kernel reads one byte during the call.
    let sent = unsafe { libc::send(to.as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB) };
    assert_eq!(sent, 1, "{}", io::Error::last_os_error());
}

/// Calls `recv` until there are `count` bytes, and checks them.
async fn expect<F: Future<Output = io::Result<ManagedBuf>>>(count: usize, recv: impl Fn() -> F) {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let piece = recv().await.unwrap();
        assert!(!piece.is_empty(), "it ended after {} bytes", bytes.len());
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(bytes.len(), count, "more came than was sent");
    assert!(is_pattern(&bytes, 0));
}

/// A Unix socket that the driver knows and waits for, and its peer.
async fn unix_pair() -> (UnixStream, StdUnixStream) {
    let (near, mut far) = StdUnixStream::pair().unwrap();
    let near = UnixStream::from_std(near).unwrap();
    far.write_all(&pattern(5)).unwrap();
    expect(5, || near.recv()).await;
    assert!(poll_once(&mut Box::pin(near.recv())).await.is_pending());
    settle().await;
    (near, far)
}

/// The same of TCP.
async fn tcp_pair() -> (TcpStream, StdTcpStream) {
    let (near, far) = std_pair().await;
    assert!(poll_once(&mut Box::pin(near.recv())).await.is_pending());
    settle().await;
    (near, far)
}

#[test]
fn bytes_behind_a_descriptor_are_received() {
    on_both_drivers(|| async {
        let (near, mut far) = unix_pair().await;
        let bytes = pattern(40);
        send_with_descriptor(&far, &bytes[..17]);
        far.write_all(&bytes[17..]).unwrap();
        expect(40, || near.recv()).await;
    });
}

#[test]
fn bytes_behind_many_descriptors_are_read() {
    on_both_drivers(|| async {
        let (near, mut far) = unix_pair().await;
        let bytes = pattern(4000);
        for piece in bytes.chunks(200) {
            send_with_descriptor(&far, &piece[..50]);
            far.write_all(&piece[50..]).unwrap();
        }
        let mut got = Vec::new();
        while got.len() < bytes.len() {
            let (count, buf) = near.read(Vec::with_capacity(120)).await.unwrap();
            assert!(count > 0);
            got.extend_from_slice(&buf);
        }
        assert_eq!(got, bytes);
    });
}

#[test]
fn the_end_behind_a_descriptor_is_received() {
    on_both_drivers(|| async {
        let (near, far) = unix_pair().await;
        send_with_descriptor(&far, &pattern(3));
        drop(far);
        expect(3, || near.recv()).await;
        assert!(near.recv().await.unwrap().is_empty());
    });
}

#[test]
fn bytes_behind_urgent_data_are_received() {
    on_both_drivers(|| async {
        let (near, mut far) = tcp_pair().await;
        let bytes = pattern(13);
        // The first round finds a connection that never had urgent data, the others one that had.
        for _ in 0..3 {
            far.write_all(&bytes[..7]).unwrap();
            send_urgent(&far);
            far.write_all(&bytes[7..]).unwrap();
            expect(13, || near.recv()).await;
            assert!(poll_once(&mut Box::pin(near.recv())).await.is_pending());
            settle().await;
        }
    });
}

#[test]
fn bytes_behind_urgent_data_that_came_before_them_are_received() {
    on_both_drivers(|| async {
        let (near, mut far) = tcp_pair().await;
        let bytes = pattern(13);
        far.write_all(&bytes[..7]).unwrap();
        send_urgent(&far);
        expect(7, || near.recv()).await;
        assert!(poll_once(&mut Box::pin(near.recv())).await.is_pending());
        far.write_all(&bytes[7..]).unwrap();
        let mut left = bytes[7..].to_vec();
        while !left.is_empty() {
            let piece = near.recv().await.unwrap();
            assert!(left.starts_with(&piece) && !piece.is_empty());
            left.drain(..piece.len());
        }
    });
}

#[test]
fn a_connection_that_begins_with_urgent_data_is_received() {
    on_both_drivers(|| async {
        let (near, mut far) = std_pair().await;
        send_urgent(&far);
        far.write_all(&pattern(6)).unwrap();
        expect(6, || near.recv()).await;
    });
}

#[test]
fn a_flood_with_urgent_data_in_it_is_read_whole() {
    const BYTES: usize = 4 << 20;
    on_both_drivers(|| async {
        let (near, mut far) = tcp_pair().await;
        let sender = std::thread::spawn(move || {
            for piece in vec![b'x'; BYTES].chunks(50_000) {
                far.write_all(piece).unwrap();
                send_urgent(&far);
            }
            far
        });
        // A mark that another follows at once is data as any other.
        let mut seen = 0;
        let mut buf = Vec::with_capacity(64 << 10);
        while seen < BYTES {
            let (count, back) = near.read(buf).await.unwrap();
            assert!(count > 0, "it ended after {seen} bytes");
            seen += back.iter().filter(|byte| **byte == b'x').count();
            buf = back;
        }
        drop(sender.join().unwrap());
    });
}
