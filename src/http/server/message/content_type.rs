//! Reads `Content-Type`, and refuses bodies of another type.

use super::request::Request;
use crate::http::{
    StatusCode,
    error::{Error, Result},
    error_kind::ErrorKind,
};

/// Refuses a request unless its `Content-Type` is `application/` and a subtype that `fits`.
pub(crate) fn require_type(
    request: &Request,
    wanted: &str,
    fits: impl FnOnce(&[u8]) -> bool,
) -> Result<()> {
    let found = request.field("content-type");
    if found.and_then(application_subtype).is_some_and(fits) {
        return Ok(());
    }
    Err(refused(found, wanted))
}

/// The error of a body whose `Content-Type` is not the one that the handler asked for.
pub(crate) fn refused(found: Option<&[u8]>, wanted: &str) -> Error {
    let found = found.map_or("nothing".into(), String::from_utf8_lossy);
    let reason = format!("expected a body of type {wanted}, found {found}");
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Error::other(status, ErrorKind::MediaType, reason)
}

/// `json` of `application/json; charset=utf-8`.
fn application_subtype(value: &[u8]) -> Option<&[u8]> {
    let end = value.iter().position(|&byte| byte == b';');
    let media_type = value[..end.unwrap_or(value.len())].trim_ascii();
    let (kind, subtype) = media_type.split_at_checked("application/".len())?;
    kind.eq_ignore_ascii_case(b"application/")
        .then_some(subtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subtype_of_an_application() {
        let check = |value: &str, expected: Option<&str>| {
            let found = application_subtype(value.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{value}");
        };
        check("application/json", Some("json"));
        check("Application/JSON ; charset=utf-8", Some("JSON"));
        check("application/problem+json;a=\";\"", Some("problem+json"));
        check("application/", Some(""));
        check("application", None);
        check("text/json", None);
        check("", None);
    }
}
