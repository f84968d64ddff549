//! Finds parts in a body that arrives in pieces.

use std::ops::Range;

use memchr::{memchr, memmem::Finder, memrchr};

use super::{Boundary, Limits, MultipartError, PartHead};

/// The line end that a delimiter begins with.
const LINE_END: &[u8] = b"\r\n";

/// The most blanks between a boundary and the end of its line.
const PADDING_BYTES_MAX: usize = 64;

/// A step of the parser.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// All of the input was taken, and more is needed.
    More,
    /// The head of a part is complete.
    Head(PartHead),
    /// The bytes that were taken are the part's.
    Data,
    /// Bytes of the part that came earlier and looked like a boundary until now: those in this
    /// place of the [delimiter](Parser::delimiter).
    Held(Range<usize>),
    /// The part is complete.
    PartEnd,
    /// The closing boundary was here. Nothing of what follows counts.
    End,
}

/// Where the parser is.
#[derive(Debug)]
enum State {
    /// In front of the first boundary, where text may stand that no program reads.
    Preamble,
    /// In the line of a boundary, behind it.
    BoundaryLine(Line),
    /// In a part's head, in the line that begins at this place.
    Head(PartHead, usize),
    /// In a part, of which so many bytes have been here.
    Data(u64),
    /// Behind the closing boundary.
    Ended,
    Failed(MultipartError),
}

/// How far the line of a boundary has been read.
#[derive(Debug, Clone, Copy)]
enum Line {
    /// So many blanks.
    Padding(usize),
    /// One of the two dashes of the closing boundary.
    Dash,
    /// The CR of its end.
    Cr,
}

/// The outcome of a search for the delimiter.
enum Found {
    /// So many bytes of the input are no part of it.
    Plain(usize),
    /// Bytes that came earlier are no part of it, although they are the same as those in this place
    /// of it.
    Held(Range<usize>),
    /// It ends behind so many bytes of the input.
    Delimiter(usize),
    /// All of the input may be the beginning of it.
    Maybe,
}

/// Finds parts in a body that arrives in pieces. Once it has failed, it fails again.
#[derive(Debug)]
pub(crate) struct Parser {
    /// Its needle has no CR but at its beginning, so a match that fails begins anew at once.
    finder: Finder<'static>,
    limits: Limits,
    state: State,
    /// How many bytes of the delimiter the input ended with, so far.
    matched: usize,
    /// How many of those belong to what was in front: the line end of a head, or of nothing at the
    /// beginning of the body.
    borrowed: usize,
    parts: usize,
}

impl Parser {
    pub(crate) fn new(boundary: &Boundary, limits: Limits) -> Self {
        Self {
            finder: Finder::new(boundary.delimiter()).into_owned(),
            limits,
            state: State::Preamble,
            matched: LINE_END.len(),
            borrowed: LINE_END.len(),
            parts: 0,
        }
    }

    pub(crate) fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// The bytes between two parts.
    pub(crate) fn delimiter(&self) -> &[u8] {
        self.finder.needle()
    }

    /// The number of the part that it is in or behind, from 1 on; 0 in front of the first.
    pub(crate) fn part(&self) -> usize {
        self.parts
    }

    /// Reads on, and returns how many bytes of `input` it has taken. `input` follows on what it has
    /// taken before. Empty, it gets what is known already.
    pub(crate) fn parse(&mut self, input: &[u8]) -> Result<(usize, Parsed), MultipartError> {
        let mut taken = 0;
        loop {
            match self.step(&input[taken..]) {
                Ok((count, None)) => taken += count,
                Ok((count, Some(parsed))) => {
                    debug_assert!(taken == 0 || !matches!(parsed, Parsed::Data));
                    return Ok((taken + count, parsed));
                }
                Err(error) => return Err(self.fail(error)),
            }
        }
    }

    /// The error of a body that ends here.
    pub(crate) fn end(&mut self) -> MultipartError {
        match self.state {
            State::Failed(error) => error,
            _ => self.fail(MultipartError::UnexpectedEnd),
        }
    }

    fn fail(&mut self, error: MultipartError) -> MultipartError {
        self.state = State::Failed(error);
        error
    }

    /// Takes some bytes, and says what they bring, if they do.
    fn step(&mut self, input: &[u8]) -> Result<(usize, Option<Parsed>), MultipartError> {
        match &self.state {
            State::Preamble => Ok(self.skip_preamble(input)),
            State::BoundaryLine(line) => self.read_boundary_line(*line, input),
            State::Head(..) => self.read_head(input),
            State::Data(seen) => self.read_data(*seen, input),
            State::Ended => Ok((0, Some(Parsed::End))),
            State::Failed(error) => Err(*error),
        }
    }

