//! Writes the head of a request.

use std::fmt;

use ::http::{
    HeaderName, HeaderValue, Method,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};

use super::{
    BodyLength,
    host::is_host,
    token::{is_target_byte, list},
    write::{write_content_length, write_field},
};

/// Writes the head of one request: first the request line and `Host`, then the fields, then the
/// framing.
///
/// Names and values are types that cannot hold CR, LF or NUL, the target is percent-encoded where
/// it must be and the host is checked, so nothing that a caller says can end a line.
#[derive(Debug)]
pub(crate) struct RequestEncoder<'a> {
    out: &'a mut Vec<u8>,
    needs_length: bool,
    keeps_alive: bool,
}

/// Room for the fields of most requests.
const SMALL_HEAD_BYTES: usize = 200;

/// The lines of fields that go with many requests.
#[derive(Debug)]
pub(crate) struct FieldLines {
    bytes: Vec<u8>,
    keeps_alive: bool,
}

impl FieldLines {
    /// Writes the lines of `fields`, as [`RequestEncoder::field`] does.
    pub(crate) fn new<'a>(
        fields: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    ) -> Self {
        let mut bytes = Vec::new();
        let mut encoder = RequestEncoder {
            out: &mut bytes,
            needs_length: false,
            keeps_alive: true,
        };
        for (name, value) in fields {
            encoder.field(name, value);
        }
        let keeps_alive = encoder.keeps_alive;
        Self { bytes, keeps_alive }
    }
}

/// The host of a request is not a host with an optional port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostInvalid;

impl fmt::Display for HostInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a host with an optional port, found something else")
    }
}

impl std::error::Error for HostInvalid {}

impl<'a> RequestEncoder<'a> {
    /// Begins a request at the end of `out`.
    ///
    /// `target` is in the form that goes on the wire: a path with its query, a whole URI for a
    /// proxy, a host and port for `CONNECT`. Its fragment is left out, and what may not be in a
    /// target is percent-encoded; percent signs in it stay as they are. A whole URI must come
    /// without userinfo, which belongs into `Authorization`. `host` is the value of
    /// `Host`: no userinfo, and the port only when it is not that of the scheme.
    ///
    /// # Errors
    ///
    /// The host is malformed. Nothing has been written then.
    pub(crate) fn new(
        out: &'a mut Vec<u8>,
        method: &Method,
        target: &str,
        host: &str,
    ) -> Result<Self, HostInvalid> {
        if !is_host(host.as_bytes()) {
            return Err(HostInvalid);
        }
        out.extend_from_slice(method.as_str().as_bytes());
        out.extend_from_slice(b" ");
        write_target(out, target);
        Ok(Self::behind_target(out, method, host))
    }

    /// As [`new`](Self::new), with a target and a host that can be sent as they are.
    pub(crate) fn checked(out: &'a mut Vec<u8>, method: &Method, target: &str, host: &str) -> Self {
        debug_assert!(is_host(host.as_bytes()), "the caller has checked it");
        debug_assert!(
            target.starts_with('/') && target.bytes().all(is_target_byte),
            "the caller has checked it"
        );
        let method_text = method.as_str();
        out.reserve(method_text.len() + target.len() + host.len() + SMALL_HEAD_BYTES);
        out.extend_from_slice(method_text.as_bytes());
        out.extend_from_slice(b" ");
        out.extend_from_slice(target.as_bytes());
        Self::behind_target(out, method, host)
    }

    fn behind_target(out: &'a mut Vec<u8>, method: &Method, host: &str) -> Self {
        out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        out.extend_from_slice(host.as_bytes());
        out.extend_from_slice(b"\r\n");
        Self {
            out,
            needs_length: matches!(*method, Method::POST | Method::PUT | Method::PATCH),
            keeps_alive: true,
        }
    }

    /// Adds fields that were written before.
    pub(crate) fn lines(&mut self, lines: &FieldLines) {
        self.keeps_alive &= lines.keeps_alive;
        self.out.extend_from_slice(&lines.bytes);
    }

    /// Adds fields in lines that can be sent as they are, among them none that is decided here.
    pub(crate) fn checked_lines(&mut self, lines: &[u8]) {
        self.out.extend_from_slice(lines);
    }

    /// Adds a field.
    ///
    /// `Host`, `Content-Length` and `Transfer-Encoding` are ignored: they are decided here.
    pub(crate) fn field(&mut self, name: &HeaderName, value: &HeaderValue) {
        if *name == HOST || *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING {
            return;
        }
        if *name == CONNECTION {
            let mut options = list(value.as_bytes());
            self.keeps_alive &= !options.any(|option| option.eq_ignore_ascii_case(b"close"));
        }
        write_field(self.out, name.as_str().as_bytes(), value.as_bytes());
    }

    /// Ends the head of a request with such a body. Returns whether the connection may be used
    /// again: the caller did not ask to close it.
    ///
    /// A body of unknown length goes in chunks. One that ends with the connection cannot be sent
    /// in a request and goes in chunks as well.
    pub(crate) fn finish(self, body: BodyLength) -> bool {
        match body {
            BodyLength::Sized(length) => write_content_length(self.out, length),
            // Servers wait for a body, or answer 411, when these methods do not deny one.
            BodyLength::None if self.needs_length => write_content_length(self.out, 0),
            BodyLength::None => {}
            BodyLength::Chunked | BodyLength::UntilClose => {
                self.out
                    .extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
        }
        self.out.extend_from_slice(b"\r\n");
        self.keeps_alive
    }
}

/// Writes a target without its fragment. An empty path becomes a slash.
fn write_target(out: &mut Vec<u8>, target: &str) {
    let end = target.find('#').unwrap_or(target.len());
    let target = &target.as_bytes()[..end];
    if matches!(target, [] | [b'?', ..]) {
        out.push(b'/');
    }
    if target.iter().all(|&byte| is_target_byte(byte)) {
        return out.extend_from_slice(target);
    }
    for &byte in target {
        if is_target_byte(byte) {
            out.push(byte);
        } else {
            let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}
