//! Takes the frames of a peer apart (RFC 6455, section 5).

use std::str;

use super::{
    CloseFrame, Data, Event, FrameError, Limits, MessageKind, Opcode, Payload, Role, Step,
    frame_header::{
        CONTROL_BYTES_MAX, Context, FrameHeader, LONGEST_HEADER_BYTES, MASKED, WHOLE_BINARY,
        WHOLE_TEXT,
    },
    mask::{key_after, mask},
    utf8::SplitChar,
};

/// The place of the next byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a header.
    Header,
    /// In the payload of a data frame, or at its end when that is not told yet.
    Data,
    /// In the payload of a control frame, or at its end.
    Control,
    /// After a close frame.
    Closed,
    /// After a byte that breaks a rule.
    Failed(FrameError),
}

/// The message that has begun and is not complete.
#[derive(Debug, Clone, Copy)]
struct Message {
    kind: MessageKind,
    is_compressed: bool,
    /// Bytes of all its frames so far, as their headers say.
    bytes: u64,
    fragment_count: u32,
}

/// A little message that was found in the input, and not taken yet.
#[derive(Clone, Copy)]
pub(crate) struct Little {
    kind: MessageKind,
    /// The place of the payload.
    begin: usize,
    len: u8,
    key: [u8; 4],
}

impl Little {
    /// The bytes of the frame.
    #[inline]
    pub(crate) fn end(self) -> usize {
        self.begin + usize::from(self.len)
    }
}

/// The payload of a control frame that came in several pieces.
#[derive(Debug)]
struct ControlBytes {
    bytes: [u8; CONTROL_BYTES_MAX],
    len: usize,
}

/// Takes the frames of a peer apart, which arrive in pieces of any size.
///
/// Payloads are unmasked in place, and nothing is copied or collected but the parts of headers, of
/// characters and of control frames that are split between two pieces. Only the last of these
/// allocate.
#[derive(Debug)]
pub(crate) struct Decoder {
    role: Role,
    deflate: bool,
    state: State,
    /// The bytes of a header that is incomplete.
    header: [u8; LONGEST_HEADER_BYTES],
    header_len: u8,
    /// The opcode of the frame whose payload comes.
    opcode: Opcode,
    is_final: bool,
    is_masked: bool,
    /// The key for the next byte of the payload.
    key: [u8; 4],
    /// The bytes of a text message's character that is split.
    split_char: SplitChar,
    /// Bytes of the payload that are to come.
    left: u64,
    message: Option<Message>,
    control: Option<Box<ControlBytes>>,
}

impl Decoder {
    /// A decoder for the first frame of a connection, of which this program is the end `role`.
    /// `deflate` says whether permessage-deflate was agreed on.
    pub(crate) fn new(role: Role, deflate: bool) -> Self {
        Self {
            role,
            deflate,
            state: State::Header,
            header: [0; LONGEST_HEADER_BYTES],
            header_len: 0,
            opcode: Opcode::Continuation,
            is_final: false,
            is_masked: false,
            key: [0; 4],
            split_char: SplitChar::default(),
            left: 0,
            message: None,
            control: None,
        }
    }

    /// Begins anew, at the first frame of another connection. It is at rest.
    pub(crate) fn begin(&mut self, role: Role, deflate: bool) {
        (self.role, self.deflate) = (role, deflate);
    }

    /// Whether the next byte begins a message: a new decoder would go on as this one.
    #[inline]
    pub(crate) fn is_at_rest(&self) -> bool {
        self.state == State::Header && self.header_len == 0 && self.message.is_none()
    }

