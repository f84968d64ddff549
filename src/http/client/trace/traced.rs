//! The span, named as OpenTelemetry's conventions for HTTP name it.

use std::{any::Any, future::Future, rc::Rc};

use tracing::{Span, field, info_span, level_filters::LevelFilter};

use crate::{
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        client::{error::Result, url::Url},
    },
    trace::{Subject, Traced},
    unwind::swallow,
};

/// The functions of the user that are shown spans.
#[derive(Clone, Default)]
pub(in crate::http::client) struct Hooks {
    pub(in crate::http::client) on_request_span: Option<RequestHook>,
}

type RequestHook = Rc<dyn Fn(&Span, &mut HeaderMap)>;

/// The span of a request, from `send` to the head of the response.
pub(in crate::http::client) struct RequestSpan(Span);

impl RequestSpan {
    #[inline]
    pub(in crate::http::client) fn begin(
        method: &Method,
        url: &Url,
        fields: &mut Vec<(HeaderName, HeaderValue)>,
        hooks: &Hooks,
    ) -> Self {
        let span = if LevelFilter::current() < LevelFilter::INFO {
            Span::none()
        } else {
            open(method, url)
        };
        if let Some(hook) = &hooks.on_request_span {
            let mut added = HeaderMap::new();
            if span.is_none() {
                hook(&Span::current(), &mut added);
            } else {
                hook(&span, &mut added);
            }
            let added = added.iter();
            fields.extend(added.map(|(name, value)| (name.clone(), value.clone())));
        }
        Self(span)
    }

    /// `sending` inside of the span, which tells of its outcome.
    pub(in crate::http::client) async fn around<T>(
        self,
        sending: impl Future<Output = Result<T>>,
        status: impl FnOnce(&T) -> StatusCode,
    ) -> Result<T> {
        let open = Open(self.0.clone());
        let sent = Traced::new(self, sending).await;
        let span = &open.0;
        swallow(|| match &sent {
            Ok(response) => {
                let status = status(response);
                span.record("http.response.status_code", status.as_u16());
                if status.is_client_error() || status.is_server_error() {
                    fail(span, status.as_str());
                }
            }
            Err(error) => fail(span, error.kind().as_str()),
        });
        open.close();
        sent
    }
}

fn open(method: &Method, url: &Url) -> Span {
    let whole = url.as_str();
    info_span!(
        target: "annulus::http::client",
        "client_request",
        otel.kind = "client",
        otel.name = method.as_str(),
        otel.status_code = field::Empty,
        http.request.method = method.as_str(),
        server.address = url.host(),
        server.port = url.port(),
        url.full = &whole[..whole.find('?').unwrap_or(whole.len())],
        http.response.status_code = field::Empty,
        error.type = field::Empty,
    )
}

fn fail(span: &Span, kind: &str) {
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
}

/// A span whose request was dropped unless it is closed.
struct Open(Span);

impl Open {
    fn close(mut self) {
        self.0 = Span::none();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.0.is_none() {
            swallow(|| fail(&self.0, "cancelled"));
        }
    }
}

impl Subject for RequestSpan {
    fn span(&self) -> Option<&Span> {
        (!self.0.is_none()).then_some(&self.0)
    }

    fn tell_panic(&self, _payload: &(dyn Any + Send)) {}
}
