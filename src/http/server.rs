//! The HTTP server, from its listening sockets to its handlers' answers.

mod access_log;
mod announcer;
mod behind_proxy;
mod connection;
mod connection_info;
#[cfg(feature = "tower")]
pub(crate) mod detached;
mod end_reason;
mod exchange;
mod extensions;
pub(crate) mod files;
mod forwarded;
#[cfg(feature = "http2")]
mod h2;
mod handle;
#[cfg(feature = "http2")]
mod http2_options;
mod job;
mod listening;
mod made_request;
mod make_handler;
mod message;
mod metrics;
#[cfg(not(feature = "http2"))]
mod no_h2;
#[cfg(not(feature = "http2"))]
mod no_http2_options;
mod phase;
mod prefaces;
mod preparing;
mod refusal_hook;
mod refusals;
mod report;
mod request_id;
mod router;
mod runtime_options;
mod serve;
mod settings;
mod shared_server;
mod stop_signal;
mod timeouts;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "server/no_tls.rs"]
mod tls;
mod trace;
#[cfg(feature = "tracing")]
mod trace_hook;
mod unserved;
#[cfg(feature = "http2")]
mod versions;
mod worker;
mod worker_clone;
mod worker_shared;
mod workers;

pub use access_log::Access;
pub use connection::Connection;
pub use connection_info::ConnectionInfo;
pub use end_reason::EndReason;
pub use extensions::Extensions;
pub use handle::ServerHandle;
#[cfg(feature = "http2")]
pub use http2_options::{Http2, HttpVersions};
pub use job::Job;
pub use make_handler::MakeHandler;
#[cfg(feature = "compress")]
pub use message::Compression;
#[cfg(feature = "json")]
pub use message::Json;
pub use message::{
    Body, BodyWriter, Event, EventSender, Form, Handler, IntoResponse, Multipart, Pairs, Part,
    Request, Response, WebSocketEndpoint, WebSocketHandler,
};
pub use metrics::metrics;
pub use phase::Phase;
pub use refusals::Refusal;
pub use report::Report;
pub use request_id::RequestId;
pub use router::{Layer, Next, Router};
pub(crate) use router::{LayerBox, Sides, Step, handle_step};
pub use shared_server::SharedServer;
pub use timeouts::Timeouts;
pub use worker_clone::WorkerClone;

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use super::h1::{Leniency, Limits};
use crate::{
    runtime::{self, Cores},
    workers::Configure,
};
use job::Jobs;
use listening::{Options, Place};
use settings::Settings;
use worker::control::Control;
use workers::StopWhen;

/// An HTTP/1.1 server with one thread and one ring for each core. Each thread listens and serves by
/// itself.
///
/// # Examples
///
/// ```no_run
/// use annulus::http::{Request, Response, Server};
///
/// # fn main() -> std::io::Result<()> {
/// Server::new()
///     .listen("127.0.0.1:8080")
///     .on_listening(|addr| println!("listening on {addr}"))
///     .run(async |request: Request| Response::text(format!("you asked for {}", request.path())))
///     .map(drop)
/// # }
/// ```
///
/// A [`Router`] holds the handlers of one worker, so each worker builds its own:
///
/// ```no_run
/// use annulus::http::{Router, Server};
///
/// # fn main() -> std::io::Result<()> {
/// let server = Server::new().listen("127.0.0.1:8080");
/// server.run_each(|| Router::new().get("/", async |_| "hello")).map(drop)
/// # }
/// ```
///
/// A server stays on the thread that has made it. Another thread controls it by its
/// [handle](Self::handle):
///
/// ```
/// use annulus::http::Server;
/// use std::{sync::mpsc, thread, time::Duration};
///
/// # fn main() -> std::io::Result<()> {
/// let (sender, receiver) = mpsc::channel();
/// let serving = thread::spawn(move || {
///     let server = Server::new().listen("127.0.0.1:0");
///     sender.send(server.handle()).expect("the other thread waits");
///     server.run(async |_request| "hello")
/// });
/// let handle = receiver.recv().expect("the thread sends it");
/// handle.stop(Duration::from_secs(10));
/// println!("{}", serving.join().expect("the thread does not panic")?);
/// # Ok(())
/// # }
/// ```
pub struct Server {
    places: Vec<Place>,
    cores: Cores,
    settings: Settings,
    options: Options,
    on_listening: Option<Box<dyn FnMut(SocketAddr)>>,
    connections_max: Option<usize>,
    refuses_when_full: bool,
    control: Arc<Control>,
    stop_when: StopWhen,
    jobs: Jobs,
    configure: Option<Configure>,
}

