//! The fields of a head, as places in its bytes.

use std::{fmt, str};

use ::http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    HeadError,
    span::Span,
    token::{is_same_name, is_text_byte, is_token_byte, list, trim},
};

/// Where the name and the value of a field are in the head.
#[derive(Debug, Clone, Copy)]
struct Place {
    name: Span,
    value: Span,
}

/// The places of all fields of a head.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Vec<Place>);

/// The fields of a head or of a trailer section, in the order in which they came.
///
/// It owns a copy of the head's bytes and the places of the fields in them. Fields are looked up
/// and converted only when they are asked for. A cleared one keeps its memory.
#[derive(Clone, Default)]
pub(crate) struct Fields {
    /// Invariant: at most `rules::HEAD_BYTES_LIMIT` bytes once the places are set.
    pub(super) bytes: Vec<u8>,
    pub(super) places: Places,
}

impl Fields {
    /// Forgets everything but the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.places.0.clear();
    }

    /// Number of fields.
    pub(crate) fn len(&self) -> usize {
        self.places.0.len()
    }

    /// The value of the first field called `name`, whatever the case.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The values of all fields called `name`, whatever the case.
    pub(crate) fn get_all<'a, 'n>(
        &'a self,
        name: &'n str,
    ) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let named = move |place: &&Place| {
            // Most differ in length, which needs no look at their bytes.
            place.name.len() == name.len() && is_same_name(self.name_bytes(place), name.as_bytes())
        };
        let places = self.places.0.iter().filter(named);
        places.map(|place| self.value_bytes(place))
    }

    /// The elements of the list that all fields called `name` make together (RFC 9110, section
    /// 5.3), trimmed, without the empty ones.
    pub(crate) fn elements<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).flat_map(list)
    }

    /// Forgets the fields called `name`, whatever the case. Facts that were read from them stay.
    pub(crate) fn remove(&mut self, name: &str) {
        let bytes = &self.bytes;
        let places = &mut self.places.0;
        places.retain(|place| !is_same_name(place.name.of(bytes), name.as_bytes()));
    }

    /// Names, as they were sent, and values of all fields.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.places
            .0
            .iter()
            .map(|place| (self.name(place), self.value_bytes(place)))
    }

    /// The value of the field at `index`.
    pub(super) fn value_at(&self, index: usize) -> &[u8] {
        self.value_bytes(&self.places.0[index])
    }

    /// The fields as a map of the `http` crate.
    pub(crate) fn to_header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        for (name, value) in self.iter() {
            let name = HeaderName::from_bytes(name.as_bytes());
            // The head was checked by these two grammars, so no field is left out.
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        map
    }

    /// Adds the field in the line `bytes[start..end]`, which is given without its line end, when
    /// its name is `wanted`.
    pub(super) fn push_line(
        &mut self,
        start: usize,
        end: usize,
        wanted: impl FnOnce(&[u8]) -> bool,
    ) -> Result<(), HeadError> {
        let line = &self.bytes[start..end];
        let field = FieldLine::parse(line)?;
        if wanted(field.name) {
            let value = start + (field.value.as_ptr() as usize - line.as_ptr() as usize);
            self.places.0.push(Place {
                name: Span::new(start, field.name.len()),
                value: Span::new(value, field.value.len()),
            });
        }
        Ok(())
    }

    fn name(&self, place: &Place) -> &str {
        str::from_utf8(self.name_bytes(place)).expect("a field name is a token, which is ASCII")
    }

    fn name_bytes(&self, place: &Place) -> &[u8] {
        place.name.of(&self.bytes)
    }

    fn value_bytes(&self, place: &Place) -> &[u8] {
        place.value.of(&self.bytes)
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self
            .iter()
            .map(|(name, value)| (name, value.escape_ascii().to_string()));
        f.debug_map().entries(fields).finish()
    }
}

impl Places {
    /// Takes over the places of `slices`, which point into `bytes`, and calls `note` with the
    /// index, name and value of each. Returns whether the line before each ends with CR LF: the
    /// tokenizer takes LF alone for a line end too.
    #[inline]
    pub(super) fn set(
        &mut self,
        bytes: &[u8],
        slices: &[httparse::Header<'_>],
        mut note: impl FnMut(usize, &[u8], &[u8]),
    ) -> bool {
        let base = bytes.as_ptr() as usize;
        let mut is_strict = true;
        self.0.clear();
        self.0
            .extend(slices.iter().enumerate().map(|(index, slice)| {
                note(index, slice.name.as_bytes(), slice.value);
                let name = slice.name.as_ptr() as usize - base;
                is_strict &= bytes[..name].ends_with(b"\r\n");
                let value = match slice.value {
                    // Nothing says where an empty value points.
                    [] => name + slice.name.len(),
                    value => value.as_ptr() as usize - base,
                };
                Place {
                    name: Span::new(name, slice.name.len()),
                    value: Span::new(value, slice.value.len()),
                }
            }));
        is_strict
    }

    /// The same in a head whose request line ends at `to` instead of `from`.
    pub(super) fn shift(&mut self, from: usize, to: usize) {
        for place in &mut self.0 {
            place.name.shift(from, to);
            place.value.shift(from, to);
        }
    }
}

/// A field line in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FieldLine<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
}

impl<'a> FieldLine<'a> {
    /// Splits a line, which is given without its line end.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, HeadError> {
        if let [b' ' | b'\t', ..] = line {
            return Err(HeadError::LineFolded);
        }
        let len = line
            .iter()
            .position(|&byte| !is_token_byte(byte))
            .ok_or(HeadError::ColonMissing)?;
        let value = match &line[len..] {
            [b':', ..] if len == 0 => return Err(HeadError::FieldNameEmpty),
            [b':', value @ ..] => trim(value),
            [b' ' | b'\t', rest @ ..] if trim(rest).first() == Some(&b':') => {
                return Err(HeadError::SpaceBeforeColon);
            }
            rest if !rest.contains(&b':') => return Err(HeadError::ColonMissing),
            _ => return Err(HeadError::FieldNameInvalid),
        };
        if !value.iter().all(|&byte| is_text_byte(byte)) {
            return Err(HeadError::FieldValueInvalid);
        }
        Ok(Self {
            name: &line[..len],
            value,
        })
    }
}

/// The names that have no meaning in a trailer section, where they come too late: framing,
/// routing, authentication and what tells how to read the content (RFC 9110, section 6.5.1).
const FORBIDDEN_TRAILERS: [&[u8]; 34] = [
    b"accept-encoding",
    b"age",
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"date",
    b"expect",
    b"expires",
    b"forwarded",
    b"host",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"keep-alive",
    b"location",
    b"max-forwards",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"range",
    b"retry-after",
    b"set-cookie",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"www-authenticate",
];

/// Whether a field called `name` must be ignored in a trailer section.
pub(super) fn is_forbidden_trailer(name: &[u8]) -> bool {
    FORBIDDEN_TRAILERS
        .iter()
        .any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}
