//! tower's services, the `http` crate's messages and the bodies of `http-body`, on both sides.

mod bodies;
mod clients;
mod handlers;
mod services;
#[path = "../support/mod.rs"]
mod support;
mod upgrades;

use std::{
    cell::Cell,
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use annulus::{
    http::{Cause, Connection, Handler, HeaderMap, HeaderValue},
    io::{Reader, duplex},
    spawn,
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// The outcome of a poll of a scripted body.
#[derive(Debug)]
enum Step {
    Data(&'static str),
    /// Nothing, and it wakes its task.
    Wait,
    Trailer(&'static str, &'static str),
    Fail(&'static str),
    /// Nothing, for ever.
    Hang,
}

thread_local! {
    /// Polls of bodies on this thread after their end. A server takes the panic for a handler's.
    static LATE_POLLS: Cell<u32> = const { Cell::new(0) };
}

/// A body that follows a script, and panics when it is polled again after its end or an error.
#[derive(Debug, Default)]
struct Scripted {
    steps: VecDeque<Step>,
    len: Option<u64>,
    /// It tells when it is dropped.
    alive: Option<Rc<()>>,
    is_over: bool,
}

impl Scripted {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            ..Self::default()
        }
    }

    fn sized(mut self, len: u64) -> Self {
        self.len = Some(len);
        self
    }
}

impl http_body::Body for Scripted {
    type Data = Bytes;
    type Error = Cause;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        if self.is_over {
            LATE_POLLS.set(LATE_POLLS.get() + 1);
            panic!("it was polled after its end");
        }
        Poll::Ready(match self.steps.pop_front() {
            None => {
                self.is_over = true;
                None
            }
            Some(Step::Data(text)) => Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))),
            Some(Step::Wait) => {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Hang) => {
                self.steps.push_front(Step::Hang);
                return Poll::Pending;
            }
            Some(Step::Trailer(name, value)) => {
                let mut fields = HeaderMap::new();
                fields.insert(name, HeaderValue::from_static(value));
                Some(Ok(Frame::trailers(fields)))
            }
            Some(Step::Fail(text)) => {
                self.is_over = true;
                Some(Err(text.into()))
            }
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.len
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The next frame of a body.
async fn frame<B: http_body::Body + Unpin>(
    body: &mut B,
) -> Option<Result<Frame<B::Data>, B::Error>> {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// Reads a body to its end: its data as text, and its trailers.
async fn collect<B>(mut body: B) -> Result<(String, HeaderMap), B::Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let (mut text, mut trailers) = (String::new(), HeaderMap::new());
    while let Some(next) = frame(&mut body).await {
        match next?.into_data() {
            Ok(data) => text.push_str(std::str::from_utf8(&data).unwrap()),
            Err(frame) => trailers = frame.into_trailers().unwrap(),
        }
    }
    Ok((text, trailers))
}

/// Sends `request` to a handler over a connection in memory, and returns all that it answers.
async fn talk(handler: impl Handler, request: &str) -> String {
    let (near, far) = duplex(1 << 16);
    let served = spawn(Connection::new().serve(far, handler));
    near.write_all(request.as_bytes()).await.unwrap();
    let answer = Reader::new(near).read_to_end(1 << 20).await.unwrap();
    served.await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// As [`talk`], with a `GET` that closes the connection.
async fn get(handler: impl Handler, fields: &str) -> String {
    let head = format!("GET /a/b?c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    talk(handler, &head).await
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}
