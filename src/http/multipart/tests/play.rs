//! Plays bytes to a parser and tells what it said, for tests and for the fuzzer, which includes
//! this file.

use crate::http::multipart::{Boundary, Limits, MultipartError, Parsed, Parser, PartHead};

/// The boundary of all tests.
pub(super) const BOUNDARY: &[u8] = b"a-b";

/// A part as a program would have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) bytes: Vec<u8>,
}

impl Part {
    pub(super) fn new(head: &PartHead) -> Self {
        let fields = head
            .fields()
            .map(|(name, value)| (name.to_owned(), value.to_vec()));
        Self {
            name: head.name().to_owned(),
            file_name: head.file_name().map(str::to_owned),
            fields: fields.collect(),
            bytes: Vec::new(),
        }
    }
}

/// The parts of a body, the last of which may be cut, and why it ended there.
pub(super) type Told = (Vec<Part>, Result<(), MultipartError>);

/// Everything that a parser tells about bytes which arrive in `pieces`.
pub(super) fn play<'p>(pieces: impl IntoIterator<Item = &'p [u8]>, limits: Limits) -> Told {
    let boundary = Boundary::new(BOUNDARY).unwrap();
    let mut parser = Parser::new(&boundary, limits);
    let mut parts = Vec::new();
    for piece in pieces {
        match play_piece(&mut parser, piece, &mut parts) {
            Ok(false) => {}
            Ok(true) => return (parts, Ok(())),
            Err(error) => {
                assert_eq!(parser.parse(b"x").unwrap_err(), error, "it stays");
                assert_eq!(parser.end(), error, "it stays");
                return (parts, Err(error));
            }
        }
    }
    (parts, Err(parser.end()))
}

/// Whether the closing boundary was in the piece.
fn play_piece(
    parser: &mut Parser,
    mut piece: &[u8],
    parts: &mut Vec<Part>,
) -> Result<bool, MultipartError> {
    loop {
        let (taken, parsed) = parser.parse(piece)?;
        let (bytes, rest) = piece.split_at(taken);
        let mut add = |bytes: &[u8]| {
            let part = parts.last_mut().expect("a part has a head");
            part.bytes.extend_from_slice(bytes);
        };
        match parsed {
            Parsed::More => {
                assert!(rest.is_empty(), "all is taken");
                return Ok(false);
            }
            Parsed::Head(head) => parts.push(Part::new(&head)),
            Parsed::Data => {
                assert!(taken > 0);
                add(bytes);
            }
            Parsed::Held(place) => {
                assert!(!place.is_empty() && taken == 0);
                add(&parser.delimiter()[place]);
            }
            Parsed::PartEnd => {}
            Parsed::End => return Ok(true),
        }
        assert!((parts.len()..=parts.len() + 1).contains(&parser.part()));
        piece = rest;
    }
}
