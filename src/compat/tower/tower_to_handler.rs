//! A service as a handler.

use std::{any::Any, fmt, future::poll_fn, sync::Arc};

use ::http::Extensions;
use tower_service::Service;

use super::{
    answer_body::AnswerBody,
    bodies::into_error,
    upgrade::{HandedError, HandedTunnel, Upgrade},
};
use crate::{
    http::{Body, Cause, Error, Handler, IntoResponse, Method, Request, Response, StatusCode},
    task::ThreadBound,
};

/// The type of [`TowerToHandler::with_extensions`]'s functions.
type Extend = dyn Fn(&Request, &mut Extensions) + Send + Sync;

/// A `tower_service::Service`, such as axum's router, as a [`Handler`] of our server.
///
/// Feature: `tower`.
///
/// The service gets `http::Request<ThreadBound<Body>>`: the request as the `http` crate has it, and
/// a body that is `Send`, as axum asks for, and stays on its thread. It returns an `http::Response`
/// with any body, which is sent as [`Response::from_http_body`] says.
///
/// Each request has a clone of the service of its own, as tower asks for: that is polled until it
/// is ready, and then called. While it is not ready the request waits, and its client with it. The
/// service is polled on the worker's thread, and need not be `Send` if
/// [`run_each`](crate::http::Server::run_each) makes one for each worker.
///
/// A service that panics, or returns an error, is answered as a handler is: 500, or the status of
/// an [`http::Error`](Error) that is the error or one of its causes, and the text goes to the access
/// log.
///
/// Nothing here runs tokio. A service that needs its timers or spawns its tasks, as
/// `tower::timeout` and the keep-alive of axum's server-sent events do, panics outside of a runtime
/// of tokio. The feature `tokio-context` brings one, which `compat::Tokio::enter` gives to a
/// thread.
///
/// # Extensions
///
/// A request that offers another protocol has an [`Upgrade`].
/// [`with_extensions`](Self::with_extensions) adds values of your own, the address of the client
/// among them.
///
/// # Examples
///
/// A router of axum on each worker is one line: `run_each(|| TowerToHandler::new(router()))`. The
/// same with a service of one function:
///
/// ```
/// use std::{convert::Infallible, future::{Ready, ready}, task::{Context, Poll}};
///
/// use annulus::{compat::tower::TowerToHandler, http::{Body, Server}, task::ThreadBound};
/// use http::{Request, Response};
///
/// #[derive(Clone)]
/// struct Hello;
///
/// impl<B> tower_service::Service<Request<B>> for Hello {
///     type Response = Response<String>;
///     type Error = Infallible;
///     type Future = Ready<Result<Self::Response, Infallible>>;
///
///     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
///         Poll::Ready(Ok(()))
///     }
///
///     fn call(&mut self, request: Request<B>) -> Self::Future {
///         ready(Ok(Response::new(format!("you asked for {}\n", request.uri()))))
///     }
/// }
///
/// # fn serve() -> std::io::Result<()> {
/// Server::new().listen("127.0.0.1:8080").run(TowerToHandler::new(Hello)).map(drop)
/// # }
/// ```
#[derive(Clone)]
pub struct TowerToHandler<S> {
    service: S,
    extend: Option<Arc<Extend>>,
}

impl<S> TowerToHandler<S> {
    /// Makes a handler of `service`.
    #[must_use]
    pub fn new(service: S) -> Self {
        Self {
            service,
            extend: None,
        }
    }

    /// Calls `extend` with each request as it came, and with the extensions that the service's
    /// request has. A second call adds to the first.
    ///
    /// # Examples
    ///
    /// With axum, `ConnectInfo<SocketAddr>` is such a value:
    /// `extensions.insert(axum::extract::ConnectInfo(addr))`.
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use annulus::compat::tower::TowerToHandler;
    ///
    /// /// The client's address, for the service.
    /// #[derive(Clone)]
    /// struct Peer(SocketAddr);
    ///
    /// fn with_peer<S>(service: S) -> TowerToHandler<S> {
    ///     TowerToHandler::new(service).with_extensions(|request, extensions| {
    ///         if let Some(addr) = request.peer_addr() {
    ///             extensions.insert(Peer(addr));
    ///         }
    ///     })
    /// }
    /// # let _ = with_peer::<()>;
    /// ```
    #[must_use]
    pub fn with_extensions(
        mut self,
        extend: impl Fn(&Request, &mut Extensions) + Send + Sync + 'static,
    ) -> Self {
        self.extend = Some(match self.extend.take() {
            None => Arc::new(extend),
            Some(before) => Arc::new(move |request: &Request, extensions: &mut Extensions| {
                before(request, extensions);
                extend(request, extensions);
            }),
        });
        self
    }

    /// The request as the service gets it.
    fn convert(&self, request: Request) -> Result<::http::Request<ThreadBound<Body>>, Error> {
        let mut extensions = Extensions::new();
        if let Some(extend) = &self.extend {
            extend(&request, &mut extensions);
        }
        if let Some(offer) = Upgrade::of(&request) {
            extensions.insert(offer);
        }
        let mut request = request.into_http()?;
        *request.extensions_mut() = extensions;
        Ok(request.map(ThreadBound::new))
    }
}

impl<S, B> Handler for TowerToHandler<S>
where
    S: Service<::http::Request<ThreadBound<Body>>, Response = ::http::Response<B>>
        + Clone
        + 'static,
    S::Error: Into<Cause>,
    B: http_body::Body + 'static,
    B::Error: Into<Cause>,
{
    async fn handle(&self, request: Request) -> Response {
        let request = match self.convert(request) {
            Ok(request) => request,
            Err(error) => return error.into_response(),
        };
        let is_connect = *request.method() == Method::CONNECT;
        let mut service = self.service.clone();
        let result = match poll_fn(|context| service.poll_ready(context)).await {
            Ok(()) => service.call(request).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(response) => answer(response, is_connect),
            Err(error) => into_error(error.into()).into_response(),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for TowerToHandler<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerToHandler")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

/// The answer that a service's response stands for.
fn answer<B>(mut response: ::http::Response<B>, is_connect: bool) -> Response
where
    B: http_body::Body + 'static,
    B::Error: Into<Cause>,
{
    let status = response.status();
    let extensions = response.extensions_mut();
    if status == StatusCode::SWITCHING_PROTOCOLS || is_connect && status.is_success() {
        if let Some(make) = HandedTunnel::take_from(extensions) {
            let (parts, _) = response.into_parts();
            return Response::tunnel_by(make)
                .with_status(status)
                .with_fields(parts.headers);
        }
    }
    let error = if status.is_client_error() || status.is_server_error() {
        HandedError::take_from(extensions)
    } else {
        None
    };
    let (parts, body) = response.into_parts();
    let mut answer = match as_ours(body) {
        Ok(body) => body.into_response(parts),
        Err(body) => Response::from_http_body(::http::Response::from_parts(parts, body)),
    };
    if let Some(error) = error {
        answer.set_error(error);
    }
    answer
}

/// A body that is a handler's of ours, which no layer has changed.
fn as_ours<B: 'static>(body: B) -> Result<AnswerBody, B> {
    let mut body = Some(body);
    let any: &mut dyn Any = &mut body;
    let ours = any.downcast_mut::<Option<AnswerBody>>();
    match ours.and_then(|body| body.take_if(|body| body.is_untouched())) {
        Some(body) => Ok(body),
        None => Err(body.expect("it was not taken")),
    }
}
