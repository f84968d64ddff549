//! Work that takes the same time however much there is of it beside: each at two sizes.

use std::{
    future::{Future, poll_fn},
    io::{Read as _, Write as _},
    net,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use annulus::{
    net::TcpStream,
    task::{JoinSet, yield_now},
};

use super::work::{Annulus, Runtime as _, THOUSAND, measure_rounds};

/// Makes a set of tasks for each single task.
pub(crate) fn join_set_of_one(iterations: u64) -> Duration {
    Annulus::block_on(async {
        let start = Instant::now();
        for _ in 0..iterations * THOUSAND {
            let mut set = JoinSet::new();
            set.spawn(async {});
            let joined = set.join_next().await;
            joined
                .expect("a task is in the set")
                .expect("it does not panic");
        }
        start.elapsed()
    })
}

/// A connection, with one end of std's.
fn connection() -> (net::TcpStream, net::TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = listener.local_addr().expect("it listens");
    let near = net::TcpStream::connect(addr).expect("it listens");
    let (far, _) = listener.accept().expect("somebody connects");
    far.set_nodelay(true).expect("it is TCP");
    (near, far)
}

/// Sends `PARTS` parts by one write.
pub(crate) fn gathered_write<const PARTS: u64>(iterations: u64) -> Duration {
    measure_rounds::<Annulus>(iterations, PARTS, async || {
        let (near, mut far) = connection();
        let reader = std::thread::spawn(move || {
            let mut piece = vec![0; 1 << 20];
            while far.read(&mut piece).expect("it is connected") > 0 {}
        });
        let stream = TcpStream::from_std(near).expect("it is a socket");
        let parts: Vec<&'static [u8]> = vec![b"0123456789"; PARTS as usize];
        let start = Instant::now();
        let sent = stream.write_all_vectored(parts).await;
        let time = start.elapsed();
        drop((sent.expect("it is connected"), stream));
        reader.join().expect("it reads");
        time
    })
}

/// `COUNT` futures wait for one socket, are polled once more, and are dropped, the last one first.
pub(crate) fn waiters<const COUNT: u64>(iterations: u64) -> Duration {
    measure_rounds::<Annulus>(iterations, COUNT, async || {
        let (near, _far) = connection();
        let stream = TcpStream::from_std(near).expect("it is a socket");
        let context = &mut Context::from_waker(Waker::noop());
        let mut receives: Vec<_> = (0..COUNT).map(|_| Box::pin(stream.recv())).collect();
        let start = Instant::now();
        for _ in 0..2 {
            for receive in &mut receives {
                assert!(receive.as_mut().poll(context).is_pending());
            }
        }
        while receives.pop().is_some() {}
        start.elapsed()
    })
}

/// How many sockets get messages that no task takes, and how many each.
const BUSY: usize = 64;
const MESSAGES: usize = 3;

/// Turns in which a message comes that no task takes, while few receive buffers are left and
/// `OTHERS` other operations are in flight.
pub(crate) fn turns_under_pressure<const OTHERS: usize>(iterations: u64) -> Duration {
    let runtime = annulus::Runtime::builder().receive_buffers(16).build();
    let runtime = runtime.expect("a runtime can be had");
    runtime.block_on(async {
        let mut time = Duration::ZERO;
        let turn_count = (BUSY * MESSAGES) as u64;
        let rounds = (iterations * THOUSAND).div_ceil(turn_count);
        let (near, _far) = connection();
        let other = TcpStream::from_std(near).expect("it is a socket");
        let mut waits: Vec<_> = (0..OTHERS).map(|_| Box::pin(other.closed())).collect();
        for wait in &mut waits {
            poll_once(wait.as_mut()).await;
        }
        // So few are left that every message is copied.
        let mut held = Vec::new();
        let (near, mut far) = connection();
        let hoarder = TcpStream::from_std(near).expect("it is a socket");
        for _ in 0..14 {
            far.write_all(b"x").expect("it is connected");
            held.push(hoarder.recv().await.expect("it is connected"));
        }
        let mut busy = Vec::new();
        for _ in 0..BUSY {
            let (near, far) = connection();
            let stream = TcpStream::from_std(near).expect("it is a socket");
            poll_once(Box::pin(stream.recv()).as_mut()).await;
            busy.push((stream, far));
        }
        for _ in 0..rounds {
            let start = Instant::now();
            for _ in 0..MESSAGES {
                for (_, far) in &mut busy {
                    far.write_all(b"x").expect("it is connected");
                    // After so many looks the runtime visits the kernel.
                    for _ in 0..9 {
                        yield_now().await;
                    }
                }
            }
            time += start.elapsed();
            for (stream, _) in &busy {
                let mut len = 0;
                while len < MESSAGES {
                    len += stream.recv().await.expect("it is connected").len();
                }
                poll_once(Box::pin(stream.recv()).as_mut()).await;
            }
        }
        time.mul_f64((iterations * THOUSAND) as f64 / (rounds * turn_count) as f64)
    })
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) {
    poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}
