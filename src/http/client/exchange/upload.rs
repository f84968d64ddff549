//! Sends a request: its head, and the pieces of its body as they come.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use crate::{
    http::{
        client::body::{MakeTrailers, Source},
        h1::{BodyEncoder, BodyLength, PromiseBroken},
        transport::{Transport, Writing},
    },
    net::SendAll,
};

/// A body up to this size is sent together with the head.
const SMALL_BODY_BYTES_MAX: usize = 16 << 10;
/// A request up to this size is one buffer of the kernel's: a socket that has nothing else to send
/// nearly always takes it whole at once.
const QUIET_BYTES_MAX: usize = 4 << 10;
/// Memory that a used one keeps.
const KEPT_BYTES_MAX: usize = 32 << 10;

/// A write of everything, which goes on by itself once it has begun.
enum Write {
    None,
    /// Encoded bytes. Their memory is used again.
    Output(Writing<Vec<u8>>),
    /// As `Output`, of a whole request: its end may be short, and an error says that nothing of it
    /// has left.
    Quiet(SendAll<Vec<u8>>),
    Piece(Writing<Bytes>),
}

/// The part of one request that is left to send.
pub(crate) struct Upload {
    /// Encoded and not sent.
    output: Vec<u8>,
    /// The part of a large piece that is to be written next.
    rest: Bytes,
    source: Source,
    encoder: BodyEncoder,
    write: Write,
    /// The body waits for the server's word.
    is_held: bool,
    /// The kernel has everything.
    is_handed_over: bool,
    is_done: bool,
    has_sent: bool,
}

/// Why sending has ended early.
pub(crate) enum UploadError {
    /// The connection does not take any more.
    Connection(io::Error),
    /// The body's source failed, or gave another number of bytes than promised.
    Source(io::Error),
}

impl Upload {
    pub(crate) fn new() -> Self {
        Self {
            output: Vec::new(),
            rest: Bytes::new(),
            source: Source::None,
            encoder: BodyEncoder::new(BodyLength::None),
            write: Write::None,
            is_held: false,
            is_handed_over: true,
            is_done: true,
            has_sent: false,
        }
    }

    /// Where the head is to be written before [`begin`](Self::begin).
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Begins to send the head that was written and then the body, which waits for
    /// [`go_on`](Self::go_on) if it is to be held.
    pub(crate) fn begin(&mut self, source: Source, length: BodyLength, is_held: bool) {
        self.source = source;
        self.encoder = BodyEncoder::new(length);
        self.is_held = is_held && !length.is_empty();
        self.is_handed_over = false;
        self.is_done = false;
        self.has_sent = false;
        if let (Source::Bytes(bytes), false) = (&self.source, self.is_held) {
            if bytes.len() <= SMALL_BODY_BYTES_MAX {
                self.output.extend_from_slice(bytes);
                self.source = Source::None;
            }
        }
    }

    /// Sends the body that was held.
    pub(crate) fn go_on(&mut self) {
        self.is_held = false;
    }

    /// Sends nothing more. A send that has begun goes on by itself.
    #[inline]
    pub(crate) fn stop(&mut self) {
        self.output.clear();
        if self.output.capacity() > KEPT_BYTES_MAX {
            self.output.shrink_to(KEPT_BYTES_MAX);
        }
        if !self.rest.is_empty() {
            self.rest = Bytes::new();
        }
        self.source = Source::None;
        self.write = Write::None;
        self.is_held = false;
        self.is_handed_over = true;
        self.is_done = true;
    }

