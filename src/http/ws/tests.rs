//! The rules of the protocol, one by one and at random.

mod client_handshake;
#[cfg(feature = "compress")]
mod compression;
mod encoding;
mod errors;
mod handshake;
#[cfg(feature = "compress")]
mod inflating;
mod oracle;
mod play;
mod properties;
mod random;
mod rules;
mod text;
#[cfg(not(feature = "compress"))]
mod uninflated;

#[cfg(not(feature = "compress"))]
use uninflated as inflating;
