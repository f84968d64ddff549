//! The lines of a reader as a stream.

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use super::{ByteRead, Reader};
use crate::budget::{self, PutOff};

/// The lines of a [`Reader`] as a stream. Made by [`Reader::lines`].
///
/// It borrows the reader, which keeps what is not read yet.
pub struct Lines<'a, R: ByteRead> {
    reader: &'a mut Reader<R>,
    len_max: usize,
    /// How many bytes of the next line were searched for its end.
    searched: usize,
    has_ended: bool,
    put_off: PutOff,
}

impl<'a, R: ByteRead> Lines<'a, R> {
    pub(super) fn new(reader: &'a mut Reader<R>, len_max: usize) -> Self {
        Self {
            reader,
            len_max,
            searched: 0,
            has_ended: false,
            put_off: PutOff::new(),
        }
    }

    /// Waits for the next line. `None` comes after the last line, and behind an error.
    ///
    /// # Errors
    ///
    /// As [`Reader::read_line`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: call it again.
    pub async fn next(&mut self) -> Option<io::Result<String>> {
        poll_fn(|context| self.poll_line(context)).await
    }

    fn poll_line(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<String>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        if self.put_off.waits(context) {
            return Poll::Pending;
        }
        let line = ready!(
            self.reader
                .poll_line(context, self.len_max, &mut self.searched)
        );
        budget::spend();
        let line = line.transpose();
        self.has_ended = !matches!(line, Some(Ok(_)));
        Poll::Ready(line)
    }
}

impl<R: ByteRead> Stream for Lines<'_, R> {
    type Item = io::Result<String>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_line(context)
    }
}

impl<R: ByteRead> fmt::Debug for Lines<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}
