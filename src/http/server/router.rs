//! Handlers by method and path.

mod boxed_handler;
mod nested_fallback;
mod route_path;
mod routes;

use std::fmt;

use super::message::{handler::Handler, request::Request, response::Response};
use crate::http::{HeaderValue, Method, StatusCode, header};
use boxed_handler::{BoxedHandler, boxed};
use nested_fallback::NestedFallback;
use route_path::check;
use routes::{Route, Routes};

/// Chooses a handler by a request's method and path. It is a [`Handler`] itself.
///
/// # Paths
///
/// A path begins with a slash. In it `{name}` matches one segment, or a part of one as in
/// `/img-{name}.png`; `{*name}` at the end matches the whole rest, slashes included. Both match at
/// least one character. The handler reads them by [`Request::param`] and [`Request::param_str`].
/// `{{` and `}}` are the braces themselves. Where several paths fit, the one with more literal text
/// wins: `/users/me` before `/users/{id}` before `/{*rest}`. The order in which they were added
/// does not count.
///
/// The request's path is matched byte by byte as it was sent, without its query. Nothing is
/// normalised:
///
/// - `/users` and `/users/` are two paths, and neither leads to the other;
/// - `//users` is not `/users`: its first segment is empty, which no `{name}` matches;
/// - `%2F` is not a slash: it does not end a segment, and becomes a slash only when the parameter
///   is read;
/// - letters that are percent-encoded without need do not match: `/%75sers` is not `/users`;
/// - `.` and `..` are segments like others: they match a `{name}` and stand in a `{*name}`, so
///   check a parameter before it becomes part of a file's path.
///
/// # Methods
///
/// HEAD is answered by the handler of GET, unless it has one of its own; the server leaves the body
/// out. OPTIONS is answered with `Allow`, unless it has a handler, and `OPTIONS *` with the methods
/// of all paths. Another method that the path has no handler for is answered with 405 and `Allow`.
/// A request that no path matches goes to the [fallback](Self::fallback), or is answered with 404.
///
/// # Panics
///
/// The methods that add a route panic when the route is wrong, with its path and the reason:
///
/// - The path does not begin with a slash, or has characters that no request's path can have.
/// - It has bad braces, two parameters in one segment, two parameters of one name, or more than
///   eight parameters.
/// - A segment is a parameter of other routers, as `/:id`, `/*rest`, `/<id>` and `/{id:int}`. The
///   message has the right form.
/// - The route was added before, perhaps with another name (`/{a}` and `/{b}`), or another route
///   stands in the same place (`/{a}` and `/{*rest}`).
///
/// # Examples
///
/// ```no_run
/// use annulus::http::{self, Request, Response, Router, Server};
///
/// async fn user(request: Request) -> http::Result<Response> {
///     let id: u64 = request.param("id")?;
///     Ok(Response::text(format!("user {id}")))
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let router = || {
///     Router::new()
///         .get("/", async |_| "Hello, World!")
///         .get("/users/{id}", user)
///         .nest("/api", Router::new().get("/version", async |_| "1"))
/// };
/// Server::new().listen("127.0.0.1:8080").run_each(router).map(drop)
/// # }
/// ```
#[derive(Default)]
pub struct Router {
    routes: Routes,
    /// The deepest stand first.
    nested_fallbacks: Vec<NestedFallback>,
    fallback: Option<BoxedHandler>,
}

impl Router {
    /// Makes a router without routes, which answers 404.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers `method` at `path` by `handler`.
    ///
    /// # Panics
    ///
    /// When the [route is wrong](Self#panics).
    #[must_use]
    #[track_caller]
    pub fn route(mut self, method: Method, path: &str, handler: impl Handler) -> Self {
        self.routes.entry(path).set(Some(method), boxed(handler));
        self
    }

    /// Answers all other methods at `path` by `handler`: those that have no handler there, OPTIONS
    /// included.
    ///
    /// # Panics
    ///
    /// When the [route is wrong](Self#panics).
    #[must_use]
    #[track_caller]
    pub fn any(mut self, path: &str, handler: impl Handler) -> Self {
        self.routes.entry(path).set(None, boxed(handler));
        self
    }

    /// Answers GET at `path` by `handler`, and HEAD unless it has a handler of its own.
    ///
    /// # Panics
    ///
    /// When the [route is wrong](Self#panics).
    #[must_use]
    #[track_caller]
    pub fn get(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::GET, path, handler)
    }

    /// Answers HEAD at `path` by `handler`.
    ///
    /// # Panics
    ///
    /// When the [route is wrong](Self#panics).
    #[must_use]
    #[track_caller]
    pub fn head(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::HEAD, path, handler)
    }

    /// Answers POST at `path` by `handler`.
    ///
    /// # Panics
    ///
    /// When the [route is wrong](Self#panics).
    #[must_use]
    #[track_caller]
    pub fn post(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::POST, path, handler)
    }

    /// Answers PUT at `path` by `handler`.
    ///
    /// # Panics
    ///
    /// When the [route is wrong](Self#panics).
    #[must_use]
    #[track_caller]
    pub fn put(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::PUT, path, handler)
    }

    /// Answers PATCH at `path` by `handler`.
    ///
    /// # Panics
    ///
    /// When the [route is wrong](Self#panics).
    #[must_use]
    #[track_caller]
    pub fn patch(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::PATCH, path, handler)
    }

    /// Answers DELETE at `path` by `handler`.
    ///
    /// # Panics
    ///
    /// When the [route is wrong](Self#panics).
    #[must_use]
    #[track_caller]
    pub fn delete(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::DELETE, path, handler)
    }

    /// Answers OPTIONS at `path` by `handler`.
    ///
    /// # Panics
    ///
    /// When the [route is wrong](Self#panics).
    #[must_use]
    #[track_caller]
    pub fn options(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::OPTIONS, path, handler)
    }

    /// Adds the routes of `router`, each below `prefix`; its `/` becomes the prefix itself.
    ///
    /// Its fallback answers what begins with the prefix and is matched by nothing. Handlers see the
    /// whole path, and parameters of the prefix beside their own.
    ///
    /// # Panics
    ///
    /// When the prefix is wrong as a [route](Self#panics) is, or a route is behind it, or the
    /// prefix ends with a slash.
    #[must_use]
    #[track_caller]
    pub fn nest(mut self, prefix: &str, router: Self) -> Self {
        assert!(
            !prefix.ends_with('/'),
            "the prefix `{prefix}` of a nested router: expected no slash at its end"
        );
        if !prefix.is_empty() {
            // Also when there is no route behind it that would tell.
            check(prefix);
        }
        self.routes.nest(prefix, router.routes);
        let deeper = router.nested_fallbacks.into_iter();
        let deeper = deeper.filter_map(|fallback| fallback.nest(prefix));
        let own = router
            .fallback
            .map(|handler| NestedFallback::new(prefix.to_owned(), handler));
        for fallback in deeper.chain(own) {
            fallback.add_to(&mut self.nested_fallbacks);
        }
        self
    }

    /// Answers requests by `handler` whose path no route matches. The last one counts.
    #[must_use]
    pub fn fallback(mut self, handler: impl Handler) -> Self {
        self.fallback = Some(boxed(handler));
        self
    }

    /// The handler for a request, which gets its parameters; or the answer when there is none.
    fn find(&self, request: &mut Request) -> Result<&BoxedHandler, Response> {
        let Some((route, params)) = self.routes.at(request.path()) else {
            return self.find_fallback(request);
        };
        request.params().replace(params);
        request.note_route(route.path());
        route
            .handler(request.method())
            .ok_or_else(|| without_handler(route.allowed(), request.method()))
    }

    #[cold]
    fn find_fallback(&self, request: &mut Request) -> Result<&BoxedHandler, Response> {
        if request.path() == "*" {
            let allowed = self.routes.iter().flat_map(Route::allowed);
            return Err(without_handler(allowed, request.method()));
        }
        let path = request.path();
        let mut fallbacks = self.nested_fallbacks.iter();
        if let Some((route, params)) = fallbacks.find_map(|fallback| fallback.at(path)) {
            request.params().replace(params);
            if let Some(handler) = route.handler(request.method()) {
                return Ok(handler);
            }
        }
        self.fallback
            .as_ref()
            .ok_or_else(|| Response::new(StatusCode::NOT_FOUND))
    }
}

/// The answer to a method that has no handler where `allowed` have one.
#[cold]
fn without_handler<'a>(allowed: impl Iterator<Item = &'a Method>, method: &Method) -> Response {
    let mut names: Vec<&str> = Vec::new();
    for name in allowed.chain([&Method::OPTIONS]).map(Method::as_str) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let allow = HeaderValue::try_from(names.join(", ")).expect("methods are tokens");
    let status = if method == Method::OPTIONS {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::METHOD_NOT_ALLOWED
    };
    Response::new(status).with_field(header::ALLOW, allow)
}

impl Handler for Router {
    async fn handle(&self, mut request: Request) -> Response {
        match self.find(&mut request) {
            Ok(handler) => handler.handle(request).await,
            Err(response) => response,
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}
