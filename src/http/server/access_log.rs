//! The records of an access log.

mod json;
pub(super) mod record;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    str,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{end_reason::EndReason, extensions::Extensions};
use crate::http::{
    Method, StatusCode, Version,
    error::Error,
    h1::{RequestHead, imf_fixdate},
};

/// The record of one request, or of bytes that were no request, for an access log.
///
/// It prints as one line: client, which is the peer with its port or the address that a trusted
/// proxy tells, method, target, status, bytes received and sent, duration, the name
/// of the reason where the server refused or cut something or the client left, and in quotes the
/// handler's error. [`common`](Self::common) and [`combined`](Self::combined) are the formats that
/// other servers write. None of them allocates. [`json`](Self::json) is for collectors of logs.
///
/// # Examples
///
/// ```
/// use annulus::http::Server;
///
/// let server = Server::new().listen("127.0.0.1:8080").access_log(|access| {
///     println!("{} {}us", access.combined(), access.duration.as_micros());
/// });
/// ```
///
/// A line of one's own, with a field of the request, for the requests that went wrong:
///
/// ```
/// use annulus::http::Server;
///
/// let server = Server::new().listen("127.0.0.1:8080").access_log(|access| {
///     let Some(error) = access.error else { return };
///     let id = access.field("x-request-id").unwrap_or(b"-").escape_ascii();
///     eprintln!("{id} {}: {error}", access.target);
/// });
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Access<'a> {
    /// The address of the other end of the connection: the client's, or that of the proxy in front
    /// of the server. None for a connection without one.
    pub peer: Option<SocketAddr>,
    /// The client's address: that of `peer`, or the one that a proxy tells which
    /// [`Server::trusted_proxies`](crate::http::Server::trusted_proxies) names.
    pub client: Option<IpAddr>,
    /// The time when its head was complete, or found to be no head.
    pub time: SystemTime,
    /// The method; none when the head could not be read.
    pub method: Option<&'a Method>,
    /// The target as it was sent, or empty when the head could not be read.
    pub target: &'a str,
    /// The status of the answer; none when the request was not answered.
    pub status: Option<StatusCode>,
    /// Bytes of the request's body that arrived, without their framing.
    pub received: u64,
    /// Bytes of the answer's body that were sent or are under way, without their framing.
    pub sent: u64,
    /// The time from the end of the head to the end of the answer.
    pub duration: Duration,
    /// The reason why the server refused the request or cut the answer off, or that the client
    /// left; none after a whole answer.
    pub reason: Option<EndReason>,
    /// The error that the handler returned, if it returned one. The client sees its status only.
    pub error: Option<&'a Error>,
    /// The head of the request, if it could be read.
    pub(super) head: Option<&'a RequestHead>,
    /// None when no handler has seen the request.
    pub(super) extensions: Option<&'a Extensions>,
}

impl<'a> Access<'a> {
    /// Of bytes that the server answered with `reason` itself. There may be a `head`, when they
    /// were a request.
    pub(super) fn refused(
        peer: Option<SocketAddr>,
        reason: EndReason,
        head: Option<&'a RequestHead>,
    ) -> Self {
        Self {
            peer,
            client: peer.map(|peer| peer.ip().to_canonical()),
            time: SystemTime::now(),
            method: head.map(RequestHead::method),
            target: head.map_or("", RequestHead::target),
            status: Some(reason.status()),
            received: 0,
            sent: 0,
            duration: Duration::ZERO,
            reason: Some(reason),
            error: None,
            head,
            extensions: None,
        }
    }

    /// The client's address where a proxy has told it.
    fn told_client(&self) -> Option<IpAddr> {
        let peer = self.peer.map(|peer| peer.ip().to_canonical());
        self.client.filter(|&client| Some(client) != peer)
    }

    /// Returns the version of the request; none when the head could not be read.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.head.map(RequestHead::version)
    }

    /// Returns the request's first field called `name`, in any case, without the blanks around its
    /// value.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.head?.field(name)
    }

    /// Returns the value of type `T` that a layer or the handler has put into the request's
    /// [`extensions`](crate::http::Request::extensions), such as the name of the user.
    #[must_use]
    pub fn extension<T: 'static>(&self) -> Option<Rc<T>> {
        self.extensions?.get()
    }

    /// Prints a line of the common log format: remote address, two unknowns (`-`), time in UTC,
    /// request line in quotes, status, bytes of the answer's body. Unknown parts are `-`. Quotes,
    /// control characters and bytes above 0x7E are escaped (`\"`, `\x00`).
    ///
    /// ```text
    /// 192.0.2.7 - - [10/Oct/2026:13:55:36 +0000] "GET /a?b HTTP/1.1" 200 2326
    /// ```
    #[must_use]
    pub fn common(&self) -> impl fmt::Display + use<'_, 'a> {
        Line {
            access: self,
            is_combined: false,
        }
    }

    /// Prints a line of the combined log format: the [common](Self::common) one, with `Referer` and
    /// `User-Agent` in quotes.
    ///
    /// ```text
    /// 192.0.2.7 - - [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 304 - "-" "curl/8.9"
    /// ```
    #[must_use]
    pub fn combined(&self) -> impl fmt::Display + use<'_, 'a> {
        Line {
            access: self,
            is_combined: true,
        }
    }
}

/// A line in one of the formats that other servers write.
struct Line<'l, 'a> {
    access: &'l Access<'a>,
    is_combined: bool,
}

