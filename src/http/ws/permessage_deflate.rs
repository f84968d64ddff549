//! The negotiation of compressed messages (RFC 7692, sections 5 and 7.1).
//!
//! Neither side keeps its window from one message to the next, in either direction: so an idle
//! connection holds no window, and a message can be compressed once for many connections. The RFC
//! lets each side ask that of the other.

use super::extension::Extension;

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT: &str = "client_no_context_takeover";
const SERVER_WINDOW: &str = "server_max_window_bits";
const CLIENT_WINDOW: &str = "client_max_window_bits";

/// The window of deflate where none is negotiated: 2^15 bytes.
pub(super) const LARGEST_WINDOW_BITS: u8 = 15;

/// The offer of a client of ours.
pub(super) const OFFER: &str = "permessage-deflate; server_no_context_takeover; \
    client_no_context_takeover; client_max_window_bits";

/// The agreement on compressed messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Deflate {
    /// The window of the messages that this end sends is 2 to the power of this, 8 to 15: no
    /// reference goes further back. Those that it receives may have the largest window.
    pub(crate) window_bits: u8,
}

/// The parameters of an offer or of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Params {
    server_no_context: bool,
    client_no_context: bool,
    server_window_bits: Option<u8>,
    /// An offer may have it without a value.
    client_window_bits: Option<Option<u8>>,
}

impl Deflate {
    /// The agreement that answers an offer, or `None` when the offer is declined: it is of another
    /// extension, or has a parameter that is unknown, comes twice or has no valid value (RFC 7692,
    /// section 7.1).
    pub(super) fn accept(offer: &Extension<'_>) -> Option<Self> {
        let params = Params::parse(offer)?;
        Some(Self {
            window_bits: params.server_window_bits.unwrap_or(LARGEST_WINDOW_BITS),
        })
    }

    /// The server's answer in `Sec-WebSocket-Extensions`.
    pub(super) fn answer(self) -> String {
        let mut answer = format!("{NAME}; {SERVER_NO_CONTEXT}; {CLIENT_NO_CONTEXT}");
        if self.window_bits < LARGEST_WINDOW_BITS {
            answer.push_str(&format!("; {SERVER_WINDOW}={}", self.window_bits));
        }
        answer
    }

    /// The agreement that the answer to [`OFFER`] stands for, or `None` when it is no answer to it.
    pub(super) fn from_answer(answer: &Extension<'_>) -> Option<Self> {
        let params = Params::parse(answer)?;
        let window_bits = match params.client_window_bits {
            None => LARGEST_WINDOW_BITS,
            // Only an offer may leave the value out.
            Some(bits) => bits?,
        };
        // A server that accepts the offer accepts this, too.
        params.server_no_context.then_some(Self { window_bits })
    }
}

impl Params {
    fn parse(extension: &Extension<'_>) -> Option<Self> {
        if !extension.name.eq_ignore_ascii_case(NAME.as_bytes()) {
            return None;
        }
        let mut params = Self::default();
        for param in extension.params() {
            let value = param.value.as_deref();
            let is = |name: &str| param.name.eq_ignore_ascii_case(name.as_bytes());
            if is(SERVER_NO_CONTEXT) {
                set_flag(&mut params.server_no_context, value)?;
            } else if is(CLIENT_NO_CONTEXT) {
                set_flag(&mut params.client_no_context, value)?;
            } else if is(SERVER_WINDOW) {
                set_once(&mut params.server_window_bits, parse_bits(value?)?)?;
            } else if is(CLIENT_WINDOW) {
                let bits = match value {
                    Some(value) => Some(parse_bits(value)?),
                    None => None,
                };
                set_once(&mut params.client_window_bits, bits)?;
            } else {
                return None;
            }
        }
        Some(params)
    }
}

fn set_flag(flag: &mut bool, value: Option<&[u8]>) -> Option<()> {
    let is_first = !std::mem::replace(flag, true);
    (is_first && value.is_none()).then_some(())
}

fn set_once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// The number of bits: decimal, without leading zeros, 8 to 15.
fn parse_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}
