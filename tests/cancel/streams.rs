//! Streams whose futures are dropped at random stay exact to the byte.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io,
    net::Shutdown,
    os::fd::AsRawFd,
    rc::Rc,
    time::Duration,
};

use annulus::{future::join, net::TcpStream, spawn, task::yield_now, time::timeout};

use super::{
    census::{Census, alone, runtime, soon},
    frames::{Decoder, Fate, PAYLOAD_MAX, encode},
    moment::{impatient, turns},
};
use crate::support::{long_repetitions, pair, random::Random};

/// The state that both ends of a stream share.
#[derive(Default)]
struct Run {
    fates: RefCell<Vec<Fate>>,
    operations: Cell<usize>,
    /// Whether the sender has begun to end the stream.
    ending: Cell<bool>,
}

impl Run {
    fn count(&self) {
        self.operations.set(self.operations.get() + 1);
    }

    /// The next frame and its number.
    fn frame(&self, random: &mut Random) -> (usize, Vec<u8>) {
        let mut fates = self.fates.borrow_mut();
        let number = fates.len();
        fates.push(Fate::Unknown);
        (number, encode(number as u32, random.len(PAYLOAD_MAX)))
    }

    fn set_fate(&self, number: usize, fate: Fate) {
        self.fates.borrow_mut()[number] = fate;
    }
}

/// How long a future is waited for.
#[derive(Clone, Copy)]
struct Patience {
    polls_max: u32,
    timeout: Option<Duration>,
}

impl Patience {
    fn random(random: &mut Random) -> Self {
        let polls_max = [0, 1, 1, 2, 3, 10, u32::MAX, u32::MAX][random.below(8)];
        let timeout = match random.below(8) {
            0 => Some(Duration::ZERO),
            1 | 2 => Some(Duration::from_micros(random.below(100) as u64)),
            3 => Some(Duration::from_micros(random.len(3000) as u64)),
            _ => None,
        };
        Self { polls_max, timeout }
    }

    async fn wait<F: Future>(self, future: F) -> Option<F::Output> {
        let future = impatient(future, self.polls_max);
        match self.timeout {
            Some(limit) => timeout(limit, future).await.ok().flatten(),
            None => future.await,
        }
    }
}

/// Small buffers in the kernel: writes have to wait, and arrive in pieces.
fn shrink(stream: &TcpStream) {
    for name in [libc::SO_SNDBUF, libc::SO_RCVBUF] {
        let bytes: libc::c_int = 64 << 10;
        let value = (&raw const bytes).cast();
        let len = size_of_val(&bytes) as libc::socklen_t;
        // SAFETY: the kernel reads the value during the call only.
        let result =
            unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, name, value, len) };
        assert_eq!(result, 0);
    }
}

/// Sends frames by every kind of write, most of which are dropped.
async fn send(stream: TcpStream, run: Rc<Run>, operations: usize, mut random: Random) {
    // Whether nothing is under way, so that the next write's turn comes at its first poll.
    let mut free = true;
    for _ in 0..operations {
        run.count();
        if random.one_in(8) {
            // What was dropped before is in the kernel's hands then.
            turns(1).await;
        }
        let patience = Patience::random(&mut random);
        let kind = random.below(16);
        match kind {
            0 => {
                yield_now().await;
                continue;
            }
            1 => {
                if let Some(flushed) = patience.wait(stream.flush()).await {
                    flushed.unwrap();
                    free = true;
                }
                continue;
            }
            2 => {
                // The right one waits behind the left one.
                let (left, frame) = run.frame(&mut random);
                let first = patience.wait(stream.write_all(frame));
                let (right, frame) = run.frame(&mut random);
                let second = Patience::random(&mut random).wait(stream.write_all(frame));
                let (first, second) = join(first, second).await;
                for (number, result) in [(left, first), (right, second)] {
                    if let Some(result) = result {
                        result.unwrap();
                        run.set_fate(number, Fate::Sent);
                    }
                }
                free = false;
                continue;
            }
            _ => {}
        }
        let (number, frame) = run.frame(&mut random);
        let sent = match kind {
            3..=6 => {
                let len = frame.len();
                let write = short_write(&stream, frame, kind < 5, &mut random);
                match patience.wait(write).await {
                    None => None,
                    Some(Ok(rest)) => {
                        if !rest.is_empty() {
                            assert!(rest.len() < len);
                            stream.write_all(rest).await.unwrap();
                        }
                        Some(())
                    }
                    Some(Err(error)) => panic!("{error}"),
                }
            }
            9 => match stream.try_write(&frame) {
                Ok(count) => {
                    stream.write_all(frame[count..].to_vec()).await.unwrap();
                    Some(())
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    run.set_fate(number, Fate::NotSent);
                    continue;
                }
            },
            7 | 8 => {
                let pieces = cut(frame, &mut random);
                let write = stream.write_all_vectored(pieces);
                patience.wait(write).await.map(|r| drop(r.unwrap()))
            }
            _ => {
                let write = stream.write_all(frame);
                patience.wait(write).await.map(|r| drop(r.unwrap()))
            }
        };
        let fate = match sent {
            Some(()) => Fate::Sent,
            None if patience.polls_max == 0 => Fate::NotSent,
            None if free => Fate::Sent,
            None => Fate::Unknown,
        };
        run.set_fate(number, fate);
        free = match sent {
            Some(()) => true,
            None => free && patience.polls_max == 0,
        };
    }
    run.ending.set(true);
    while Patience::random(&mut random)
        .wait(stream.shutdown(Shutdown::Write))
        .await
        .is_none()
    {}
    // It stays open until the peer has seen the end.
    assert!(stream.recv().await.unwrap().is_empty());
}