impl fmt::Display for Line<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = self.access;
        match access.client {
            Some(client) => write!(f, "{client} - - ")?,
            None => f.write_str("- - - ")?,
        }
        let since = access.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let date = imf_fixdate(since.as_secs());
        let part = |from: usize, to: usize| str::from_utf8(&date[from..to]).unwrap_or_default();
        let (day, month, year, time) = (part(5, 7), part(8, 11), part(12, 16), part(17, 25));
        write!(f, "[{day}/{month}/{year}:{time} +0000] ")?;
        match (access.method, access.version()) {
            (Some(method), Some(version)) => {
                let target = Escaped(access.target.as_bytes());
                write!(f, "\"{method} {target} {version:?}\"")?;
            }
            _ => f.write_str("\"-\"")?,
        }
        match access.status {
            Some(status) => write!(f, " {}", status.as_u16())?,
            None => f.write_str(" -")?,
        }
        match access.sent {
            0 => f.write_str(" -")?,
            sent => write!(f, " {sent}")?,
        }
        if self.is_combined {
            for name in ["referer", "user-agent"] {
                write!(f, " \"{}\"", Escaped(access.field(name).unwrap_or(b"-")))?;
            }
        }
        Ok(())
    }
}

/// Bytes of a client's between quotes, none of which ends them or the line.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.utf8_chunks() {
            let mut plain = part.valid();
            let is_odd = |c: char| matches!(c, '"' | '\\') || !matches!(c, ' '..='~');
            while let Some(at) = plain.find(is_odd) {
                f.write_str(&plain[..at])?;
                let odd = plain[at..].chars().next().unwrap_or_default();
                match odd {
                    '"' | '\\' => write!(f, "\\{odd}")?,
                    _ => write_hex(f, odd.encode_utf8(&mut [0; 4]).as_bytes())?,
                }
                plain = &plain[at + odd.len_utf8()..];
            }
            f.write_str(plain)?;
            write_hex(f, part.invalid())?;
        }
        Ok(())
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

impl fmt::Display for Access<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.told_client(), self.peer) {
            (Some(client), _) => write!(f, "{client} ")?,
            (None, Some(peer)) => write!(f, "{peer} ")?,
            (None, None) => f.write_str("- ")?,
        }
        match self.method {
            Some(method) => write!(f, "{method} {} ", self.target)?,
            None => f.write_str("- - ")?,
        }
        match self.status {
            Some(status) => write!(f, "{}", status.as_u16())?,
            None => f.write_str("-")?,
        }
        let micros = self.duration.as_micros();
        write!(f, " {} {} {micros}us", self.received, self.sent)?;
        if let Some(reason) = self.reason {
            write!(f, " {}", reason.as_str())?;
        }
        match self.error {
            Some(error) => write!(f, " \"{}\"", error.to_string().escape_debug()),
            None => Ok(()),
        }
    }
}

/// The function that is called.
pub(super) type AccessLog = Arc<dyn Fn(&Access<'_>) + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::Rules;

    fn head(text: &[u8]) -> RequestHead {
        let mut head = RequestHead::new();
        head.read(text, &Rules::default()).unwrap().unwrap();
        head
    }

    fn access(head: Option<&RequestHead>) -> Access<'_> {
        Access {
            peer: Some("[2001:db8::7]:1234".parse().unwrap()),
            client: Some("2001:db8::7".parse().unwrap()),
            time: UNIX_EPOCH + Duration::from_millis(971_186_136_999),
            status: Some(StatusCode::OK),
            sent: 2326,
            reason: None,
            ..Access::refused(None, EndReason::Misdirected, head)
        }
    }

    #[test]
    fn the_common_and_the_combined_format_are_those_of_other_servers() {
        let head = head(
            b"GET /apache_pb.gif?a HTTP/1.0\r\nuser-agent: Mozilla/4.08 [en]\r\n\
              Referer: http://www.example.com/start.html\r\n\r\n",
        );
        let known = access(Some(&head));
        let common = "2001:db8::7 - - [10/Oct/2000:13:55:36 +0000] \"GET /apache_pb.gif?a \
                      HTTP/1.0\" 200 2326";
        assert_eq!(known.common().to_string(), common);
        let combined =
            format!("{common} \"http://www.example.com/start.html\" \"Mozilla/4.08 [en]\"");
        assert_eq!(known.combined().to_string(), combined);
        assert_eq!(known.field("USER-AGENT"), Some(&b"Mozilla/4.08 [en]"[..]));

        let unknown = Access {
            peer: None,
            client: None,
            time: UNIX_EPOCH - Duration::from_secs(1),
            status: None,
            sent: 0,
            ..access(None)
        };
        assert_eq!(
            unknown.combined().to_string(),
            "- - - [01/Jan/1970:00:00:00 +0000] \"-\" - - \"-\" \"-\""
        );
        assert_eq!((unknown.version(), unknown.field("host")), (None, None));
    }

    #[test]
    fn nothing_that_a_client_says_ends_a_line_or_its_quotes() {
        let head =
            head(b"GET /\"\\ HTTP/1.1\r\nHost: a\r\nUser-Agent: a\"b\\c\td\xff\xc3\xa9\r\n\r\n");
        let line = access(Some(&head)).combined().to_string();
        assert!(line.contains(r#""GET /\"\\ HTTP/1.1""#), "{line}");
        assert!(
            line.ends_with(r#" "-" "a\"b\\c\x09d\xff\xc3\xa9""#),
            "{line}"
        );
    }
}
