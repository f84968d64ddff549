//! The keys of the opening handshake (RFC 6455, sections 4.1 and 4.2.2).

use crate::http::base64;

/// Bytes of a client's key before they are encoded.
pub(super) const KEY_BYTES: usize = 16;

/// The text that a server puts after the key, so that no program makes the answer by chance.
const SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The key of a client for its `random` bytes.
pub(super) fn encode_key(random: [u8; KEY_BYTES]) -> String {
    let mut key = String::with_capacity(24);
    base64::encode(&mut key, &random);
    key
}

/// The answer to the key of a client.
pub(crate) fn accept_key(key: &[u8]) -> String {
    let mut digest = sha1_smol::Sha1::new();
    digest.update(key);
    digest.update(SUFFIX);
    let mut answer = String::with_capacity(28);
    base64::encode(&mut answer, &digest.digest().bytes());
    answer
}