/// Writes once, and returns what is left.
async fn short_write(
    stream: &TcpStream,
    frame: Vec<u8>,
    vectored: bool,
    random: &mut Random,
) -> io::Result<Vec<u8>> {
    if vectored {
        let (count, pieces) = stream.write_vectored(cut(frame, random)).await?;
        Ok(pieces.concat()[count..].to_vec())
    } else {
        let (count, frame) = stream.write(frame).await?;
        Ok(frame[count..].to_vec())
    }
}

fn cut(mut frame: Vec<u8>, random: &mut Random) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    for _ in 0..random.below(5) {
        let rest = frame.split_off(random.below(frame.len() + 1));
        pieces.push(std::mem::replace(&mut frame, rest));
    }
    pieces.push(frame);
    pieces
}

/// Receives frames by every kind of receive, most of which are dropped, to the stream's end.
async fn receive(mut stream: TcpStream, run: Rc<Run>, mut random: Random) {
    let mut decoder = Decoder::default();
    let mut ended = false;
    while !ended {
        run.count();
        if random.one_in(8) {
            turns(1).await;
        }
        let patience = Patience::random(&mut random);
        let capacity = random.len(64 << 10);
        match random.below(16) {
            0 => yield_now().await,
            1 => match stream.try_recv() {
                Ok(bytes) => {
                    decoder.push(&bytes);
                    ended = bytes.is_empty();
                }
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            },
            2 => {
                if let Some(result) = patience.wait(stream.peek(buf(capacity))).await {
                    let (count, bytes) = result.unwrap();
                    assert_eq!(count, bytes.len());
                    decoder.peek(&bytes);
                }
            }
            3 if random.one_in(8) => {
                let limit = Duration::from_micros(50);
                if let Ok(closed) = timeout(limit, patience.wait(stream.closed())).await {
                    let resolved = closed.map(Result::unwrap).is_some();
                    assert!(!resolved || run.ending.get(), "the peer has not closed");
                }
            }
            4 if random.one_in(64) => {
                let detached = stream.detach().await.unwrap();
                stream = detached.attach().unwrap();
            }
            // The peer has to wait, and the socket to stop receiving.
            5 if random.one_in(32) => annulus::time::sleep(Duration::from_millis(1)).await,
            6..=8 => {
                if let Some(result) = patience.wait(stream.read(buf(capacity))).await {
                    let (count, bytes) = result.unwrap();
                    assert_eq!(count, bytes.len());
                    decoder.push(&bytes);
                    ended = bytes.is_empty();
                }
            }
            9 => {
                let mut before = buf(capacity + 3);
                before.extend_from_slice(b"abc");
                if let Some(result) = patience.wait(stream.read_append(before)).await {
                    let (count, bytes) = result.unwrap();
                    assert_eq!(&bytes[..3], b"abc");
                    assert_eq!(count, bytes.len() - 3);
                    decoder.push(&bytes[3..]);
                    ended = count == 0;
                }
            }
            10 => {
                // A flood of large reads goes straight to the caller's memory.
                for _ in 0..random.below(20) {
                    run.count();
                    let patience = Patience::random(&mut random);
                    let read = stream.read(buf(16 << 10));
                    if let Some(result) = patience.wait(read).await {
                        let (_, bytes) = result.unwrap();
                        decoder.push(&bytes);
                        ended |= bytes.is_empty();
                    }
                }
            }
            _ => {
                if let Some(result) = patience.wait(stream.recv()).await {
                    let bytes = result.unwrap();
                    decoder.push(&bytes);
                    ended = bytes.is_empty();
                }
            }
        }
    }
    assert!(run.ending.get(), "the end comes when it was sent");
    assert!(stream.recv().await.unwrap().is_empty());
    decoder.finish(&run.fates.borrow());
}

fn buf(capacity: usize) -> Vec<u8> {
    Vec::with_capacity(capacity)
}

/// How many operations the test does.
fn operations() -> usize {
    if let Ok(count) = std::env::var("ANNULUS_CANCEL_OPERATIONS") {
        return count.parse().expect("a number of operations");
    }
    long_repetitions(1_000_000)
}

#[test]
fn streams_stay_exact_when_futures_are_dropped_at_random() {
    alone(|| {
        let wanted = operations();
        let mut done = 0;
        for seed in 1.. {
            // With few buffers, with many, and in between.
            let buffers = [2, 16, 128][seed as usize % 3];
            println!("seed {seed}: {buffers} buffers, {done} operations so far");
            done += runtime(buffers).block_on(async {
                let census = Census::take();
                let count = one_runtime(seed).await;
                census.settled(&format!("seed {seed}")).await;
                count
            });
            if done >= wanted {
                return;
            }
        }
    });
}

/// Some streams at once, with their own numbers.
async fn one_runtime(seed: u64) -> usize {
    let mut random = Random::new(seed);
    let mut tasks = Vec::new();
    let mut runs = Vec::new();
    for stream in 0..4 {
        let (left, right) = pair().await;
        if stream % 2 == 0 {
            shrink(&left);
            shrink(&right);
        }
        let run = Rc::new(Run::default());
        let sender = Random::new(random.next());
        let receiver = Random::new(random.next());
        tasks.push(spawn(send(left, Rc::clone(&run), 2000, sender)));
        tasks.push(spawn(receive(right, Rc::clone(&run), receiver)));
        runs.push(run);
    }
    for (number, task) in tasks.into_iter().enumerate() {
        let what = format!("seed {seed}, task {number}");
        if let Err(error) = soon(&what, task).await {
            panic!("{what}: {error}");
        }
    }
    runs.iter().map(|run| run.operations.get()).sum()
}
