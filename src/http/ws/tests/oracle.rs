//! A decoder that is slow and simple, and shares no code with the one it is held against.

use super::play::{Setting, Told};
use crate::http::ws::{
    FrameError::{self, *},
    MessageKind, Role,
};

#[derive(Debug)]
struct Message {
    opcode: u8,
    is_compressed: bool,
    bytes: Vec<u8>,
    announced: u128,
    fragment_count: u32,
}

/// Everything that is to be told about `input`.
pub(super) fn expected(input: &[u8], setting: &Setting) -> Vec<Told> {
    let mut told = Vec::new();
    let mut rest = input;
    let mut message = None;
    loop {
        match frame(&mut rest, &mut message, setting) {
            Ok(None) => return told,
            Ok(Some(one)) => {
                let is_close = matches!(one, Some(Told::Close(_)));
                told.extend(one);
                if is_close {
                    return told;
                }
            }
            Err(error) => {
                told.push(Told::Error(error));
                return told;
            }
        }
    }
}

/// One frame: nothing if it is incomplete, else what it tells, which may be nothing yet.
fn frame(
    rest: &mut &[u8],
    message: &mut Option<Message>,
    setting: &Setting,
) -> Result<Option<Option<Told>>, FrameError> {
    let Some(first) = take(rest, 1).map(|bytes| bytes[0]) else {
        return Ok(None);
    };
    let (is_final, rsv1, opcode) = (first >= 0x80, first & 0x40 != 0, first % 16);
    let is_data = opcode < 8;
    match first {
        _ if first & 0x30 != 0 => return Err(ReservedBits),
        _ if !matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10) => return Err(OpcodeReserved),
        _ if rsv1 && !(setting.deflate && matches!(opcode, 1 | 2)) => return Err(ReservedBits),
        _ if !is_data && !is_final => return Err(ControlFragmented),
        _ if is_data && opcode != 0 && message.is_some() => return Err(ContinuationMissing),
        _ if opcode == 0 && message.is_none() => return Err(ContinuationUnexpected),
        _ => {}
    }
    let Some(second) = take(rest, 1).map(|bytes| bytes[0]) else {
        return Ok(None);
    };
    match setting.role {
        Role::Server if second < 128 => return Err(Unmasked),
        Role::Client if second >= 128 => return Err(Masked),
        _ => {}
    }
    if !is_data && second % 128 > 125 {
        return Err(ControlTooLong);
    }
    let (size, least) = match second % 128 {
        126 => (2, 126),
        127 => (8, 65_536),
        _ => (0, 0),
    };
    let Some(bytes) = take(rest, size) else {
        return Ok(None);
    };
    let number = bytes
        .iter()
        .fold(0_u128, |sum, &byte| sum * 256 + u128::from(byte));
    let len = if size == 0 {
        u128::from(second % 128)
    } else {
        number
    };
    if len < least {
        return Err(LengthNotMinimal);
    }
    if len >= 1 << 63 {
        return Err(LengthTooLarge);
    }
    let Some(key) = take(rest, if second >= 128 { 4 } else { 0 }) else {
        return Ok(None);
    };
    if is_data {
        announce(message, opcode, rsv1, len, setting)?;
    }
    let there = rest.len().min(usize::try_from(len).unwrap_or(usize::MAX));
    let payload: Vec<u8> = take(rest, there)
        .expect("they are there")
        .iter()
        .enumerate()
        .map(|(index, byte)| {
            if key.is_empty() {
                *byte
            } else {
                byte ^ key[index % 4]
            }
        })
        .collect();
    let is_complete = there as u128 == len;
    if is_data {
        let one = data(message, &payload, is_complete && is_final)?;
        return Ok(is_complete.then_some(one));
    }
    if !is_complete {
        return Ok(None);
    }
    match opcode {
        9 => Ok(Some(Some(Told::Ping(payload)))),
        10 => Ok(Some(Some(Told::Pong(payload)))),
        _ => close(&payload).map(|told| Some(Some(told))),
    }
}

/// Counts a data frame, and begins its message.
fn announce(
    message: &mut Option<Message>,
    opcode: u8,
    is_compressed: bool,
    len: u128,
    setting: &Setting,
) -> Result<(), FrameError> {
    let message = message.get_or_insert(Message {
        opcode,
        is_compressed,
        bytes: Vec::new(),
        announced: 0,
        fragment_count: 0,
    });
    message.fragment_count += 1;
    message.announced += len;
    let max = u128::from(setting.limits.message_bytes_max);
    if message.fragment_count > setting.limits.fragments_max {
        return Err(TooManyFragments);
    }
    let room = if message.is_compressed {
        max / 64 + 64
    } else {
        0
    };
    if message.announced > max + room {
        return Err(MessageTooLarge);
    }
    Ok(())
}

/// Adds bytes of a message, and ends it.
fn data(
    slot: &mut Option<Message>,
    payload: &[u8],
    is_end: bool,
) -> Result<Option<Told>, FrameError> {
    let message = slot.as_mut().expect("it has begun");
    message.bytes.extend_from_slice(payload);
    if message.opcode == 1 && !message.is_compressed {
        match std::str::from_utf8(&message.bytes) {
            Err(error) if is_end || error.error_len().is_some() => return Err(TextNotUtf8),
            _ => {}
        }
    }
    if !is_end {
        return Ok(None);
    }
    let message = slot.take().expect("it has begun");
    let is_text = message.opcode == 1;
    Ok(Some(match (message.is_compressed, is_text) {
        (true, true) => Told::Deflated(MessageKind::Text, message.bytes),
        (true, false) => Told::Deflated(MessageKind::Binary, message.bytes),
        (false, true) => Told::Text(String::from_utf8(message.bytes).expect("it was checked")),
        (false, false) => Told::Binary(message.bytes),
    }))
}

fn close(payload: &[u8]) -> Result<Told, FrameError> {
    match payload {
        [] => Ok(Told::Close(None)),
        [_] => Err(CloseTooShort),
        [high, low, reason @ ..] => {
            let code = u16::from(*high) * 256 + u16::from(*low);
            let is_known =
                (1000..1016).contains(&code) && ![1004, 1005, 1006, 1015].contains(&code);
            if !is_known && !(3000..5000).contains(&code) {
                return Err(CloseCodeInvalid);
            }
            let reason = String::from_utf8(reason.to_vec()).map_err(|_| CloseReasonNotUtf8)?;
            Ok(Told::Close(Some((code, reason))))
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}
