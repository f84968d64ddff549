//! Channels between threads.
//!
//! [`mpsc`] passes values from many senders to one receiver, with or without a limit, and
//! [`oneshot`] passes a single one. Both ends are `Send`, and each works in any runtime
//! and on plain threads: a task awaits, and a thread without a runtime calls the methods that begin
//! with `blocking_`. Within one thread the channels of [`sync`](super) cost less.
//!
//! A send to a receiver that works takes a lock for some nanoseconds and wakes nothing; the
//! receiver takes all values that have come at once. A send to a receiver that sleeps ends its
//! thread's sleep by one write to an eventfd, however many values follow until the receiver runs.
//!
//! # Examples
//!
//! ```
//! use annulus::sync::remote::{mpsc, oneshot};
//! use std::thread;
//!
//! /// A number to square, and where the answer goes.
//! type Job = (u64, oneshot::Sender<u64>);
//!
//! let (jobs, mut receiver) = mpsc::channel::<Job>(64);
//! let worker = thread::spawn(move || {
//!     while let Some((number, answer)) = receiver.blocking_recv() {
//!         let _ = answer.send(number * number); // its caller may have left
//!     }
//! });
//! let squared = annulus::run(async {
//!     let (sender, answer) = oneshot::channel();
//!     jobs.send((7, sender)).await.unwrap();
//!     answer.await
//! });
//! assert_eq!(squared, Ok(49));
//! drop(jobs); // ends the worker
//! worker.join().unwrap();
//! ```

mod blocking;
mod linger;
pub mod mpsc;
pub mod oneshot;

#[cfg(all(test, loom))]
mod loom_tests;
