//! The body of an answer as pieces, for an answer that does not go out over a connection.

use bytes::Bytes;

use super::Outgoing;
use crate::{
    buf::Interleaved,
    http::{HeaderName, HeaderValue, h1::PromiseBroken},
};

impl Outgoing {
    /// Takes what was written, without framing, and tells the writer that there is room.
    pub(crate) fn take_pieces(&self) -> Vec<Bytes> {
        let Interleaved { bytes, segments } = self.take();
        let mut bytes = Bytes::from(bytes);
        let mut pieces = Vec::with_capacity(2 * segments.len() + 1);
        let mut taken = 0;
        for (at, segment) in segments {
            pieces.push(bytes.split_to(at - taken));
            pieces.push(segment);
            taken = at;
        }
        pieces.push(bytes);
        pieces.retain(|piece| !piece.is_empty());
        self.wake_writer();
        pieces
    }

    /// Ends the body, and returns its trailers.
    pub(crate) fn finish_pieces(&self) -> Result<Vec<(HeaderName, HeaderValue)>, PromiseBroken> {
        self.finish(false)?;
        Ok(self.trailers.take())
    }
}
