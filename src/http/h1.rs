//! HTTP/1.1 without a socket and without a clock: bytes in, values and bytes out.
//!
//! Server, client, tests and fuzzers share this module. It follows RFC 9110 and RFC 9112, and one
//! principle: when two parsers could disagree on where a message ends, it refuses and the
//! connection closes; when only the meaning is at stake, it answers and the connection stays open.
//!
//! A message goes through these hands:
//!
//! - [`HeadScanner`] finds the end of a head in bytes that arrive in pieces. Every limit acts as
//!   it is crossed, and no byte is looked at twice.
//! - [`RequestHead`] and [`ResponseHead`] hold the complete head: their own copy of its bytes, and
//!   the places of the fields in it. They are recycled, so that a warm one allocates nothing.
//! - [`BodyDecoder`] finds the bytes of the body in what arrives, for every framing, and the
//!   trailers after it.
//! - [`ResponseEncoder`] and [`RequestEncoder`] write heads, [`BodyEncoder`] frames what follows,
//!   and [`encode_reject`] writes the answers that a server gives by itself.
//!
//! The outcome never depends on how the bytes were cut into pieces: the tests feed every case
//! whole, split at every place, and byte by byte.

mod answer_to;
mod body_decoder;
mod body_encoder;
mod body_error;
mod body_length;
mod chunk_decoder;
pub(crate) mod chunk_encoder;
mod date;
mod diagnosis;
mod fields;
mod framing;
mod head_error;
mod host;
mod leniency;
mod limits;
mod plain_encoder;
mod reject_answer;
mod request_encoder;
mod request_error;
mod request_head;
mod request_line;
mod response_encoder;
mod response_error;
mod response_head;
mod rules;
mod scan;
mod span;
mod target;
#[cfg(test)]
mod tests;
mod token;
mod words;
mod write;

pub(crate) use answer_to::AnswerTo;
pub(crate) use body_decoder::BodyDecoder;
pub(crate) use body_encoder::{BodyEncoder, DataFrame, PromiseBroken};
pub use body_error::BodyError;
pub(crate) use body_length::BodyLength;
pub(crate) use chunk_encoder::CHUNK_END;
pub(crate) use date::{DateCache, imf_fixdate, parse_date};
pub(crate) use fields::Fields;
pub use head_error::HeadError;
pub(crate) use host::is_host;
pub use leniency::Leniency;
pub use limits::Limits;
pub(crate) use plain_encoder::PlainEncoder;
pub(crate) use reject_answer::{Reject, encode_reject};
pub(crate) use request_encoder::{FieldLines, RequestEncoder};
pub use request_error::RequestError;
pub(crate) use request_head::RequestHead;
pub(crate) use response_encoder::{CONTINUE, ResponseEncoder, ResponseFraming};
pub use response_error::ResponseError;
pub(crate) use response_head::ResponseHead;
pub(crate) use rules::Rules;
pub(crate) use scan::HeadScanner;
pub(crate) use token::{is_target_byte, is_token, trim};
