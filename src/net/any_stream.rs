//! A stream of any type, which is treated apart if it is one of this crate's sockets.

use std::any::Any;

use super::{Socket, TcpStream, UnixStream};
use crate::io::ByteStream;

/// A stream of any type. Sockets have faster ways than a [`ByteStream`], so they are kept as such.
/// No other place tells them apart. A type that keeps a stream adds its own state to each arm.
pub(crate) enum AnyStream {
    Socket(Socket),
    Other(Box<dyn ByteStream>),
}

impl<S: ByteStream + 'static> From<S> for AnyStream {
    fn from(stream: S) -> Self {
        let mut stream = Some(stream);
        let any: &mut dyn Any = &mut stream;
        if let Some(tcp) = any.downcast_mut::<Option<TcpStream>>() {
            if let Some(tcp) = tcp.take() {
                return Self::Socket(tcp.into_socket());
            }
        } else if let Some(unix) = any.downcast_mut::<Option<UnixStream>>() {
            if let Some(unix) = unix.take() {
                return Self::Socket(unix.into_socket());
            }
        }
        let stream = stream.expect("only a socket was taken out");
        Self::Other(Box::new(stream))
    }
}
