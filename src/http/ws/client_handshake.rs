//! The opening handshake, at the client (RFC 6455, section 4.1).

use std::{fmt, str};

use ::http::{HeaderName, HeaderValue, StatusCode, header};

use super::{
    Deflate,
    accept_key::{KEY_BYTES, accept_key, encode_key},
    extension::Extension,
    handshake::VERSION,
    permessage_deflate::OFFER,
};
use crate::http::h1::{Fields, is_token};

/// The handshake of a client: its request, and the check of the answer.
#[derive(Debug)]
pub(crate) struct ClientHandshake {
    key: String,
    subprotocols: Vec<String>,
    deflate: bool,
}

/// The outcome of a client's handshake.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Agreement {
    /// The subprotocol that the server has chosen.
    pub(crate) subprotocol: Option<String>,
    /// The agreement on compressed messages.
    pub(crate) deflate: Option<Deflate>,
}

/// A name of a subprotocol is no token, or comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SubprotocolsInvalid;

impl ClientHandshake {
    /// A handshake with a key made of `random` bytes, which differ for each connection. It offers
    /// `subprotocols`, those that the program likes best first, and to compress messages if
    /// `deflate` is true.
    ///
    /// # Errors
    ///
    /// The names of the subprotocols are not different tokens.
    pub(crate) fn new(
        random: [u8; KEY_BYTES],
        subprotocols: &[&str],
        deflate: bool,
    ) -> Result<Self, SubprotocolsInvalid> {
        let is_valid = subprotocols.iter().enumerate().all(|(index, name)| {
            is_token(name.as_bytes()) && !subprotocols[..index].contains(name)
        });
        if !is_valid {
            return Err(SubprotocolsInvalid);
        }
        Ok(Self {
            key: encode_key(random),
            subprotocols: subprotocols.iter().map(|&name| name.to_owned()).collect(),
            deflate,
        })
    }

    /// The fields of the request, which is a GET, but for `Connection` and `Upgrade`.
    pub(crate) fn fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        let value = |text: &str| HeaderValue::from_str(text).expect("it is visible ASCII");
        let mut fields = vec![
            (header::SEC_WEBSOCKET_VERSION, value(VERSION)),
            (header::SEC_WEBSOCKET_KEY, value(&self.key)),
        ];
        if !self.subprotocols.is_empty() {
            let names = self.subprotocols.join(", ");
            fields.push((header::SEC_WEBSOCKET_PROTOCOL, value(&names)));
        }
        if self.deflate {
            fields.push((header::SEC_WEBSOCKET_EXTENSIONS, value(OFFER)));
        }
        fields
    }

    /// Holds the answer against the rules.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks. The connection is of no use then, but for an answer with
    /// another status, which is a response like any other.
    pub(crate) fn check(
        &self,
        status: StatusCode,
        fields: &Fields,
    ) -> Result<Agreement, AnswerError> {
        let is_listed = |name, element: &[u8]| {
            let mut elements = fields.elements(name);
            elements.any(|one| one.eq_ignore_ascii_case(element))
        };
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(AnswerError::NotSwitched(status));
        }
        if !is_one(fields, "upgrade", |value| {
            value.eq_ignore_ascii_case(b"websocket")
        }) {
            return Err(AnswerError::UpgradeInvalid);
        }
        if !is_listed("connection", b"upgrade") {
            return Err(AnswerError::ConnectionMissing);
        }
        let expected = accept_key(self.key.as_bytes());
        if !is_one(fields, "sec-websocket-accept", |value| {
            *value == *expected.as_bytes()
        }) {
            return Err(AnswerError::AcceptInvalid);
        }
        Ok(Agreement {
            subprotocol: self.check_subprotocol(fields)?,
            deflate: self.check_extensions(fields)?,
        })
    }

    fn check_subprotocol(&self, fields: &Fields) -> Result<Option<String>, AnswerError> {
        let mut values = fields.get_all("sec-websocket-protocol");
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let is_it = |name: &&String| name.as_bytes() == value;
        match self.subprotocols.iter().find(is_it) {
            Some(name) if values.next().is_none() => Ok(Some(name.clone())),
            _ => Err(AnswerError::SubprotocolNotOffered),
        }
    }

    fn check_extensions(&self, fields: &Fields) -> Result<Option<Deflate>, AnswerError> {
        let mut agreed = None;
        for element in fields.elements("sec-websocket-extensions") {
            let answer = Extension::parse(element).map_err(|_| AnswerError::ExtensionsInvalid)?;
            let deflate = Deflate::from_answer(&answer).filter(|_| self.deflate);
            if deflate.is_none() || agreed.is_some() {
                return Err(AnswerError::ExtensionNotOffered);
            }
            agreed = deflate;
        }
        Ok(agreed)
    }
}

/// Whether there is exactly one field called `name`, and its value is right.
fn is_one(fields: &Fields, name: &str, is_right: impl FnOnce(&[u8]) -> bool) -> bool {
    let mut values = fields.get_all(name);
    values.next().is_some_and(is_right) && values.next().is_none()
}

/// The reason why an answer does not open a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub(crate) enum AnswerError {
    /// The status is not 101.
    NotSwitched(StatusCode),
    /// There is not exactly one `Upgrade`, or it is not `websocket`.
    UpgradeInvalid,
    /// `Connection` does not name `upgrade`.
    ConnectionMissing,
    /// There is not exactly one `Sec-WebSocket-Accept`, or it is no answer to the key.
    AcceptInvalid,
    /// The subprotocol is none of those that were offered.
    SubprotocolNotOffered,
    /// `Sec-WebSocket-Extensions` does not follow its grammar.
    ExtensionsInvalid,
    /// An extension or a parameter is none of those that were offered, or comes twice.
    ExtensionNotOffered,
}

impl AnswerError {
    /// A sentence that says what was expected and what was found.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::NotSwitched(_) => "expected status 101 for a WebSocket, found another one",
            Self::UpgradeInvalid => "expected websocket in upgrade, found something else",
            Self::ConnectionMissing => "expected upgrade in connection, found no such field",
            Self::AcceptInvalid => {
                "expected the answer to the key in sec-websocket-accept, found something else"
            }
            Self::SubprotocolNotOffered => "expected a subprotocol of the offer, found another one",
            Self::ExtensionsInvalid => {
                "expected a list of extensions in sec-websocket-extensions, found something else"
            }
            Self::ExtensionNotOffered => "expected an extension of the offer, found another one",
        }
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSwitched(status) => {
                write!(f, "expected status 101 for a WebSocket, found {status}")
            }
            error => f.write_str(error.message()),
        }
    }
}

impl std::error::Error for AnswerError {}
