//! A reader's futures, dropped at any await of theirs, over everything that it reads from.

use std::{future::Future, io, rc::Rc, time::Duration};

use annulus::{
    io::{ByteRead, Reader},
    net::{TcpStream, UnixStream},
    spawn,
    task::yield_now,
    time::timeout,
};

use super::{
    census::{Census, alone, runtime, soon},
    frames::{PAYLOAD_MAX, encode},
    moment::{impatient, turns},
};
use crate::support::{pair, random::Random};

const FRAMES: u32 = 40;
const FRAME_BYTES_MAX: usize = 8 + PAYLOAD_MAX;

/// The same lengths for the sender and the receiver.
fn frames(seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random::new(seed);
    (0..FRAMES)
        .map(|number| encode(number, random.len(PAYLOAD_MAX)))
        .collect()
}

/// The frames in one, cut into pieces that have nothing to do with them.
fn pieces(seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random::new(seed + 1);
    let mut rest = frames(seed).concat();
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let tail = rest.split_off(random.len(20_000).min(rest.len()));
        pieces.push(std::mem::replace(&mut rest, tail));
    }
    pieces
}

fn frame_len(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(head) = bytes.first_chunk::<8>() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    Ok(Some(8 + len as usize))
}

/// Sends the pieces at a pace that lets the reader wait in all places.
async fn send<E: std::fmt::Debug, F: Future<Output = Result<(), E>>>(
    seed: u64,
    mut write: impl FnMut(Vec<u8>) -> F,
) {
    let mut random = Random::new(seed + 2);
    for piece in pieces(seed) {
        match random.below(4) {
            0 => turns(1).await,
            1 => yield_now().await,
            _ => {}
        }
        write(piece).await.unwrap();
    }
}

/// Waits for a while at most, counted in polls or in time.
async fn hasty<F: Future>(random: &mut Random, future: F) -> Option<F::Output> {
    let polls_max = [0, 1, 1, 2, 3, u32::MAX][random.below(6)];
    let future = impatient(future, polls_max);
    match random.below(3) {
        0 => timeout(Duration::from_micros(random.below(100) as u64), future)
            .await
            .ok()
            .flatten(),
        _ => future.await,
    }
}

/// Takes all frames, by one call each or by looks at them first, most of which are dropped.
async fn receive<R: ByteRead>(source: R, seed: u64) {
    let mut random = Random::new(seed + 3);
    let mut reader = Reader::new(source);
    for expected in frames(seed) {
        let frame = loop {
            if random.one_in(16) {
                turns(1).await;
            }
            if random.one_in(16) {
                let (source, rest) = reader.into_parts();
                reader = Reader::from_parts(source, rest);
            }
            match random.below(4) {
                0 => {
                    let count = random.len(expected.len());
                    if let Some(filled) = hasty(&mut random, reader.fill(count)).await {
                        let bytes = filled.unwrap().unwrap();
                        assert!(bytes.len() >= count && bytes[..count] == expected[..count]);
                    }
                }
                1 => {
                    // The two steps in one: nothing is consumed before the last of them.
                    let both = async {
                        let head = reader.fill(8).await?.unwrap();
                        let len = frame_len(head)?.unwrap();
                        let frame = reader.fill(len).await?.unwrap()[..len].to_vec();
                        reader.consume(len);
                        io::Result::Ok(frame)
                    };
                    if let Some(frame) = hasty(&mut random, both).await {
                        break frame.unwrap();
                    }
                }
                2 => {
                    let read = reader.read_exact(expected.len());
                    if let Some(frame) = hasty(&mut random, read).await {
                        break frame.unwrap();
                    }
                }
                _ => {
                    let read = reader.read_frame(FRAME_BYTES_MAX, frame_len);
                    if let Some(frame) = hasty(&mut random, read).await {
                        break frame.unwrap().unwrap();
                    }
                }
            }
        };
        assert!(frame == expected, "seed {seed}: another frame came");
    }
    loop {
        let read = reader.read_frame(FRAME_BYTES_MAX, frame_len);
        if let Some(end) = hasty(&mut random, read).await {
            return assert!(end.unwrap().is_none());
        }
    }
}

fn seeds() -> std::ops::Range<u64> {
    0..9
}

/// Runs `one` for each seed, and counts what it leaves.
fn for_each_seed(one: impl AsyncFn(u64)) {
    alone(|| {
        for seed in seeds() {
            runtime([2, 16, 128][seed as usize % 3]).block_on(async {
                let census = Census::take();
                soon(&format!("seed {seed}"), one(seed)).await;
                census.settled(&format!("seed {seed}")).await;
            });
        }
    });
}

#[test]
fn frames_over_tcp_stay_whole_when_reads_are_dropped_at_random() {
    for_each_seed(async |seed| {
        let (near, far): (TcpStream, TcpStream) = pair().await;
        let far = Rc::new(far);
        let sender = spawn(async move {
            send(seed, |piece| {
                let far = Rc::clone(&far);
                async move { far.write_all(piece).await.map(drop) }
            })
            .await;
        });
        receive(near, seed).await;
        sender.await.unwrap();
    });
}

#[test]
fn frames_over_a_unix_socket_stay_whole_when_reads_are_dropped_at_random() {
    for_each_seed(async |seed| {
        let (near, far) = UnixStream::pair().unwrap();
        let far = Rc::new(far);
        let sender = spawn(async move {
            send(seed, |piece| {
                let far = Rc::clone(&far);
                async move { far.write_all(piece).await.map(drop) }
            })
            .await;
        });
        receive(Rc::new(near), seed).await;
        sender.await.unwrap();
    });
}

#[cfg(feature = "http")]
mod http;
