//! Serves one connection from its first unread byte until nothing is left to answer.
//!
//! An exchange is a future that never ends: it waits for a connection (`Exchange::give`), serves
//! it, says how that ended (`Exchange::take_ended`), and waits for the next. So its storage, its
//! handler's included, is used again without being made again, however large it is.
//!
//! While it serves, answers gather in `output` and are sent when no complete request is left in the
//! input, or the handler waits, or there is much of it.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    io,
    net::Shutdown,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    Handler, RejectReason, Request, Response, Result,
    h1::{
        AnswerTo, BodyDecoder, CONTINUE, RequestHead, ResponseEncoder, encode_plain, encode_reject,
    },
    input::Input,
    shared::Shared,
};
use crate::{net::TcpStream, pool::ManagedBuf, time};

/// Output beyond this is sent although more answers could be added.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Memory that a used exchange keeps in its buffers.
const KEPT_BYTES_MAX: usize = 32 * 1024;
/// How much of a body that nobody read is skipped to keep the connection.
const DRAIN_BYTES_MAX: u64 = 256 * 1024;
/// How long a connection that ends with an error is read on, so that the client sees the answer
/// and not a reset.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// How serving a connection ended.
pub(super) enum Ended {
    /// It waits for the next request.
    Idle(TcpStream),
    Closed,
}

/// What an exchange's future, its request and its worker share.
pub(super) struct Exchange {
    shared: Rc<Shared>,
    stream: RefCell<Option<TcpStream>>,
    input: RefCell<Input>,
    body: RefCell<BodyDecoder>,
    output: RefCell<Vec<u8>>,
    /// The client waits for `100 Continue` before it sends the body.
    expects_continue: Cell<bool>,
    /// The request that is being answered; bodies of earlier ones are out of date.
    number: Cell<u64>,
    /// Who waits for the body, to be told when it is out of date.
    body_waker: Cell<Option<Waker>>,
    ended: RefCell<Option<Ended>>,
    /// Whether a handler runs, so that a panic is its, and nothing of its answer was written.
    in_handler: Cell<bool>,
}

/// Why serving stops without a word: the connection is broken or at its end.
struct Gone;

impl From<io::Error> for Gone {
    fn from(_error: io::Error) -> Self {
        Self
    }
}

impl Exchange {
    pub(super) fn new(shared: Rc<Shared>) -> Rc<Self> {
        Rc::new(Self {
            shared,
            stream: RefCell::new(None),
            input: RefCell::default(),
            body: RefCell::new(BodyDecoder::new()),
            output: RefCell::default(),
            expects_continue: Cell::new(false),
            number: Cell::new(0),
            body_waker: Cell::new(None),
            ended: RefCell::new(None),
            in_handler: Cell::new(false),
        })
    }

    /// Gives it a connection with the first bytes of a request.
    pub(super) fn give(&self, stream: TcpStream, bytes: ManagedBuf) {
        self.input.borrow_mut().push(bytes);
        *self.stream.borrow_mut() = Some(stream);
    }

    pub(super) fn take_ended(&self) -> Option<Ended> {
        self.ended.take()
    }

    /// After a panic: answers 500 if nothing else was said, and lets go of the connection.
    pub(super) fn abort(&self) {
        if self.in_handler.get() {
            let reason = RejectReason::HandlerFailed;
            let mut output = self.output.borrow_mut();
            encode_reject(
                &mut output,
                reason,
                AnswerTo::unreadable(),
                &self.shared.date_line(),
            );
            if let Some(stream) = &*self.stream.borrow() {
                // As much as the socket takes: its client sees 500, or a cut.
                let _ = stream.try_write(&output);
            }
        }
        drop(self.stream.take());
        self.next_number();
    }

    /// Makes the body of the request so far out of date, and returns the number of the next.
    fn next_number(&self) -> u64 {
        let number = self.number.get() + 1;
        self.number.set(number);
        if let Some(waker) = self.body_waker.take() {
            waker.wake();
        }
        number
    }

    /// Forgets the connection that was served, so that nothing of it reaches the next one.
    fn reset(&self) {
        self.next_number();
        self.in_handler.set(false);
        self.expects_continue.set(false);
        *self.body.borrow_mut() = BodyDecoder::new();
        let mut input = self.input.borrow_mut();
        input.clear();
        input.shrink(KEPT_BYTES_MAX);
        self.output.borrow_mut().clear();
    }

    /// The next bytes of the connection, added to the input.
    async fn receive(&self) -> std::result::Result<(), Gone> {
        let bytes = poll_fn(|context| self.poll_receive(context)).await?;
        if bytes.is_empty() {
            return Err(Gone);
        }
        self.input.borrow_mut().push(bytes);
        Ok(())
    }

    fn poll_receive(&self, context: &Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        match &*self.stream.borrow() {
            Some(stream) => stream.poll_recv(context),
            None => Poll::Ready(Ok(ManagedBuf::empty())),
        }
    }