impl Server {
    /// Makes a server without an address, with the default settings.
    ///
    /// [`listen`](Self::listen), [`listen_unix`](Self::listen_unix), [`listen_on`](Self::listen_on)
    /// and [`listen_inherited`](Self::listen_inherited) say where, in any mixture and each any
    /// number of times. [`run`](Self::run) binds the addresses, and fails when there are none.
    ///
    /// ```
    /// use annulus::http::Server;
    ///
    /// let _ = Server::new().listen("127.0.0.1:8080");
    /// let _ = Server::new().listen("localhost:8080").listen_unix("/run/hello.sock");
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            places: Vec::new(),
            cores: Cores::All,
            settings: Settings::default(),
            options: Options::default(),
            on_listening: None,
            connections_max: None,
            refuses_when_full: false,
            control: Arc::default(),
            stop_when: StopWhen::default(),
            jobs: Jobs::default(),
            configure: None,
        }
    }

    /// Listens at `addrs`: at all addresses of a name, or all of a list, as far as this machine has
    /// them. [`run`](Self::run) also tells when an address makes no sense.
    #[must_use]
    pub fn listen(self, addrs: impl ToSocketAddrs) -> Self {
        let addrs = addrs.to_socket_addrs().map(Iterator::collect);
        self.listen_at(Place::Addrs(addrs))
    }

    /// Listens at a Unix socket. A stale socket file at `path`, one without a listener, is
    /// replaced. The file stays when the server ends.
    #[must_use]
    pub fn listen_unix(self, path: impl Into<PathBuf>) -> Self {
        self.listen_at(Place::Path(path.into()))
    }

    fn listen_at(mut self, place: Place) -> Self {
        self.places.push(place);
        self
    }

    /// Sets the cores to use; by default all that this process may use.
    ///
    /// The workers of several cores are those of [`workers`](crate::workers), so that
    /// [`Worker::current`](crate::Worker::current) in a handler names its own, and a handler may
    /// send tasks to the others. The only worker of one core runs on the calling thread, and is
    /// none of these unless the core was named by [`Cores::List`].
    #[must_use]
    pub fn cores(mut self, cores: Cores) -> Self {
        self.cores = cores;
        self
    }

    /// Sets the limits on what a client may send.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.rules.limits = limits;
        self
    }

    /// Accepts messages that break the protocol in these ways; none by default.
    #[must_use]
    pub fn leniency(mut self, leniency: Leniency) -> Self {
        self.settings.rules.leniency = leniency.of_server();
        self
    }

    /// Sets how long the server waits for its clients.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.settings.timeouts = timeouts;
        self
    }

    /// Sets the hosts that are served, without a port. A request for another host is answered with
    /// 421 (RFC 9110, section 15.5.20). All are by default.
    ///
    /// It keeps pages on other sites from reaching a server on this machine by a name of their own
    /// (DNS rebinding).
    #[must_use]
    pub fn hosts<I>(mut self, hosts: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let hosts = hosts.into_iter().map(Into::into).collect();
        self.settings.set_hosts(hosts);
        self
    }

    /// Sets whether handlers go on when their client has left. By default their futures are
    /// dropped; [`Request::keep_running`](super::Request::keep_running) decides it for one request.
    #[must_use]
    pub fn keep_running(mut self, keeps_running: bool) -> Self {
        self.settings.keeps_running = keeps_running;
        self
    }

    /// Calls `log` for each request that was answered, refused or left by its client, and for bytes
    /// that were no request; [`Access`] prints in the usual formats. It is called on the workers'
    /// threads, and should not block.
    #[must_use]
    pub fn access_log(mut self, log: impl Fn(&Access<'_>) + Send + Sync + 'static) -> Self {
        self.settings.access_log = Some(Arc::new(log));
        self
    }

    /// Sets how many connections the kernel keeps until they are accepted; 4096 by default.
    #[must_use]
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.options.backlog(backlog);
        self
    }

    /// Sets whether other processes of this user may listen at the same addresses (`SO_REUSEPORT`),
    /// such as the last version of this program until it has stopped. They need the same option, or
    /// several workers, which share an address in this way.
    ///
    /// Off by default: where another socket listens already, the server fails with
    /// [`AddrInUse`](io::ErrorKind::AddrInUse).
    #[must_use]
    pub fn reuse_port(mut self, reuse_port: bool) -> Self {
        self.options.reuse_port(reuse_port);
        self
    }

    /// Calls `tell` with each address once connections to all of them succeed, on the thread that
    /// called `run`. Unix sockets have none.
    #[must_use]
    pub fn on_listening(mut self, tell: impl FnMut(SocketAddr) + 'static) -> Self {
        self.on_listening = Some(Box::new(tell));
        self
    }

    /// Sets whether the server sends messages to systemd, or to another manager that names its
    /// socket in `NOTIFY_SOCKET` ([`systemd`](crate::systemd)). Off by default. The messages say
    /// that it listens at all of its addresses and all workers serve, that it stops, and, for a
    /// watchdog, that all workers are alive. [`run`](Self::run) fails when the first of them cannot
    /// be sent.
    #[must_use]
    pub fn notify_systemd(self, on: bool) -> Self {
        self.control.announcer.enable(on);
        self
    }

    /// Sets how many connections all workers together keep at a time; each has an equal part.
    ///
    /// When there is no room for another, the one that has been idle longest is closed. Connections
    /// that were accepted in the last second do not count as idle. When none is idle, accepting
    /// pauses until some have ended, and connections wait in the [`backlog`](Self::backlog); see
    /// [`refuse_when_full`](Self::refuse_when_full).
    ///
    /// The default is the limit on this process's descriptors (`RLIMIT_NOFILE`) without an eighth,
    /// or 64 if that is more, for everything else. When descriptors run out nevertheless, some of
    /// the connections that have been idle longest are closed, and accepting goes on after a tenth
    /// of a second.
    #[must_use]
    pub fn connections_max(mut self, count: usize) -> Self {
        self.connections_max = Some(count);
        self
    }

    /// Ends the server when `future` resolves: it refuses new connections from then on, finishes
    /// the requests that have begun, and cuts what is left after `deadline`.
    ///
    /// `future` is polled in one place for all workers, inside a runtime, and dropped when the
    /// server ends by other means. Its output does not matter, unless it is an `io::Result<()>` as
    /// those of [`signal`](crate::signal) give: an error stops the server, and [`run`](Self::run)
    /// returns it.
    /// [`handle`](Self::handle) stops from elsewhere.
    ///
    /// With [`signal::ctrl_c`](crate::signal::ctrl_c) or
    /// [`signal::terminate`](crate::signal::terminate) the second signal of that kind cuts at once,
    /// for the user who does not wait for the deadline. [`cut_on`](Self::cut_on) chooses otherwise,
    /// and does so for futures of other kinds.
    ///
    /// In order:
    ///
    /// 1. The listening sockets are closed, so that new connections are refused and
    ///    load balancers notice. Connections that the kernel had accepted before are served.
    /// 2. Every answer says `Connection: close` from now on, and closes.
    /// 3. Idle connections are closed after [`Timeouts::stop_grace`].
    /// 4. At the deadline the handlers' futures are dropped and their connections reset, and the
    ///    jobs of [`background`](Self::background) that still run are dropped.
    /// 5. [`run`](Self::run) returns, and what handlers have spawned is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::{http::{Response, Server}, signal};
    /// use std::time::Duration;
    ///
    /// # fn serve() -> std::io::Result<()> {
    /// let report = Server::new()
    ///     .listen("127.0.0.1:8080")
    ///     .shutdown_on(signal::ctrl_c(), Duration::from_secs(10))
    ///     .run(async |_request| Response::text("hello"))?;
    /// println!("{report}");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn shutdown_on(
        mut self,
        future: impl Future<Output: 'static> + 'static,
        deadline: Duration,
    ) -> Self {
        let (stop, again) = stop_signal::of(future);
        self.stop_when.stop = Some((stop, deadline));
        self.stop_when.again = again;
        self
    }

    /// Cuts the requests that are left when a second future resolves, before the deadline. `make`
    /// is called once the future of [`shutdown_on`](Self::shutdown_on) has resolved, so that one
    /// signal does not resolve both. The second future takes the place of a second signal.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::{future, http::Server, signal};
    /// use std::{future::Future, io, time::Duration};
    ///
    /// /// Listens for both from the call on.
    /// fn either() -> impl Future<Output = io::Result<()>> {
    ///     let both = future::race(signal::ctrl_c(), signal::terminate());
    ///     async {
    ///         match both.await {
    ///             future::Either::Left(result) | future::Either::Right(result) => result,
    ///         }
    ///     }
    /// }
    ///
    /// let _ = Server::new()
    ///     .listen("127.0.0.1:8080")
    ///     .shutdown_on(either(), Duration::from_secs(10))
    ///     .cut_on(either);
    /// ```
    #[must_use]
    pub fn cut_on<F>(mut self, make: impl FnOnce() -> F + 'static) -> Self
    where
        F: Future<Output: 'static> + 'static,
    {
        self.stop_when.cut = Some(Box::new(|| stop_signal::of(make()).0));
        self
    }

    /// Returns a handle that stops the server from other threads and tasks.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(&self.control))
    }

    /// Serves, with a clone of `handler` on each worker, until it is stopped by
    /// [`shutdown_on`](Self::shutdown_on) or a [`handle`](Self::handle).
    ///
    /// One worker runs on the calling thread, several on threads of their own; all have ended when
    /// this returns. It blocks its thread: a program that is inside [`annulus::run`](crate::run)
    /// already, because it has opened something first, calls [`serve`](Self::serve) there.
    ///
    /// A [`Router`], and a handler that holds an `Rc` or a `RefCell`, is not [`WorkerClone`]: it is
    /// built on each worker by [`run_each`](Self::run_each) instead.
    ///
    /// # Errors
    ///
    /// When an address cannot be bound, no thread or driver can be set up, a listed core may not be
    /// used, or a listening socket fails. An error of binding names the address or path, and has
    /// the kind of the kernel's error, such as [`AddrInUse`](io::ErrorKind::AddrInUse), but not its
    /// number. A worker that fails or panics while it serves stops the others, which have ten
    /// seconds for the requests that have begun; the first error is returned then.
    ///
    /// # Panics
    ///
    /// Inside a runtime, however many workers there are.
    pub fn run<H: Handler + WorkerClone>(self, handler: H) -> io::Result<Report> {
        let cores = self.cores.list();
        let handlers = vec![handler; cores.len()];
        self.run_workers(cores, handlers.into_iter().map(|handler| move || handler))
    }

    /// Serves, with a handler that `make` builds on each worker: for state that stays on its
    /// thread. It is called inside the worker's runtime.
    ///
    /// `make` is a function or a closure, and not the handler itself, which could not go to the
    /// workers' threads: see [`MakeHandler`].
    ///
    /// ```no_run
    /// use annulus::http::{Router, Server};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let name = "annulus".to_owned();
    /// let server = Server::new().listen("127.0.0.1:8080");
    /// // `run_each(Router::new()..)` does not compile.
    /// server.run_each(move || {
    ///     let name = name.clone();
    ///     Router::new().get("/", async move |_| format!("hello from {name}"))
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn run_each<F: MakeHandler>(self, make: F) -> io::Result<Report>
    where
        F::Handler: Handler,
    {
        let cores = self.cores.list();
        let make = Arc::new(make);
        let makes = vec![make; cores.len()];
        self.run_workers(cores, makes.into_iter().map(|make| move || make.make()))
    }

    /// Serves on this thread, inside the runtime that it is called in, until the server is stopped
    /// by [`shutdown_on`](Self::shutdown_on) or a [`handle`](Self::handle): for programs that open
    /// something first and share it with their handlers.
    ///
    /// It is one worker, and [`cores`](Self::cores) does not count: limits, timeouts, the stop and
    /// the [`Report`] are those of [`run`](Self::run). The handler may hold what is not `Send`. For
    /// more cores call [`run_each`](Self::run_each) outside of a runtime, where each worker opens
    /// what it needs. Tasks that handlers have spawned are left to the runtime when the server has
    /// ended.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run) for an address that cannot be bound. When a listening socket fails, what
    /// has begun has ten seconds. Outside of a runtime.
    ///
    /// # Panics
    ///
    /// When the server itself panics. A handler's panic is answered 500.
    ///
    /// # Cancel safety
    ///
    /// The server ends when the future is dropped: its sockets are closed, and the handlers that
    /// run are dropped.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::{io, rc::Rc, time::Duration};
    ///
    /// use annulus::{http::{Response, Server}, net::TcpStream, signal};
    ///
    /// fn main() -> io::Result<()> {
    ///     annulus::run(async {
    ///         let database = Rc::new(TcpStream::connect("127.0.0.1:5432").await?);
    ///         let report = Server::new()
    ///             .listen("127.0.0.1:8080")
    ///             .shutdown_on(signal::ctrl_c(), Duration::from_secs(10))
    ///             .serve(async move |_request| {
    ///                 Response::text(format!("connected to {:?}", database.peer_addr()))
    ///             })
    ///             .await?;
    ///         println!("{report}");
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub async fn serve<H: Handler>(self, handler: H) -> io::Result<Report> {
        let (workers, mut listeners) = self.prepare(&[0])?;
        let listeners = listeners.pop().expect("there is one worker");
        workers.serve(listeners, handler).await
    }

    fn run_workers<M, H>(
        self,
        cores: Vec<usize>,
        makes: impl Iterator<Item = M>,
    ) -> io::Result<Report>
    where
        M: FnOnce() -> H + Send + 'static,
        H: Handler,
    {
        assert!(
            !runtime::is_inside(),
            "annulus is already running on this thread, which `Server::run` would block: inside a \
             runtime, `.await` `Server::serve` instead"
        );
        let are_listed = matches!(self.cores, Cores::List(_));
        let (workers, listeners) = self.prepare(&cores)?;
        workers.run(&cores, are_listed, listeners, makes)
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}