    /// Whether everything was sent.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Whether everything was sent, or the kernel has it and nothing is known to be in its way.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.is_handed_over
    }

    pub(crate) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether the connection has taken all that there was, and the body's source has yet to give
    /// more.
    pub(crate) fn waits_for_source(&self) -> bool {
        !self.is_done
            && !self.is_held
            && self.output.is_empty()
            && matches!(self.write, Write::None)
    }

    /// Whether anything may have left this process.
    pub(crate) fn has_sent(&self) -> bool {
        self.has_sent
    }

    /// Sends on. `progressed` is set when the connection took something.
    pub(crate) fn poll(
        &mut self,
        transport: &Transport,
        context: &mut Context<'_>,
        progressed: &mut bool,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            if !matches!(self.write, Write::None) {
                ready!(self.poll_write(context)).map_err(UploadError::Connection)?;
                *progressed = true;
            }
            if !self.rest.is_empty() {
                self.send_rest(transport);
                continue;
            }
            if !self.output.is_empty() {
                self.send_output(transport)?;
                *progressed = true;
                continue;
            }
            if self.is_held {
                return Poll::Pending;
            }
            match &mut self.source {
                Source::None => {
                    self.is_handed_over = true;
                    self.is_done = true;
                    return Poll::Ready(Ok(()));
                }
                Source::Bytes(bytes) => {
                    let bytes = std::mem::take(bytes);
                    self.source = Source::None;
                    self.send(bytes, transport)?;
                }
                Source::Pieces(pieces, trailers) => {
                    match ready!(pieces.as_mut().poll_next(context)) {
                        Some(Ok(bytes)) => self.send(bytes, transport)?,
                        Some(Err(error)) => return Poll::Ready(Err(UploadError::Source(error))),
                        None => {
                            let trailers = trailers.take();
                            self.source = Source::None;
                            self.finish(trailers).map_err(broken)?;
                        }
                    }
                }
            }
        }
    }

    /// Ends the body, whose trailers only chunks have room for.
    fn finish(&mut self, trailers: Option<MakeTrailers>) -> Result<(), PromiseBroken> {
        match trailers {
            Some(make) if !self.encoder.is_plain() => {
                let trailers = make();
                self.encoder
                    .finish_with_trailers(&mut self.output, &trailers)
            }
            _ => self.encoder.finish(&mut self.output),
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = match &mut self.write {
            Write::None => return Poll::Ready(Ok(())),
            Write::Output(write) => ready!(Pin::new(write).poll(context)).map(|mut output| {
                output.clear();
                self.output = output;
            }),
            Write::Quiet(write) => match ready!(Pin::new(write).poll(context)) {
                Ok((sent, mut output)) => {
                    drop(output.drain(..sent));
                    self.is_handed_over = output.is_empty();
                    self.output = output;
                    Ok(())
                }
                Err(error) => {
                    self.has_sent = false;
                    Err(error.into())
                }
            },
            Write::Piece(write) => ready!(Pin::new(write).poll(context)).map(drop),
        };
        self.write = Write::None;
        Poll::Ready(result)
    }

    /// Sends what was encoded. When it is the last of a request, and the kernel is given it along
    /// with others, its success does not wake the task: the response will.
    fn send_output(&mut self, transport: &Transport) -> Result<(), UploadError> {
        if self.output.len() > SMALL_BODY_BYTES_MAX
            && self.output.len() > transport.piece_bytes_max()
        {
            self.has_sent = true;
            self.rest = std::mem::take(&mut self.output).into();
            return Ok(());
        }
        let sent = transport.send_at_once(&self.output);
        let sent = sent.map_err(UploadError::Connection)?;
        let is_first = !self.has_sent;
        self.has_sent = true;
        if sent == self.output.len() {
            self.output.clear();
            return Ok(());
        }
        let is_whole = is_first
            && sent == 0
            && matches!(self.source, Source::None)
            && self.output.len() <= QUIET_BYTES_MAX;
        if is_whole {
            if let Some(write) = transport.write_quietly(&mut self.output) {
                self.is_handed_over = true;
                self.write = Write::Quiet(write);
                return Ok(());
            }
        }
        let mut output = std::mem::take(&mut self.output);
        drop(output.drain(..sent));
        self.write = Write::Output(transport.write_all(output));
        Ok(())
    }

    /// Sends a piece of the body: a small or framed one by way of the output, a large one as it is.
    fn send(&mut self, bytes: Bytes, transport: &Transport) -> Result<(), UploadError> {
        let is_plain = self.encoder.is_plain();
        if !is_plain || bytes.len() <= SMALL_BODY_BYTES_MAX {
            return self.encoder.write(&mut self.output, &bytes).map_err(broken);
        }
        self.encoder.frame(bytes.len()).map_err(broken)?;
        self.rest = bytes;
        self.send_rest(transport);
        Ok(())
    }

    /// Sends what is left of a large piece: as much of it as the connection tells the progress of.
    fn send_rest(&mut self, transport: &Transport) {
        let len = transport.piece_bytes_max();
        let piece = if len < self.rest.len() {
            self.rest.split_to(len)
        } else {
            std::mem::take(&mut self.rest)
        };
        self.write = Write::Piece(transport.write_all(piece));
    }
}

fn broken(error: PromiseBroken) -> UploadError {
    UploadError::Source(io::Error::new(io::ErrorKind::InvalidInput, error))
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::{
        io::{ByteRead, ByteWrite},
        pool::ManagedBuf,
    };

    /// A stream that takes everything, and breaks afterwards.
    struct Breaks;

    impl ByteRead for Breaks {
        fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
            Poll::Pending
        }
    }

    impl ByteWrite for Breaks {
        fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }

        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_a_stream_has_taken_counts_as_sent_when_the_stream_breaks() {
        let mut upload = Upload::new();
        upload
            .output()
            .extend_from_slice(b"POST / HTTP/1.1\r\n\r\n");
        upload.begin(Source::None, BodyLength::None, false);
        let mut context = Context::from_waker(Waker::noop());
        let polled = upload.poll(&Breaks.into(), &mut context, &mut false);
        assert!(matches!(
            polled,
            Poll::Ready(Err(UploadError::Connection(_)))
        ));
        assert!(upload.has_sent());
    }
}
