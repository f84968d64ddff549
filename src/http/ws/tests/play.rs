//! Plays bytes to a decoder and tells what it said, for tests and for the fuzzer, which includes
//! this file.

use crate::http::ws::{Data, Decoder, Event, FrameError, Limits, MessageKind, Payload, Role, mask};

/// A message or a control frame as a program would have it, or the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Text(String),
    Binary(Vec<u8>),
    Deflated(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    Error(FrameError),
}

/// The circumstances of a decoder.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) role: Role,
    pub(super) deflate: bool,
    pub(super) limits: Limits,
}

pub(super) const SERVER: Setting = Setting {
    role: Role::Server,
    deflate: false,
    limits: Limits {
        message_bytes_max: 1 << 20,
        fragments_max: 8,
    },
};

pub(super) const CLIENT: Setting = Setting {
    role: Role::Client,
    ..SERVER
};

pub(super) const DEFLATE: Setting = Setting {
    deflate: true,
    ..SERVER
};

/// Everything that a decoder tells about bytes which arrive in `pieces`.
pub(super) fn play<'p>(pieces: impl IntoIterator<Item = &'p [u8]>, setting: &Setting) -> Vec<Told> {
    let mut decoder = Decoder::new(setting.role, setting.deflate);
    let mut told = Vec::new();
    let mut message = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        if let Err(error) = play_piece(&mut decoder, &mut piece, setting, &mut message, &mut told) {
            // It stays where it is.
            let mut more = [0x81, 0x80];
            let again = decoder.decode(&mut more, &setting.limits);
            assert_eq!(again.unwrap_err(), error);
            told.push(Told::Error(error));
            return told;
        }
    }
    told
}

fn play_piece(
    decoder: &mut Decoder,
    piece: &mut [u8],
    setting: &Setting,
    message: &mut Vec<u8>,
    told: &mut Vec<Told>,
) -> Result<(), FrameError> {
    let mut at = 0;
    while at < piece.len() {
        let rest = &mut piece[at..];
        let (there, start) = (rest.len(), rest.as_ptr() as usize);
        let step = decoder.decode(rest, &setting.limits)?;
        assert!((1..=there).contains(&step.consumed));
        at += step.consumed;
        let Some(event) = step.event else {
            continue;
        };
        match event {
            Event::Data(data) => {
                let end = start + step.consumed;
                let bytes = data.payload.bytes();
                let is_in_input = bytes.as_ptr() as usize + bytes.len() == end;
                assert!(!data.is_whole || (is_in_input && data.is_end && message.is_empty()));
                assert!(data.is_end || !bytes.is_empty());
                take_data(data, message, told);
            }
            Event::Ping(payload) => told.push(Told::Ping(payload.to_vec())),
            Event::Pong(payload) => told.push(Told::Pong(payload.to_vec())),
            Event::Close(frame) => {
                let frame = frame.map(|frame| (frame.code.get(), frame.reason.to_owned()));
                told.push(Told::Close(frame));
            }
        }
    }
    Ok(())
}

fn take_data(data: Data<'_>, message: &mut Vec<u8>, told: &mut Vec<Told>) {
    message.extend_from_slice(data.payload.bytes());
    if !data.is_end {
        return;
    }
    let bytes = std::mem::take(message);
    told.push(match data.payload {
        Payload::Text(_) => Told::Text(String::from_utf8(bytes).expect("it was checked")),
        Payload::Binary(_) => Told::Binary(bytes),
        Payload::Deflated(kind, _) => Told::Deflated(kind, bytes),
    });
}

/// Plays `input` whole, split at every place and byte by byte. Returns what each of these tells.
pub(super) fn play_all_splits(input: &[u8], setting: &Setting) -> Vec<Told> {
    let whole = play([input], setting);
    assert_eq!(play(input.chunks(1), setting), whole, "byte by byte");
    for at in 0..=input.len() {
        let (start, end) = input.split_at(at);
        assert_eq!(play([start, end], setting), whole, "split at {at}");
    }
    whole
}

/// A frame of a client with its first byte and the shortest length.
pub(super) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = unmasked(first, payload);
    frame[1] |= 0x80;
    let begin = frame.len() - payload.len();
    mask(&mut frame[begin..], key);
    frame.splice(begin..begin, key);
    frame
}

/// A frame of a server.
pub(super) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(len as u8),
        len @ 126..0x1_0000 => {
            frame.push(126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}
