//! Users with passwords (RFC 7617).

use std::{fmt, rc::Rc};

use super::constant_time::is_equal;
use crate::http::{
    HeaderValue, Layer, Next, Request, Response, StatusCode, base64, header,
    server::{LayerBox, Sides, Step, handle_step},
};

/// Lets requests with the name and password of a known user through, and answers 401 to the others.
///
/// The handler finds the name as [`BasicUser`] in
/// [`Request::extensions`](crate::http::Request::extensions). Passwords are compared in constant
/// time. They travel in clear text, so the connection needs TLS. Credentials that are sent twice
/// or that break the scheme's form are answered 401 like wrong ones.
///
/// # Examples
///
/// ```
/// use annulus::http::{self, Request, Router, layers::{BasicAuth, BasicUser}};
///
/// async fn greet(request: Request) -> http::Result<String> {
///     let user = request.extensions().require::<BasicUser>()?;
///     Ok(format!("Hello, {}!", user.name()))
/// }
///
/// let router = Router::new()
///     .get("/", greet)
///     .layer(BasicAuth::new("office").user("ada", "secret"));
/// ```
#[derive(Clone)]
pub struct BasicAuth {
    challenge: HeaderValue,
    users: Vec<(String, String)>,
    check: Option<Check>,
}

/// Whether a name and a password are right.
type Check = Rc<dyn Fn(&str, &str) -> bool>;

/// The name of the user that [`BasicAuth`] has let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicUser {
    name: String,
}

impl BasicUser {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl BasicAuth {
    /// Makes a layer that knows no user. `realm` is the text that browsers show when they ask for
    /// the password.
    ///
    /// # Panics
    ///
    /// When the realm has control characters.
    #[must_use]
    pub fn new(realm: &str) -> Self {
        let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
        let challenge = format!("Basic realm=\"{quoted}\", charset=\"UTF-8\"");
        Self {
            challenge: HeaderValue::try_from(challenge)
                .unwrap_or_else(|_| panic!("expected a realm of text, found {realm:?}")),
            users: Vec::new(),
            check: None,
        }
    }

    /// Adds a user.
    ///
    /// # Panics
    ///
    /// When the name has a colon, which no client can send.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        assert!(
            !name.contains(':'),
            "expected a user without a colon, found {name:?}"
        );
        self.users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// Lets those through, too, for whose name and password `check` is true. A password that is
    /// checked by a slow hash belongs on [another thread](crate::blocking), in a layer of your own.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&str, &str) -> bool + 'static) -> Self {
        self.check = Some(Rc::new(check));
        self
    }

    /// The name in the credentials, if they are right.
    fn user_of(&self, request: &Request) -> Option<BasicUser> {
        let credentials = credentials_of(request, b"basic ")?;
        let decoded = String::from_utf8(base64::decode(credentials)?).ok()?;
        let (name, password) = decoded.split_once(':')?;
        // All users are looked at, so that the time does not tell which names there are.
        let mut is_known = false;
        for (known, secret) in &self.users {
            let has_name = is_equal(name.as_bytes(), known.as_bytes());
            is_known |= has_name & is_equal(password.as_bytes(), secret.as_bytes());
        }
        is_known |= self
            .check
            .as_ref()
            .is_some_and(|check| check(name, password));
        is_known.then(|| BasicUser {
            name: name.to_owned(),
        })
    }
}

/// The credentials of a request with one `Authorization`, after the name of their `scheme`.
pub(super) fn credentials_of<'a>(request: &'a Request, scheme: &[u8]) -> Option<&'a [u8]> {
    let mut fields = request.field_all("authorization");
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return None;
    };
    let (found, credentials) = field.split_at_checked(scheme.len())?;
    found
        .eq_ignore_ascii_case(scheme)
        .then_some(credentials.trim_ascii())
}

impl Step for BasicAuth {
    fn sides(&self) -> Sides {
        Sides::Before
    }

    fn before(&self, request: &mut Request) -> Option<Response> {
        let Some(user) = self.user_of(request) else {
            let refusal = Response::new(StatusCode::UNAUTHORIZED);
            return Some(refusal.with_field(header::WWW_AUTHENTICATE, self.challenge.clone()));
        };
        request.extensions().insert(user);
        None
    }
}

impl Layer for BasicAuth {
    async fn handle(&self, request: Request, next: Next<'_>) -> Response {
        handle_step(self, request, next).await
    }

    fn into_any(self) -> LayerBox {
        LayerBox::step(self)
    }
}

/// It has no password in it.
impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicAuth")
            .field("challenge", &self.challenge)
            .finish_non_exhaustive()
    }
}
