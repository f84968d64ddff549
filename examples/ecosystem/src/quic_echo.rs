//! A QUIC echo: each stream comes back as it was sent.

use std::{
    error::Error,
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use annulus::spawn;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, Incoming, ServerConfig,
    TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
    rustls::{
        self, RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};

use crate::quic::Annulus;

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Connections at the same time. Further ones are refused.
const CONNECTIONS_MAX: usize = 1024;
/// Streams of a connection at the same time. The peer waits before it opens further ones.
const STREAMS_MAX: u32 = 64;
/// Bytes of a connection that were received and not read. The peer waits before it sends more.
const CONNECTION_BYTES_MAX: u32 = 4 << 20;
/// Bytes that are copied at once.
const PIECE_BYTES: usize = 64 << 10;
/// The time after which a silent connection ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A self-signed certificate and its key.
#[derive(Debug)]
pub struct Identity {
    pub certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// A new one, for `localhost`.
    pub fn new() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        Ok(Self {
            certificate: made.cert.der().clone(),
            key: PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into()),
        })
    }
}

fn transport() -> Result<Arc<TransportConfig>> {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(STREAMS_MAX.into())
        .receive_window(CONNECTION_BYTES_MAX.into())
        .max_idle_timeout(Some(IDLE_TIMEOUT.try_into()?));
    Ok(Arc::new(transport))
}

/// An endpoint on a socket of this thread's runtime.
fn endpoint(addr: SocketAddr, server: Option<ServerConfig>) -> io::Result<Endpoint> {
    let socket = UdpSocket::bind(addr)?;
    Endpoint::new(EndpointConfig::default(), server, socket, Arc::new(Annulus))
}

/// An endpoint that takes connections for a protocol (`protocol` is its name for ALPN).
pub fn server(addr: SocketAddr, identity: &Identity, protocol: &[u8]) -> Result<Endpoint> {
    let mut tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key())?;
    tls.alpn_protocols = vec![protocol.to_vec()];
    let tls = QuicServerConfig::try_from(tls)?;
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(transport()?);
    Ok(endpoint(addr, Some(config))?)
}

/// An endpoint that connects, and trusts the servers that show `certificate`.
pub fn client(certificate: CertificateDer<'static>, protocol: &[u8]) -> Result<Endpoint> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let mut tls = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![protocol.to_vec()];
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(transport()?);
    let mut endpoint = endpoint(SocketAddr::from(([127, 0, 0, 1], 0)), None)?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

/// Serves each connection by `serve` in a task of its own, until the endpoint is closed.
pub async fn accept<F>(endpoint: &Endpoint, serve: impl Fn(Connection) -> F + Copy + 'static)
where
    F: Future<Output = Result<()>> + 'static,
{
    while let Some(incoming) = endpoint.accept().await {
        if endpoint.open_connections() >= CONNECTIONS_MAX {
            incoming.refuse();
            continue;
        }
        drop(spawn(async move {
            if let Err(error) = serve_one(incoming, serve).await {
                eprintln!("a connection has failed: {error}");
            }
        }));
    }
}

async fn serve_one<F>(incoming: Incoming, serve: impl Fn(Connection) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    serve(incoming.await?).await
}

/// Sends back what comes on each stream of a connection.
pub async fn echo(connection: Connection) -> Result<()> {
    loop {
        let (mut send, mut recv) = match connection.accept_bi().await {
            Ok(stream) => stream,
            Err(ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        // A stream that fails leaves the others as they are.
        drop(spawn(async move {
            while let Some(piece) = recv.read_chunk(PIECE_BYTES, true).await? {
                send.write_chunk(piece.bytes).await?;
            }
            send.finish()?;
            Result::Ok(())
        }));
    }
}

/// Sends `bytes` on a stream of its own, and returns what comes back.
pub async fn exchange(connection: &Connection, bytes: Vec<u8>) -> Result<Vec<u8>> {
    let (mut send, mut recv) = connection.open_bi().await?;
    let bytes_max = bytes.len();
    // Both at the same time, since the echo stops when its answer is not read.
    let sending = spawn(async move {
        send.write_all(&bytes).await?;
        send.finish()?;
        Result::Ok(())
    });
    let answer = recv.read_to_end(bytes_max).await?;
    sending.await??;
    Ok(answer)
}

/// Ends an endpoint: its connections are told, and what was sent is acknowledged.
pub async fn close(endpoint: Endpoint) {
    endpoint.close(VarInt::from_u32(0), b"done");
    endpoint.wait_idle().await;
}
