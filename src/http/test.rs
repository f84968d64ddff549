//! A client for the tests of handlers: they are served in memory, without a socket.

use std::{fmt, rc::Rc};

use super::{
    Method,
    client::{self, Client},
    server::{Connection, Handler, Request, Response},
};
use crate::{io::duplex, task::spawn};

/// How many bytes each side of a connection in memory takes ahead of its reader.
const AHEAD_BYTES_MAX: usize = 64 * 1024;

/// Sends requests to a handler, over connections in memory.
///
/// Both sides are those of a program: its requests are those of [`Client`], and the handler is
/// served by [`Connection`]. So bodies stream, server-sent events arrive one by one, a limit
/// answers as it will, and a panic is a 500. Redirects are not followed. A handler that waits does
/// not notice that its client has left; over a socket it does.
///
/// It works inside a runtime, on one thread. With a paused clock
/// ([`time::pause`](crate::time::pause)) a handler that sleeps costs a test no time.
///
/// # Examples
///
/// ```
/// use annulus::http::{self, Request, Router, StatusCode, test::TestClient};
///
/// fn service() -> Router {
///     Router::new()
///         .get("/", async |_| "hello")
///         .post("/upper", async |mut request: Request| -> http::Result<Vec<u8>> {
///             let text = request.take_body().bytes().await?;
///             Ok(text.to_ascii_uppercase())
///         })
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// annulus::run(async {
///     let client = TestClient::new(service());
///     let response = client.get("/").send().await?;
///     assert_eq!(response.status(), StatusCode::OK);
///     assert_eq!(response.text().await?, "hello");
///
///     let response = client.post("/upper").body("loud").send().await?;
///     assert_eq!(response.text().await?, "LOUD");
///     assert_eq!(client.get("/none").send().await?.status(), StatusCode::NOT_FOUND);
///     Ok(())
/// })
/// # }
/// ```
pub struct TestClient {
    client: Client,
}

impl TestClient {
    /// Makes a client of `handler`, which is served with the default settings.
    #[must_use]
    pub fn new(handler: impl Handler) -> Self {
        Self::with_connection(Connection::new(), handler)
    }

    /// Makes a client of `handler`, which is served with the settings of `connection`: its limits,
    /// timeouts and access log.
    #[must_use]
    pub fn with_connection(connection: Connection, handler: impl Handler) -> Self {
        let handler = Rc::new(handler);
        let client = Client::builder()
            .redirects_if(|_, _| false)
            .connect_by(move |_| {
                let (near, far) = duplex(AHEAD_BYTES_MAX);
                let handler = Shared(Rc::clone(&handler));
                drop(spawn(connection.clone().serve(far, handler)));
                async { Ok(near) }
            })
            .build();
        Self { client }
    }

    /// Begins a request for `target`, a path with or without a query such as `/users?page=2`.
    pub fn request(&self, method: Method, target: &str) -> client::Request {
        // A wrong target is an error of the request, as a wrong URL is.
        self.client
            .request(method, format!("http://localhost{target}").as_str())
    }

    /// Begins a GET request; [`request`](Self::request) describes the target.
    pub fn get(&self, target: &str) -> client::Request {
        self.request(Method::GET, target)
    }

    /// Begins a HEAD request; [`request`](Self::request) describes the target.
    pub fn head(&self, target: &str) -> client::Request {
        self.request(Method::HEAD, target)
    }

    /// Begins a POST request; [`request`](Self::request) describes the target.
    pub fn post(&self, target: &str) -> client::Request {
        self.request(Method::POST, target)
    }

    /// Begins a PUT request; [`request`](Self::request) describes the target.
    pub fn put(&self, target: &str) -> client::Request {
        self.request(Method::PUT, target)
    }

    /// Begins a PATCH request; [`request`](Self::request) describes the target.
    pub fn patch(&self, target: &str) -> client::Request {
        self.request(Method::PATCH, target)
    }

    /// Begins a DELETE request; [`request`](Self::request) describes the target.
    pub fn delete(&self, target: &str) -> client::Request {
        self.request(Method::DELETE, target)
    }

    /// Begins an OPTIONS request; [`request`](Self::request) describes the target.
    pub fn options(&self, target: &str) -> client::Request {
        self.request(Method::OPTIONS, target)
    }

    /// Returns the client below, for what takes one, such as a WebSocket. Each of its URLs leads to
    /// the handler, whichever host it names.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient").finish_non_exhaustive()
    }
}

/// The handler of all connections.
struct Shared<H>(Rc<H>);

impl<H: Handler> Handler for Shared<H> {
    async fn handle(&self, request: Request) -> Response {
        self.0.handle(request).await
    }
}
