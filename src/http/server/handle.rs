//! [`ServerHandle`]: stops a server, and shows its connections.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use super::{
    connection_info::ConnectionInfo,
    worker::control::{Control, Stop},
};

/// Stops a server and shows its connections, from any thread or task. Made by
/// [`Server::handle`](crate::http::Server::handle), cloned as often as needed; it keeps nothing
/// alive.
///
/// # Examples
///
/// ```
/// use annulus::http::{Response, Server};
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let server = Server::new().listen("127.0.0.1:0");
/// let handle = server.handle();
/// let report = server
///     .on_listening(move |_addr| handle.stop(Duration::from_secs(10)))
///     .run(async |_request| Response::text("hello"))?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerHandle {
    control: Arc<Control>,
}

impl ServerHandle {
    pub(super) fn new(control: Arc<Control>) -> Self {
        Self { control }
    }

    /// Ends the server: it refuses new connections from now on, finishes the requests that have
    /// begun, and cuts what is left after `deadline`. [`Server::run`](crate::http::Server::run)
    /// returns then; this call does not wait for it.
    ///
    /// A second call cuts at once; its deadline does not count. Before the server runs, a call
    /// makes it end as soon as it does.
    pub fn stop(&self, deadline: Duration) {
        self.control.stop(Stop::Within(deadline));
    }

    /// Returns the connections of the server, of all workers and in no particular order. Those that
    /// wait in the backlog, and those that are just refused, are not among them.
    ///
    /// Each worker answers at its next turn. That costs it two system calls for each connection, so
    /// this is for people and monitors, and not for each request. The future needs no runtime, and
    /// a handler of the same server may await it. It is empty before the server runs and once it
    /// has ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use annulus::http::ServerHandle;
    /// async fn print_connections(handle: &ServerHandle) {
    ///     for connection in handle.connections().await {
    ///         println!("{connection}");
    ///     }
    /// }
    /// ```
    pub fn connections(&self) -> impl Future<Output = Vec<ConnectionInfo>> + Send + use<> {
        self.control.count_connections()
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").finish_non_exhaustive()
    }
}
