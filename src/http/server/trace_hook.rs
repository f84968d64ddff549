//! The function of the user that is shown each request's span.

use std::sync::Arc;

use tracing::Span;

use super::{Connection, Server};
use crate::http::HeaderMap;

impl Server {
    /// Calls `hook` with the span of each request and the request's fields, before the handler
    /// begins.
    ///
    /// It can tie the span to the trace of the caller, which a field such as `traceparent` names.
    /// With `tracing-opentelemetry` that is `span.set_parent(propagator.extract(..))`, which has no
    /// effect any more inside of the handler, since the span has been entered by then.
    ///
    /// The hook is not called for a request whose span no subscriber wants. The map of fields is
    /// built for it at each call. When the hook panics, its connection is reset.
    ///
    /// Feature: `tracing`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use annulus::http::Server;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Server::new()
    ///     .listen("127.0.0.1:8080")
    ///     .on_request_span(|span, fields| {
    ///         if let Some(parent) = fields.get("traceparent") {
    ///             println!("{:?} is a part of {parent:?}", span.id());
    ///         }
    ///     })
    ///     .run(async |_| "hello")
    ///     .map(drop)
    /// # }
    /// ```
    #[must_use]
    pub fn on_request_span(
        mut self,
        hook: impl Fn(&Span, &HeaderMap) + Send + Sync + 'static,
    ) -> Self {
        self.settings.hooks.on_request_span = Some(Arc::new(hook));
        self
    }
}

impl Connection {
    /// Calls `hook` with the span of each request and the request's fields, as
    /// [`Server::on_request_span`] does.
    ///
    /// Feature: `tracing`.
    #[must_use]
    pub fn on_request_span(
        mut self,
        hook: impl Fn(&Span, &HeaderMap) + Send + Sync + 'static,
    ) -> Self {
        self.settings.hooks.on_request_span = Some(Arc::new(hook));
        self
    }
}
