//! Writes frames (RFC 6455, section 5.2).
//!
//! A client gives each frame a fresh key, from a source of random numbers that its peers cannot
//! guess (section 5.3). A server gives none. Every message leaves in one frame; a caller that sends
//! one in fragments writes their headers by [`FrameHeader::to_bytes`].

use super::{
    CloseFrame, FrameHeader, MessageKind, Opcode, Payload,
    frame_header::{CONTROL_BYTES_MAX, WHOLE_BINARY, WHOLE_TEXT},
    mask::mask,
};

/// A ping or a pong has more than 125 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ControlTooLong;

/// The header of the only frame of a message with this `payload`.
#[inline]
pub(crate) fn message_header(payload: Payload<'_>, key: Option<[u8; 4]>) -> FrameHeader {
    FrameHeader {
        opcode: match payload.kind() {
            MessageKind::Text => Opcode::Text,
            MessageKind::Binary => Opcode::Binary,
        },
        is_final: true,
        is_compressed: payload.is_deflated(),
        len: payload.bytes().len() as u64,
        key,
    }
}

/// Appends a message to `out`.
#[inline]
pub(crate) fn encode_message(out: &mut Vec<u8>, payload: Payload<'_>, key: Option<[u8; 4]>) {
    let (header, bytes) = (message_header(payload, key), payload.bytes());
    match header.to_little() {
        Some(header) => {
            out.reserve(header.len() + bytes.len());
            out.extend_from_slice(&header);
            out.extend_from_slice(bytes);
        }
        None => encode(out, header, bytes),
    }
}

/// Appends a message of a server, if it has at most 125 bytes and `out` has room for it. False when
/// nothing was appended.
#[inline]
pub(crate) fn push_little_frame(out: &mut Vec<u8>, kind: MessageKind, payload: &[u8]) -> bool {
    let first = match kind {
        MessageKind::Text => WHOLE_TEXT,
        MessageKind::Binary => WHOLE_BINARY,
    };
    let is_little = payload.len() <= CONTROL_BYTES_MAX;
    if !is_little || out.capacity() - out.len() < payload.len() + 2 {
        return false;
    }
    out.extend_from_slice(&[first, payload.len() as u8]);
    out.extend_from_slice(payload);
    true
}

/// Appends a ping to `out`.
///
/// # Errors
///
/// `payload` has more than 125 bytes.
pub(crate) fn encode_ping(
    out: &mut Vec<u8>,
    payload: &[u8],
    key: Option<[u8; 4]>,
) -> Result<(), ControlTooLong> {
    encode_control(out, Opcode::Ping, payload, key)
}

/// Appends a pong to `out`.
///
/// # Errors
///
/// `payload` has more than 125 bytes.
pub(crate) fn encode_pong(
    out: &mut Vec<u8>,
    payload: &[u8],
    key: Option<[u8; 4]>,
) -> Result<(), ControlTooLong> {
    encode_control(out, Opcode::Pong, payload, key)
}

/// Appends a close frame to `out`. A reason that is too long is cut after its last character that
/// fits.
pub(crate) fn encode_close(out: &mut Vec<u8>, frame: Option<CloseFrame<'_>>, key: Option<[u8; 4]>) {
    let mut payload = [0; CONTROL_BYTES_MAX];
    let mut len = 0;
    if let Some(frame) = frame {
        let reason = frame.fitting_reason().as_bytes();
        len = 2 + reason.len();
        payload[..2].copy_from_slice(&frame.code.get().to_be_bytes());
        payload[2..len].copy_from_slice(reason);
    }
    let encoded = encode_control(out, Opcode::Close, &payload[..len], key);
    encoded.expect("code and reason fit a control frame");
}

fn encode_control(
    out: &mut Vec<u8>,
    opcode: Opcode,
    payload: &[u8],
    key: Option<[u8; 4]>,
) -> Result<(), ControlTooLong> {
    if payload.len() > CONTROL_BYTES_MAX {
        return Err(ControlTooLong);
    }
    let header = FrameHeader {
        opcode,
        is_final: true,
        is_compressed: false,
        len: payload.len() as u64,
        key,
    };
    encode(out, header, payload);
    Ok(())
}

#[inline]
fn encode(out: &mut Vec<u8>, header: FrameHeader, payload: &[u8]) {
    out.extend_from_slice(header.to_bytes().as_slice());
    let begin = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = header.key {
        mask(&mut out[begin..], key);
    }
}
