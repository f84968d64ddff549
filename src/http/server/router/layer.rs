//! The trait of everything that stands around handlers.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::next::Next;
use crate::{
    http::server::message::{into_response::IntoResponse, request::Request, response::Response},
    task::FutureBox,
};

/// Code around the handlers of a [`Router`](crate::http::Router): it sees each request before its
/// handler, and the answer after it. Added by [`Router::layer`](crate::http::Router::layer).
///
/// Every async closure or function from a [`Request`] and a [`Next`] to something that
/// [turns into a response](IntoResponse) is a layer. [`layers`](crate::http::layers) has ready
/// ones.
///
/// # Cancel safety
///
/// The future is dropped when the client has left or the server is cut: code after
/// [`Next::run`] does not run then. State that has to be given back in any case belongs into a
/// value with a `Drop`.
///
/// A layer that panics is answered as a handler that does: 500, by
/// [`Server::on_refusal`](crate::http::Server::on_refusal). Layers outside of it do not see that
/// answer.
///
/// # Examples
///
/// ```
/// use annulus::http::{Next, Request, Response, Router, StatusCode};
///
/// /// Lets requests with the token through, and answers 401 to the others.
/// async fn with_token(request: Request, next: Next<'_>) -> Response {
///     if request.field("authorization") != Some(b"Bearer secret") {
///         return Response::new(StatusCode::UNAUTHORIZED);
///     }
///     next.run(request).await
/// }
///
/// let router = Router::new()
///     .get("/", async |_| "hello")
///     .layer(with_token)
///     .layer(async |request: Request, next: Next<'_>| {
///         println!("{} {}", request.method(), request.path());
///         next.run(request).await
///     });
/// ```
///
/// A type of its own is for layers with settings:
///
/// ```
/// use annulus::http::{HeaderName, HeaderValue, Layer, Next, Request, Response};
///
/// /// Adds a field to each answer.
/// struct WithField(HeaderName, HeaderValue);
///
/// impl Layer for WithField {
///     async fn handle(&self, request: Request, next: Next<'_>) -> Response {
///         let response = next.run(request).await;
///         response.with_field(self.0.clone(), self.1.clone())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer around HTTP handlers",
    note = "a layer is an async function or closure from a `Request` and a `Next<'_>` to a \
            response, such as `async |request: Request, next: Next<'_>| next.run(request).await`",
    note = "a layer of tower's is added by `Router::tower_layer`, with the feature `tower` of \
            annulus"
)]
pub trait Layer: 'static {
    /// Answers a request, most often by what `next` answers.
    fn handle(&self, request: Request, next: Next<'_>) -> impl Future<Output = Response>;

    /// The layer as the router keeps it. Those of this crate that never wait have a cheaper form.
    #[doc(hidden)]
    fn into_any(self) -> LayerBox
    where
        Self: Sized,
    {
        LayerBox(Entry::Around(Rc::new(Boxing(self))))
    }
}

impl<F, R> Layer for F
where
    F: for<'n> AsyncFn(Request, Next<'n>) -> R + 'static,
    R: IntoResponse,
{
    fn handle(&self, request: Request, next: Next<'_>) -> impl Future<Output = Response> {
        // No async function, which would move the request and the answer once more.
        Answered {
            future: self(request, next),
        }
    }
}

pin_project! {
    /// The future of an async closure, whose output it turns into a response.
    struct Answered<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future<Output: IntoResponse>> Future for Answered<F> {
    type Output = Response;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        let polled = self.project().future.poll(context);
        polled.map(IntoResponse::into_response)
    }
}

/// A layer of any type.
#[doc(hidden)]
pub struct LayerBox(pub(super) Entry);

impl std::fmt::Debug for LayerBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayerBox").finish_non_exhaustive()
    }
}

impl LayerBox {
    /// A layer that never waits.
    pub(crate) fn step(step: impl Step) -> Self {
        Self(Entry::step(step))
    }
}

/// A layer in the list of an endpoint. Steps are apart by their [sides](Sides), so that a request
/// looks at one number of each.
#[derive(Clone)]
pub(super) enum Entry {
    Around(Rc<dyn AnyLayer>),
    Before(Rc<dyn Step>),
    After(Rc<dyn Step>),
    Step(Rc<dyn Step>),
}

impl Entry {
    pub(super) fn step(step: impl Step) -> Self {
        match step.sides() {
            Sides::Before => Self::Before(Rc::new(step)),
            Sides::After => Self::After(Rc::new(step)),
            Sides::Both => Self::Step(Rc::new(step)),
        }
    }
}

/// A [`Layer`] whose future is in a box, so that its type is not part of the router's.
pub(super) trait AnyLayer {
    fn handle<'a>(&'a self, request: Request, next: Next<'a>) -> FutureBox<'a, Response>;
}

struct Boxing<L>(L);

impl<L: Layer> AnyLayer for Boxing<L> {
    fn handle<'a>(&'a self, request: Request, next: Next<'a>) -> FutureBox<'a, Response> {
        FutureBox::new(|| self.0.handle(request, next))
    }
}

/// A layer that does something before the handler and after it, and never waits: it has no future
/// of its own, so several of them cost a request as little as a few calls.
pub(crate) trait Step: 'static {
    /// The sides of the handler on which it does something. It is not called on the other.
    fn sides(&self) -> Sides {
        Sides::Both
    }

    /// Looks at the request. An answer goes back at once, through the layers outside.
    fn before(&self, _request: &mut Request) -> Option<Response> {
        None
    }

    /// Changes the answer. It is not called where [`before`](Self::before) has answered.
    fn after(&self, _request: &Request, _response: &mut Response) {}
}

/// The sides of a handler.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sides {
    Before,
    After,
    Both,
}

/// Runs a step as any layer, for its [`Layer::handle`].
pub(crate) async fn handle_step(
    step: &impl Step,
    mut request: Request,
    next: Next<'_>,
) -> Response {
    if let Some(answer) = step.before(&mut request) {
        return answer;
    }
    let again = request.again();
    let mut response = next.run(request).await;
    step.after(&again, &mut response);
    response
}
