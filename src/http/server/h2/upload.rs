//! The body of a request, which its exchange pulls.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use ::h2::RecvStream;

use crate::{
    http::h1::{BodyEncoder, BodyLength},
    io::{ByteRead, ByteWrite},
    pool::ManagedBuf,
};

/// The body of the request that a lane serves.
#[derive(Default)]
pub(super) struct Upload(RefCell<Option<Source>>);

/// A body in the framing of HTTP/1.1, which its exchange decodes: that has a place for trailers.
struct Source {
    stream: RecvStream,
    encoder: BodyEncoder,
    has_data: bool,
}

impl Upload {
    pub(super) fn begin(&self, stream: RecvStream, length: BodyLength) {
        let source = Source {
            stream,
            encoder: BodyEncoder::new(length),
            has_data: true,
        };
        self.0.replace(Some(source));
    }

    /// Lets go of the body, and asks the client to send no more of it.
    pub(super) fn end(&self) {
        drop(self.0.take());
    }
}

impl Source {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        let mut out = Vec::new();
        while self.has_data && out.is_empty() {
            match ready!(self.stream.poll_data(context)) {
                Some(data) => {
                    let data = data.map_err(broken)?;
                    // The handler has asked for it, and the client may send as much again.
                    let flow = self.stream.flow_control();
                    flow.release_capacity(data.len()).map_err(broken)?;
                    self.encoder.write(&mut out, &data).map_err(invalid)?;
                }
                None => self.has_data = false,
            }
        }
        if out.is_empty() {
            let trailers = ready!(self.stream.poll_trailers(context)).map_err(broken)?;
            let trailers = trailers.unwrap_or_default();
            let encoder = std::mem::replace(&mut self.encoder, BodyEncoder::new(BodyLength::None));
            let finished = encoder.finish_with_trailers(&mut out, &trailers);
            finished.map_err(invalid)?;
        }
        Poll::Ready(Ok(ManagedBuf::own(out)))
    }
}

/// The error of a stream that the client has reset, or whose connection is gone.
fn broken(error: ::h2::Error) -> io::Error {
    if error.is_io() {
        error.into_io().expect("it is one")
    } else {
        io::Error::new(io::ErrorKind::ConnectionReset, error)
    }
}

fn invalid(error: crate::http::h1::PromiseBroken) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// An upload as the stream below its exchange.
pub(super) struct UploadStream(pub(super) Rc<Upload>);

impl ByteRead for UploadStream {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        match &mut *self.0.0.borrow_mut() {
            Some(source) => source.poll(context),
            None => Poll::Ready(Ok(ManagedBuf::empty())),
        }
    }
}

/// Nothing is written to it: an interim answer waits in the exchange.
impl ByteWrite for UploadStream {
    fn poll_write(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