    /// Takes bytes from the start of `input`, at most up to the first event, and unmasks these.
    ///
    /// Call again with the rest of the input until nothing is left: no event waits for more bytes
    /// than it has. The limits are the same for all calls.
    ///
    /// # Errors
    ///
    /// The rule that the peer broke. Every later call fails as this one.
    #[inline]
    pub(crate) fn decode<'a>(
        &'a mut self,
        input: &'a mut [u8],
        limits: &Limits,
    ) -> Result<Step<'a>, FrameError> {
        match self.find_little(input, limits) {
            Some(little) => {
                let consumed = little.end();
                let payload = self.take_little(input, little)?;
                Ok(Step {
                    consumed,
                    event: Some(Event::Data(Data {
                        payload,
                        is_whole: true,
                        is_end: true,
                    })),
                })
            }
            None => self.decode_any(input, limits),
        }
    }

    /// Finds a message of at most 125 bytes that `input` begins with, in one frame that is here
    /// and breaks no rule of headers: most messages are. Nothing else has begun.
    #[inline]
    pub(crate) fn find_little(&self, input: &[u8], limits: &Limits) -> Option<Little> {
        let (&[first, second], rest) = input.split_first_chunk()?;
        let kind = match first {
            WHOLE_TEXT => MessageKind::Text,
            WHOLE_BINARY => MessageKind::Binary,
            _ => return None,
        };
        let (len, key) = match self.role {
            Role::Server => (second.wrapping_sub(MASKED), *rest.first_chunk()?),
            Role::Client => (second, [0; 4]),
        };
        let little = Little {
            kind,
            begin: if self.role == Role::Server { 6 } else { 2 },
            len,
            key,
        };
        let is_allowed = usize::from(len) <= CONTROL_BYTES_MAX
            && little.end() <= input.len()
            && u64::from(len) <= limits.message_bytes_max
            && limits.fragments_max > 0
            && self.is_at_rest();
        is_allowed.then_some(little)
    }

    /// Takes the message that was found in `input`, and unmasks it there. The next byte begins
    /// another frame, so there is nothing to be noted.
    ///
    /// # Errors
    ///
    /// It is no text. Every later call fails as this one.
    #[inline]
    pub(crate) fn take_little<'a>(
        &mut self,
        input: &'a mut [u8],
        little: Little,
    ) -> Result<Payload<'a>, FrameError> {
        let bytes = &mut input[little.begin..little.end()];
        if self.role == Role::Server {
            mask(bytes, little.key);
        }
        match little.kind {
            MessageKind::Binary => Ok(Payload::Binary(bytes)),
            MessageKind::Text => match str::from_utf8(bytes) {
                Ok(text) => Ok(Payload::Text(text)),
                Err(_) => Err(self.fail(FrameError::TextNotUtf8)),
            },
        }
    }

    /// As [`decode`](Self::decode), whatever the input begins with.
    #[inline(never)]
    fn decode_any<'a>(
        &'a mut self,
        input: &'a mut [u8],
        limits: &Limits,
    ) -> Result<Step<'a>, FrameError> {
        let begin = self.take_headers(input, limits)?;
        match self.state {
            State::Header => Ok(nothing(begin)),
            State::Closed => Ok(nothing(input.len())),
            State::Failed(error) => Err(error),
            _ if self.left > 0 && begin == input.len() => Ok(nothing(begin)),
            State::Control => self.take_control(input, begin),
            State::Data if self.split_char.is_empty() => self.take_data(input, begin),
            State::Data => self.take_split_char(input, begin),
        }
    }

    /// Takes headers up to the first payload, which may be empty. Returns where it begins.
    #[inline]
    fn take_headers(&mut self, input: &[u8], limits: &Limits) -> Result<usize, FrameError> {
        let mut at = 0;
        while self.state == State::Header && at < input.len() {
            let taken = if self.header_len == 0 {
                self.take_header(&input[at..], limits)
            } else {
                self.take_split_header(&input[at..], limits)
            };
            match taken {
                Ok(len) => at += len,
                Err(error) => return Err(self.fail(error)),
            }
        }
        Ok(at)
    }

    /// Takes the header at the start of `input`, of which no byte was seen before. Returns how many
    /// bytes it has there.
    #[inline]
    fn take_header(&mut self, input: &[u8], limits: &Limits) -> Result<usize, FrameError> {
        if let Some((header, len)) = FrameHeader::parse(input, self.context())? {
            self.begin_frame(header, limits)?;
            return Ok(len);
        }
        self.header[..input.len()].copy_from_slice(input);
        self.header_len = input.len() as u8;
        Ok(input.len())
    }

    /// The same for a header that began in an earlier piece.
    #[cold]
    fn take_split_header(&mut self, input: &[u8], limits: &Limits) -> Result<usize, FrameError> {
        let before = usize::from(self.header_len);
        let there = input.len().min(LONGEST_HEADER_BYTES - before);
        let end = before + there;
        self.header[before..end].copy_from_slice(&input[..there]);
        if let Some((header, len)) = FrameHeader::parse(&self.header[..end], self.context())? {
            self.header_len = 0;
            self.begin_frame(header, limits)?;
            return Ok(len - before);
        }
        self.header_len = end as u8;
        Ok(there)
    }

    #[inline]
    fn context(&self) -> Context {
        Context {
            role: self.role,
            deflate: self.deflate,
            in_message: self.message.is_some(),
        }
    }

    /// A header is complete.
    #[inline]
    fn begin_frame(&mut self, header: FrameHeader, limits: &Limits) -> Result<(), FrameError> {
        self.opcode = header.opcode;
        self.is_final = header.is_final;
        self.is_masked = header.key.is_some();
        self.key = header.key.unwrap_or_default();
        self.left = header.len;
        self.control = None;
        if header.opcode.is_control() {
            self.state = State::Control;
            return Ok(());
        }
        let kind = match header.opcode {
            Opcode::Text => MessageKind::Text,
            _ => MessageKind::Binary,
        };
        let message = self.message.get_or_insert(Message {
            kind,
            is_compressed: header.is_compressed,
            bytes: 0,
            fragment_count: 0,
        });
        message.fragment_count += 1;
        if message.fragment_count > limits.fragments_max {
            return Err(FrameError::TooManyFragments);
        }
        let bytes_max = if message.is_compressed {
            limits.deflated_bytes_max()
        } else {
            limits.message_bytes_max
        };
        message.bytes = message.bytes.saturating_add(header.len);
        if message.bytes > bytes_max {
            return Err(FrameError::MessageTooLarge);
        }
        // The last frame makes an event even if it is empty.
        if header.len > 0 || header.is_final {
            self.state = State::Data;
        }
        Ok(())
    }

    /// Takes bytes of a message that begin at `begin`, at the start of a character of text.
    #[inline]
    fn take_data<'a>(&mut self, input: &'a mut [u8], begin: usize) -> Result<Step<'a>, FrameError> {
        let message = self.message.expect("a data frame belongs to a message");
        let bytes = self.unmask(&mut input[begin..]);
        let consumed = begin + bytes.len();
        let is_whole = self.is_final && bytes.len() as u64 == message.bytes;
        let payload = match message.kind {
            kind if message.is_compressed => Payload::Deflated(kind, bytes),
            MessageKind::Binary => Payload::Binary(bytes),
            MessageKind::Text => match self.split_char.split(bytes) {
                Ok(text) => Payload::Text(text),
                Err(_) => return Err(self.fail(FrameError::TextNotUtf8)),
            },
        };
        let is_end = self.end_of_data()?;
        if payload.bytes().is_empty() && !is_end {
            // There was nothing but a part of a character.
            return Ok(nothing(consumed));
        }
        Ok(Step {
            consumed,
            event: Some(Event::Data(Data {
                payload,
                is_whole,
                is_end,
            })),
        })
    }

    /// Takes bytes of a text message up to the end of the character that is split.
    #[cold]
    fn take_split_char<'a>(
        &'a mut self,
        input: &mut [u8],
        begin: usize,
    ) -> Result<Step<'a>, FrameError> {
        let mut consumed = begin;
        let mut is_complete = false;
        while self.left > 0 && consumed < input.len() && !is_complete {
            let byte = &mut input[consumed..=consumed];
            self.unmask(byte);
            consumed += 1;
            is_complete = match self.split_char.push(byte[0]) {
                Ok(is_complete) => is_complete,
                Err(_) => return Err(self.fail(FrameError::TextNotUtf8)),
            };
        }
        if !is_complete {
            self.end_of_data()?;
            return Ok(nothing(consumed));
        }
        let is_end = self.left == 0 && self.is_final;
        self.end_frame();
        Ok(Step {
            consumed,
            event: Some(Event::Data(Data {
                payload: Payload::Text(self.split_char.take()),
                is_whole: false,
                is_end,
            })),
        })
    }

    /// The bytes of the payload at the start of `input`, unmasked.
    #[inline]
    fn unmask<'a>(&mut self, input: &'a mut [u8]) -> &'a mut [u8] {
        // At most the length of `input`.
        let len = self.left.min(input.len() as u64) as usize;
        let bytes = &mut input[..len];
        if self.is_masked {
            mask(bytes, self.key);
            self.key = key_after(self.key, len);
        }
        self.left -= len as u64;
        bytes
    }

    /// Goes on to the next frame if this data frame is complete. Returns whether its message is.
    #[inline]
    fn end_of_data(&mut self) -> Result<bool, FrameError> {
        let is_end = self.left == 0 && self.is_final;
        if is_end && !self.split_char.is_empty() {
            return Err(self.fail(FrameError::TextNotUtf8));
        }
        self.end_frame();
        Ok(is_end)
    }

    #[inline]
    fn end_frame(&mut self) {
        if self.left == 0 {
            self.state = State::Header;
            if self.is_final {
                self.message = None;
            }
        }
    }

    /// Takes bytes of a control frame that begin at `begin`.
    fn take_control<'a>(
        &'a mut self,
        input: &'a mut [u8],
        begin: usize,
    ) -> Result<Step<'a>, FrameError> {
        let piece = self.unmask(&mut input[begin..]);
        let consumed = begin + piece.len();
        self.state = match (self.left, self.opcode) {
            (0, Opcode::Close) => State::Closed,
            (0, _) => State::Header,
            _ => State::Control,
        };
        let mut payload: &[u8] = piece;
        if self.left > 0 || self.control.is_some() {
            let control = self.control.get_or_insert_default();
            control.push(payload);
            payload = control.as_slice();
        }
        if self.state == State::Control {
            return Ok(nothing(consumed));
        }
        let event = match self.opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Pong(payload),
            _ => match CloseFrame::parse(payload) {
                Ok(frame) => Event::Close(frame),
                Err(error) => {
                    self.state = State::Failed(error);
                    return Err(error);
                }
            },
        };
        Ok(Step {
            consumed,
            event: Some(event),
        })
    }

    #[cold]
    fn fail(&mut self, error: FrameError) -> FrameError {
        self.state = State::Failed(error);
        error
    }
}

/// Bytes were taken, and there is nothing to tell.
#[inline]
fn nothing<'a>(consumed: usize) -> Step<'a> {
    Step {
        consumed,
        event: None,
    }
}

impl ControlBytes {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Default for ControlBytes {
    fn default() -> Self {
        Self {
            bytes: [0; CONTROL_BYTES_MAX],
            len: 0,
        }
    }
}
