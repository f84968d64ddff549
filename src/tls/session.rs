//! TLS without I/O: records in, data out, and the other way round.
//!
//! Everything that lasts from one call to the next is here, so that nothing depends on a future
//! that may be dropped: what came in and makes no whole record yet, and what is to be sent.

use std::{
    io::{self, IoSlice},
    sync::Arc,
};

use rustls::{
    AlertDescription, CipherSuite, ClientConfig, CommonState, Error, HandshakeKind, InvalidMessage,
    ServerConfig,
    client::{ClientConnectionData, UnbufferedClientConnection},
    pki_types::{CertificateDer, ServerName},
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{
        ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
        WriteTraffic,
    },
};

use super::Version;

/// Data in one record.
const RECORD_DATA_MAX: usize = 16 * 1024;
/// Bytes of a record besides its data: five of a header, and of a nonce and a tag at most so many.
const RECORD_OVERHEAD_MAX: usize = 64;
/// Bytes that are kept while they make no whole message: more than the longest of them, and than
/// what a receive brings at once.
const INCOMING_BYTES_MAX: usize = 192 * 1024;
/// Bytes that a peer may send without any data among them: tickets, new keys, empty records.
/// Without a limit it could keep the other side at that for ever, even on an idle connection.
const BARREN_BYTES_MAX: usize = 256 * 1024;
/// The type of the records with alerts, and the level of those that end a connection.
const ALERT: u8 = 21;
const FATAL: u8 = 2;
/// The types of records: the first byte of each.
const CONTENT_TYPES: std::ops::RangeInclusive<u8> = 20..=24;

/// The session of a client and a server, from the first byte of its handshake on.
pub(super) struct Session {
    side: Side,
    /// Bytes that came and make no whole message yet. rustls remembers places in it, so that it
    /// sees the same bytes each time.
    incoming: Vec<u8>,
    /// Records to send.
    pub(super) outgoing: Vec<u8>,
    reached: Reached,
    /// The peer has said something.
    has_heard: bool,
    /// Bytes that came since the last data.
    barren_bytes: usize,
}

/// The side of the session that is here.
enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// The states that a session has reached. It never leaves one.
#[derive(Clone, Copy, Default)]
struct Reached {
    /// The handshake is over.
    is_ready: bool,
    /// The peer has said that it has finished.
    has_peer_finished: bool,
}

/// rustls has one method under the same name for each side.
trait Records {
    type Data;

    fn process<'c, 'i>(&'c mut self, records: &'i mut [u8])
    -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        records: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, ClientConnectionData> {
        self.process_tls_records(records)
    }
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        records: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, ServerConnectionData> {
        self.process_tls_records(records)
    }
}

impl Side {
    fn state(&self) -> &CommonState {
        match self {
            Self::Client(connection) => connection,
            Self::Server(connection) => connection,
        }
    }
}

/// The next message to the peer, for when that is possible.
#[derive(Clone, Copy)]
enum Words<'a> {
    None,
    Data(&'a [u8]),
    /// The first bytes of several slices, as many as the number says.
    Parts(&'a [IoSlice<'a>], usize),
    CloseNotify,
}

/// How far [`Session::advance`] came.
struct Advanced {
    /// Bytes at the start that are done with.
    consumed: usize,
    result: Result<(), Error>,
}

impl Session {
    pub(super) fn client(config: Arc<ClientConfig>, name: &str) -> io::Result<Self> {
        let literal = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let name = ServerName::try_from(literal.unwrap_or(name).to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let connection = UnbufferedClientConnection::new(config, name).map_err(tls_error)?;
        let mut session = Self::new(Side::Client(connection));
        // The first flight, for which nothing has to be received.
        session.say(Words::None)?;
        Ok(session)
    }

    pub(super) fn server(config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = UnbufferedServerConnection::new(config).map_err(tls_error)?;
        Ok(Self::new(Side::Server(connection)))
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            reached: Reached::default(),
            has_heard: false,
            barren_bytes: 0,
        }
    }

    /// Whether the handshake is over.
    pub(super) fn is_ready(&self) -> bool {
        self.reached.is_ready
    }

    /// Whether the peer has said that it has finished.
    pub(super) fn has_peer_finished(&self) -> bool {
        self.reached.has_peer_finished
    }

