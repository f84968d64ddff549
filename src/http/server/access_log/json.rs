//! The record of a request as one line of JSON.

use std::{
    fmt::{self, Write as _},
    str,
    time::UNIX_EPOCH,
};

use super::Access;
use crate::http::{h1::imf_fixdate, server::request_id::RequestId};

impl<'a> Access<'a> {
    /// Prints an object of JSON in one line, for collectors of logs. A part that is not known is
    /// left out:
    ///
    /// - `time` in UTC, to the millisecond; `peer`, its address and port; `client`, the address
    ///   that a trusted proxy tells; `method`, `target`, `version`;
    /// - `status`; `received` and `sent`, the bytes of both bodies; `duration_us`;
    /// - `agent` and `referer`, fields of the request;
    /// - `id`, of the layer [`RequestIds`](crate::http::layers::RequestIds);
    /// - `reason`, when the server refused or cut something or the client left, and `error`, of the
    ///   handler.
    ///
    /// Bytes of the client's that are no UTF-8 become U+FFFD.
    ///
    /// ```text
    /// {"time":"2026-10-10T13:55:36.042Z","peer":"192.0.2.7:4711","method":"GET","target":"/a", ..}
    /// ```
    #[must_use]
    pub fn json(&self) -> impl fmt::Display + use<'_, 'a> {
        Json { access: self }
    }
}

struct Json<'l, 'a> {
    access: &'l Access<'a>,
}

impl fmt::Display for Json<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = self.access;
        f.write_str("{\"time\":\"")?;
        write_time(f, access)?;
        f.write_char('"')?;
        let version = access.version().map(|version| format!("{version:?}"));
        let method = access.method.map(|method| method as &dyn fmt::Display);
        let peer = access.peer.as_ref().map(|peer| peer as &dyn fmt::Display);
        text(f, "peer", peer)?;
        let client = self.access.told_client();
        text(f, "client", client.as_ref().map(|client| client as _))?;
        text(f, "method", method)?;
        text(
            f,
            "target",
            method.map(|_| &access.target as &dyn fmt::Display),
        )?;
        text(f, "version", version.as_ref().map(|version| version as _))?;
        if let Some(status) = access.status {
            write!(f, ",\"status\":{}", status.as_u16())?;
        }
        write!(
            f,
            ",\"received\":{},\"sent\":{}",
            access.received, access.sent
        )?;
        write!(f, ",\"duration_us\":{}", access.duration.as_micros())?;
        for (name, field) in [("agent", "user-agent"), ("referer", "referer")] {
            let value = access.field(field).map(String::from_utf8_lossy);
            text(f, name, value.as_ref().map(|value| value as _))?;
        }
        let id = access.extension::<RequestId>();
        text(f, "id", id.as_deref().map(|id| id as _))?;
        let reason = access.reason.map(|reason| reason.as_str());
        text(f, "reason", reason.as_ref().map(|reason| reason as _))?;
        text(f, "error", access.error.map(|error| error as _))?;
        f.write_char('}')
    }
}

fn text(f: &mut fmt::Formatter<'_>, name: &str, value: Option<&dyn fmt::Display>) -> fmt::Result {
    let Some(value) = value else {
        return Ok(());
    };
    write!(f, ",\"{name}\":\"")?;
    write!(Escaping(f), "{value}")?;
    f.write_char('"')
}

/// The time as RFC 3339 has it.
fn write_time(f: &mut fmt::Formatter<'_>, access: &Access<'_>) -> fmt::Result {
    let since = access.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let date = imf_fixdate(since.as_secs());
    let part = |from: usize, to: usize| str::from_utf8(&date[from..to]).unwrap_or_default();
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(part(8, 11)).unwrap_or(0) / 3 + 1;
    let (day, year, time) = (part(5, 7), part(12, 16), part(17, 25));
    let millis = since.subsec_millis();
    write!(f, "{year}-{month:02}-{day}T{time}.{millis:03}Z")
}

/// Writes text between the quotes of JSON.
struct Escaping<'f, 'g>(&'f mut fmt::Formatter<'g>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '"' | '\\' => write!(self.0, "\\{c}")?,
                // These end a line for some readers.
                '\0'..=' ' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' if c != ' ' => {
                    write!(self.0, "\\u{:04x}", u32::from(c))?;
                }
                _ => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}
