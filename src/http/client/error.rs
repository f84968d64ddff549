//! The errors of a request.

#[cfg(not(feature = "tls"))]
mod no_tls;
#[cfg(feature = "tls")]
mod tls;

use std::{fmt, io, time::Duration};

use bytes::Bytes;

use super::{phase::Phase, url::Url};
use crate::http::{
    self, StatusCode,
    error_kind::BodyFailure,
    h1::{BodyError, ResponseError},
};

#[cfg(not(feature = "tls"))]
use no_tls as tls;

/// The result of a request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a request has failed.
///
/// It says what went wrong ([`kind`](Self::kind)), what the exchange was doing
/// ([`phase`](Self::phase)), with whom ([`url`](Self::url)) and, where the system said something,
/// what that was ([`source`](std::error::Error::source)). A status such as 404 is no error; see
/// [`Response::error_for_status`](crate::http::client::Response::error_for_status).
///
/// Its text begins with the origin of the request. It leaves the rest of the URL out, since paths
/// and queries may hold secrets. Where no connection could be opened it names the last address that
/// was tried, and the proxy. An invalid URL is quoted without parts that may be credentials.
///
/// ```text
/// http://a.test:81: no connection could be opened (127.0.0.1:81): Connection refused (os error 111)
/// ```
///
/// # Examples
///
/// ```
/// use annulus::http::{Client, StatusCode, client::{Error, ErrorKind}};
///
/// async fn fetch(client: &Client, url: &str) -> Result<String, Error> {
///     client.get(url).send().await?.error_for_status()?.text().await
/// }
///
/// annulus::run(async {
///     // Nothing listens on this port.
///     let Err(error) = fetch(&Client::new(), "http://127.0.0.1:1/").await else {
///         return;
///     };
///     match error.kind() {
///         ErrorKind::Status(StatusCode::NOT_FOUND) => println!("it is not there"),
///         ErrorKind::Status(status) => println!("the server says {status}"),
///         ErrorKind::TooLarge { bytes_max } => println!("more than {bytes_max} bytes"),
///         _ if error.is_timeout() => println!("too late: {error}"),
///         _ if error.is_connect() => println!("try another server: {error}"),
///         _ => println!("{error}"),
///     }
///     assert!(error.is_connect());
/// });
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    phase: Option<Phase>,
    source: Option<io::Error>,
    /// Returns the URL of the request, without userinfo; after redirects, the last one.
    url: Option<Url>,
    /// The subject of the error: an address, a proxy, a text that is no URL.
    about: Option<Box<str>>,
    /// The response that refused to change the protocol.
    response: Option<Box<::http::Response<Bytes>>>,
}

