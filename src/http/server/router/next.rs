//! The rest of a request's way: the layers that are left, and the handler.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{layer::Entry, target::Target};
use crate::{
    http::server::message::{request::Request, response::Response},
    task::FutureBox,
};

/// The rest of a request's way, as a [`Layer`](crate::http::Layer) gets it: the layers inside of
/// it, and at the end the handler, or the router's own answer such as 404.
///
/// A layer that answers by itself drops it.
pub struct Next<'a> {
    layers: &'a [Entry],
    target: Target<'a>,
}

impl<'a> Next<'a> {
    #[inline]
    pub(super) fn new(layers: &'a [Entry], target: Target<'a>) -> Self {
        Self { layers, target }
    }

    /// Answers the request by the layers that are left and the handler, as the future is polled.
    ///
    /// # Cancel safety
    ///
    /// The handler is dropped with the future.
    #[inline]
    pub fn run(self, request: Request) -> impl Future<Output = Response> + use<'a> {
        Running {
            start: Some((self, request)),
            run: Run::default(),
        }
    }

    /// Goes on where the first layer is no step.
    #[inline]
    fn go_on(self, request: Request) -> FutureBox<'a, Response> {
        match (self.layers.split_first(), self.target) {
            (Some((Entry::Around(layer), layers)), _) => {
                layer.handle(request, Next { layers, ..self })
            }
            (_, Target::Handler(handler)) => handler.handle(request),
            (_, target) => FutureBox::new(|| target.answer(request)),
        }
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next")
            .field("layers_left", &self.layers.len())
            .finish_non_exhaustive()
    }
}

/// The way of a request from here on, as it is gone. It polls the box of the layer or handler that
/// comes next, with no async function between the two: each would move the answer once more.
#[derive(Default)]
pub(super) struct Run<'a> {
    inside: Option<FutureBox<'a, Response>>,
    /// Layers that never wait, outside of that, and the request, which they see again after its
    /// answer.
    steps: &'a [Entry],
    request: Option<Request>,
}

impl<'a> Run<'a> {
    /// Runs the first steps, and begins what is inside of them. An answer of a step goes back at
    /// once.
    #[inline(always)] // two callers, each of which would pay 20 instructions for a call
    pub(super) fn begin(&mut self, next: Next<'a>, mut request: Request) -> Option<Response> {
        let mut count = 0;
        while let Some(entry) = next.layers.get(count) {
            match entry {
                Entry::Before(step) | Entry::Step(step) => {
                    if let Some(mut answer) = step.before(&mut request) {
                        go_back(&next.layers[..count], &request, &mut answer);
                        return Some(answer);
                    }
                }
                Entry::After(_) => {}
                Entry::Around(_) => break,
            }
            count += 1;
        }
        let (steps, layers) = next.layers.split_at(count);
        if count > 0 {
            self.steps = steps;
            self.request = Some(request.again());
        }
        self.inside = Some(Next { layers, ..next }.go_on(request));
        None
    }

    /// Goes on inside of the steps.
    #[inline]
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Response> {
        let inside = self.inside.as_mut();
        let inside = inside.expect("a future that has ended is not polled");
        // The answer is changed where it is, since it is large.
        let mut polled = Pin::new(inside).poll(context);
        if let (Some(request), Poll::Ready(answer)) = (&self.request, &mut polled) {
            go_back(self.steps, request, answer);
        }
        polled
    }
}

/// The future of [`Next::run`].
struct Running<'a> {
    start: Option<(Next<'a>, Request)>,
    run: Run<'a>,
}

impl Future for Running<'_> {
    type Output = Response;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        let this = self.get_mut();
        if let Some((next, request)) = this.start.take() {
            if let Some(answer) = this.run.begin(next, request) {
                return Poll::Ready(answer);
            }
        }
        this.run.poll(context)
    }
}

/// Shows the answer to the steps that the request has passed.
#[inline]
fn go_back(passed: &[Entry], request: &Request, answer: &mut Response) {
    for entry in passed.iter().rev() {
        if let Entry::After(step) | Entry::Step(step) = entry {
            step.after(request, answer);
        }
    }
}