    /// Takes what was received, and appends the data in it to `data`. It may be changed.
    ///
    /// After an error the outgoing records end with the alert that tells the peer.
    pub(super) fn receive(&mut self, received: &mut [u8], data: &mut Vec<u8>) -> io::Result<()> {
        self.expect_tls(received)?;
        let (received_bytes, before) = (received.len(), data.len());
        if self.incoming.is_empty() {
            let consumed = self.receive_from(received, data)?;
            self.incoming.extend_from_slice(&received[consumed..]);
        } else {
            self.incoming.extend_from_slice(received);
            let mut incoming = std::mem::take(&mut self.incoming);
            let consumed = self.receive_from(&mut incoming, data)?;
            incoming.drain(..consumed);
            self.incoming = incoming;
        }
        if self.reached.has_peer_finished {
            // Bytes after the end belong to no message.
            self.incoming.clear();
        }
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        if self.incoming.len() > INCOMING_BYTES_MAX {
            return Err(tls_error(InvalidMessage::MessageTooLarge.into()));
        }
        if data.len() > before {
            self.barren_bytes = 0;
            return Ok(());
        }
        self.barren_bytes += received_bytes;
        if self.barren_bytes > BARREN_BYTES_MAX {
            let text = "expected data, found too many records without any";
            return Err(tls_error(Error::General(text.to_owned())));
        }
        Ok(())
    }

    fn receive_from(&mut self, bytes: &mut [u8], data: &mut Vec<u8>) -> io::Result<usize> {
        let Advanced { consumed, result } = self.advance(bytes, data, Words::None);
        if result.is_err() {
            self.take_last_words(&mut bytes[consumed..]);
        }
        result.map(|()| consumed).map_err(tls_error)
    }

    /// After an error, what is left to say is the alert. rustls must not be asked for more.
    fn take_last_words(&mut self, bytes: &mut [u8]) {
        let outgoing = &mut self.outgoing;
        while self.side.state().wants_write() {
            let is_taken = match &mut self.side {
                Side::Client(connection) => take_words(connection, bytes, outgoing),
                Side::Server(connection) => take_words(connection, bytes, outgoing),
            };
            if !is_taken {
                return;
            }
        }
    }

    /// Appends `data` to the outgoing records.
    pub(super) fn send(&mut self, data: &[u8]) -> io::Result<()> {
        self.say(Words::Data(data))
    }

    /// Appends the first `count` bytes of `slices` to the outgoing records, one slice after the
    /// other.
    pub(super) fn send_parts(&mut self, slices: &[IoSlice<'_>], count: usize) -> io::Result<()> {
        self.say(Words::Parts(slices, count))
    }

    /// Refuses a client before its handshake begins, by an alert (RFC 8446, section 6).
    pub(super) fn refuse(&mut self, alert: AlertDescription, error: Error) -> io::Error {
        // Of the version that all records of this kind name, and two bytes.
        let record = [ALERT, 3, 3, 0, 2, FATAL, alert.into()];
        self.outgoing.extend_from_slice(&record);
        tls_error(error)
    }

    /// Tells the peer that nothing more is sent. It may be told again.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.say(Words::CloseNotify)
    }

    fn say(&mut self, words: Words<'_>) -> io::Result<()> {
        let mut incoming = std::mem::take(&mut self.incoming);
        let mut data = Vec::new();
        let advanced = self.advance(&mut incoming, &mut data, words);
        debug_assert!(data.is_empty(), "whole records were taken when they came");
        incoming.drain(..advanced.consumed);
        self.incoming = incoming;
        advanced.result.map_err(tls_error)
    }

    fn advance(&mut self, bytes: &mut [u8], data: &mut Vec<u8>, words: Words<'_>) -> Advanced {
        let (reached, outgoing) = (&mut self.reached, &mut self.outgoing);
        match &mut self.side {
            Side::Client(side) => advance(side, bytes, data, words, reached, outgoing),
            Side::Server(side) => advance(side, bytes, data, words, reached, outgoing),
        }
    }

