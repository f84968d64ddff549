//! A handler as a service.

use std::{
    any::Any,
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use ::http::{HeaderMap, request};
use tower_service::Service;

use super::{
    answer_body::AnswerBody,
    upgrade::{HandedError, HandedTunnel, Upgrade},
};
use crate::{
    http::{
        Body, Cause, Error, Handler, IntoResponse, Limits, Request, Response, StatusCode, Timeouts,
        detached::{self, Detached, Lease, ResponseBody},
        header,
    },
    task::ThreadBound,
};

/// A [`Handler`], such as our [`Router`](crate::http::Router), as a `tower_service::Service` of
/// requests with any body.
///
/// Feature: `tower`.
///
/// It runs below axum's router, on hyper, or inside of tower's layers. It is `Send`, as are its
/// futures and its bodies, and stays on the thread on which it was made: elsewhere a call panics.
/// So it is made on each worker, and does not run on a runtime that moves its tasks to other
/// threads. The handler's waits need a runtime of ours on that thread.
///
/// Any number of requests may be under way; it is always ready.
///
/// # What the handler sees
///
/// A request that comes from [`TowerToHandler`](super::TowerToHandler) with its body as it was is
/// still a request of our server: all of [`Request`] works. From elsewhere, or with its body
/// wrapped by a layer:
///
/// - [`peer_addr`](Request::peer_addr) is none, [`early_hints`](Request::early_hints) are not sent,
///   [`stopping`](Request::stopping) waits for ever, and the limits and timeouts are those of this
///   service, which [`with`](Self::with) sets.
/// - Parameters of a path that a router outside has found are lost. So wrap a whole router rather
///   than a handler in it.
/// - A request that names no host is one to `localhost`.
///
/// The names of fields are in lower case. An answer that takes the connection over
/// ([`Response::upgrade`]) works where our server is outside, through all layers, and is 501
/// elsewhere, or 426 where the client did not offer that.
///
/// # Examples
///
/// ```
/// use annulus::{compat::tower::HandlerToTower, http::Router};
/// use tower_service::Service;
///
/// annulus::run(async {
///     let router = Router::new().get("/", async |_| "hello");
///     let mut service = HandlerToTower::new(router);
///     let request = http::Request::new(String::new()); // GET /
///     let response = service.call(request).await?;
///     assert_eq!(response.status(), 200);
///     Ok::<(), std::convert::Infallible>(())
/// })
/// # .unwrap();
/// ```
pub struct HandlerToTower<H: 'static> {
    inner: Arc<ThreadBound<Inner<H>>>,
}

struct Inner<H> {
    handler: H,
    detached: Detached,
}

/// The future of an answer.
type Answering =
    ThreadBound<Pin<Box<dyn Future<Output = Result<::http::Response<AnswerBody>, Infallible>>>>>;

impl<H: Handler> HandlerToTower<H> {
    /// Makes a service of `handler`, on this thread.
    #[must_use]
    pub fn new(handler: H) -> Self {
        Self::with(handler, Limits::default(), Timeouts::default())
    }

    /// As [`new`](Self::new), with limits and timeouts other than the defaults for requests that do
    /// not come from our server. Of the timeouts those count that are about a request's body.
    #[must_use]
    pub fn with(handler: H, limits: Limits, timeouts: Timeouts) -> Self {
        Self {
            inner: Arc::new(ThreadBound::new(Inner {
                handler,
                detached: Detached::new(limits, timeouts),
            })),
        }
    }
}

impl<H: Handler> Inner<H> {
    async fn answer<B>(&self, request: ::http::Request<B>) -> ::http::Response<AnswerBody>
    where
        B: http_body::Body + 'static,
        B::Error: Into<Cause>,
    {
        let (parts, body) = request.into_parts();
        let is_below_ours = parts.extensions.get::<Upgrade>().is_some();
        let (request, detached, lease) = match self.receive(&parts, body) {
            Ok(received) => received,
            Err(error) => return failed(error),
        };
        drop(parts);
        let offers = request.upgrades().next().is_some();
        let response = self.handler.handle(request).await;
        let tunnels = if is_below_ours {
            Tunnels::Handed
        } else if offers {
            Tunnels::Unknown
        } else {
            Tunnels::Unasked
        };
        give_out(response, tunnels, detached, lease)
    }

