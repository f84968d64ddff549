//! The forms of a request target (RFC 9112, section 3.2).

use ::http::Method;
use memchr::{memchr, memchr2};

use super::{
    RequestError,
    host::{is_host, is_host_and_port},
    span::Span,
};

/// The form of a request target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum TargetForm {
    /// A path with an optional query: `/a?b`.
    #[default]
    Origin,
    /// A whole URI: `http://host/a?b`, as sent to proxies.
    Absolute,
    /// A host and a port, for `CONNECT`: `host:443`.
    Authority,
    /// `*`, for `OPTIONS` on the server as a whole.
    Asterisk,
}

/// Where the parts of a target are in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TargetParts {
    pub(super) form: TargetForm,
    pub(super) authority: Span,
    pub(super) path: Span,
    pub(super) query: Option<Span>,
}

/// Splits `target`, which has no control characters and no space, into `parts`, which are empty. A
/// plain one has no query and no fragment.
#[inline]
pub(super) fn split_target(
    target: &[u8],
    is_plain: bool,
    method: &Method,
    parts: &mut TargetParts,
) -> Result<(), RequestError> {
    if target.first() == Some(&b'/') && *method != Method::CONNECT {
        if is_plain {
            parts.path = Span::new(0, target.len());
            return Ok(());
        }
        split_path(target, 0, parts)
    } else {
        split_uncommon_target(target, method, parts)
    }
}

#[cold]
fn split_uncommon_target(
    target: &[u8],
    method: &Method,
    parts: &mut TargetParts,
) -> Result<(), RequestError> {
    if memchr(b'#', target).is_some() {
        return Err(RequestError::TargetFragment);
    }
    if *method == Method::CONNECT {
        if !is_host_and_port(target) {
            return Err(RequestError::ConnectTargetInvalid);
        }
        parts.form = TargetForm::Authority;
        parts.authority = Span::new(0, target.len());
        return Ok(());
    }
    if target == b"*" {
        if *method != Method::OPTIONS {
            return Err(RequestError::AsteriskWithoutOptions);
        }
        parts.form = TargetForm::Asterisk;
        parts.path = Span::new(0, 1);
        return Ok(());
    }
    let Some(colon) = target.windows(3).position(|three| three == b"://") else {
        return Err(RequestError::TargetFormInvalid);
    };
    let scheme = &target[..colon];
    if !scheme.eq_ignore_ascii_case(b"https") && !scheme.eq_ignore_ascii_case(b"http") {
        return Err(if is_scheme(&target[..colon]) {
            RequestError::SchemeUnsupported
        } else {
            RequestError::TargetFormInvalid
        });
    }
    let begin = colon + 3;
    let end = memchr2(b'/', b'?', &target[begin..]).map_or(target.len(), |len| begin + len);
    if !is_host(&target[begin..end]) {
        return Err(RequestError::HostInvalid);
    }
    parts.form = TargetForm::Absolute;
    parts.authority = Span::between(begin, end);
    split_path(target, end, parts)
}

/// Finds the path, which begins at `begin` and may be empty, and the query behind it.
fn split_path(target: &[u8], begin: usize, parts: &mut TargetParts) -> Result<(), RequestError> {
    let end = target.len();
    parts.path = Span::between(begin, end);
    if let Some(len) = memchr2(b'?', b'#', &target[begin..]) {
        let mark = begin + len;
        if target[mark] == b'#' || memchr(b'#', &target[mark + 1..]).is_some() {
            return Err(RequestError::TargetFragment);
        }
        parts.path = Span::between(begin, mark);
        parts.query = Some(Span::between(mark + 1, end));
    }
    Ok(())
}

/// Whether `bytes` has the grammar of a scheme.
fn is_scheme(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first() else {
        return false;
    };
    first.is_ascii_alphabetic()
        && rest
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}
