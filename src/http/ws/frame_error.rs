//! Errors in the frames of a peer.

use std::fmt;

use super::CloseCode;

/// The reason why the frames of a peer are refused. The connection ends with its
/// [`close_code`](Self::close_code).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrameError {
    /// A bit is set that only an extension gives a meaning.
    ReservedBits,
    /// The opcode has no meaning.
    OpcodeReserved,
    /// A client sent a frame that is not masked.
    Unmasked,
    /// A server sent a frame that is masked.
    Masked,
    /// A control frame has more than 125 bytes.
    ControlTooLong,
    /// A control frame is not the whole of its message.
    ControlFragmented,
    /// A length would have fit fewer bytes than it was given.
    LengthNotMinimal,
    /// A length has its highest bit set.
    LengthTooLarge,
    /// A frame continues a message, and none has begun.
    ContinuationUnexpected,
    /// A frame begins a message inside of another one.
    ContinuationMissing,
    /// The message is over its limit, as the header of its last frame says.
    MessageTooLarge,
    /// The message has more frames than are allowed.
    TooManyFragments,
    /// A text message, or one of its fragments so far, is not UTF-8.
    TextNotUtf8,
    /// The payload of a close frame is a single byte.
    CloseTooShort,
    /// A close frame has a code that may not be sent.
    CloseCodeInvalid,
    /// The reason in a close frame is not UTF-8.
    CloseReasonNotUtf8,
    /// A compressed message is not in the format of deflate.
    DeflateInvalid,
}

impl FrameError {
    /// The name of the error for logs and counters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved-bits",
            Self::OpcodeReserved => "opcode-reserved",
            Self::Unmasked => "unmasked",
            Self::Masked => "masked",
            Self::ControlTooLong => "control-too-long",
            Self::ControlFragmented => "control-fragmented",
            Self::LengthNotMinimal => "length-not-minimal",
            Self::LengthTooLarge => "length-too-large",
            Self::ContinuationUnexpected => "continuation-unexpected",
            Self::ContinuationMissing => "continuation-missing",
            Self::MessageTooLarge => "message-too-large",
            Self::TooManyFragments => "too-many-fragments",
            Self::TextNotUtf8 => "text-not-utf8",
            Self::CloseTooShort => "close-too-short",
            Self::CloseCodeInvalid => "close-code-invalid",
            Self::CloseReasonNotUtf8 => "close-reason-not-utf8",
            Self::DeflateInvalid => "deflate-invalid",
        }
    }

    /// The code of the close frame that tells the peer (RFC 6455, section 7.4.1).
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::MessageTooLarge => CloseCode::MESSAGE_TOO_BIG,
            Self::TooManyFragments => CloseCode::POLICY_VIOLATION,
            Self::TextNotUtf8 | Self::CloseReasonNotUtf8 | Self::DeflateInvalid => {
                CloseCode::INVALID_PAYLOAD
            }
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// A sentence that says what was expected and what was found. It fits a close frame.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::ReservedBits => "expected clear reserved bits, found one set",
            Self::OpcodeReserved => "expected an opcode with a meaning, found a reserved one",
            Self::Unmasked => "expected a masked frame from a client, found an unmasked one",
            Self::Masked => "expected an unmasked frame from a server, found a masked one",
            Self::ControlTooLong => "expected a control frame of at most 125 bytes, found more",
            Self::ControlFragmented => "expected a whole control frame, found a fragment",
            Self::LengthNotMinimal => "expected a length in as few bytes as it fits, found more",
            Self::LengthTooLarge => "expected a length below 2^63, found a larger one",
            Self::ContinuationUnexpected => {
                "expected the first frame of a message, found a continuation"
            }
            Self::ContinuationMissing => "expected a continuation, found the start of a message",
            Self::MessageTooLarge => "expected a message within its limit, found a larger one",
            Self::TooManyFragments => "expected the last fragment of a message, found too many",
            Self::TextNotUtf8 => "expected text in UTF-8, found other bytes",
            Self::CloseTooShort => "expected a close code of two bytes, found one byte",
            Self::CloseCodeInvalid => "expected a close code that may be sent, found another one",
            Self::CloseReasonNotUtf8 => "expected a close reason in UTF-8, found other bytes",
            Self::DeflateInvalid => "expected deflated data, found other bytes",
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for FrameError {}
