//! The parameters of a value, as in `form-data; name="a"`.

use std::borrow::Cow;

use crate::http::h1::{is_token, trim};

/// A parameter that does not follow the grammar.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The value in front of the parameters, and these.
pub(super) fn split(value: &[u8]) -> (&[u8], Params<'_>) {
    let end = value.iter().position(|&byte| byte == b';');
    let (first, rest) = value.split_at(end.unwrap_or(value.len()));
    (trim(first), Params { rest })
}

/// A parameter: its name, and its value without quotes.
type Param<'a> = (&'a [u8], Cow<'a, [u8]>);

/// The names and values of parameters, in order.
pub(super) struct Params<'a> {
    /// It begins with the semicolon of the next one.
    rest: &'a [u8],
}

impl<'a> Params<'a> {
    /// Reads the next parameter; none for a semicolon at the end.
    fn read(&mut self) -> Result<Option<Param<'a>>, Malformed> {
        let param = trim(&self.rest[1..]);
        if param.is_empty() {
            self.rest = param;
            return Ok(None);
        }
        let equals = param.iter().position(|&byte| byte == b'=');
        let (name, value) = param.split_at(equals.ok_or(Malformed)?);
        if !is_token(name) {
            return Err(Malformed);
        }
        let value = &value[1..];
        let (value, rest) = match value {
            [b'"', quoted @ ..] => unquote(quoted).ok_or(Malformed)?,
            _ => {
                let end = value.iter().position(|&byte| b"; \t".contains(&byte));
                let (value, rest) = value.split_at(end.unwrap_or(value.len()));
                if value.is_empty() || value.contains(&b'"') {
                    return Err(Malformed);
                }
                (Cow::Borrowed(value), rest)
            }
        };
        self.rest = trim(rest);
        match self.rest {
            [] | [b';', ..] => Ok(Some((name, value))),
            _ => Err(Malformed),
        }
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = Result<Param<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.rest = &[];
        }
        read.transpose()
    }
}

/// The text of a quoted string, whose opening quote is gone, and what follows its closing one.
///
/// A backslash escapes a quote and a backslash only. Go and older curls write those, while
/// browsers write a backslash of a file's name as it is.
fn unquote(quoted: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let first = quoted
        .iter()
        .position(|&byte| byte == b'"' || byte == b'\\')?;
    if quoted[first] == b'"' {
        return Some((Cow::Borrowed(&quoted[..first]), &quoted[first + 1..]));
    }
    let mut text = quoted[..first].to_vec();
    let mut rest = &quoted[first..];
    loop {
        rest = match rest {
            [b'\\', escaped @ (b'"' | b'\\'), rest @ ..] => {
                text.push(*escaped);
                rest
            }
            [b'"', rest @ ..] => return Some((Cow::Owned(text), rest)),
            [byte, rest @ ..] => {
                text.push(*byte);
                rest
            }
            [] => return None,
        };
    }
}