/// The kind of an error of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A URL makes no sense; the text says what was expected.
    Url(&'static str),
    /// The request cannot be sent as it is; the text says what was expected.
    Request(&'static str),
    /// The queue for connections to the host is full.
    QueueFull,
    /// The host's addresses could not be found.
    Dns,
    /// No connection could be opened.
    Connect,
    /// The proxy refused to open a tunnel, with this status.
    Proxy(StatusCode),
    /// TLS failed, or is not built in. The source has what rustls says: a certificate that is not
    /// trusted, or not for this host, or an alert of the server's.
    Tls,
    /// The connection failed.
    Io,
    /// The server closed the connection before it answered.
    Closed,
    /// The server's answer breaks the protocol, crosses a limit or is cut off.
    Protocol(ResponseError),
    /// The server sent more than so many informational responses.
    TooManyInformational(u32),
    /// The server changed the protocol although it was not asked to.
    UnexpectedUpgrade,
    /// The server did not change the protocol although it was asked to, and gave this status.
    NoUpgrade(StatusCode),
    /// The server's answer opens no WebSocket; the text says what was expected and what was found.
    WebSocket(&'static str),
    /// The source of the request's body failed, or gave another number of bytes than promised.
    RequestBody,
    /// The response's body is larger than what may be held in memory.
    TooLarge {
        /// How many bytes may be held.
        bytes_max: u64,
    },
    /// The response's body is not what it says: a broken compression, an unknown charset, a file
    /// that could not be written; the text says which.
    Decode(&'static str),
    /// There were more than so many redirects.
    TooManyRedirects(u32),
    /// A redirect leads where it must not; the text says why.
    Redirect(&'static str),
    /// The status is an error, and
    /// [`Response::error_for_status`](crate::http::client::Response::error_for_status) was asked to
    /// make it one.
    Status(StatusCode),
    /// It took too long.
    Timeout {
        /// Returns the step of the exchange that failed.
        phase: Phase,
        /// How long the limit was.
        after: Duration,
    },
}

impl Error {
    pub(super) fn new(kind: ErrorKind) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                phase: None,
                source: None,
                url: None,
                about: None,
                response: None,
            }),
        }
    }

    pub(super) fn with_source(kind: ErrorKind, source: io::Error) -> Self {
        let mut error = Self::new(kind);
        error.inner.source = Some(source);
        error
    }

    /// The error of a connection.
    pub(super) fn from_connection(error: io::Error) -> Self {
        Self::with_source(tls::error_kind(&error), error)
    }

    /// Whether the connection failed or ended.
    pub(super) fn is_broken(&self) -> bool {
        matches!(
            self.inner.kind,
            ErrorKind::Io | ErrorKind::Closed | ErrorKind::Tls
        )
    }

    /// Whether the time limit of the whole request has passed.
    pub(super) fn is_of_total_time(&self) -> bool {
        matches!(
            self.inner.kind,
            ErrorKind::Timeout {
                phase: Phase::Total,
                ..
            }
        )
    }

    /// Sets the phase, unless it is known already.
    pub(super) fn during(mut self, phase: Phase) -> Self {
        self.inner.phase.get_or_insert(phase);
        self
    }

    /// Sets what was asked for, unless it is known already.
    #[cold]
    pub(super) fn asking(mut self, url: &Url) -> Self {
        self.inner.url.get_or_insert_with(|| url.without_userinfo());
        self
    }

    /// Sets what it is about.
    #[cold]
    pub(super) fn about(mut self, text: impl Into<Box<str>>) -> Self {
        self.inner.about = Some(text.into());
        self
    }

    /// Keeps the response that it is about.
    #[cold]
    pub(super) fn answered_by(mut self, response: ::http::Response<Bytes>) -> Self {
        self.inner.response = Some(Box::new(response));
        self
    }

    /// Adds the proxy that it happened on the way to, or behind.
    #[cold]
    pub(super) fn by_proxy(self, proxy: &Url) -> Self {
        let text = match &self.inner.about {
            Some(about) => format!("{about}, proxy {}", proxy.origin()),
            None => format!("proxy {}", proxy.origin()),
        };
        self.about(text)
    }

    /// The URL of the request, without userinfo; after redirects, the last one. None when there was
    /// no URL yet.
    #[must_use]
    pub fn url(&self) -> Option<&Url> {
        self.inner.url.as_ref()
    }

    /// Returns the response of a server that did not open a
    /// [WebSocket](super::Client::websocket): its status, its fields and the first 64 KiB of its
    /// body, as far as it came in time.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::client::Error;
    ///
    /// /// The address where the server says that the WebSocket is now.
    /// fn moved(error: &Error) -> Option<&str> {
    ///     let response = error.response()?;
    ///     response.headers().get("location")?.to_str().ok()
    /// }
    /// # let _ = moved;
    /// ```
    #[must_use]
    pub fn response(&self) -> Option<&::http::Response<Bytes>> {
        self.inner.response.as_deref()
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The step of the exchange that failed.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.inner.phase
    }

    /// Whether a time limit has passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::Timeout { .. })
    }

    /// Whether no connection could be opened: the host is unknown or cannot be reached, or that
    /// took too long. The server has seen nothing of the request.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        // TLS fails in later phases, too.
        matches!(
            self.inner.phase,
            Some(Phase::Dns | Phase::Connect | Phase::Tls)
        ) || matches!(self.inner.kind, ErrorKind::Dns | ErrorKind::Connect)
    }

    /// Returns the status of the response, when the status is the error.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.inner.kind {
            ErrorKind::Status(status) | ErrorKind::Proxy(status) | ErrorKind::NoUpgrade(status) => {
                Some(status)
            }
            _ => None,
        }
    }

    /// The failure of the body of a server's request that was sent on.
    fn request_body_failure(&self) -> Option<BodyFailure> {
        let source = self.inner.source.as_ref()?.get_ref()?;
        source.downcast_ref::<http::Error>()?.body_failure()
    }

    /// The kind of `std::io::Error` that comes nearest.
    fn io_kind(&self) -> io::ErrorKind {
        match self.inner.kind {
            ErrorKind::Url(_) | ErrorKind::Request(_) => io::ErrorKind::InvalidInput,
            ErrorKind::Timeout { .. } => io::ErrorKind::TimedOut,
            ErrorKind::Closed => io::ErrorKind::ConnectionAborted,
            ErrorKind::Protocol(ResponseError::Body(BodyError::UnexpectedEof)) => {
                io::ErrorKind::UnexpectedEof
            }
            ErrorKind::Protocol(_)
            | ErrorKind::WebSocket(_)
            | ErrorKind::TooLarge { .. }
            | ErrorKind::Decode(_) => io::ErrorKind::InvalidData,
            _ => match &self.inner.source {
                Some(source) => source.kind(),
                None => io::ErrorKind::Other,
            },
        }
    }
}