    /// Tells a peer that does not speak TLS at all from one that speaks it badly.
    fn expect_tls(&mut self, received: &[u8]) -> io::Result<()> {
        let Some(first) = received.first().filter(|_| !self.has_heard) else {
            return Ok(());
        };
        self.has_heard = true;
        if CONTENT_TYPES.contains(first) {
            return Ok(());
        }
        let text = if received.starts_with(b"HTTP/") {
            "expected TLS, found plain HTTP"
        } else {
            "expected TLS, found something else"
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }

    /// Whether the session goes on where another one has ended.
    pub(super) fn is_resumed(&self) -> bool {
        self.side.state().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub(super) fn version(&self) -> Option<Version> {
        self.side.state().protocol_version().and_then(Version::of)
    }

    pub(super) fn cipher_suite(&self) -> Option<CipherSuite> {
        let suite = self.side.state().negotiated_cipher_suite();
        suite.map(|suite| suite.suite())
    }

    pub(super) fn alpn(&self) -> Option<&[u8]> {
        self.side.state().alpn_protocol()
    }

    pub(super) fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.side.state().peer_certificates().unwrap_or_default()
    }
}

/// Goes on until rustls wants bytes that are not here.
fn advance<S: Records>(
    side: &mut S,
    bytes: &mut [u8],
    data: &mut Vec<u8>,
    words: Words<'_>,
    reached: &mut Reached,
    outgoing: &mut Vec<u8>,
) -> Advanced {
    let mut consumed = 0;
    let result = loop {
        let UnbufferedStatus { mut discard, state } = side.process(&mut bytes[consumed..]);
        let step = match state {
            Ok(ConnectionState::ReadTraffic(mut records)) => loop {
                match records.next_record() {
                    None => break Ok(true),
                    Some(Err(error)) => break Err(error),
                    Some(Ok(record)) => {
                        data.extend_from_slice(record.payload);
                        discard += record.discard;
                    }
                }
            },
            Ok(ConnectionState::EncodeTlsData(mut records)) => {
                let encode = |room: &mut [u8]| records.encode(room).map_err(encode_error);
                append(outgoing, 0, encode).map(|()| true)
            }
            Ok(ConnectionState::TransmitTlsData(records)) => {
                // They stand in the outgoing ones, and nothing overtakes them there.
                records.done();
                Ok(true)
            }
            Ok(ConnectionState::PeerClosed) => {
                reached.has_peer_finished = true;
                Ok(true)
            }
            Ok(ConnectionState::WriteTraffic(state)) => {
                reached.is_ready = true;
                write(state, words, outgoing).map(|()| false)
            }
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        };
        consumed += discard;
        match step {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    Advanced { consumed, result }
}

/// Appends the next record that is to be said after an error. False when there is none.
fn take_words<S: Records>(side: &mut S, bytes: &mut [u8], outgoing: &mut Vec<u8>) -> bool {
    let Ok(ConnectionState::EncodeTlsData(mut records)) = side.process(bytes).state else {
        return false;
    };
    let encode = |room: &mut [u8]| records.encode(room).map_err(encode_error);
    append(outgoing, 0, encode).is_ok()
}

/// Says `words`.
fn write<S>(
    mut state: WriteTraffic<'_, S>,
    words: Words<'_>,
    outgoing: &mut Vec<u8>,
) -> Result<(), Error> {
    match words {
        Words::None => Ok(()),
        Words::Data(data) => append(outgoing, records_room(data.len()), |room| {
            state.encrypt(data, room).map_err(encrypt_error)
        }),
        Words::Parts(slices, count) => {
            // rustls takes one slice, so the parts stand together after the room of their records,
            // in memory that is kept.
            append(outgoing, records_room(count) + count, |room| {
                let (room, data) = room.split_at_mut(room.len() - count);
                gather(slices, data);
                state
                    .encrypt(data, room)
                    .map_err(|error| encrypt_error(error).map(|required| required + count))
            })
        }
        Words::CloseNotify => append(outgoing, RECORD_OVERHEAD_MAX, |room| {
            state.queue_close_notify(room).map_err(encrypt_error)
        }),
    }
}

/// Bytes that suffice for the records of so much data.
fn records_room(data_bytes: usize) -> usize {
    let record_count = 1 + data_bytes / RECORD_DATA_MAX;
    data_bytes + record_count * RECORD_OVERHEAD_MAX
}

/// Fills `data` with the first bytes of `slices`, which have that many.
fn gather(slices: &[IoSlice<'_>], mut data: &mut [u8]) {
    for slice in slices {
        let count = slice.len().min(data.len());
        let (part, rest) = data.split_at_mut(count);
        part.copy_from_slice(&slice[..count]);
        data = rest;
    }
}

/// Why rustls wrote nothing: it needs so many bytes of room, or cannot.
type NoRoom = Result<usize, Error>;

/// Appends what `encode` writes, which gets as much room as it asks for.
fn append(
    outgoing: &mut Vec<u8>,
    mut room: usize,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, NoRoom>,
) -> Result<(), Error> {
    let start = outgoing.len();
    loop {
        outgoing.resize(start + room, 0);
        match encode(&mut outgoing[start..]) {
            Ok(written) => {
                outgoing.truncate(start + written);
                return Ok(());
            }
            Err(Ok(required)) if required > room => room = required,
            Err(no_room) => {
                outgoing.truncate(start);
                return Err(no_room.err().unwrap_or(Error::EncryptError));
            }
        }
    }
}

fn encode_error(error: EncodeError) -> NoRoom {
    match error {
        EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Ok(required_size),
        EncodeError::AlreadyEncoded => Err(Error::EncryptError),
    }
}

fn encrypt_error(error: EncryptError) -> NoRoom {
    match error {
        EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
            Ok(required_size)
        }
        EncryptError::EncryptExhausted => Err(Error::EncryptError),
    }
}

fn tls_error(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
