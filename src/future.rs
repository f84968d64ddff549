//! Waiting for several futures at once.
//!
//! [`race()`] returns what is ready first and drops the other, [`join()`] returns both. They cost
//! no allocation and need no runtime. For more than two, or for other shapes, the `futures-util`
//! crate works with this one: `join_all`, `try_join`, `FuturesUnordered` and `select!`.
//!
//! In `select!` a future that takes part in several rounds is pinned and fused, and the operations
//! of this crate lose nothing when a round drops them:
//!
//! ```
//! use annulus::sync::mpsc;
//! use annulus::time::sleep;
//! use futures_util::{FutureExt, select};
//! use std::pin::pin;
//! use std::time::Duration;
//!
//! annulus::run(async {
//!     let (sender, mut receiver) = mpsc::channel(8);
//!     for number in [1, 2, 3] {
//!         sender.try_send(number)?;
//!     }
//!     let mut received = Vec::new();
//!     let mut end = pin!(sleep(Duration::from_millis(5)).fuse());
//!     loop {
//!         let mut next = pin!(receiver.recv().fuse());
//!         select! {
//!             number = next => received.extend(number),
//!             () = end => break,
//!         }
//!     }
//!     assert_eq!(received, [1, 2, 3]);
//!     Ok::<(), mpsc::TrySendError<i32>>(())
//! })?;
//! # Ok::<(), annulus::sync::mpsc::TrySendError<i32>>(())
//! ```

mod either;
mod join;
mod race;

pub use either::Either;
pub use join::{Join, join};
pub use race::{Race, race};

#[cfg(test)]
mod tests;
