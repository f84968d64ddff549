//! The settings of refusals, and answers that are ready made.

use std::sync::Arc;

use super::{
    Server,
    connection::Connection,
    message::{IntoResponse, Response},
    refusals::{Hook, Refusal},
};

impl Server {
    /// Calls `answer` for each answer that the server gives by itself, and sends what it returns:
    /// to bytes that are no request (400, 414, 431), to a head that does not come in time (408), to
    /// a host that is not served (421), when the server is [full](Self::refuse_when_full) (503), and
    /// when a handler or a layer has panicked (500). [`EndReason`](crate::http::EndReason) has all
    /// of them. By default the body is a line of text.
    ///
    /// The status stays that of the reason, and the server decides whether the connection closes. A
    /// body that would be written in pieces is left out. `answer` is called on the workers' threads
    /// and should not block; when it panics, the line of text is sent.
    ///
    /// Answers of handlers, 404 and 405 are the business of a
    /// [layer](crate::http::Router::layer), such as
    /// [`ErrorBodies`](crate::http::layers::ErrorBodies). [`Refusal`] has the body of both in JSON:
    ///
    /// ```no_run
    /// use annulus::http::{Refusal, Router, Server, layers::ErrorBodies};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let router = || Router::new().layer(ErrorBodies::problem()).get("/", async |_| "hello");
    /// Server::new()
    ///     .listen("127.0.0.1:8080")
    ///     .on_refusal(|refusal| refusal.to_problem())
    ///     .run_each(router)
    ///     .map(drop)
    /// # }
    /// ```
    #[must_use]
    pub fn on_refusal<R: IntoResponse>(
        mut self,
        answer: impl Fn(&Refusal<'_>) -> R + Send + Sync + 'static,
    ) -> Self {
        self.settings.refusals = Some(hook(answer));
        self
    }

    /// Sets whether connections without room are answered 503 with `Retry-After` and closed,
    /// instead of waiting in the backlog; off by default. Some more descriptors are used for that,
    /// at most 64 for each worker.
    #[must_use]
    pub fn refuse_when_full(mut self, refuse: bool) -> Self {
        self.refuses_when_full = refuse;
        self
    }
}

impl Connection {
    /// Calls `answer` for each answer that is not a handler's, as
    /// [`Server::on_refusal`](crate::http::Server::on_refusal) does.
    #[must_use]
    pub fn on_refusal<R: IntoResponse>(
        mut self,
        answer: impl Fn(&Refusal<'_>) -> R + Send + Sync + 'static,
    ) -> Self {
        self.settings.refusals = Some(hook(answer));
        self
    }
}

fn hook<R: IntoResponse>(answer: impl Fn(&Refusal<'_>) -> R + Send + Sync + 'static) -> Hook {
    Arc::new(move |refusal| answer(refusal).into_response().into())
}

impl Refusal<'_> {
    /// Makes the answer that is sent without a hook, to which fields may be added: a line of plain
    /// text with the reason.
    #[must_use]
    pub fn to_text(&self) -> Response {
        Response::text(format!("{}\n", self.reason())).with_status(self.status())
    }

    /// Makes an answer with the details of the problem in JSON, as RFC 9457 has them:
    /// `application/problem+json` with `title`, `status`, and the reason as `detail`.
    #[must_use]
    pub fn to_problem(&self) -> Response {
        Response::problem(self.status(), Some(&self.reason().to_string()))
    }
}
