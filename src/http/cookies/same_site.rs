//! The requests of other sites that a cookie comes with.

/// The requests that begin on other sites and that a [`Cookie`](crate::http::Cookie) comes with
/// nevertheless (RFC 6265bis, section 5.6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SameSite {
    /// None of them. A link from another site opens a page without the cookie.
    Strict,
    /// Links that are followed, by methods that change nothing.
    Lax,
    /// All of them: for parts of pages of other sites. The cookie has to be `Secure`.
    None,
}

impl SameSite {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}
