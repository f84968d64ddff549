//! Names for requests, by which logs are searched.

use std::{
    cell::Cell,
    hash::{BuildHasher as _, RandomState},
};

use crate::http::{
    HeaderName, HeaderValue, Layer, Next, Request, Response,
    server::{LayerBox, RequestId, Step, handle_step},
};

const FIELD: HeaderName = HeaderName::from_static("x-request-id");

/// Gives each request an id: the one in its field `X-Request-Id`, or else a random one of 32 hex
/// digits. The answer has it in the same field.
///
/// The handler and the access log find it as [`RequestId`] in
/// [`Request::extensions`](crate::http::Request::extensions), and
/// [`Access::json`](crate::http::Access::json) prints it. An id of the client's is taken when it
/// has 1 to 128 letters, digits and `-._~+/=:@`; any other is replaced.
///
/// # Examples
///
/// ```
/// use annulus::http::{Router, Server, layers::{RequestId, RequestIds}};
///
/// let server = Server::new().listen("127.0.0.1:8080").access_log(|access| {
///     match access.extension::<RequestId>() {
///         Some(id) => println!("{id} {access}"),
///         None => println!("- {access}"),
///     }
/// });
/// let router = || Router::new().get("/", async |_| "hello").layer(RequestIds::new());
/// # let _ = (server, router);
/// ```
#[derive(Debug, Default)]
pub struct RequestIds {
    ignores_clients: bool,
    state: RandomState,
    count: Cell<u64>,
}

impl RequestIds {
    /// Makes the layer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the ids that requests have, for servers whose clients are strangers.
    #[must_use]
    pub fn ignore_clients(mut self) -> Self {
        self.ignores_clients = true;
        self
    }

    fn random(&self) -> u64 {
        let count = self.count.get();
        self.count.set(count.wrapping_add(1));
        self.state.hash_one(count)
    }
}

impl Step for RequestIds {
    fn before(&self, request: &mut Request) -> Option<Response> {
        let known = request
            .field("x-request-id")
            .filter(|_| !self.ignores_clients)
            .and_then(RequestId::from_client);
        let id = known.unwrap_or_else(|| RequestId::random([self.random(), self.random()]));
        request.extensions().insert(id);
        None
    }

    fn after(&self, request: &Request, response: &mut Response) {
        let Some(id) = request.extensions().get::<RequestId>() else {
            return;
        };
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            response.add_field(FIELD, value);
        }
    }
}

impl Layer for RequestIds {
    async fn handle(&self, request: Request, next: Next<'_>) -> Response {
        handle_step(self, request, next).await
    }

    fn into_any(self) -> LayerBox {
        LayerBox::step(self)
    }
}
