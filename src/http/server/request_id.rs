//! The name of a request, by which logs are searched.

use std::fmt;

/// The longest id that is taken from a client.
const ID_BYTES_MAX: usize = 128;

/// The id of a request, which the layer [`RequestIds`](crate::http::layers::RequestIds) puts into
/// its [extensions](crate::http::Request::extensions).
///
/// # Examples
///
/// ```
/// use annulus::http::{self, Request, layers::RequestId};
///
/// async fn work(request: Request) -> http::Result<String> {
///     let id = request.extensions().require::<RequestId>()?;
///     Ok(format!("this is request {id}"))
/// }
/// # let _ = work;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// Takes the id that a client sent, if it can stand in a log and in a field.
    pub(crate) fn from_client(id: &[u8]) -> Option<Self> {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=:@".contains(byte);
        let is_sane = (1..=ID_BYTES_MAX).contains(&id.len()) && id.iter().all(is_plain);
        let text = String::from_utf8(id.to_vec()).ok()?;
        is_sane.then_some(Self(text))
    }

    pub(crate) fn random([high, low]: [u64; 2]) -> Self {
        Self(format!("{high:016x}{low:016x}"))
    }

    /// Returns its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
