//! The opening handshake, at the server (RFC 6455, section 4.2).

use std::str;

use ::http::{HeaderName, HeaderValue, Method, Version, header};

use super::{
    Deflate, HandshakeError, Origins,
    accept_key::{KEY_BYTES, accept_key},
    extension::Extension,
};
use crate::http::{
    base64,
    h1::{RequestHead, is_token},
};

/// The only version of the protocol.
pub(super) const VERSION: &str = "13";

/// The subprotocols that a client may offer. Programs offer one or two, and each name is compared
/// with those before it.
const SUBPROTOCOLS_MAX: usize = 64;

/// A request that opens a WebSocket: all that RFC 6455 asks for is in it.
#[derive(Debug)]
pub(crate) struct Handshake<'a> {
    head: &'a RequestHead,
    key: &'a [u8],
    deflate: Option<Deflate>,
}

/// The answer to a handshake.
#[derive(Debug)]
pub(crate) struct Acceptance {
    accept_key: String,
    /// The subprotocol that both ends speak.
    pub(crate) subprotocol: Option<HeaderValue>,
    /// The agreement on compressed messages.
    pub(crate) deflate: Option<Deflate>,
}

impl<'a> Handshake<'a> {
    /// Holds a request against the rules.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks, with its answer.
    pub(crate) fn check(head: &'a RequestHead, origins: &Origins) -> Result<Self, HandshakeError> {
        let fields = head.fields();
        let is_listed = |name, element: &[u8]| {
            let mut elements = fields.elements(name);
            elements.any(|one| one.eq_ignore_ascii_case(element))
        };
        if !is_listed("upgrade", b"websocket") {
            return Err(HandshakeError::NotAnUpgrade);
        }
        if *head.method() != Method::GET {
            return Err(HandshakeError::MethodNotGet);
        }
        if head.version() != Version::HTTP_11 {
            return Err(HandshakeError::HttpVersion);
        }
        if !is_listed("connection", b"upgrade") {
            return Err(HandshakeError::ConnectionMissing);
        }
        match only_one(head, "sec-websocket-version") {
            Some(version) if *version == *VERSION.as_bytes() => {}
            Some(_) => return Err(HandshakeError::VersionUnsupported),
            None => return Err(HandshakeError::VersionMissing),
        }
        let key = only_one(head, "sec-websocket-key").ok_or(HandshakeError::KeyMissing)?;
        if !base64::is_encoded(key, KEY_BYTES) {
            return Err(HandshakeError::KeyInvalid);
        }
        if !head.body_length().is_empty() {
            return Err(HandshakeError::Content);
        }
        let handshake = Self {
            head,
            key,
            deflate: acceptable_deflate(head)?,
        };
        handshake.check_subprotocols()?;
        if !origins.allow(head) {
            return Err(HandshakeError::OriginForeign);
        }
        Ok(handshake)
    }

    /// The subprotocols that the client speaks, those it likes best first.
    pub(crate) fn subprotocols(&self) -> impl Iterator<Item = &'a str> {
        let names = self.head.fields().elements("sec-websocket-protocol");
        names.filter_map(|name| str::from_utf8(name).ok())
    }

    /// The first of `ours` that the client speaks. Their case matters.
    pub(crate) fn choose_subprotocol<'p>(&self, ours: &[&'p str]) -> Option<&'p str> {
        let is_offered = |name: &&&str| self.subprotocols().any(|offered| offered == **name);
        ours.iter().find(is_offered).copied()
    }

    /// The answer. Without a subprotocol the client decides whether it goes on. Messages are
    /// compressed if `deflate` is true and the client has offered it.
    ///
    /// # Panics
    ///
    /// When `subprotocol` is none that the client has offered: it would end the connection.
    pub(crate) fn accept(&self, subprotocol: Option<&str>, deflate: bool) -> Acceptance {
        let subprotocol = subprotocol.map(|name| {
            assert!(
                self.subprotocols().any(|offered| offered == name),
                "expected a subprotocol that the client has offered, found {name}"
            );
            HeaderValue::from_str(name).expect("an offered name is a token")
        });
        Acceptance {
            accept_key: accept_key(self.key),
            subprotocol,
            deflate: self.deflate.filter(|_| deflate),
        }
    }

    fn check_subprotocols(&self) -> Result<(), HandshakeError> {
        let names = || self.head.fields().elements("sec-websocket-protocol");
        let is_valid = names().enumerate().all(|(index, name)| {
            index < SUBPROTOCOLS_MAX
                && is_token(name)
                && !names().take(index).any(|earlier| earlier == name)
        });
        is_valid
            .then_some(())
            .ok_or(HandshakeError::SubprotocolsInvalid)
    }
}

impl Acceptance {
    /// The fields of the answer, but for `Connection` and `Upgrade`, which every 101 has.
    pub(crate) fn fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        let value = |text: &str| HeaderValue::from_str(text).expect("it is visible ASCII");
        let mut fields = vec![(header::SEC_WEBSOCKET_ACCEPT, value(&self.accept_key))];
        if let Some(name) = &self.subprotocol {
            fields.push((header::SEC_WEBSOCKET_PROTOCOL, name.clone()));
        }
        if let Some(deflate) = self.deflate {
            let answer = value(&deflate.answer());
            fields.push((header::SEC_WEBSOCKET_EXTENSIONS, answer));
        }
        fields
    }
}

/// The value of the field called `name`, if there is exactly one.
fn only_one<'a>(head: &'a RequestHead, name: &str) -> Option<&'a [u8]> {
    let mut values = head.field_all(name);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// The agreement for the first offer of permessage-deflate that can be accepted. Other extensions
/// are declined by silence.
fn acceptable_deflate(head: &RequestHead) -> Result<Option<Deflate>, HandshakeError> {
    let mut deflate = None;
    for element in head.fields().elements("sec-websocket-extensions") {
        let offer = Extension::parse(element).map_err(|_| HandshakeError::ExtensionsInvalid)?;
        deflate = deflate.or_else(|| Deflate::accept(&offer));
    }
    Ok(deflate)
}
