//! The policies of caches.

use std::time::Duration;

use crate::http::HeaderValue;

/// How long browsers and caches may use an answer without asking again: the field `Cache-Control`
/// (RFC 9111, section 5.2.2).
///
/// # Examples
///
/// ```
/// use annulus::http::CachePolicy;
///
/// assert_eq!(CachePolicy::by_name("js/app.3f9c1a2b.js"), CachePolicy::Immutable);
/// assert_eq!(CachePolicy::by_name("index.html"), CachePolicy::Revalidate);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CachePolicy {
    /// The field is left out. Caches guess by the age of the file then.
    #[default]
    Unsaid,
    /// `no-store`: the answer is kept nowhere.
    NoStore,
    /// `no-cache`: it may be kept, and is used only after the server was asked whether it has
    /// changed.
    Revalidate,
    /// `max-age`: it is used without asking for so long.
    MaxAge(Duration),
    /// `max-age` of a year and `immutable`: what is at this path never changes.
    Immutable,
}

impl CachePolicy {
    /// The policy for the files of a build, by the path of one: those with a digest in their names
    /// never change, the others are revalidated.
    ///
    /// A digest is a part of the name between dots, dashes or underscores: hex digits, at least
    /// eight and of both kinds, as in `app.3f9c1a2b.js`; or eight letters and digits with
    /// capitals and small ones, as in `index-BxY3kQ9z.js`.
    #[must_use]
    pub fn by_name(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or_default();
        let Some((stem, _extension)) = name.rsplit_once('.') else {
            return Self::Revalidate;
        };
        let mut parts = stem.split(['.', '-', '_']).skip(1);
        if parts.any(is_digest) {
            Self::Immutable
        } else {
            Self::Revalidate
        }
    }

    /// The value of the field.
    pub(crate) fn value(self) -> Option<HeaderValue> {
        Some(match self {
            Self::Unsaid => return None,
            Self::NoStore => HeaderValue::from_static("no-store"),
            Self::Revalidate => HeaderValue::from_static("no-cache"),
            Self::Immutable => HeaderValue::from_static("public, max-age=31536000, immutable"),
            Self::MaxAge(age) => HeaderValue::try_from(format!("max-age={}", age.as_secs()))
                .expect("digits are a field's value"),
        })
    }
}

fn is_digest(part: &str) -> bool {
    let has = |is: fn(&u8) -> bool| part.bytes().any(|byte| is(&byte));
    let has_digit = has(u8::is_ascii_digit);
    let is_hex = part.len() >= 8
        && part
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && has(u8::is_ascii_lowercase);
    let is_mixed = part.len() == 8
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase);
    has_digit && (is_hex || is_mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_digest_are_told_from_others() {
        for name in [
            "app.3f9c1a2b.js",
            "a/b/app.3f9c1a2b.chunk.css",
            "index-BxY3kQ9z.js",
            "main_0123456789abcdef0123456789abcdef.wasm",
        ] {
            assert_eq!(CachePolicy::by_name(name), CachePolicy::Immutable, "{name}");
        }
        for name in [
            "index.html",
            "3f9c1a2b.js",
            "jquery-3.6.0.min.js",
            "report-20240101.pdf",
            "report-2024summary.pdf",
            "a.3f9c1a2b",
            "photo-deadbeef.jpg",
            "app.3f9c1a2b/index.html",
            "",
        ] {
            assert_eq!(
                CachePolicy::by_name(name),
                CachePolicy::Revalidate,
                "{name}"
            );
        }
    }

    #[test]
    fn policies_are_written_as_the_rfc_has_them() {
        let text = |policy: CachePolicy| {
            let value = policy.value()?;
            Some(value.to_str().unwrap().to_owned())
        };
        assert_eq!(text(CachePolicy::Unsaid), None);
        let hour = Duration::from_secs(3600);
        assert_eq!(text(CachePolicy::MaxAge(hour)).unwrap(), "max-age=3600");
        assert_eq!(text(CachePolicy::Revalidate).unwrap(), "no-cache");
    }
}
