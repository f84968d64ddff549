//! Servers of rustls that do what they are told.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use annulus::tls::rustls::{
    ConnectionTrafficSecrets, ContentType, HandshakeKind, ProtocolVersion, ServerConfig,
    ServerConnection,
    crypto::cipher::{OutboundChunks, OutboundPlainMessage},
};

use crate::support::{BOUND, certificates::Certificates, http::field, tls::Kind};

/// A connection's handshake, as the server has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) version: Option<ProtocolVersion>,
    pub(crate) alpn: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) is_resumed: bool,
    pub(crate) has_client_certificate: bool,
}

/// A server whose connections are served by a function, each on a thread of its own.
pub(crate) struct TlsServer {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

/// One connection, after its handshake.
pub(crate) struct TlsConn {
    pub(crate) tls: ServerConnection,
    pub(crate) stream: TcpStream,
    config: Arc<ServerConfig>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl TlsServer {
    pub(crate) fn new(
        certificates: &Certificates,
        kind: &Kind,
        serve: impl Fn(&mut TlsConn) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let config = kind.config(certificates);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let serve = Arc::new(serve);
        let (log, asked) = (Arc::clone(&seen), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(BOUND)).unwrap();
                let (serve, seen) = (Arc::clone(&serve), Arc::clone(&log));
                let config = Arc::clone(&config);
                let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                let requests = Arc::clone(&asked);
                thread::spawn(move || {
                    let mut conn = TlsConn {
                        tls,
                        stream,
                        config,
                        requests,
                    };
                    // A client that refuses or goes is not the server's business.
                    if let Ok(what) = conn.handshake() {
                        seen.lock().unwrap().push(what);
                        let _ = serve(&mut conn);
                    }
                });
            }
        });
        Self {
            addr,
            seen,
            requests,
        }
    }

    /// A server that answers every request with `answer`.
    pub(crate) fn answering(
        certificates: &Certificates,
        kind: &Kind,
        answer: impl Into<Vec<u8>>,
    ) -> Self {
        let answer = answer.into();
        Self::new(certificates, kind, move |conn| {
            while conn.request().is_ok() {
                conn.send(&answer)?;
            }
            Ok(())
        })
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("https://{}{target}", self.addr)
    }

    /// The same by the name that its certificate is for.
    pub(crate) fn named_url(&self, target: &str) -> String {
        format!("https://localhost:{}{target}", self.addr.port())
    }

    /// The handshakes so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The requests so far, with bodies of known length.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl TlsConn {
    fn handshake(&mut self) -> io::Result<Seen> {
        while self.tls.is_handshaking() {
            self.tls.complete_io(&mut self.stream)?;
        }
        Ok(Seen {
            version: self.tls.protocol_version(),
            alpn: self
                .tls
                .alpn_protocol()
                .map(|name| String::from_utf8_lossy(name).into_owned()),
            name: self.tls.server_name().map(str::to_owned),
            is_resumed: self.tls.handshake_kind() == Some(HandshakeKind::Resumed),
            has_client_certificate: self.tls.peer_certificates().is_some(),
        })
    }

    fn stream(&mut self) -> annulus::tls::rustls::Stream<'_, ServerConnection, TcpStream> {
        annulus::tls::rustls::Stream::new(&mut self.tls, &mut self.stream)
    }

    /// Reads the next request with a body of known length.
    pub(crate) fn request(&mut self) -> io::Result<String> {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            self.stream().read_exact(&mut byte)?;
            request.push(byte[0]);
        }
        let head = String::from_utf8(request.clone()).unwrap();
        let length = field(&head, "content-length");
        let length = length.map_or(0, |length| length.parse().unwrap());
        let start = request.len();
        request.resize(start + length, 0);
        self.stream().read_exact(&mut request[start..])?;
        let text = String::from_utf8_lossy(&request).into_owned();
        self.requests.lock().unwrap().push(text.clone());
        Ok(text)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream().write_all(bytes.as_ref())?;
        self.stream().flush()
    }

    /// The records that are to be sent, in place of sending them.
    pub(crate) fn records(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(bytes).unwrap();
        let mut records = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut records).unwrap();
        }
        records
    }

    /// Records of TLS 1.3 with a ticket in each, made by the keys of the connection, which can say
    /// nothing else afterwards.
    pub(crate) fn tickets(&mut self, count: u64) -> Vec<u8> {
        // Type, length, lifetime, age, nonce, ticket and no extensions.
        let mut ticket = vec![4, 0, 0, 30, 0, 0, 14, 16, 0, 0, 0, 0, 1, 0, 0, 16];
        ticket.resize(34, 0);
        let suite = self.tls.negotiated_cipher_suite().unwrap();
        let suite = suite.tls13().unwrap();
        let spare = ServerConnection::new(self.config.clone()).unwrap();
        let tls = std::mem::replace(&mut self.tls, spare);
        let (first, secrets) = tls.dangerous_extract_secrets().unwrap().tx;
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
        else {
            panic!("a suite of TLS 1.3 is one of these");
        };
        let mut encrypter = suite.aead_alg.encrypter(key, iv);
        let records = (first..first + count).map(|number| {
            let message = OutboundPlainMessage {
                typ: ContentType::Handshake,
                version: ProtocolVersion::TLSv1_2,
                payload: OutboundChunks::Single(&ticket),
            };
            encrypter.encrypt(message, number).unwrap().encode()
        });
        records.flatten().collect()
    }

    /// Says that nothing more comes, and waits until the client has closed.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        let records = self.records(b"");
        self.stream.write_all(&records)?;
        self.stream.shutdown(Shutdown::Write)?;
        self.wait_close();
        Ok(())
    }

    /// Ends the connection without a word, and waits until the client has closed.
    pub(crate) fn cut(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        self.wait_close();
        Ok(())
    }

    /// Passes on what comes, without TLS, to `far`, and back, until one side ends. One thread turns
    /// to both.
    pub(crate) fn pass_on(&mut self, mut far: TcpStream) -> io::Result<()> {
        far.set_nonblocking(true)?;
        self.stream.set_nonblocking(true)?;
        let mut buf = vec![0; 4096];
        loop {
            let mut near = self.stream();
            match try_once(|| near.read(&mut buf))? {
                Some(0) => return Ok(()),
                Some(count) => write_all(&mut far, &buf[..count])?,
                None => {}
            }
            match try_once(|| far.read(&mut buf))? {
                Some(0) => return Ok(()),
                Some(count) => write_all(&mut near, &buf[..count])?,
                None => thread::yield_now(),
            }
        }
    }

    /// Reads until the client has closed, and tells whether it has said so before.
    pub(crate) fn wait_close(&mut self) -> bool {
        self.stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut buf = [0; 4096];
        loop {
            match self.stream().read(&mut buf) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}

/// The result of a call, or none when it would block.
fn try_once<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<Option<T>> {
    match call() {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes all of `bytes` to a stream that does not block.
fn write_all(to: &mut impl io::Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match try_once(|| to.write(bytes))? {
            Some(count) => bytes = &bytes[count..],
            None => thread::yield_now(),
        }
    }
    while try_once(|| to.flush())?.is_none() {
        thread::yield_now();
    }
    Ok(())
}

/// A server without TLS, whose connections are served by a function, each on a thread of its own.
pub(crate) fn plain(
    serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(BOUND)).unwrap();
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    addr
}

/// Passes on what comes from `from`, in pieces of at most so many bytes, until it ends.
pub(crate) fn pass_on(mut from: TcpStream, mut to: TcpStream, bytes_max: usize) {
    let mut buf = vec![0; bytes_max];
    while let Ok(count @ 1..) = from.read(&mut buf) {
        if to.write_all(&buf[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// A connection to `addr` for each client, which changes one byte of what the server says, each
/// time the one behind `place`.
pub(crate) fn tamper(addr: SocketAddr, place: Arc<AtomicUsize>) -> SocketAddr {
    plain(move |mut near| {
        let mut far = TcpStream::connect(addr)?;
        let (client, server) = (near.try_clone()?, far.try_clone()?);
        thread::spawn(move || pass_on(client, server, 4096));
        let place = place.load(Ordering::SeqCst);
        let (mut passed, mut buf) = (0, [0; 4096]);
        while let count @ 1.. = far.read(&mut buf)? {
            if let Some(byte) = place
                .checked_sub(passed)
                .and_then(|at| buf[..count].get_mut(at))
            {
                *byte ^= 1 << (place % 8);
            }
            near.write_all(&buf[..count])?;
            passed += count;
        }
        near.shutdown(Shutdown::Write)
    })
}

/// A connection to `addr` for each client, which brings what the server says in pieces of at most
/// so many bytes.
pub(crate) fn dribble(addr: SocketAddr, bytes_max: usize) -> SocketAddr {
    plain(move |near| {
        let far = TcpStream::connect(addr)?;
        let (client, server) = (near.try_clone()?, far.try_clone()?);
        thread::spawn(move || pass_on(client, server, 4096));
        pass_on(far, near, bytes_max);
        Ok(())
    })
}
