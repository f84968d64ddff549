//! Random polls, drops and cancels on both ends of a connection lose no byte and no wake.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use annulus::{
    compat::Compat, future::race, io::ByteStream, net::UnixStream, spawn, task::yield_now,
};

use crate::{
    Family, Futures, Hyper, Tokio,
    support::{PERIOD, is_pattern, long_repetitions, pair, pattern, random::Random, run_each},
};

/// The longest piece.
const PIECE_BYTES_MAX: usize = 1 << 16;

/// One end of the connection and how far it is.
struct End<S: 'static> {
    stream: RefCell<Compat<S>>,
    /// The bytes that all pieces are cut out of.
    sample: Rc<Vec<u8>>,
    sent: Cell<usize>,
    received: Cell<usize>,
    /// Set when this end sends nothing more.
    is_done: Cell<bool>,
    has_ended: Cell<bool>,
    operations: Cell<usize>,
}

impl<S: ByteStream> End<S> {
    fn new(stream: S, sample: &Rc<Vec<u8>>) -> Rc<Self> {
        Rc::new(Self {
            stream: RefCell::new(Compat::new(stream)),
            sample: Rc::clone(sample),
            sent: Cell::new(0),
            received: Cell::new(0),
            is_done: Cell::new(false),
            has_ended: Cell::new(false),
            operations: Cell::new(0),
        })
    }

    fn poll_read<F: Family<Compat<S>>>(&self, context: &mut Context<'_>, len: usize) -> Poll<()> {
        self.operations.set(self.operations.get() + 1);
        let mut buf = vec![0; len];
        F::poll_read(&mut self.stream.borrow_mut(), context, &mut buf).map(|count| {
            let count = count.unwrap();
            assert!(is_pattern(&buf[..count], self.received.get()));
            self.received.set(self.received.get() + count);
            self.has_ended.set(count == 0);
        })
    }

    fn poll_write<F: Family<Compat<S>>>(&self, context: &mut Context<'_>, len: usize) -> Poll<()> {
        self.operations.set(self.operations.get() + 1);
        let piece = &self.sample[self.sent.get() % PERIOD..][..len];
        F::poll_write(&mut self.stream.borrow_mut(), context, piece)
            .map(|count| self.sent.set(self.sent.get() + count.unwrap()))
    }

    /// One poll of a direction, by traits that are chosen at random.
    fn poll_direction(
        &self,
        context: &mut Context<'_>,
        random: &RefCell<Random>,
        reads: bool,
    ) -> Poll<()> {
        let (family, len) = {
            let mut random = random.borrow_mut();
            (random.below(3), random.len(PIECE_BYTES_MAX))
        };
        match (reads, family) {
            (true, 0) => self.poll_read::<Tokio>(context, len),
            (true, 1) => self.poll_read::<Futures>(context, len),
            (true, _) => self.poll_read::<Hyper>(context, len),
            (false, 0) => self.poll_write::<Tokio>(context, len),
            (false, 1) => self.poll_write::<Futures>(context, len),
            (false, _) => self.poll_write::<Hyper>(context, len),
        }
    }

    /// Waits until a direction goes on. Hangs when a wake is lost.
    async fn step(&self, random: &RefCell<Random>) {
        poll_fn(|context| {
            if !self.has_ended.get() && self.poll_direction(context, random, true).is_ready() {
                return Poll::Ready(());
            }
            if self.is_done.get() {
                return Poll::Pending;
            }
            self.poll_direction(context, random, false)
        })
        .await;
    }

    /// Sends and receives in ways that are chosen at random, until `operations_max`, and ends.
    async fn storm(self: Rc<Self>, seed: u64, operations_max: usize) {
        let random = Rc::new(RefCell::new(Random::new(seed)));
        while self.operations.get() < operations_max {
            let way = random.borrow_mut().below(5);
            let reads = random.borrow_mut().one_in(2);
            match way {
                // It waits.
                0 => self.step(&random).await,
                // One poll, whose future and waker are gone after it.
                1 => {
                    let mut no_waker = Context::from_waker(Waker::noop());
                    let _ = self.poll_direction(&mut no_waker, &random, reads);
                }
                // One poll by this task.
                2 => {
                    poll_fn(|context| {
                        let _ = self.poll_direction(context, &random, reads);
                        Poll::Ready(())
                    })
                    .await;
                }
                // Dropped while it waits.
                3 => {
                    let turns = random.borrow_mut().below(4);
                    let patience = async {
                        for _ in 0..turns {
                            yield_now().await;
                        }
                    };
                    race(self.step(&random), patience).await;
                }
                // A task that is aborted.
                _ => {
                    let (this, random) = (Rc::clone(&self), Rc::clone(&random));
                    let task = spawn(async move { this.step(&random).await });
                    yield_now().await;
                    task.abort();
                    let _ = task.await;
                }
            }
        }
        self.is_done.set(true);
        poll_fn(|context| Tokio::poll_end(&mut *self.stream.borrow_mut(), context))
            .await
            .unwrap();
        while !self.has_ended.get() {
            self.step(&random).await;
        }
    }
}

async fn storm<S: ByteStream + 'static>(seed: u64, operations: usize, near: S, far: S) -> usize {
    let sample = Rc::new(pattern(PIECE_BYTES_MAX + PERIOD));
    let (near, far) = (End::new(near, &sample), End::new(far, &sample));
    let half = operations / 2;
    let other = spawn(Rc::clone(&far).storm(seed ^ 0x5eed, half));
    Rc::clone(&near).storm(seed, half).await;
    other.await.unwrap();
    assert_eq!(near.sent, far.received, "seed {seed}");
    assert_eq!(far.sent, near.received, "seed {seed}");
    near.operations.get() + far.operations.get()
}

/// How many polls each driver does.
fn operations() -> usize {
    if let Ok(count) = std::env::var("ANNULUS_CANCEL_OPERATIONS") {
        return count.parse().expect("a number of operations");
    }
    long_repetitions(1_000_000)
}

#[test]
fn random_polls_drops_and_cancels_lose_no_byte_and_no_wake() {
    const EACH: usize = 5_000;
    run_each(async || {
        let (wanted, mut done) = (operations(), 0);
        for seed in 1.. {
            done += match seed % 2 {
                0 => {
                    let (near, far) = pair().await;
                    storm(seed, EACH, near, far).await
                }
                _ => {
                    let (near, far) = UnixStream::pair().unwrap();
                    storm(seed, EACH, near, far).await
                }
            };
            if done >= wanted {
                break;
            }
        }
    });
}
