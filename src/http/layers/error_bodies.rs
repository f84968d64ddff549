//! Bodies for errors that have none.

use crate::http::{
    ErrorKind, Layer, Next, Request, Response, StatusCode,
    server::{LayerBox, Sides, Step, handle_step},
};

/// Gives a body to each answer of 400 and above that has none: to errors of handlers, and to the
/// router's own 404 and 405.
///
/// An answer with a body, also one that is written in pieces, is left as it is. So is one with a
/// `Content-Type`.
///
/// The text of an error is for the log. It is also in the body when the client sent something
/// wrong: a parameter, a query, a form or a body that is not what the handler asked for
/// ([`ErrorKind::Param`], [`MediaType`](ErrorKind::MediaType), [`Content`](ErrorKind::Content),
/// [`Body`](ErrorKind::Body), [`Multipart`](ErrorKind::Multipart) and
/// [`BodyTimeout`](ErrorKind::BodyTimeout)).
///
/// [`Server::on_refusal`](crate::http::Server::on_refusal) does the same for what the server
/// answers by itself.
///
/// # Examples
///
/// ```
/// use annulus::http::{Router, layers::ErrorBodies};
///
/// // `{"status":404,"title":"Not Found"}`
/// let router = Router::new().layer(ErrorBodies::problem());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ErrorBodies {
    write: fn(StatusCode, Option<&str>) -> Response,
}

impl ErrorBodies {
    /// Makes the layer that writes lines of plain text: the error's, or the status.
    #[must_use]
    pub fn text() -> Self {
        Self { write: text }
    }

    /// Makes the layer that writes [details of problems](Response::problem) in JSON (RFC 9457).
    #[must_use]
    pub fn problem() -> Self {
        Self {
            write: Response::problem,
        }
    }

    /// Makes the layer that writes what `write` makes of a status and of the text that may be told
    /// to the client. Of its answer the body and its type are taken.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{Response, Router, layers::ErrorBodies};
    ///
    /// let bodies = ErrorBodies::new(|status, detail| {
    ///     Response::html(format!("<h1>{status}</h1>")) // `detail` would have to be escaped
    /// });
    /// let router = Router::new().layer(bodies);
    /// ```
    #[must_use]
    pub fn new(write: fn(StatusCode, Option<&str>) -> Response) -> Self {
        Self { write }
    }
}

fn text(status: StatusCode, detail: Option<&str>) -> Response {
    Response::text(match detail {
        Some(detail) => format!("{detail}\n"),
        None => format!("{status}\n"),
    })
}

impl Step for ErrorBodies {
    fn sides(&self) -> Sides {
        Sides::After
    }

    fn after(&self, _: &Request, response: &mut Response) {
        if response.status().as_u16() >= 400 {
            self.fill(response);
        }
    }
}

impl ErrorBodies {
    #[cold]
    fn fill(&self, response: &mut Response) {
        if !response.is_bare() {
            return;
        }
        let detail = response
            .error()
            .filter(|error| is_about_request(error.kind()));
        let detail = detail.map(ToString::to_string);
        response.borrow_body((self.write)(response.status(), detail.as_deref()));
    }
}

/// Whether such an error tells of nothing but what the client has sent.
fn is_about_request(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Param
        | ErrorKind::MediaType
        | ErrorKind::Content
        | ErrorKind::Body(_)
        | ErrorKind::Multipart(_)
        | ErrorKind::BodyTimeout => true,
        ErrorKind::Status | ErrorKind::Upstream | ErrorKind::Io | ErrorKind::Internal => false,
    }
}

impl Layer for ErrorBodies {
    async fn handle(&self, request: Request, next: Next<'_>) -> Response {
        handle_step(self, request, next).await
    }

    fn into_any(self) -> LayerBox {
        LayerBox::step(self)
    }
}
