//! The types of content that become smaller.

/// Beside text, and what is made of JSON or XML.
const TYPES: [&str; 12] = [
    "application/javascript",
    "application/json",
    "application/manifest",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/xml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/x-icon",
];

/// The type that is never compressed unless that is asked for.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// Whether content of the type in a field `Content-Type` becomes smaller by compression.
pub(crate) fn is_compressible(content_type: &[u8], also: &[String]) -> bool {
    let end = content_type.iter().position(|&byte| byte == b';');
    let media_type = content_type[..end.unwrap_or(content_type.len())].trim_ascii();
    let is = |known: &str| media_type.eq_ignore_ascii_case(known.as_bytes());
    let begins = |start: &str| {
        let found = media_type.get(..start.len());
        found.is_some_and(|found| found.eq_ignore_ascii_case(start.as_bytes()))
    };
    let ends = |end: &str| {
        let at = media_type.len().checked_sub(end.len());
        at.is_some_and(|at| media_type[at..].eq_ignore_ascii_case(end.as_bytes()))
    };
    if also.iter().any(|known| is(known)) {
        return true;
    }
    begins("text/") && !is(EVENT_STREAM)
        || ends("+json")
        || ends("+xml")
        || TYPES.iter().any(|known| is(known))
}