    fn skip_preamble(&mut self, input: &[u8]) -> (usize, Option<Parsed>) {
        match self.search(input) {
            Found::Plain(count) => (count, None),
            Found::Held(_) => (0, None),
            Found::Maybe => (input.len(), Some(Parsed::More)),
            Found::Delimiter(count) => {
                self.state = State::BoundaryLine(Line::Padding(0));
                (count, None)
            }
        }
    }

    fn read_boundary_line(
        &mut self,
        line: Line,
        input: &[u8],
    ) -> Result<(usize, Option<Parsed>), MultipartError> {
        let Some(&byte) = input.first() else {
            return Ok((0, Some(Parsed::More)));
        };
        self.state = match (line, byte) {
            (Line::Padding(0), b'-') => State::BoundaryLine(Line::Dash),
            (Line::Dash, b'-') => State::Ended,
            (Line::Padding(count @ ..PADDING_BYTES_MAX), b' ' | b'\t') => {
                State::BoundaryLine(Line::Padding(count + 1))
            }
            (Line::Padding(_), b'\r') => State::BoundaryLine(Line::Cr),
            (Line::Cr, b'\n') if self.parts >= self.limits.parts_max => {
                return Err(MultipartError::TooManyParts);
            }
            (Line::Cr, b'\n') => {
                self.parts += 1;
                State::Head(PartHead::default(), 0)
            }
            _ => return Err(MultipartError::BoundaryLine),
        };
        Ok((1, None))
    }

    fn read_head(&mut self, input: &[u8]) -> Result<(usize, Option<Parsed>), MultipartError> {
        let State::Head(head, line_start) = &mut self.state else {
            unreachable!("the caller has looked");
        };
        let line_end = memchr(b'\n', input).map(|at| at + 1);
        let count = line_end.unwrap_or(input.len());
        if count > self.limits.head_bytes_max.saturating_sub(head.len()) {
            return Err(MultipartError::HeadTooLarge);
        }
        head.push(&input[..count]);
        if line_end.is_none() {
            return Ok((count, Some(Parsed::More)));
        }
        if !head.end_line(*line_start)? {
            *line_start = head.len();
            return Ok((count, None));
        }
        let head = std::mem::take(head);
        self.state = State::Data(0);
        // The delimiter's line end may be that of the head: then the part is empty.
        (self.matched, self.borrowed) = (LINE_END.len(), LINE_END.len());
        Ok((count, Some(Parsed::Head(head))))
    }

    fn read_data(
        &mut self,
        seen: u64,
        input: &[u8],
    ) -> Result<(usize, Option<Parsed>), MultipartError> {
        let found = self.search(input);
        let len = match &found {
            Found::Plain(count) => *count,
            Found::Held(place) => place.len(),
            Found::Maybe => return Ok((input.len(), Some(Parsed::More))),
            Found::Delimiter(count) => {
                self.state = State::BoundaryLine(Line::Padding(0));
                return Ok((*count, Some(Parsed::PartEnd)));
            }
        };
        let left = self.limits.part_bytes_max.saturating_sub(seen);
        if left == 0 {
            return Err(MultipartError::PartTooLarge);
        }
        let count = usize::try_from(left).map_or(len, |left| left.min(len));
        self.state = State::Data(seen + count as u64);
        let Found::Held(place) = found else {
            return Ok((count, Some(Parsed::Data)));
        };
        if count < len {
            // Its other bytes are not in the input any more.
            self.fail(MultipartError::PartTooLarge);
        }
        let place = place.start..place.start + count;
        Ok((0, Some(Parsed::Held(place))))
    }

    /// Looks for the delimiter.
    fn search(&mut self, input: &[u8]) -> Found {
        let delimiter = self.finder.needle();
        if self.matched > 0 {
            let rest = &delimiter[self.matched..];
            let pairs = rest.iter().zip(input);
            let same = pairs.take_while(|(wanted, found)| wanted == found).count();
            if same == rest.len() {
                (self.matched, self.borrowed) = (0, 0);
                return Found::Delimiter(same);
            }
            if same == input.len() {
                self.matched += same;
                return Found::Maybe;
            }
            // The bytes of this input that are the same are looked at again, and found plain.
            let held = self.borrowed..self.matched;
            (self.matched, self.borrowed) = (0, 0);
            if !held.is_empty() {
                return Found::Held(held);
            }
        }
        match self.finder.find(input) {
            Some(0) => return Found::Delimiter(delimiter.len()),
            Some(at) => return Found::Plain(at),
            None => {}
        }
        let tail = input.len().saturating_sub(delimiter.len() - 1);
        let start = memrchr(b'\r', &input[tail..]).map(|at| tail + at);
        match start.filter(|&start| delimiter.starts_with(&input[start..])) {
            Some(0) => {
                self.matched = input.len();
                Found::Maybe
            }
            Some(start) => Found::Plain(start),
            None if input.is_empty() => Found::Maybe,
            None => Found::Plain(input.len()),
        }
    }
}
