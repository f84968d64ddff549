//! Finds the bytes of a body in what arrives.

use std::ops::Range;

use super::{BodyError, BodyLength, Fields, Rules, chunk_decoder::ChunkDecoder};

/// Tells the data of a body from its framing, whatever the framing.
///
/// It copies nothing: each call says where data is in the bytes it was given. It is made to be
/// recycled.
#[derive(Debug, Clone)]
pub(crate) struct BodyDecoder {
    state: State,
    bytes_max: u64,
    received: u64,
    trailers: Fields,
}

#[derive(Debug, Clone)]
enum State {
    /// The body is complete.
    End,
    /// This many bytes are to come.
    Sized(u64),
    Chunked(ChunkDecoder),
    UntilClose,
}

/// The result of a decoder's look at the bytes that it was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BodyStep {
    /// The place of the data in the bytes that were given. Empty when there is only framing.
    pub(crate) data: Range<usize>,
    /// The number of given bytes that the decoder is done with. The rest is to be given again, or
    /// belongs to the next message when this is the end.
    pub(crate) consumed: usize,
    /// Whether the body is complete.
    pub(crate) is_end: bool,
}

impl BodyDecoder {
    /// A decoder for no body at all.
    pub(crate) fn new() -> Self {
        Self {
            state: State::End,
            bytes_max: 0,
            received: 0,
            trailers: Fields::default(),
        }
    }

    /// Begins a body that may have at most `bytes_max` bytes of data.
    pub(crate) fn begin(&mut self, length: BodyLength, bytes_max: u64) {
        self.state = match length {
            BodyLength::None | BodyLength::Sized(0) => State::End,
            BodyLength::Sized(length) => State::Sized(length),
            BodyLength::Chunked => State::Chunked(ChunkDecoder::new()),
            BodyLength::UntilClose => State::UntilClose,
        };
        self.bytes_max = bytes_max;
        self.received = 0;
        self.trailers.clear();
    }

    /// Changes how many bytes of data the body may have, those that came already included.
    pub(crate) fn set_bytes_max(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
    }

    /// Fails when it is known that the body is over its limit, before it is asked for.
    pub(crate) fn check_length(&self) -> Result<(), BodyError> {
        match self.state {
            State::Sized(left) if left > self.room() => Err(BodyError::TooLarge),
            _ => Ok(()),
        }
    }

    /// Whether the body is complete.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// Number of bytes of data that came so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Number of bytes of data that are to come, when that is known.
    pub(crate) fn bytes_left(&self) -> Option<u64> {
        match self.state {
            State::End => Some(0),
            State::Sized(left) => Some(left),
            State::Chunked(_) | State::UntilClose => None,
        }
    }

    /// The trailers that came after the body, without those that have no meaning there.
    pub(crate) fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// Finds the first run of data in `input`, which follows on what was consumed before.
    ///
    /// It consumes at least one byte unless `input` is empty or the body is complete.
    ///
    /// # Errors
    ///
    /// Data that came before an error is returned first. An error comes again at every later call.
    pub(crate) fn decode(&mut self, input: &[u8], rules: &Rules) -> Result<BodyStep, BodyError> {
        self.check_length()?;
        let room = self.room();
        let there = input.len() as u64;
        let step = match &mut self.state {
            State::End => BodyStep {
                is_end: true,
                ..BodyStep::default()
            },
            State::Sized(left) => {
                let len = (*left).min(there);
                *left -= len;
                // At most the length of `input`.
                let end = len as usize;
                BodyStep {
                    data: 0..end,
                    consumed: end,
                    is_end: *left == 0,
                }
            }
            State::Chunked(chunks) => {
                let (data, consumed) = chunks.decode(input, room, rules, &mut self.trailers)?;
                BodyStep {
                    data,
                    consumed,
                    is_end: chunks.is_end(),
                }
            }
            State::UntilClose => {
                if there > 0 && room == 0 {
                    return Err(BodyError::TooLarge);
                }
                // At most the length of `input`.
                let end = there.min(room) as usize;
                BodyStep {
                    data: 0..end,
                    consumed: end,
                    is_end: false,
                }
            }
        };
        self.received += step.data.len() as u64;
        if step.is_end {
            self.state = State::End;
        }
        Ok(step)
    }

    /// Finds all data in `input` and moves it together, so that many small chunks become one run.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    pub(crate) fn decode_in_place(
        &mut self,
        input: &mut [u8],
        rules: &Rules,
    ) -> Result<BodyStep, BodyError> {
        let mut whole = self.decode(input, rules)?;
        while !whole.is_end && whole.consumed < input.len() {
            // An error comes again at the next call, which gets what was not consumed.
            let Ok(step) = self.decode(&input[whole.consumed..], rules) else {
                break;
            };
            let start = whole.consumed + step.data.start;
            let end = whole.consumed + step.data.end;
            input.copy_within(start..end, whole.data.end);
            whole.data.end += step.data.len();
            whole.consumed += step.consumed;
            whole.is_end = step.is_end;
        }
        Ok(whole)
    }

    /// Takes note that the connection ended.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` unless the body is complete, or is one that ends so.
    pub(crate) fn eof(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::End => Ok(()),
            State::UntilClose => {
                self.state = State::End;
                Ok(())
            }
            State::Sized(_) | State::Chunked(_) => Err(BodyError::UnexpectedEof),
        }
    }

    /// How many bytes of data are allowed from here on.
    fn room(&self) -> u64 {
        self.bytes_max.saturating_sub(self.received)
    }
}

impl Default for BodyDecoder {
    fn default() -> Self {
        Self::new()
    }
}
