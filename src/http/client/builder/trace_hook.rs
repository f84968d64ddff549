//! The function of the user that is shown the span of each request.

use std::rc::Rc;

use tracing::Span;

use super::ClientBuilder;
use crate::http::HeaderMap;

impl ClientBuilder {
    /// Calls `hook` with the span of each request before the request is sent. The fields that it
    /// adds are sent along, redirects and retries included.
    ///
    /// So the server learns which trace it is a part of: with `tracing-opentelemetry` the hook is
    /// `|span, fields| propagator.inject_context(&span.context(), &mut HeaderInjector(fields))`,
    /// which adds `traceparent`. Where no subscriber wants the request's span, the hook gets the
    /// one that is current.
    ///
    /// Feature: `tracing`.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{Client, HeaderValue};
    ///
    /// let client = Client::builder()
    ///     .on_request_span(|span, fields| {
    ///         if let Some(id) = span.id() {
    ///             fields.insert("x-span", HeaderValue::from(id.into_u64()));
    ///         }
    ///     })
    ///     .build();
    /// # drop(client);
    /// ```
    pub fn on_request_span(mut self, hook: impl Fn(&Span, &mut HeaderMap) + 'static) -> Self {
        self.options.hooks.on_request_span = Some(Rc::new(hook));
        self
    }
}