    /// The request as the handler gets it.
    fn receive<B>(
        &self,
        parts: &request::Parts,
        body: B,
    ) -> Result<(Request, Detached, Option<Lease>), Error>
    where
        B: http_body::Body + 'static,
        B::Error: Into<Cause>,
    {
        let mut body = Some(body);
        let any: &mut dyn Any = &mut body;
        if let Some(ours) = any.downcast_mut::<Option<ThreadBound<Body>>>() {
            let body = ours.take().expect("it was put there").into_inner();
            let request = detached::renewed(parts, &body)?;
            return Ok((request, Detached::of(&body), None));
        }
        let body = body.expect("it was not taken");
        let (request, lease) = self.detached.request(parts, body)?;
        Ok((request, self.detached.clone(), Some(lease)))
    }
}

/// The ways that an answer which takes the connection over may go.
#[derive(Clone, Copy)]
enum Tunnels {
    /// Our server outside gets the function.
    Handed,
    /// The client did not ask for it.
    Unasked,
    /// The server outside is another.
    Unknown,
}

/// The answer as the service gives it out.
fn give_out(
    mut response: Response,
    tunnels: Tunnels,
    detached: Detached,
    lease: Option<Lease>,
) -> ::http::Response<AnswerBody> {
    let mut out = ::http::Response::new(AnswerBody::default());
    *out.status_mut() = response.status();
    *out.headers_mut() = fields(&response);
    if let Some(error) = response.take_error() {
        out.extensions_mut().insert(HandedError::new(error));
    }
    match response.take_body() {
        ResponseBody::Bytes(bytes) => *out.body_mut() = AnswerBody::whole(bytes),
        ResponseBody::Producer(make) => {
            let promised = out.headers().get(header::CONTENT_LENGTH);
            let promised = promised
                .and_then(|value| value.to_str().ok())
                // `parse` would take a sign.
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|text| text.parse().ok());
            *out.body_mut() = AnswerBody::written(make, detached, promised, lease);
        }
        ResponseBody::Events(start) => {
            *out.body_mut() = AnswerBody::written(start.into_producer(), detached, None, lease);
        }
        ResponseBody::Tunnel(make) => match tunnels {
            Tunnels::Handed => drop(out.extensions_mut().insert(HandedTunnel::new(make))),
            Tunnels::Unasked => *out.status_mut() = StatusCode::UPGRADE_REQUIRED,
            Tunnels::Unknown => {
                let reason = "expected our server outside of a handler that takes the connection";
                return failed(Error::new(StatusCode::NOT_IMPLEMENTED, reason));
            }
        },
    }
    out
}

fn fields(response: &Response) -> HeaderMap {
    let fields = response.field_list();
    let mut map = HeaderMap::with_capacity(fields.len() + 1);
    if let Some(content_type) = response.content_type() {
        map.insert(header::CONTENT_TYPE, content_type.clone());
    }
    for (name, value) in fields {
        map.append(name.clone(), value.clone());
    }
    map
}

/// The answer to a request that no handler sees.
fn failed(error: Error) -> ::http::Response<AnswerBody> {
    let mut response = error.into_response();
    let body = response.take_bytes().map(AnswerBody::whole);
    let mut out = ::http::Response::new(body.unwrap_or_default());
    *out.status_mut() = response.status();
    *out.headers_mut() = fields(&response);
    if let Some(error) = response.take_error() {
        out.extensions_mut().insert(HandedError::new(error));
    }
    out
}

impl<H, B> Service<::http::Request<B>> for HandlerToTower<H>
where
    H: Handler,
    B: http_body::Body + 'static,
    B::Error: Into<Cause>,
{
    type Response = ::http::Response<AnswerBody>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ::http::Request<B>) -> Answering {
        let inner = Arc::clone(&self.inner);
        ThreadBound::new(Box::pin(
            async move { Ok(inner.get().answer(request).await) },
        ))
    }
}

// A derived one would ask it of the handler.
impl<H> Clone for HandlerToTower<H> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<H> fmt::Debug for HandlerToTower<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerToTower").finish_non_exhaustive()
    }
}
