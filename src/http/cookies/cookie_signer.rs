//! Signatures over cookies.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac_sha256::HMAC;

use super::{Cookie, Cookies};
use crate::http::base64;

/// The beginning of a signed value: the version of its form.
const VERSION: &str = "1";
/// The least length of a key: that of the signature.
const KEY_BYTES_MIN: usize = 32;
/// The age up to which a signature is good, unless it is set: 31 days.
const MAX_AGE: Duration = Duration::from_secs(2_678_400);
/// The time that the clock of a server which signs may be ahead of one that verifies.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);

/// Signs cookies, so that a client cannot change them, and verifies what comes back.
///
/// Feature: `signed-cookies`.
///
/// A signature is an HMAC with SHA-256 over the name, the time and the value. So a client can
/// neither make a cookie up, nor give the value of one to another, nor use one that has become too
/// old. It can read the value, and it can send an old one again: what has to end before its time,
/// such as a session after a logout, is for the server to remember.
///
/// The value may be any bytes; they are sent in base64.
///
/// # Keys
///
/// A key is at least 32 random bytes, such as those of `openssl rand -base64 48`, and comes from
/// the program's configuration. All servers of a site have the same. To change it, add the new one
/// as [`new`](Self::new) and the one before it as [`also`](Self::also); leave that out once the
/// oldest cookies have ended.
///
/// # Examples
///
/// ```
/// use annulus::http::{self, CookieSigner, Request, Response, Router, StatusCode};
///
/// fn service(key: &[u8]) -> Router {
///     let signer = CookieSigner::new(key);
///     let verifier = signer.clone();
///     Router::new()
///         .post("/login/{user}", async move |request: Request| -> http::Result<Response> {
///             let user: String = request.param("user")?;
///             let cookie = signer.sign("__Host-user", user.as_bytes());
///             Ok(Response::text("welcome\n").with_cookie(&cookie)?)
///         })
///         .get("/me", async move |request: Request| -> http::Result<Vec<u8>> {
///             let user = verifier.verify(request.cookies(), "__Host-user");
///             user.ok_or(StatusCode::UNAUTHORIZED.into())
///         })
/// }
/// # let _ = service(&[7; 32]);
/// ```
#[derive(Clone)]
pub struct CookieSigner {
    /// The first one signs, all of them verify.
    keys: Vec<Vec<u8>>,
    max_age: Duration,
}

impl CookieSigner {
    /// Makes a signer that signs and verifies by `key`.
    ///
    /// Feature: `signed-cookies`.
    ///
    /// # Panics
    ///
    /// When the key has less than 32 bytes.
    #[must_use]
    #[track_caller]
    pub fn new(key: impl AsRef<[u8]>) -> Self {
        let signer = Self {
            keys: Vec::new(),
            max_age: MAX_AGE,
        };
        signer.also(key)
    }

    /// Adds a key that verifies and does not sign: the one that was used before.
    ///
    /// Feature: `signed-cookies`.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[must_use]
    #[track_caller]
    pub fn also(mut self, key: impl AsRef<[u8]>) -> Self {
        let key = key.as_ref();
        assert!(
            key.len() >= KEY_BYTES_MIN,
            "expected a key of at least {KEY_BYTES_MIN} bytes, found {}",
            key.len()
        );
        self.keys.push(key.to_vec());
        self
    }

    /// Sets the age up to which a signature is good; 31 days by default. It holds also where the
    /// browser keeps the cookie for longer.
    ///
    /// Feature: `signed-cookies`.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Makes a cookie with the signed `value`, which the browser keeps until it ends. The cookie's
    /// methods change that, and its other attributes.
    ///
    /// Feature: `signed-cookies`.
    #[must_use]
    pub fn sign(&self, name: &str, value: &[u8]) -> Cookie {
        self.sign_at(name, value, SystemTime::now())
    }

    fn sign_at(&self, name: &str, value: &[u8], now: SystemTime) -> Cookie {
        let time = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut text = format!("{VERSION}.{time}.");
        base64::encode(&mut text, value);
        let mac = HMAC::mac(signed(name, &text), &self.keys[0]);
        text.push('.');
        base64::encode(&mut text, &mac);
        Cookie::new(name.to_owned(), text)
    }

    /// Returns the value of the first of `cookies` called `name` with a good signature; none when
    /// there is no such cookie, or it was altered, or is too old. The time that this takes tells
    /// nothing about the right signature.
    ///
    /// Feature: `signed-cookies`.
    #[must_use]
    pub fn verify(&self, cookies: Cookies<'_>, name: &str) -> Option<Vec<u8>> {
        let now = SystemTime::now();
        let mut named = cookies.filter(|(found, _)| *found == name);
        named.find_map(|(_, value)| self.verify_at(name, value, now))
    }

