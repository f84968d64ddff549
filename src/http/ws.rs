//! WebSocket without a socket and without a clock: bytes in, values and bytes out.
//!
//! Server, client, tests and fuzzers share this module. It follows RFC 6455, and RFC 7692 for
//! messages that are compressed. Every rule that a peer breaks ends the connection, with the close
//! code that [`FrameError::close_code`] names.
//!
//! A connection goes through these hands:
//!
//! - [`Handshake`] holds the request of a client against the rules and makes the answer.
//!   [`ClientHandshake`] makes the request and holds the answer of a server against them. Both
//!   choose a subprotocol, and negotiate [`Deflate`]. [`Origins`] says for which pages a browser
//!   may open a connection.
//! - [`Decoder`] takes frames apart, which arrive in pieces of any size. It unmasks them in place
//!   and hands out slices of its input: the messages, whole or as they come, and the control
//!   frames. It collects nothing, so a message that is in one piece allocates nothing.
//! - [`encode_message`] and its siblings write frames.
//!
//! The close handshake, the answers to pings and all times belong to the connection that uses this.
//!
//! The outcome never depends on how the bytes were cut into pieces: the tests feed every case
//! whole, split at every place, and byte by byte.

mod accept_key;
mod client_handshake;
mod close_code;
mod close_frame;
mod decoder;
#[cfg(feature = "compress")]
mod deflater;
mod encoder;
mod event;
mod extension;
mod frame_error;
mod frame_header;
mod handshake;
mod handshake_error;
#[cfg(feature = "compress")]
mod inflater;
mod limits;
mod mask;
mod origins;
mod permessage_deflate;
mod role;
#[cfg(test)]
mod tests;
mod utf8;

pub(crate) use client_handshake::{AnswerError, ClientHandshake};
pub use close_code::CloseCode;
pub(crate) use close_frame::CloseFrame;
pub(crate) use decoder::Decoder;
#[cfg(feature = "compress")]
pub(crate) use deflater::Deflater;
pub(crate) use encoder::{
    encode_close, encode_message, encode_ping, encode_pong, message_header, push_little_frame,
};
pub(crate) use event::{Data, Event, MessageKind, Payload, Step};
pub use frame_error::FrameError;
pub(crate) use frame_header::{FrameHeader, Opcode};
pub(crate) use handshake::Handshake;
pub(crate) use handshake_error::HandshakeError;
#[cfg(feature = "compress")]
pub(crate) use inflater::Inflater;
pub(crate) use limits::Limits;
pub(crate) use mask::mask;
pub use origins::Origins;
pub(crate) use permessage_deflate::Deflate;
pub(crate) use role::Role;
