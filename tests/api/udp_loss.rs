//! Receives that are dropped at random moments lose no datagram that had room.

use std::{
    future::poll_fn,
    net::{SocketAddr, UdpSocket as StdSocket},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use annulus::{
    Runtime,
    net::{Datagram, UdpSocket},
    spawn,
    task::yield_now,
    time::{sleep, timeout},
};

use crate::support::{guarded, long_repetitions, poll_once, random::Random};

/// So many small datagrams have room in the kernel's buffer by default.
const UNDER_WAY_MAX: u64 = 100;

/// One receive, in a way of the generator's choice, which may be given up before anything came.
async fn receive_once(socket: &Rc<UdpSocket>, random: &mut Random) -> Option<Vec<u8>> {
    let bytes = |datagram: Datagram| datagram.to_vec();
    match random.below(8) {
        0 => Some(bytes(socket.recv().await.unwrap())),
        1 => socket.try_recv().ok().map(bytes),
        // Given up after one poll.
        2 => match poll_once(&mut pin!(socket.recv())).await {
            Poll::Ready(datagram) => Some(bytes(datagram.unwrap())),
            Poll::Pending => None,
        },
        // Given up after a moment, which may be in the same turn.
        3 => {
            let time = Duration::from_micros(random.below(100) as u64);
            let datagram = timeout(time, socket.recv()).await.ok()?;
            Some(bytes(datagram.unwrap()))
        }
        4 => {
            let (datagram, _) = poll_fn(|context| socket.poll_recv_from(context))
                .await
                .unwrap();
            Some(bytes(datagram))
        }
        // A poll whose waker stays.
        5 => {
            let poll = poll_fn(|context| Poll::Ready(socket.poll_recv_from(context))).await;
            match poll {
                Poll::Ready(received) => Some(bytes(received.unwrap().0)),
                Poll::Pending => None,
            }
        }
        6 => {
            let (meta, buf) = socket.peek_from(vec![0; 4]).await.unwrap();
            assert_eq!((buf.len(), meta.is_truncated()), (4, true));
            None
        }
        // By a task that is aborted.
        _ => {
            let taking = Rc::clone(socket);
            let task = spawn(async move { taking.recv().await.unwrap().to_vec() });
            if random.one_in(2) {
                yield_now().await;
            }
            task.abort();
            task.await.ok()
        }
    }
}

fn lossless(loopback: &str, seed: u64, count: u64) {
    let Ok(std) = StdSocket::bind(loopback) else {
        return;
    };
    let random = &mut Random::new(seed);
    let runtime = Runtime::builder().receive_buffers(8).build().unwrap();
    runtime.block_on(guarded(async {
        let socket = Rc::new(UdpSocket::bind(loopback).await.unwrap());
        let addr: SocketAddr = socket.local_addr().unwrap();
        let (mut sent, mut received) = (0_u64, 0_u64);
        while received < count {
            let more = random.below(12) as u64;
            for _ in 0..more.min(UNDER_WAY_MAX - (sent - received)) {
                let mut bytes = sent.to_ne_bytes().to_vec();
                bytes.resize(8 + random.below(40), 7);
                std.send_to(&bytes, addr).unwrap();
                sent += 1;
            }
            if random.one_in(20) {
                sleep(Duration::from_micros(20)).await;
            }
            for _ in 0..random.below(12) {
                if sent == received {
                    break;
                }
                if let Some(bytes) = receive_once(&socket, random).await {
                    assert_eq!(bytes[..8], received.to_ne_bytes(), "seed {seed}");
                    received += 1;
                }
            }
        }
    }));
}

#[test]
fn dropped_receives_lose_no_datagram() {
    let count = long_repetitions(20_000) as u64;
    for seed in 0..4 {
        lossless("127.0.0.1:0", seed, count);
        lossless("[::1]:0", seed + 100, count);
    }
}
