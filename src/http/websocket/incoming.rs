//! Puts messages together from received bytes.

use bytes::Bytes;

use super::{CloseInfo, Compression, FrameError, Message};
use crate::{
    http::ws::{Data, Decoder, Event, Limits, MessageKind, Payload, Role},
    pool::ManagedBuf,
};

/// A message in one piece of at least so many bytes is handed on in its memory, where that is the
/// program's own. A smaller one is copied out.
const SHARED_BYTES_MIN: usize = 4 * 1024;

/// An event of a peer.
pub(super) enum Arrived {
    Message(Message),
    /// A ping, with its payload.
    Ping(Vec<u8>),
    Close(CloseInfo),
    Failed(FrameError),
}

/// The result of one look for a message.
pub(super) enum Next {
    /// The message that waited to be taken.
    Ready(Message),
    /// One in a little frame of its own.
    Little(Message),
    /// Bytes that are anything else.
    Other,
    /// No bytes that count.
    Nothing,
}

/// A message of which a part has come.
enum Partial {
    Text(String),
    Binary(Vec<u8>),
    Deflated(MessageKind, Vec<u8>),
}

/// Received bytes, and the message that they are the beginning of.
pub(super) struct Incoming {
    decoder: Decoder,
    /// The bytes that are not looked at yet.
    input: Option<ManagedBuf>,
    /// Boxed, since an idle connection has none.
    partial: Option<Box<Partial>>,
    /// The message that waits to be taken.
    ready: Option<Message>,
}

impl Incoming {
    pub(super) fn new(role: Role, deflate: bool) -> Self {
        Self {
            decoder: Decoder::new(role, deflate),
            input: None,
            partial: None,
            ready: None,
        }
    }

    /// Whether nothing of a message or of a frame is here.
    pub(super) fn is_at_rest(&self) -> bool {
        self.decoder.is_at_rest()
            && self.input.is_none()
            && self.partial.is_none()
            && self.ready.is_none()
    }

    /// Gives it to a connection of another kind. It is at rest.
    pub(super) fn begin(&mut self, role: Role, deflate: bool) {
        debug_assert!(self.is_at_rest());
        self.decoder.begin(role, deflate);
    }

    /// Whether there are bytes that were not looked at.
    #[inline]
    pub(super) fn has_input(&self) -> bool {
        self.input.is_some()
    }

    /// Whether a message waits to be taken.
    #[inline]
    pub(super) fn has_ready(&self) -> bool {
        self.ready.is_some()
    }

    /// The next message, where one look finds it. None counts when the peer `is_over`.
    #[inline]
    pub(super) fn take_next(&mut self, limits: &Limits, is_over: bool) -> Next {
        if let Some(message) = self.ready.take() {
            return Next::Ready(message);
        }
        if is_over || self.input.is_none() {
            return Next::Nothing;
        }
        match self.next_little(limits) {
            Some(message) => Next::Little(message),
            None => Next::Other,
        }
    }

    pub(super) fn keep_ready(&mut self, message: Message) {
        self.ready = Some(message);
    }

    pub(super) fn take_ready(&mut self) -> Option<Message> {
        self.ready.take()
    }

    /// Gives it what was received. All that came before it has been looked at.
    #[inline]
    pub(super) fn push(&mut self, input: ManagedBuf) {
        debug_assert!(self.input.is_none());
        self.input = Some(input);
    }

    /// Copies the bytes that are not looked at out of the kernel's memory, for a wait.
    pub(super) fn copy_out(&mut self) {
        if let Some(input) = self.input.take_if(|input| !input.is_own()) {
            self.input = Some(ManagedBuf::own(input.to_vec()));
        }
    }

    /// The next event in the bytes that are here, if it is a little message in one frame.
    #[inline]
    pub(super) fn next_little(&mut self, limits: &Limits) -> Option<Message> {
        let input = self.input.as_mut()?;
        let bytes = &mut **input;
        let little = self.decoder.find_little(bytes, limits)?;
        let is_all = little.end() == bytes.len();
        let message = match self.decoder.take_little(bytes, little) {
            Ok(Payload::Text(text)) => Message::Text(text.to_owned()),
            Ok(payload) => Message::Binary(Bytes::copy_from_slice(payload.bytes())),
            // `next` is told so again.
            Err(_) => return None,
        };
        if is_all {
            self.input = None;
        } else {
            input.advance(little.end());
        }
        Some(message)
    }

