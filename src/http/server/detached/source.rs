//! A body of the crate `http-body` as the bytes of a request's body.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http_body::Frame;

use crate::{
    http::{
        error::Cause,
        h1::{BodyEncoder, BodyLength},
    },
    io::{ByteRead, ByteWrite},
    pool::ManagedBuf,
};

/// Gives the bytes of a body in the framing of HTTP/1.1, which its exchange decodes.
pub(super) struct Source<B> {
    body: Pin<Box<B>>,
    encoder: BodyEncoder,
    /// It is not polled again.
    is_over: bool,
}

impl<B> Source<B> {
    pub(super) fn new(body: Pin<Box<B>>, framing: BodyLength) -> Self {
        Self {
            body,
            encoder: BodyEncoder::new(framing),
            is_over: false,
        }
    }
}

impl<B> Source<B>
where
    B: http_body::Body,
    B::Error: Into<Cause>,
{
    /// Writes a frame to `out`; without one it is the end.
    fn write(&mut self, frame: Option<Frame<B::Data>>, out: &mut Vec<u8>) -> io::Result<()> {
        let written = match frame.map(Frame::into_data) {
            Some(Ok(mut data)) => {
                let data = data.copy_to_bytes(data.remaining());
                self.encoder.write(out, &data)
            }
            Some(Err(frame)) => {
                self.is_over = true;
                let trailers = frame.into_trailers().unwrap_or_default();
                self.encoder.finish_with_trailers(out, &trailers)
            }
            None => {
                self.is_over = true;
                self.encoder.finish(out)
            }
        };
        written.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl<B> ByteRead for Source<B>
where
    B: http_body::Body,
    B::Error: Into<Cause>,
{
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        let mut out = Vec::new();
        while out.is_empty() && !self.is_over {
            let frame = match ready!(self.body.as_mut().poll_frame(context)) {
                Some(Ok(frame)) => Some(frame),
                Some(Err(error)) => {
                    self.is_over = true;
                    return Poll::Ready(Err(into_io(error.into())));
                }
                None => None,
            };
            self.write(frame, &mut out)?;
        }
        Poll::Ready(Ok(ManagedBuf::own(out)))
    }
}

/// An I/O error stays itself.
fn into_io(cause: Cause) -> io::Error {
    match cause.downcast::<io::Error>() {
        Ok(error) => *error,
        Err(cause) => io::Error::other(cause),
    }
}

/// Nothing is written to it.
impl<B> ByteWrite for Source<B> {
    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
