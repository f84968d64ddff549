//! Handlers of different types in one table.

use crate::{
    http::server::message::{handler::Handler, request::Request, response::Response},
    task::FutureBox,
};

/// A handler of any type.
pub(super) type BoxedHandler = Box<dyn AnyHandler>;

/// A [`Handler`] whose future is in a box, so that its type is not part of the handler's.
pub(super) trait AnyHandler {
    fn handle(&self, request: Request) -> FutureBox<'_, Response>;
}

struct Boxing<H>(H);

impl<H: Handler> AnyHandler for Boxing<H> {
    fn handle(&self, request: Request) -> FutureBox<'_, Response> {
        FutureBox::new(|| self.0.handle(request))
    }
}

pub(super) fn boxed(handler: impl Handler) -> BoxedHandler {
    Box::new(Boxing(handler))
}
