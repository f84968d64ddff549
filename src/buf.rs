//! Buffers: memory that an operation may own while the kernel uses it.
//!
//! A call takes a buffer by value and gives it back with the result, on success and on failure,
//! because the kernel may use it after the future is gone: see [`IoBuf`] and [`IoBufMut`]. Memory
//! that is lent for one poll is a [`Room`].

mod buf_error;
mod interleaved;
mod io_buf;
mod room;
mod slice;
mod vectored;

pub use buf_error::{BufError, BufResult};
pub(crate) use interleaved::Interleaved;
pub use io_buf::{IoBuf, IoBufMut};
pub(crate) use io_buf::{bytes_of, fill};
pub use room::Room;
#[cfg(feature = "hyper")]
pub(crate) use room::lend_cursor;
#[cfg(any(feature = "http2", feature = "tokio-io"))]
pub(crate) use room::lend_read_buf;
pub use slice::{Slice, SliceMut};
pub use vectored::IoVectored;
pub(crate) use vectored::slices_of;
