//! TCP, Unix and UDP sockets.
//!
//! # What a socket keeps for you
//!
//! A socket receives by itself after the first call that receives: the kernel puts what arrives
//! into buffers of the runtime, and a future only waits for that. Dropping a [`TcpStream::recv`] or
//! [`TcpStream::read`] therefore loses nothing: what arrives later is there at the next call. Bytes
//! that no call has taken are *parked* in the socket. At four buffers, and what the kernel had
//! under way, the socket stops receiving, and the kernel holds the peer back until they were taken.
//! Without multishot receives (before 6.0, and on the poll driver) it receives one piece ahead at
//! most.
//!
//! The same goes for [`TcpListener::accept`] and [`UnixListener::accept`], whose connections stay
//! in the listener, and for writes the other way round: one that has begun is sent whole, one that
//! was dropped before its turn has sent nothing.
//!
//! A [`UdpSocket`] keeps datagrams in the same way, up to 32 of them. UDP has nothing to hold a
//! peer back with: when the kernel's buffer is full, too, it throws datagrams away.
//!
//! # Which runtime
//!
//! A socket belongs to the runtime that it was made in. Used inside another it answers with an
//! error that says so; [`TcpStream::detach`] takes a connection out, to be moved to another.

mod acceptor;
mod addr;
mod any_stream;
mod balance;
mod datagram;
mod dealt_by_core;
mod detached;
mod handover;
mod incoming;
mod inherited;
mod outbox;
mod owned_halves;
mod poll_doors;
mod rebind;
mod receive;
mod send_meta;
mod send_queue;
mod socket;
mod stream_methods;
mod tcp_listen_options;
mod tcp_listener;
mod tcp_options;
mod tcp_stream;
mod turns;
mod ucred;
mod udp_bind_options;
mod udp_options;
mod udp_receive;
mod udp_send;
mod udp_socket;
mod unix_listen_options;
mod unix_listener;
mod unix_stream;

pub(crate) use acceptor::Acceptor;
pub use addr::ToAddrs;
pub use datagram::{Datagram, RecvMeta, Segments};
pub use detached::Detached;
pub use handover::Handover;
pub use incoming::Incoming;
pub use inherited::{InheritedKind, InheritedSocket, inherited_sockets, spawn_with_sockets};
pub use owned_halves::{OwnedReadHalf, OwnedWriteHalf};
pub use send_meta::{EcnCodepoint, SendMeta};
pub use tcp_listen_options::TcpListenOptions;
pub use tcp_listener::TcpListener;
pub use tcp_stream::TcpStream;
pub use ucred::UCred;
pub use udp_bind_options::UdpBindOptions;
pub use udp_socket::UdpSocket;
pub use unix_listen_options::UnixListenOptions;
pub use unix_listener::UnixListener;
pub use unix_stream::UnixStream;
pub(crate) use {
    any_stream::AnyStream,
    balance::{Balance, JOIN_TIMEOUT, LoadFigure, Loads},
    dealt_by_core::{DealtByCore, deal_by_core},
    outbox::Outbox,
    receive::{BULK_BYTES_MAX, Flood, GoneWait},
    send_queue::SendAll,
    socket::Socket,
};
