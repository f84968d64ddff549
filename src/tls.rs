//! TLS 1.2 and 1.3 over any stream, for clients and servers, by rustls.
//!
//! Feature: `tls`.
//!
//! A protocol calls [`connect`] on a stream that it has opened, and [`accept`] on one that it has
//! accepted. With the feature `http` the HTTP client does this by itself for `https`; its builder
//! takes a [`Config`] where the defaults do not fit. The HTTP server does it at the addresses of
//! `Server::listen_tls`, which takes a [`ServerConfig`].
//!
//! ```no_run
//! use annulus::{net::TcpStream, tls};
//!
//! # fn main() -> std::io::Result<()> {
//! annulus::run(async {
//!     let config = tls::Config::new()?;
//!     let stream = TcpStream::connect("127.0.0.1:6697").await?;
//!     let mut stream = tls::connect(stream, "irc.example", &config).await?;
//!     stream.write_all(b"NICK annulus\r\n").await?;
//!     println!("{}", stream.recv().await?.escape_ascii());
//!     stream.shutdown().await
//! })
//! # }
//! ```
//!
//! # Certificates
//!
//! A server has to show a certificate for the name, or the address, that was connected to, signed
//! by one of the system's authorities: those of the files that OpenSSL reads, which `SSL_CERT_FILE`
//! and `SSL_CERT_DIR` name where they are set. [`Config::builder`] adds others, or those of
//! Mozilla, which the feature `tls-bundled-roots` builds in. Revocation is not asked for.
//! Everything else that rustls can do is there by a [`rustls::ClientConfig`] of one's own, which
//! turns into a [`Config`].
//!
//! A server shows a certificate by the name that the client asks for; a [`ServerConfigBuilder`]
//! sets them. [`ServerConfig::reload`] reads its files again. A [`rustls::ServerConfig`] turns into
//! a [`ServerConfig`].
//!
//! # The end of a stream
//!
//! A peer says that it has finished (`close_notify`). Any machine on the way can cut a connection,
//! so one that ends without it fails with `UnexpectedEof` instead of ending as a finished stream.
//!
//! # Sessions
//!
//! The connections of a [`Config`] and its clones, on any thread, share the tickets that servers
//! gave them to resume a session, for up to 256 servers. A resumed handshake verifies no
//! certificate again and is cheaper for both sides. A server keeps no sessions: they are in the
//! tickets, which all connections of a [`ServerConfig`] and its clones can read.
//!
//! # Memory
//!
//! An idle connection holds no buffers: records are decrypted where the kernel put them, and what
//! was encrypted is given up when it was sent. The state of the session and the server's
//! certificates stay: 4.4 KiB with one short certificate, nearly all of it rustls's.

mod acceptor;
mod builder;
#[cfg(feature = "tls-bundled-roots")]
mod bundled_roots;
mod carrier;
mod config;
mod handshake_info;
mod hello;
pub(crate) mod incoming;
mod names;
mod roots;
mod server_builder;
mod server_config;
mod session;
mod tls_stream;
mod trusting;
mod version;
mod watching;

/// The crate `rustls`, for a configuration of your own.
pub use ::rustls;

pub use acceptor::Acceptor;
pub use builder::ConfigBuilder;
pub use carrier::Carrier;
pub use config::Config;
pub use handshake_info::HandshakeInfo;
pub use hello::ClientHello;

pub use server_builder::ServerConfigBuilder;
pub use server_config::ServerConfig;
pub(crate) use server_config::Spoken;
pub use tls_stream::TlsStream;
pub use version::Version;

use std::{future::poll_fn, io};

/// Makes a client's handshake with the server `name`: a host name, or an address, with or without
/// the brackets that URLs have around it.
///
/// It has no time limit of its own; see [`time::timeout`](crate::time::timeout).
///
/// # Errors
///
/// The errors of the stream. `InvalidData` around a [`rustls::Error`] when the server's certificate
/// or its messages are wrong. `InvalidInput` when `name` is no name.
///
/// # Cancel safety
///
/// Dropped, it closes the stream.
///
/// # Examples
///
/// Lines over TLS, to a server with a certificate of one's own authority:
///
/// ```no_run
/// use annulus::{io::Reader, net::TcpStream, time, tls};
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let authority = std::fs::read("our-authority.pem")?;
///     let config = tls::Config::builder().add_root_certificate(&authority).build()?;
///     let stream = TcpStream::connect("mail.example:993").await?;
///     let handshake = tls::connect(stream, "mail.example", &config);
///     let stream = time::timeout(Duration::from_secs(10), handshake).await??;
///     let mut reader = Reader::new(stream);
///     println!("{:?}", reader.read_line(1024).await?);
///     reader.get_mut().write_all(b"a1 LOGOUT\r\n").await
/// })
/// # }
/// ```
pub async fn connect(
    stream: impl Into<Carrier>,
    name: &str,
    config: &Config,
) -> io::Result<TlsStream> {
    let mut stream = TlsStream::client(stream.into(), name, config)?;
    poll_fn(|context| stream.poll_handshake(context)).await?;
    Ok(stream)
}

/// Makes a server's handshake with a client.
///
/// [`Acceptor`] is for servers that choose the configuration by what the client asks for. With the
/// feature `http`, an HTTP server does all of this by `Server::listen_tls`.
///
/// # Errors
///
/// The errors of the stream. `InvalidData` around a [`rustls::Error`] when the client's messages
/// are wrong, or it refuses the certificate; `InvalidData` when it does not speak TLS at all.
/// `UnexpectedEof` when it leaves before the end of the handshake, `TimedOut` when it takes longer
/// than [`ServerConfigBuilder::handshake_timeout`] says.
///
/// # Cancel safety
///
/// Dropped, it closes the stream.
///
/// # Examples
///
/// A server of lines:
///
/// ```no_run
/// use annulus::{io::Reader, net::TcpListener, spawn, tls};
///
/// # fn main() -> std::io::Result<()> {
/// let config = tls::ServerConfig::builder().certificate_files("site.pem", "site.key").build()?;
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:6697").await?;
///     loop {
///         let (stream, _peer) = listener.accept().await?;
///         let config = config.clone();
///         spawn(async move {
///             let stream = tls::accept(stream, &config).await?;
///             let mut reader = Reader::new(stream);
///             while let Some(line) = reader.read_line(1024).await? {
///                 reader.get_mut().write_all(line.as_bytes()).await?;
///             }
///             reader.get_mut().shutdown().await
///         });
///     }
/// })
/// # }
/// ```
pub async fn accept(stream: impl Into<Carrier>, config: &ServerConfig) -> io::Result<TlsStream> {
    Acceptor::new(stream).accept(config).await
}

/// Whether a peer broke TLS, or refused something by it.
pub(crate) fn is_tls_error(error: &io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(|inner| inner.is::<rustls::Error>())
}
