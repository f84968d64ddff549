//! Tokens of clients (RFC 6750).

use std::{fmt, rc::Rc};

use super::{basic_auth::credentials_of, constant_time::is_equal};
use crate::http::{
    HeaderValue, Layer, Next, Request, Response, StatusCode, header,
    server::{LayerBox, Sides, Step, handle_step},
};

/// Lets requests with a known token through, `Authorization: Bearer secret`, and answers 401 to the
/// others.
///
/// Tokens are compared in constant time. A token in the query or in a form is not looked for.
///
/// # Examples
///
/// ```
/// use annulus::http::{self, Request, Router, layers::BearerAuth};
///
/// let router = Router::new()
///     .get("/", async |_| "hello")
///     .layer(BearerAuth::new().token("secret"));
///
/// /// The number of a user.
/// struct User(u64);
///
/// async fn user(request: Request) -> http::Result<String> {
///     let user = request.extensions().require::<User>()?;
///     Ok(format!("user {}", user.0))
/// }
///
/// let sessions = Router::new()
///     .get("/", user)
///     .layer(BearerAuth::new().check(|token, request| {
///         let id = token.strip_prefix("session-").and_then(|id| id.parse().ok());
///         let Some(id) = id else { return false };
///         request.extensions().insert(User(id));
///         true
///     }));
/// ```
#[derive(Clone, Default)]
pub struct BearerAuth {
    tokens: Vec<String>,
    check: Option<Check>,
}

/// Whether a token is right for a request.
type Check = Rc<dyn Fn(&str, &Request) -> bool>;

impl BearerAuth {
    /// Makes a layer that knows no token.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a token.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.tokens.push(token.to_owned());
        self
    }

    /// Lets requests through, too, for whose token `check` is true. It may put into the request who
    /// that is.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&str, &Request) -> bool + 'static) -> Self {
        self.check = Some(Rc::new(check));
        self
    }

    fn knows(&self, token: &str, request: &Request) -> bool {
        let mut is_known = false;
        for known in &self.tokens {
            is_known |= is_equal(token.as_bytes(), known.as_bytes());
        }
        is_known
            || self
                .check
                .as_ref()
                .is_some_and(|check| check(token, request))
    }
}

impl Step for BearerAuth {
    fn sides(&self) -> Sides {
        Sides::Before
    }

    fn before(&self, request: &mut Request) -> Option<Response> {
        let token = credentials_of(request, b"bearer ");
        let token = token.and_then(|token| std::str::from_utf8(token).ok());
        if token.is_some_and(|token| !token.is_empty() && self.knows(token, request)) {
            return None;
        }
        // Without credentials in the request, the challenge names no error (section 3.1).
        let challenge = match request.field("authorization") {
            Some(_) => "Bearer error=\"invalid_token\"",
            None => "Bearer",
        };
        let challenge = HeaderValue::from_static(challenge);
        let refusal = Response::new(StatusCode::UNAUTHORIZED);
        Some(refusal.with_field(header::WWW_AUTHENTICATE, challenge))
    }
}

impl Layer for BearerAuth {
    async fn handle(&self, request: Request, next: Next<'_>) -> Response {
        handle_step(self, request, next).await
    }

    fn into_any(self) -> LayerBox {
        LayerBox::step(self)
    }
}

/// It has no token in it.
impl fmt::Debug for BearerAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth").finish_non_exhaustive()
    }
}