    /// Sends what has gathered.
    async fn flush(&self) -> std::result::Result<(), Gone> {
        // A body that is pulled meanwhile may add `100 Continue`.
        while !self.output.borrow().is_empty() {
            let mut output = self.output.take();
            let write = match &*self.stream.borrow() {
                None => return Err(Gone),
                Some(stream) => match stream.send_at_once(&output) {
                    Ok(sent) if sent == output.len() => None,
                    Ok(sent) => {
                        output.drain(..sent);
                        Some(stream.write_whole(std::mem::take(&mut output)))
                    }
                    Err(error) => return Err(error.into()),
                },
            };
            if let Some(write) = write {
                output = write.await.map_err(io::Error::from)?.1;
            }
            output.clear();
            output.shrink_to(KEPT_BYTES_MAX);
            let added = self.output.replace(output);
            self.output.borrow_mut().extend_from_slice(&added);
        }
        Ok(())
    }

    /// The next piece of the body of request `number`.
    pub(super) fn poll_body(
        &self,
        number: u64,
        context: &Context<'_>,
    ) -> Poll<Result<Option<ManagedBuf>>> {
        if number != self.number.get() {
            let text = "the request was answered, and the rest of its body was skipped";
            return Poll::Ready(Err(io::Error::other(text).into()));
        }
        loop {
            {
                let mut input = self.input.borrow_mut();
                let mut body = self.body.borrow_mut();
                if body.is_end() {
                    return Poll::Ready(Ok(None));
                }
                body.check_length()?;
                if !input.is_empty() {
                    let step = body.decode(input.bytes(), &self.shared.settings.rules)?;
                    let data = input.bytes()[step.data.clone()].to_vec();
                    input.consume(step.consumed);
                    if !data.is_empty() {
                        return Poll::Ready(Ok(Some(ManagedBuf::own(data))));
                    }
                    continue;
                }
            }
            if self.expects_continue.replace(false) {
                self.send_continue()?;
            }
            match self.poll_receive(context) {
                Poll::Ready(Ok(bytes)) if bytes.is_empty() => {
                    return Poll::Ready(match self.body.borrow_mut().eof() {
                        Ok(()) => Ok(None),
                        Err(error) => Err(error.into()),
                    });
                }
                Poll::Ready(Ok(bytes)) => self.input.borrow_mut().push(bytes),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {
                    let waker = context.waker().clone();
                    drop(self.body_waker.replace(Some(waker)));
                    return Poll::Pending;
                }
            }
        }
    }