    fn verify_at(&self, name: &str, text: &str, now: SystemTime) -> Option<Vec<u8>> {
        let (text, mac) = text.rsplit_once('.')?;
        let mac: [u8; 32] = decode(mac)?.try_into().ok()?;
        let signed = signed(name, text);
        // Each key is tried, so that the time does not tell which one it was.
        let tries = self.keys.iter().map(|key| HMAC::verify(&signed, key, &mac));
        if tries.filter(|&is_good| is_good).count() == 0 {
            return None;
        }
        // Signed by us, so of our form, unless that of another version.
        let (time, value) = text
            .strip_prefix(VERSION)?
            .strip_prefix('.')?
            .split_once('.')?;
        let time = UNIX_EPOCH.checked_add(Duration::from_secs(time.parse().ok()?))?;
        let is_in_time = match now.duration_since(time) {
            Ok(age) => age <= self.max_age,
            Err(ahead) => ahead.duration() <= CLOCK_SKEW_MAX,
        };
        is_in_time.then(|| decode(value))?
    }
}

/// The bytes that a signature is of. A name's length in front of it keeps the parts apart.
fn signed(name: &str, text: &str) -> String {
    format!("annulus cookie {}:{name}.{text}", name.len())
}

/// The bytes that `text` is in base64; none when it is another form of them.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    let mut again = String::with_capacity(text.len());
    base64::encode(&mut again, &bytes);
    (again == text).then_some(bytes)
}

impl fmt::Debug for CookieSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieSigner")
            .field("keys", &self.keys.len())
            .field("max_age", &self.max_age)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [1; 32];
    const OTHER: [u8; 40] = [2; 40];

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_signature_is_over_the_name_the_time_and_the_value() {
        let signer = CookieSigner::new(KEY);
        let now = at(1_800_000_000);
        for value in [&b""[..], b"x", b"\0\xff;\" ", &[7; 2000]] {
            let cookie = signer.sign_at("user", value, now);
            cookie.to_header_value().unwrap();
            let text = cookie.value();
            assert_eq!(signer.verify_at("user", text, now).as_deref(), Some(value));
            assert_eq!(signer.verify_at("User", text, now), None);
            assert_eq!(signer.verify_at("", text, now), None);
            // Any other character makes it another text.
            for index in 0..text.len() {
                for other in ["A", ".", "1", "="] {
                    let mut altered = text.to_owned();
                    altered.replace_range(index..=index, other);
                    let found = signer.verify_at("user", &altered, now);
                    assert_eq!(found.is_some(), altered == text, "{altered}");
                }
                assert_eq!(signer.verify_at("user", &text[..index], now), None);
            }
        }
        // `a` with `b.x` is not `a.b` with `x`.
        let text = signer.sign_at("a.1", b"x", now);
        assert_eq!(signer.verify_at("a", text.value(), now), None);
    }

    #[test]
    fn a_signature_ends_with_its_age_and_none_is_of_the_future() {
        let signer = CookieSigner::new(KEY).max_age(Duration::from_secs(60));
        let text = signer.sign_at("a", b"v", at(10_000));
        for (seconds, is_good) in [
            (9_699, false),
            (9_700, true),
            (10_000, true),
            (10_060, true),
            (10_061, false),
            (u64::from(u32::MAX), false),
        ] {
            let found = signer.verify_at("a", text.value(), at(seconds));
            assert_eq!(found.is_some(), is_good, "{seconds}");
        }
    }

    #[test]
    fn keys_are_rotated() {
        let old = CookieSigner::new(KEY);
        let new = CookieSigner::new(OTHER).also(KEY);
        let later = CookieSigner::new(OTHER);
        let now = at(1_000_000);
        let (by_old, by_new) = (old.sign_at("a", b"v", now), new.sign_at("a", b"v", now));
        for (signer, cookie, is_good) in [
            (&new, &by_old, true),
            (&new, &by_new, true),
            (&later, &by_new, true),
            (&later, &by_old, false),
            (&old, &by_new, false),
        ] {
            let found = signer.verify_at("a", cookie.value(), now);
            assert_eq!(found.is_some(), is_good);
        }
        assert_eq!(
            format!("{new:?}"),
            "CookieSigner { keys: 2, max_age: 2678400s }"
        );
    }

    #[test]
    fn the_good_one_of_several_cookies_is_found() {
        let signer = CookieSigner::new(KEY);
        let good = signer.sign("a", b"v");
        let lines = format!("Cookie: a=1; b=2\r\nCookie: a={}\r\n", good.value());
        let head = super::super::tests::head(lines.as_bytes());
        let cookies = Cookies::new(head.fields());
        assert_eq!(
            signer.verify(cookies.clone(), "a").as_deref(),
            Some(&b"v"[..])
        );
        assert_eq!(signer.verify(cookies, "b"), None);
    }

    #[test]
    #[should_panic(expected = "at least 32 bytes, found 31")]
    fn a_short_key_panics() {
        let _ = CookieSigner::new([0; 31]);
    }
}