impl ErrorKind {
    /// Returns the name of the kind, for logs and counters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Url(_) => "url",
            Self::Request(_) => "request",
            Self::QueueFull => "queue-full",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Proxy(_) => "proxy",
            Self::Tls => "tls",
            Self::Io => "io",
            Self::Closed => "closed",
            Self::Protocol(error) => error.as_str(),
            Self::TooManyInformational(_) => "too-many-informational",
            Self::UnexpectedUpgrade => "unexpected-upgrade",
            Self::NoUpgrade(_) => "no-upgrade",
            Self::WebSocket(_) => "websocket",
            Self::RequestBody => "request-body",
            Self::TooLarge { .. } => "too-large",
            Self::Decode(_) => "decode",
            Self::TooManyRedirects(_) => "too-many-redirects",
            Self::Redirect(_) => "redirect",
            Self::Status(_) => "status",
            Self::Timeout { .. } => "timeout",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(text) => write!(f, "{text} in a URL, found something else"),
            Self::Request(text)
            | Self::Decode(text)
            | Self::Redirect(text)
            | Self::WebSocket(text) => f.write_str(text),
            Self::QueueFull => f.write_str("the queue for connections to the host is full"),
            Self::Dns => f.write_str("the host was not found"),
            Self::Connect => f.write_str("no connection could be opened"),
            Self::Proxy(status) => write!(f, "the proxy refused to open a tunnel: {status}"),
            Self::Tls => f.write_str("the TLS connection failed"),
            Self::Io => f.write_str("the connection failed"),
            Self::Closed => f.write_str("the server closed the connection before it answered"),
            Self::Protocol(error) => error.fmt(f),
            Self::TooManyInformational(max) => {
                write!(
                    f,
                    "expected at most {max} informational responses, found more"
                )
            }
            Self::UnexpectedUpgrade => {
                f.write_str("expected a response, found a change of the protocol")
            }
            Self::NoUpgrade(status) => {
                write!(f, "expected a change of the protocol, found {status}")
            }
            Self::RequestBody => f.write_str("the body of the request could not be sent"),
            Self::TooLarge { bytes_max } => {
                write!(
                    f,
                    "expected a body of at most {bytes_max} bytes, found a larger one"
                )
            }
            Self::TooManyRedirects(max) => {
                write!(f, "expected at most {max} redirects, found more")
            }
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::Timeout { phase, after } => {
                write!(f, "the time limit of {after:?} has passed ({phase})")
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(url) = &self.inner.url {
            write!(f, "{}: ", url.origin())?;
        }
        self.inner.kind.fmt(f)?;
        if let Some(about) = &self.inner.about {
            write!(f, " ({about})")?;
        }
        match &self.inner.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

/// Writes the text, which is what a `main` that returns the error prints; `{:#?}` has the fields.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return fmt::Display::fmt(self, f);
        }
        let inner = &*self.inner;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("phase", &inner.phase)
            .field("origin", &inner.url.as_ref().map(Url::origin))
            .field("about", &inner.about)
            .field("source", &inner.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.inner.source.as_ref()?;
        Some(source)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.io_kind(), error)
    }
}

/// Answers for a handler that asked another server: 504 when that took too long, and 502 for any
/// other error over there.
///
/// An error on this side has its own status: 503 when the queue for connections is full, the body's
/// own error when the handler sent on its request's body, and 500 for a request that could not be
/// sent as it was and a file that could not be written.
impl From<Error> for http::Error {
    fn from(error: Error) -> Self {
        let status = match error.inner.kind {
            ErrorKind::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::QueueFull => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Url(_) | ErrorKind::Request(_) => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorKind::RequestBody => match error.request_body_failure() {
                Some(failure) => return failure.into(),
                None => StatusCode::INTERNAL_SERVER_ERROR,
            },
            ErrorKind::Decode(_) if error.inner.source.is_some() => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            _ => StatusCode::BAD_GATEWAY,
        };
        Self::other(
            status,
            http::ErrorKind::Upstream,
            "the request to another server failed",
        )
        .with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_answers_what_went_wrong_elsewhere_with_502_or_504() {
        let status = |kind| http::Error::from(Error::new(kind)).status().as_u16();
        let after = Duration::from_secs(1);
        let phase = Phase::FirstByte;
        assert_eq!(status(ErrorKind::Timeout { phase, after }), 504);
        assert_eq!(status(ErrorKind::Connect), 502);
        assert_eq!(status(ErrorKind::Closed), 502);
        assert_eq!(status(ErrorKind::Status(StatusCode::NOT_FOUND)), 502);
        assert_eq!(status(ErrorKind::QueueFull), 503);
        assert_eq!(status(ErrorKind::Url("expected a host")), 500);

        let error = http::Error::from(Error::new(ErrorKind::Dns).during(Phase::Dns));
        assert_eq!(error.kind(), http::ErrorKind::Upstream);
        assert_eq!(
            error.to_string(),
            "the request to another server failed: the host was not found"
        );
        let cause = std::error::Error::source(&error).unwrap();
        let cause: &Error = cause.downcast_ref().unwrap();
        assert_eq!(cause.phase(), Some(Phase::Dns));
    }

    #[test]
    fn a_body_that_was_sent_on_and_failed_is_its_senders_fault() {
        let sent_on = |source| Error::with_source(ErrorKind::RequestBody, source);
        for (failure, kind) in [
            (
                BodyError::TooLarge.into(),
                http::ErrorKind::Body(BodyError::TooLarge),
            ),
            (BodyFailure::Timeout, http::ErrorKind::BodyTimeout),
        ] {
            let theirs = io::Error::from(http::Error::from(failure));
            assert_eq!(http::Error::from(sent_on(theirs)).kind(), kind);
        }
        let ours = http::Error::from(sent_on(io::Error::other("the disk is broken")));
        assert_eq!(ours.status(), 500);
    }
}
