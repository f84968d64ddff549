//! Handlers by method and path.

mod boxed_handler;
mod layer;
mod literals;
mod nested_fallback;
mod next;
mod route_path;
mod routes;
mod state;
mod target;

pub use layer::Layer;
pub(crate) use layer::{LayerBox, Sides, Step, handle_step};
pub use next::Next;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{
    files::{Files, Mounted},
    message::{handler::Handler, request::Request, response::Response},
};
use crate::http::Method;
use boxed_handler::{BoxedHandler, boxed};
use layer::Entry;
use nested_fallback::NestedFallback;
use next::Run;
use route_path::check;
use routes::{Endpoint, Route, Routes};
use target::Target;

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
/// # Layers
///
/// A [`Layer`] is code around all of it: around each handler, the fallback, and what the router
/// answers by itself. [`layer`](Self::layer) adds one. A request passes the layers in the order in
/// which they were added, and the answer passes them in the other direction:
///
/// ```text
/// Router::new().layer(a).layer(b)        request:  a, b, handler        answer:  handler, b, a
/// ```
///
/// The route is found first, so that a layer can read the parameters of the path. It does not
/// matter whether a route is added before a layer or after it.
///
/// The layers of a [nested](Self::nest) router are inside of those of the router around it. They
/// are around what is below the prefix: its routes, its fallback, and the 404 where it has none.
///
/// No layer sees the answers that the server gives before there is a request, or after a panic:
/// [`Server::on_refusal`](crate::http::Server::on_refusal) is for these.
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
    /// The layers around all of it. Each endpoint has them in its own list, too.
    layers: Vec<Entry>,
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
        let endpoint = self.endpoint(handler);
        let route = self.routes.entry(path, &self.layers);
        route.set(Some(method), endpoint);
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
        let endpoint = self.endpoint(handler);
        self.routes.entry(path, &self.layers).set(None, endpoint);
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

    /// Answers GET and HEAD at `prefix` and below by the files of a folder. Other methods are
    /// answered with 405, and a path where nothing is with 404: not by the
    /// [fallback](Self::fallback). Routes with more literal text go first.
    ///
    /// The prefix is `/` or a path without a slash at its end.
    ///
    /// # Panics
    ///
    /// When the prefix is wrong as a [route](Self#panics) is, or ends with a slash.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use annulus::http::{Files, Router, Server};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let router = || Router::new().files("/static", Files::new("public"));
    /// Server::new().listen("127.0.0.1:8080").run_each(router).map(drop)
    /// # }
    /// ```
    #[must_use]
    #[track_caller]
    pub fn files(self, prefix: &str, files: Files) -> Self {
        let prefix = if prefix == "/" { "" } else { prefix };
        assert!(
            !prefix.ends_with('/'),
            "the prefix `{prefix}` of files: expected no slash at its end"
        );
        let files = Mounted::new(files);
        let routes = self
            .get(&format!("{prefix}/"), files.clone())
            .get(&format!("{prefix}/{}", Mounted::PATTERN), files.clone());
        if prefix.is_empty() {
            routes
        } else {
            routes.get(prefix, files)
        }
    }

    /// Adds the routes of `router`, each below `prefix`; its `/` becomes the prefix itself.
    ///
    /// Its fallback answers what begins with the prefix and is matched by nothing. Handlers see the
    /// whole path, and parameters of the prefix beside their own. Its [layers](Self#layers) stay
    /// around all of that, inside of the layers of this router.
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
        self.routes.nest(prefix, router.routes, &self.layers);
        let deeper = router.nested_fallbacks.into_iter();
        let deeper = deeper.map(|fallback| fallback.nest(prefix, &self.layers));
        let answers = router.fallback.is_some() || !router.layers.is_empty() && !prefix.is_empty();
        let own = answers.then(|| {
            let layers = [&*self.layers, &router.layers].concat();
            NestedFallback::new(prefix.to_owned(), router.fallback, layers)
        });
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

    /// Puts `layer` around everything that the router answers, inside of the layers that were added
    /// before: [Layers](Self#layers) has the order.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{Next, Request, Router};
    ///
    /// let router = Router::new()
    ///     .get("/", async |_| "hello")
    ///     .layer(async |request: Request, next: Next<'_>| {
    ///         let path = request.path().to_owned();
    ///         let response = next.run(request).await;
    ///         println!("{path}: {}", response.status());
    ///         response
    ///     });
    /// ```
    #[must_use]
    pub fn layer(self, layer: impl Layer) -> Self {
        let LayerBox(entry) = layer.into_any();
        self.add_layer(entry)
    }

    /// Gives `state` to all handlers of the router, which read it by
    /// [`Request::state`](crate::http::Request::state): a pool of connections, or settings. A
    /// router may have one of each type. The layers that are added after it see it, too, and a
    /// nested router may have another of the same type.
    ///
    /// A handler gets a pointer that it may keep. With [`Server::run_each`] each worker makes its
    /// own router and so a state of its own, which needs no lock; for one that all workers share
    /// clone an `Arc` into the function.
    ///
    /// [`Server::run_each`]: crate::http::Server::run_each
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
    ///
    /// use annulus::http::{self, Request, Router, Server};
    ///
    /// async fn visit(request: Request) -> http::Result<String> {
    ///     let visits = request.state::<Arc<AtomicU64>>()?;
    ///     Ok(format!("visit {}", visits.fetch_add(1, Ordering::Relaxed) + 1))
    /// }
    ///
    /// let visits = Arc::new(AtomicU64::new(0));
    /// Server::new()
    ///     .listen("127.0.0.1:8080")
    ///     .run_each(move || Router::new().state(Arc::clone(&visits)).get("/", visit))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn state<T: 'static>(self, state: T) -> Self {
        self.add_layer(state::entry(state))
    }

    fn add_layer(mut self, entry: Entry) -> Self {
        let outer_count = self.layers.len();
        self.routes.add_layer(outer_count, &entry);
        for fallback in &mut self.nested_fallbacks {
            fallback.layers.insert(outer_count, entry.clone());
        }
        self.layers.push(entry);
        self
    }

    fn endpoint(&self, handler: impl Handler) -> Endpoint {
        Endpoint {
            handler: boxed(handler),
            layers: self.layers.clone(),
        }
    }

    /// The way of a request, which gets its parameters: the layers, and what is inside of them.
    #[inline]
    fn find(&self, request: &Request) -> (&[Entry], Target<'_>) {
        let Some(route) = self.routes.literal(request.path_bytes()) else {
            return self.find_by_tree(request);
        };
        request.forget_params();
        way_in(route, request)
    }

    #[inline(never)]
    fn find_by_tree(&self, request: &Request) -> (&[Entry], Target<'_>) {
        let Some((route, params)) = self.routes.at(request.path()) else {
            return self.find_fallback(request);
        };
        request.set_params(params);
        way_in(route, request)
    }

    #[cold]
    fn find_fallback(&self, request: &Request) -> (&[Entry], Target<'_>) {
        let path = request.path();
        if path == "*" {
            return (&self.layers, Target::Star(&self.routes));
        }
        // The layers are those of the deepest router that has the path, also where the handler is
        // one further out.
        let mut layers = None;
        for fallback in &self.nested_fallbacks {
            let Some(params) = fallback.at(path) else {
                continue;
            };
            let layers = layers.get_or_insert(&fallback.layers);
            if let Some(handler) = &fallback.handler {
                request.set_params(params);
                return (layers, Target::Handler(handler));
            }
        }
        let target = match &self.fallback {
            Some(handler) => Target::Handler(handler),
            None => Target::NoRoute,
        };
        (layers.unwrap_or(&self.layers), target)
    }
}

/// The way of a request whose route was found.
#[inline]
fn way_in<'a>(route: &'a Route, request: &Request) -> (&'a [Entry], Target<'a>) {
    request.note_route(route.path());
    match route.endpoint(request.method()) {
        Some(endpoint) => (&endpoint.layers, Target::Handler(&endpoint.handler)),
        None => (route.layers(), Target::NoMethod(route)),
    }
}

impl Handler for Router {
    fn handle(&self, request: Request) -> impl Future<Output = Response> {
        Answering {
            asked: Some((self, request)),
            run: Run::default(),
        }
    }
}

/// The future of a router: the route is found when it is polled first.
struct Answering<'a> {
    asked: Option<(&'a Router, Request)>,
    run: Run<'a>,
}

impl Future for Answering<'_> {
    type Output = Response;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        let this = self.get_mut();
        if let Some((router, request)) = this.asked.take() {
            let (layers, target) = router.find(&request);
            if let Some(answer) = this.run.begin(Next::new(layers, target), request) {
                return Poll::Ready(answer);
            }
        }
        this.run.poll(context)
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}
