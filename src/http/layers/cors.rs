//! Requests from pages of other sites (the Fetch standard, "CORS protocol").

use std::{fmt, rc::Rc, time::Duration};

use crate::http::{
    HeaderName, HeaderValue, Layer, Method, Next, Request, Response, StatusCode, header,
    server::{LayerBox, Step, handle_step},
};

/// Lets pages of other sites use the service, as their browsers ask whether they may.
///
/// By default no site may. Browsers ask first, by a *preflight*, an OPTIONS request, which this
/// layer answers 204 by itself: no handler and no layer inside of this one sees it. So put the
/// layer outside of those that look for credentials, since a preflight has none.
///
/// A site that may not use the service is answered without the fields, and its browser keeps the
/// answer from the page. The request itself has been handled: this is no guard against other
/// clients.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use annulus::http::{HeaderName, Method, Router, header, layers::Cors};
///
/// let cors = Cors::new()
///     .allow_origin("https://app.example")
///     .allow_methods([Method::GET, Method::POST, Method::DELETE])
///     .allow_fields([header::CONTENT_TYPE, header::AUTHORIZATION])
///     .expose_fields([HeaderName::from_static("x-request-id")])
///     .allow_credentials()
///     .max_age(Duration::from_secs(3600));
/// let router = Router::new().get("/", async |_| "hello").layer(cors);
/// ```
#[derive(Clone)]
pub struct Cors {
    origins: Vec<String>,
    allows: Option<Allows>,
    allows_any: bool,
    allows_credentials: bool,
    methods: HeaderValue,
    /// None: those that the browser asks for.
    fields: Option<HeaderValue>,
    exposed: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

/// Whether an origin is allowed.
type Allows = Rc<dyn Fn(&str) -> bool>;

impl Default for Cors {
    fn default() -> Self {
        Self::new()
    }
}

impl Cors {
    /// Makes a layer that allows no origin yet, and to those that are added the methods GET, HEAD,
    /// POST, PUT, PATCH and DELETE with all fields.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origins: Vec::new(),
            allows: None,
            allows_any: false,
            allows_credentials: false,
            methods: HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"),
            fields: None,
            exposed: None,
            max_age: None,
        }
    }

    /// Allows pages of `origin`, such as `https://app.example` or `http://localhost:3000`.
    ///
    /// # Panics
    ///
    /// When that is no origin as browsers send it: scheme, host and the port unless it is that of
    /// the scheme, in lower case, and nothing after them.
    #[must_use]
    pub fn allow_origin(mut self, origin: &str) -> Self {
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        assert!(
            !host.is_empty()
                && !host.contains('/')
                && origin.bytes().all(|byte| byte.is_ascii_graphic())
                && !origin.bytes().any(|byte| byte.is_ascii_uppercase()),
            "expected an origin such as `https://app.example`, found {origin:?}"
        );
        self.origins.push(origin.to_owned());
        self
    }

    /// Allows pages of all origins for which `allows` is true.
    #[must_use]
    pub fn allow_origins_if(mut self, allows: impl Fn(&str) -> bool + 'static) -> Self {
        self.allows = Some(Rc::new(allows));
        self
    }

    /// Allows pages of every origin, without credentials.
    ///
    /// # Panics
    ///
    /// After [`allow_credentials`](Self::allow_credentials): browsers refuse both together.
    #[must_use]
    pub fn allow_any_origin(mut self) -> Self {
        self.allows_any = true;
        self.check()
    }

    /// Allows requests with cookies and passwords, and pages to see their answers.
    ///
    /// # Panics
    ///
    /// After [`allow_any_origin`](Self::allow_any_origin): browsers refuse both together.
    #[must_use]
    pub fn allow_credentials(mut self) -> Self {
        self.allows_credentials = true;
        self.check()
    }

    fn check(self) -> Self {
        assert!(
            !(self.allows_any && self.allows_credentials),
            "expected credentials for named origins, found them for any origin"
        );
        self
    }

    /// Allows these methods alone.
    #[must_use]
    pub fn allow_methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = list(methods.into_iter().map(|method| method.to_string()));
        self
    }

    /// Allows these fields of requests alone, beside those that are always allowed.
    #[must_use]
    pub fn allow_fields(mut self, fields: impl IntoIterator<Item = HeaderName>) -> Self {
        self.fields = Some(list(fields.into_iter().map(|name| name.to_string())));
        self
    }

    /// Lets pages see these fields of answers, beside those that are always seen.
    #[must_use]
    pub fn expose_fields(mut self, fields: impl IntoIterator<Item = HeaderName>) -> Self {
        self.exposed = Some(list(fields.into_iter().map(|name| name.to_string())));
        self
    }

    /// Sets how long browsers remember the answer to a preflight; 5 seconds where it is not said.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(HeaderValue::from(max_age.as_secs()));
        self
    }

    /// The value of `Access-Control-Allow-Origin` for a request, if its page is allowed.
    fn allowed_origin(&self, request: &Request) -> Option<HeaderValue> {
        let mut origins = request.field_all("origin");
        let (Some(origin), None) = (origins.next(), origins.next()) else {
            return None;
        };
        if self.allows_any {
            return Some(HeaderValue::from_static("*"));
        }
        let origin = std::str::from_utf8(origin).ok()?;
        let is_allowed = self.origins.iter().any(|known| known == origin)
            || self.allows.as_ref().is_some_and(|allows| allows(origin));
        is_allowed.then(|| HeaderValue::from_str(origin).ok())?
    }

    /// Adds the fields that all answers have.
    fn add_common(&self, request: &Request, response: &mut Response) -> bool {
        if !self.allows_any {
            // Also where there is no origin: a cache keeps that answer for the others.
            response.add_field(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = self.allowed_origin(request) else {
            return false;
        };
        response.add_field(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.allows_credentials {
            let value = HeaderValue::from_static("true");
            response.add_field(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, value);
        }
        true
    }

    fn preflight(&self, request: &Request) -> Response {
        let mut response = Response::new(StatusCode::NO_CONTENT);
        let is_allowed = self.add_common(request, &mut response);
        let asked = "Access-Control-Request-Method, Access-Control-Request-Headers";
        response.add_field(header::VARY, HeaderValue::from_static(asked));
        if !is_allowed {
            return response;
        }
        let methods = self.methods.clone();
        response.add_field(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let fields = self.fields.clone().or_else(|| {
            let asked = request.field("access-control-request-headers")?;
            HeaderValue::from_bytes(asked).ok()
        });
        if let Some(fields) = fields {
            response.add_field(header::ACCESS_CONTROL_ALLOW_HEADERS, fields);
        }
        if let Some(max_age) = &self.max_age {
            response.add_field(header::ACCESS_CONTROL_MAX_AGE, max_age.clone());
        }
        response
    }
}

fn list(names: impl Iterator<Item = String>) -> HeaderValue {
    let names: Vec<String> = names.collect();
    HeaderValue::try_from(names.join(", ")).expect("names are tokens")
}

impl Step for Cors {
    fn before(&self, request: &mut Request) -> Option<Response> {
        let is_preflight = *request.method() == Method::OPTIONS
            && request.field("origin").is_some()
            && request.field("access-control-request-method").is_some();
        is_preflight.then(|| self.preflight(request))
    }

    fn after(&self, request: &Request, response: &mut Response) {
        if let (true, Some(exposed)) = (self.add_common(request, response), &self.exposed) {
            response.add_field(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }
}

impl Layer for Cors {
    async fn handle(&self, request: Request, next: Next<'_>) -> Response {
        handle_step(self, request, next).await
    }

    fn into_any(self) -> LayerBox {
        LayerBox::step(self)
    }
}

impl fmt::Debug for Cors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cors")
            .field("origins", &self.origins)
            .finish_non_exhaustive()
    }
}
