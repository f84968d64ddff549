//! The rest of a request's way: the layers that are left, and the handler.

use std::fmt;

use super::{layer::Entry, target::Target};
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
    pub(super) fn new(layers: &'a [Entry], target: Target<'a>) -> Self {
        Self { layers, target }
    }

    /// Answers the request by the layers that are left and the handler.
    ///
    /// # Cancel safety
    ///
    /// The handler is dropped with the future.
    pub async fn run(self, mut request: Request) -> Response {
        let is_step = |entry: &&Entry| matches!(entry, Entry::Step(_));
        let count = self.layers.iter().take_while(is_step).count();
        if count == 0 {
            return self.go_on(request).await;
        }
        let (steps, layers) = self.layers.split_at(count);
        let mut passed = 0;
        let mut answer = None;
        while let (Some(Entry::Step(step)), None) = (steps.get(passed), &answer) {
            answer = step.before(&mut request);
            passed += usize::from(answer.is_none());
        }
        let again = request.again();
        let mut response = match answer {
            Some(answer) => answer,
            None => Next { layers, ..self }.go_on(request).await,
        };
        for step in steps[..passed].iter().rev() {
            if let Entry::Step(step) = step {
                step.after(&again, &mut response);
            }
        }
        response
    }

    /// Goes on where the first layer is no step.
    // The box of a layer's future ends the recursion.
    async fn go_on(self, request: Request) -> Response {
        match self.layers.split_first() {
            Some((Entry::Around(layer), layers)) => {
                layer.handle(request, Next { layers, ..self }).await
            }
            _ => self.target.answer(request).await,
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
