//! The options of the runtimes that a server makes.

use std::sync::Arc;

use super::Server;
use crate::runtime::RuntimeBuilder;

impl Server {
    /// Sets the options of the runtimes that [`run`](Self::run) and [`run_each`](Self::run_each)
    /// make: the driver, the receive buffers, a limit for threads that are stuck, the time to look
    /// for events before the thread sleeps, and all else that a [`RuntimeBuilder`] has. `configure`
    /// is called for each worker, on its thread.
    ///
    /// It has no effect on [`serve`](Self::serve) and [`share`](Self::share), whose runtimes are
    /// there already.
    ///
    /// # Errors
    ///
    /// [`run`](Self::run) returns those of [`RuntimeBuilder::build`].
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::Server;
    /// use std::time::Duration;
    ///
    /// let _ = Server::new().listen("127.0.0.1:8080").runtime(|runtime| {
    ///     runtime
    ///         .spin(Duration::from_micros(50))
    ///         .stall_limit(Duration::from_millis(100))
    ///         .stall_hook(|stall| eprintln!("{stall}"))
    /// });
    /// ```
    #[must_use]
    pub fn runtime(
        mut self,
        configure: impl Fn(RuntimeBuilder) -> RuntimeBuilder + Send + Sync + 'static,
    ) -> Self {
        self.configure = Some(Arc::new(configure));
        self
    }
}