    /// The next event in the bytes that are here; none when more are needed.
    pub(super) fn next(&mut self, limits: &Limits) -> Option<Arrived> {
        loop {
            let input = self.input.as_mut()?;
            let is_own = input.is_own();
            let (consumed, arrived) = match self.decoder.decode(input, limits) {
                Err(error) => (input.len(), Some(Arrived::Failed(error))),
                Ok(step) => match step.event {
                    None | Some(Event::Pong(_)) => (step.consumed, None),
                    Some(Event::Ping(payload)) => {
                        (step.consumed, Some(Arrived::Ping(payload.to_vec())))
                    }
                    Some(Event::Close(frame)) => {
                        (step.consumed, Some(Arrived::Close(CloseInfo::new(frame))))
                    }
                    Some(Event::Data(data)) => match shared_len(&data) {
                        Some(len) if is_own => {
                            let consumed = step.consumed;
                            return Some(Arrived::Message(self.share(consumed, len)));
                        }
                        _ => (step.consumed, add(&mut self.partial, &data, limits)),
                    },
                },
            };
            if consumed == input.len() {
                self.input = None;
            } else {
                input.advance(consumed);
            }
            if arrived.is_some() {
                return arrived;
            }
        }
    }

    /// Takes the `len` bytes before `consumed` as a message, in the memory that they are in.
    fn share(&mut self, consumed: usize, len: usize) -> Message {
        let mut input = self.input.take().expect("it was decoded");
        if consumed < input.len() {
            self.input = Some(ManagedBuf::own(input[consumed..].to_vec()));
        }
        input.advance(consumed - len);
        input.truncate(len);
        Message::Binary(input.into())
    }
}

/// The length of a message that is handed on in its memory.
fn shared_len(data: &Data<'_>) -> Option<usize> {
    match data.payload {
        Payload::Binary(bytes) if data.is_whole && bytes.len() >= SHARED_BYTES_MIN => {
            Some(bytes.len())
        }
        _ => None,
    }
}

/// Adds bytes to the message that has begun. Returns it when it is complete.
fn add(partial: &mut Option<Box<Partial>>, data: &Data<'_>, limits: &Limits) -> Option<Arrived> {
    if data.is_whole {
        return Some(whole(data.payload, limits));
    }
    let partial_of = partial.get_or_insert_with(|| {
        Box::new(match data.payload {
            Payload::Text(_) => Partial::Text(String::new()),
            Payload::Binary(_) => Partial::Binary(Vec::new()),
            Payload::Deflated(kind, _) => Partial::Deflated(kind, Vec::new()),
        })
    });
    match (&mut **partial_of, data.payload) {
        (Partial::Text(text), Payload::Text(more)) => text.push_str(more),
        (Partial::Binary(bytes) | Partial::Deflated(_, bytes), payload) => {
            let more = payload.bytes();
            bytes.extend_from_slice(more);
        }
        (Partial::Text(_), _) => unreachable!("all pieces of a message are of one kind"),
    }
    if !data.is_end {
        return None;
    }
    let partial = partial.take().expect("it was added to");
    Some(match *partial {
        Partial::Text(text) => Arrived::Message(Message::Text(text)),
        Partial::Binary(bytes) => Arrived::Message(Message::Binary(bytes.into())),
        Partial::Deflated(kind, bytes) => inflate(kind, &bytes, limits),
    })
}

/// A message that is in one piece.
fn whole(payload: Payload<'_>, limits: &Limits) -> Arrived {
    Arrived::Message(match payload {
        Payload::Text(text) => Message::Text(text.to_owned()),
        Payload::Binary(bytes) => Message::Binary(Bytes::copy_from_slice(bytes)),
        Payload::Deflated(kind, bytes) => return inflate(kind, bytes, limits),
    })
}

fn inflate(kind: MessageKind, deflated: &[u8], limits: &Limits) -> Arrived {
    let bytes = match Compression::inflate(deflated, limits) {
        Ok(bytes) => bytes,
        Err(error) => return Arrived::Failed(error),
    };
    match kind {
        MessageKind::Binary => Arrived::Message(Message::Binary(bytes.into())),
        MessageKind::Text => match String::from_utf8(bytes) {
            Ok(text) => Arrived::Message(Message::Text(text)),
            Err(_) => Arrived::Failed(FrameError::TextNotUtf8),
        },
    }
}