    fn send_continue(&self) -> io::Result<()> {
        let mut output = self.output.borrow_mut();
        output.extend_from_slice(CONTINUE);
        if let Some(stream) = &*self.stream.borrow() {
            match stream.try_write(&output) {
                Ok(sent) => drop(output.drain(..sent)),
                // A client that reads nothing is not waiting either.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether what the handler left of the body can be skipped to keep the connection.
    fn can_skip_body(&self) -> bool {
        let body = self.body.borrow();
        // A client that still waits for `100 Continue` may send its body or not: nobody can tell.
        body.is_end()
            || (!self.expects_continue.get() && body.left().unwrap_or(0) <= DRAIN_BYTES_MAX)
    }

    /// Skips what the handler left of the body; false when the connection has to end for it.
    async fn skip_body(&self) -> std::result::Result<bool, Gone> {
        let already = self.body.borrow().received();
        loop {
            {
                let mut input = self.input.borrow_mut();
                let mut body = self.body.borrow_mut();
                if body.is_end() {
                    return Ok(true);
                }
                let Ok(step) = body.decode(input.bytes(), &self.shared.settings.rules) else {
                    return Ok(false);
                };
                input.consume(step.consumed);
                if body.is_end() {
                    return Ok(true);
                }
                if body.received() - already > DRAIN_BYTES_MAX {
                    return Ok(false);
                }
                if !input.is_empty() {
                    continue;
                }
            }
            self.flush().await?;
            self.receive().await?;
        }
    }

    /// Ends the connection so that the client sees what was sent: a close with unread bytes would
    /// reset it (RFC 9112, section 9.6).
    async fn close_gently(&self) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        if stream.shutdown(Shutdown::Write).await.is_err() {
            return;
        }
        let _ = time::timeout(LINGER_TIMEOUT, async {
            let mut skipped = 0;
            while skipped < LINGER_BYTES_MAX {
                match stream.recv().await {
                    Ok(bytes) if !bytes.is_empty() => skipped += bytes.len(),
                    _ => return,
                }
            }
        })
        .await;
    }

    fn write(&self, response: &Response, answer_to: AnswerTo) -> bool {
        let status = response.status_code();
        if status.is_informational() || (answer_to.is_connect && status.is_success()) {
            // Neither ends an exchange: what follows would be taken for its answer, or for a
            // tunnel's bytes.
            let reason = if answer_to.is_connect {
                RejectReason::ConnectUnsupported
            } else {
                RejectReason::HandlerFailed
            };
            let answer_to = AnswerTo {
                keeps_alive: false,
                ..answer_to
            };
            let date_line = &self.shared.date_line();
            encode_reject(&mut self.output.borrow_mut(), reason, answer_to, date_line);
            return false;
        }
        let output = &mut *self.output.borrow_mut();
        let date_line = &self.shared.date_line();
        let body = response.content();
        if let (Some(content_type), []) = (response.content_type(), response.fields()) {
            return encode_plain(output, status, content_type, body, answer_to, date_line)
                .keeps_alive;
        }
        let mut encoder = ResponseEncoder::new(output, status, answer_to);
        if let Some(content_type) = response.content_type() {
            encoder.content_type(content_type);
        }
        for (name, value) in response.fields() {
            encoder.field(name, value);
        }
        let framing = encoder.finish(Some(body.len() as u64), date_line);
        if !framing.body.is_empty() {
            output.extend_from_slice(body);
        }
        framing.keeps_alive
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("number", &self.number.get())
            .finish_non_exhaustive()
    }
}

/// The future of an exchange: serves one connection after the other.
pub(super) async fn serve_all<H: Handler>(exchange: Rc<Exchange>, handler: Rc<H>) {
    let mut head = Rc::new(RequestHead::new());
    loop {
        poll_fn(|_| match &*exchange.stream.borrow() {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        })
        .await;
        let ended = match serve(&exchange, &*handler, &mut head).await {
            Ok(()) => exchange.stream.take().map_or(Ended::Closed, Ended::Idle),
            Err(Gone) => Ended::Closed,
        };
        drop(exchange.stream.take());
        exchange.reset();
        *exchange.ended.borrow_mut() = Some(ended);
    }
}

/// Serves one connection. It is idle afterwards, unless its stream was taken or broke.
async fn serve<H: Handler>(
    exchange: &Rc<Exchange>,
    handler: &H,
    head: &mut Rc<RequestHead>,
) -> std::result::Result<(), Gone> {
    // Answers that stand in the output, unless they were sent meanwhile.
    let mut gathered = 0;
    loop {
        // A handler that kept its request has the old head, and this exchange makes a new one.
        if Rc::get_mut(head).is_none() {
            *head = Rc::new(RequestHead::new());
        }
        let storage = Rc::get_mut(head).expect("nobody else has it");
        storage.clear();
        if let Err(reason) = read_head(exchange, storage).await? {
            let answer_to = AnswerTo::unreadable();
            let date_line = &exchange.shared.date_line();
            encode_reject(
                &mut exchange.output.borrow_mut(),
                reason,
                answer_to,
                date_line,
            );
            exchange.flush().await?;
            exchange.close_gently().await;
            return Ok(());
        }
        if storage.consumed() == 0 {
            // Nothing has begun, and nothing is here.
            exchange.flush().await?;
            return Ok(());
        }

        exchange.input.borrow_mut().consume(storage.consumed());
        let limits = &exchange.shared.settings.rules.limits;
        exchange
            .body
            .borrow_mut()
            .begin(storage.body_length(), limits.body_bytes_max);
        exchange.expects_continue.set(storage.expects_continue());
        let number = exchange.next_number();

        let request = Request::new(Rc::clone(head), Rc::clone(exchange), number);
        let response = handle(exchange, handler, request).await?;

        exchange.next_number();
        let mut answer_to = AnswerTo::request(head);
        answer_to.keeps_alive &= exchange.can_skip_body();
        // The answer goes first: a client may wait for it before it sends the rest of its body.
        let keeps_alive = exchange.write(&response, answer_to);
        if !keeps_alive || !exchange.skip_body().await? {
            exchange.flush().await?;
            exchange.close_gently().await;
            return Ok(());
        }
        gathered += 1;
        let is_much = exchange.output.borrow().len() > OUTPUT_BYTES_MAX;
        if is_much || gathered >= exchange.shared.settings.rules.limits.pipelined_max {
            exchange.flush().await?;
            gathered = 0;
        }
    }
}

/// Reads a head into `storage`; nothing is consumed when there is none and none has begun.
async fn read_head(
    exchange: &Exchange,
    storage: &mut RequestHead,
) -> std::result::Result<std::result::Result<(), RejectReason>, Gone> {
    loop {
        {
            let input = exchange.input.borrow();
            if input.is_empty() {
                return Ok(Ok(()));
            }
            match storage.read(input.bytes(), &exchange.shared.settings.rules) {
                Ok(Some(_)) => return Ok(Ok(())),
                Ok(None) => {}
                Err(reason) => return Ok(Err(reason)),
            }
        }
        exchange.input.borrow_mut().copy_out();
        exchange.flush().await?;
        exchange.receive().await?;
    }
}

/// Runs the handler. What has gathered is sent before it waits.
async fn handle<H: Handler>(
    exchange: &Exchange,
    handler: &H,
    request: Request,
) -> std::result::Result<Response, Gone> {
    let mut answer = pin!(handler.handle(request));
    exchange.in_handler.set(true);
    let first = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
    let response = match first {
        Poll::Ready(response) => response,
        Poll::Pending => {
            exchange.input.borrow_mut().copy_out();
            exchange.flush().await?;
            answer.await
        }
    };
    exchange.in_handler.set(false);
    Ok(response)
}

/// The future of an exchange, in a box that it never leaves.
pub(super) type Serving = Pin<Box<dyn Future<Output = ()>>>;
