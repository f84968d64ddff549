//! The rest of a request's way: the layers that are left, and the handler.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{
    layer::{Entry, Step},
    target::Target,
};
use crate::http::server::message::{request::Request, response::Response};

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
        Run::Start(Some((self, request)))
    }

    /// Goes on where the first layer is no step.
    #[inline]
    fn go_on(self, request: Request) -> Boxed<'a> {
        match (self.layers.split_first(), self.target) {
            (Some((Entry::Around(layer), layers)), _) => {
                layer.handle(request, Next { layers, ..self })
            }
            (_, Target::Handler(handler)) => handler.handle(request),
            (_, target) => Box::pin(target.answer(request)),
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

type Boxed<'a> = Pin<Box<dyn Future<Output = Response> + 'a>>;

/// The future of [`Next::run`]. The box of the layer or handler that comes next is polled by it,
/// with no async function between the two: each would move the answer once more.
pub(super) enum Run<'a> {
    Start(Option<(Next<'a>, Request)>),
    Inside(Boxed<'a>),
    /// Inside of layers that never wait, which see the request again after its answer.
    InSteps {
        inside: Boxed<'a>,
        steps: &'a [Entry],
        request: Request,
    },
}

impl<'a> Run<'a> {
    /// Runs the first steps, and begins what is inside of them. An answer of a step goes back at
    /// once.
    #[inline]
    fn start(&mut self, next: Next<'a>, mut request: Request) -> Option<Response> {
        let is_step = |entry: &&Entry| matches!(entry, Entry::Step(_));
        let count = next.layers.iter().take_while(is_step).count();
        if count == 0 {
            *self = Self::Inside(next.go_on(request));
            return None;
        }
        let (steps, layers) = next.layers.split_at(count);
        for (passed, step) in each(steps).enumerate() {
            if let Some(mut answer) = step.before(&mut request) {
                go_back(&steps[..passed], &request, &mut answer);
                return Some(answer);
            }
        }
        let inside = Next { layers, ..next }.go_on(request.again());
        *self = Self::InSteps {
            inside,
            steps,
            request,
        };
        None
    }
}

impl Future for Run<'_> {
    type Output = Response;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        let this = self.get_mut();
        if let Self::Start(start) = this {
            let (next, request) = start.take().expect("a future that has ended is not polled");
            if let Some(answer) = this.start(next, request) {
                return Poll::Ready(answer);
            }
        }
        match this {
            Self::Inside(inside) => inside.as_mut().poll(context),
            Self::InSteps {
                inside,
                steps,
                request,
            } => {
                let mut answer = ready!(inside.as_mut().poll(context));
                go_back(steps, request, &mut answer);
                Poll::Ready(answer)
            }
            Self::Start(_) => unreachable!("it was begun above"),
        }
    }
}

/// The steps that `entries` are.
fn each(entries: &[Entry]) -> impl DoubleEndedIterator<Item = &dyn Step> {
    entries.iter().filter_map(|entry| match entry {
        Entry::Step(step) => Some(&**step),
        Entry::Around(_) => None,
    })
}

/// Shows the answer to the steps that the request has passed.
fn go_back(passed: &[Entry], request: &Request, answer: &mut Response) {
    for step in each(passed).rev() {
        step.after(request, answer);
    }
}
