//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455, section 9.1).

use std::borrow::Cow;

use crate::http::h1::{is_token, trim};

/// The field does not follow its grammar. The handshake fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// One extension of the list, with its parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extension<'a> {
    pub(super) name: &'a [u8],
    /// The parameters, which follow the grammar.
    params: Option<&'a [u8]>,
}

/// A parameter of an extension.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Param<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: Option<Cow<'a, [u8]>>,
}

impl<'a> Extension<'a> {
    /// Reads an element of the list.
    ///
    /// A comma or a semicolon in a quoted value splits it, and then its parts are malformed. So
    /// would the whole be: a quoted value is a token, too.
    pub(super) fn parse(element: &'a [u8]) -> Result<Self, Malformed> {
        let mut parts = element.splitn(2, |&byte| byte == b';');
        let name = trim(parts.next().unwrap_or_default());
        let extension = Self {
            name,
            params: parts.next(),
        };
        if !is_token(name) {
            return Err(Malformed);
        }
        for param in extension.try_params() {
            param?;
        }
        Ok(extension)
    }

    /// The parameters, in the order in which they came.
    pub(super) fn params(&self) -> impl Iterator<Item = Param<'a>> {
        // `parse` has found all of them well-formed.
        self.try_params().flatten()
    }

    fn try_params(&self) -> impl Iterator<Item = Result<Param<'a>, Malformed>> + use<'a> {
        let params = self.params.into_iter();
        params.flat_map(|params| params.split(|&byte| byte == b';').map(Param::parse))
    }
}

impl<'a> Param<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
        let mut parts = text.splitn(2, |&byte| byte == b'=');
        let name = trim(parts.next().unwrap_or_default());
        let value = parts.next().map(|value| unquote(trim(value)));
        let value = value.transpose()?;
        let is_valid = is_token(name) && value.as_deref().is_none_or(is_token);
        is_valid.then_some(Self { name, value }).ok_or(Malformed)
    }
}

/// The value that a token or a quoted string stands for.
fn unquote(value: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    let quoted = match value {
        [b'"', quoted @ .., b'"'] => quoted,
        _ => return Ok(Cow::Borrowed(value)),
    };
    if !quoted.iter().any(|byte| b"\"\\".contains(byte)) {
        return Ok(Cow::Borrowed(quoted));
    }
    let mut bytes = quoted.iter();
    let mut plain = Vec::with_capacity(quoted.len());
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            b'"' => return Err(Malformed),
            b'\\' => *bytes.next().ok_or(Malformed)?,
            byte => byte,
        });
    }
    Ok(Cow::Owned(plain))
}
