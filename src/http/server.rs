//! A server.

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use super::{Access, Handler, Leniency, Limits, Timeouts, settings::Settings, worker};
use crate::{
    net::{ListenOptions, TcpListener},
    runtime::{Builder, Cores, pin_to_core},
};

/// An HTTP/1.1 server: one thread, one ring and one listening socket for each core.
///
/// # Examples
///
/// ```no_run
/// use annulus::http::{Request, Response, Server};
///
/// # fn main() -> std::io::Result<()> {
/// Server::bind("127.0.0.1:8080")
///     .on_listening(|addr| println!("listening on {addr}"))
///     .run(async |request: Request| Response::text(format!("you asked for {}", request.path())))
///     .map(drop)
/// # }
/// ```
pub struct Server {
    addrs: io::Result<Vec<SocketAddr>>,
    cores: Cores,
    settings: Settings,
    listen: ListenOptions,
    on_listening: Option<Box<dyn FnOnce(SocketAddr)>>,
}

/// What a server did until it ended.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Report {}

impl Server {
    /// A server on the first of `addrs` that can be bound. Nothing is bound before
    /// [`run`](Self::run), which also tells when the address makes no sense.
    pub fn bind(addrs: impl ToSocketAddrs) -> Self {
        Self {
            addrs: addrs.to_socket_addrs().map(Iterator::collect),
            cores: Cores::All,
            settings: Settings::default(),
            listen: ListenOptions::default(),
            on_listening: None,
        }
    }

    /// The cores to use; all that this process may use by default.
    #[must_use]
    pub fn workers(mut self, cores: Cores) -> Self {
        self.cores = cores;
        self
    }

    /// The limits on what a client may send.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.rules.limits = limits;
        self
    }

    /// What to accept although it breaks the protocol; nothing by default.
    #[must_use]
    pub fn leniency(mut self, leniency: Leniency) -> Self {
        self.settings.rules.leniency = leniency;
        self
    }

    /// How long to wait for clients.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.settings.timeouts = timeouts;
        self
    }

    /// How long a connection may wait for its next request; 75 seconds by default. It is
    /// [`Timeouts::idle`].
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeouts.idle = timeout;
        self
    }

    /// Tells `log` of every request that was answered or refused, and of bytes that were none. It
    /// is called on the workers' threads, and should not block.
    #[must_use]
    pub fn access_log(mut self, log: impl Fn(&Access<'_>) + Send + Sync + 'static) -> Self {
        self.settings.access_log = Some(Arc::new(log));
        self
    }

    /// How many connections the kernel keeps until they are accepted; 4096 by default.
    #[must_use]
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.listen = self.listen.backlog(backlog);
        self
    }

    /// Calls `tell` with the address once connections are accepted there.
    #[must_use]
    pub fn on_listening(mut self, tell: impl FnOnce(SocketAddr) + 'static) -> Self {
        self.on_listening = Some(Box::new(tell));
        self
    }

    /// Serves, with a clone of `handler` on each worker.
    ///
    /// A handler that holds an `Rc` or a `RefCell` is not `Send`; build one on each worker with
    /// [`run_each`](Self::run_each) instead.
    ///
    /// # Errors
    ///
    /// When no address can be bound, no thread or no driver can be had, or a listening socket
    /// fails.
    ///
    /// # Panics
    ///
    /// Inside a runtime.
    pub fn run<H: Handler + Clone + Send>(self, handler: H) -> io::Result<Report> {
        let cores = self.cores.list();
        let handlers = vec![handler; cores.len()];
        self.run_workers(cores, handlers.into_iter().map(|handler| move || handler))
    }

    /// Serves, with a handler that `make` builds on each worker: for state that stays on its
    /// thread.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn run_each<F, H>(self, make: F) -> io::Result<Report>
    where
        F: Fn() -> H + Send + Sync + 'static,
        H: Handler,
    {
        let cores = self.cores.list();
        let make = Arc::new(make);
        let makes = vec![make; cores.len()];
        self.run_workers(cores, makes.into_iter().map(|make| move || make()))
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
        let listeners = self.listen_for(cores.len())?;
        let settings = self.settings;
        let addr = listeners[0].local_addr()?;
        let start = move |listener: std::net::TcpListener, make: M| -> io::Result<()> {
            let runtime = Builder::new().build()?;
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener)?;
                worker::serve(&listener, make(), settings).await
            })
        };
        if let Some(tell) = self.on_listening {
            tell(addr);
        }
        let mut jobs = listeners.into_iter().zip(makes);
        if cores.len() == 1 {
            let (listener, make) = jobs.next().expect("there is one listener for each core");
            start(listener, make)?;
            return Ok(Report {});
        }
        let (ended, results) = mpsc::channel();
        for (core, (listener, make)) in cores.into_iter().zip(jobs) {
            let (ended, start) = (ended.clone(), start.clone());
            thread::Builder::new()
                .name(format!("annulus-worker-{core}"))
                .spawn(move || {
                    // A core that went away meanwhile is no reason not to serve.
                    let _ = pin_to_core(core);
                    // Nobody listens any more when another worker has failed before.
                    let _ = ended.send(start(listener, make));
                })?;
        }
        // A worker ends only by failing, or by a panic of its own, which drops its sender.
        drop(ended);
        match results.recv() {
            Ok(result) => result.map(|()| Report {}),
            Err(_) => Err(io::Error::other("every worker has panicked")),
        }
    }

    /// One listening socket for each worker, all on one address.
    fn listen_for(&self, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
        let addrs = match &self.addrs {
            Ok(addrs) => addrs,
            Err(error) => return Err(io::Error::new(error.kind(), error.to_string())),
        };
        let options = self.listen.clone().reuse_port(count > 1);
        let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "expected an address");
        for addr in addrs {
            match options.listen(*addr) {
                Ok(first) => {
                    let addr = first.local_addr()?;
                    let mut listeners = vec![first];
                    for _ in 1..count {
                        listeners.push(options.listen(addr)?);
                    }
                    return Ok(listeners);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addrs", &self.addrs)
            .finish_non_exhaustive()
    }
}
