//! The builder of a client.

#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tracing")]
mod trace_hook;

use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use super::{
    Client,
    connect::{Connector, by_hand::ByHand, proxy::Proxy, resolve::Resolve},
    exchange::message::DefaultFields,
    informational::Informational,
    options::Options,
    pool::{Pool, PoolLimits},
    response::compress,
    retry::Retry,
    shared::Shared,
    url::Url,
};
use crate::http::{
    HeaderName, HeaderValue,
    h1::{Leniency, Limits, Rules},
    header,
    transport::Transport,
};

/// Builds a [`Client`]; [`Client::builder`] returns one.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use annulus::http::Client;
///
/// let client = Client::builder()
///     .connections_per_host_max(8)
///     .timeout(Duration::from_secs(5))
///     .resolve("db.internal", ([127, 0, 0, 1], 9000).into())
///     .build();
/// # drop(client);
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct ClientBuilder {
    options: Options,
    pool: PoolLimits,
    rules: Rules,
    fields: Vec<(HeaderName, HeaderValue)>,
    user_agent: Option<HeaderValue>,
    pub(super) connector: Connector,
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            options: Options::default(),
            pool: PoolLimits::default(),
            rules: Rules::default(),
            fields: Vec::new(),
            user_agent: Some(HeaderValue::from_static(super::USER_AGENT)),
            connector: Connector::default(),
        }
    }

    /// Sets how many connections to one host may be open on this thread; 64 by default. Requests
    /// beyond that wait, in order.
    pub fn connections_per_host_max(mut self, max: usize) -> Self {
        self.pool.connections_per_host_max = max.max(1);
        self
    }

    /// Sets how many idle connections to one host are kept on this thread; 32 by default. Zero
    /// keeps none.
    pub fn idle_per_host_max(mut self, max: usize) -> Self {
        self.pool.idle_per_host_max = max;
        self
    }

    /// Sets how many requests to one host may wait for a connection; 16,384 by default. One more
    /// fails at once.
    pub fn waiting_per_host_max(mut self, max: usize) -> Self {
        self.pool.waiting_per_host_max = max;
        self
    }

    /// Sets how long a connection may be idle; 15 seconds by default, and less where the server
    /// says so.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.pool.idle_timeout = timeout;
        self
    }

    /// Limits the time of each request as a whole; see
    /// [`Request::timeout`](super::Request::timeout).
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.timeout = timeout.into();
        self
    }

    /// Limits the wait for one of the connections that a host may have; none by default, so that
    /// only the limit on the whole request acts.
    pub fn queue_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.queue_timeout = timeout.into();
        self
    }

    /// Limits the time of looking up and connecting to a host, TLS included; 10 seconds by default.
    pub fn connect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.connect_timeout = timeout.into();
        self
    }

    /// Limits the wait for the server to take any bytes of the request; 30 seconds by default. A
    /// server that takes a large body slowly goes on, and time in which the body's own source gives
    /// nothing does not count. The kernel is asked twice in that time, so that a server that takes
    /// nothing may be given half as long again.
    pub fn send_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.limits.send_timeout = timeout.into();
        self
    }

    /// Limits the wait from the end of the request to the first byte of the response; 30 seconds by
    /// default.
    pub fn first_byte_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.limits.first_byte_timeout = timeout.into();
        self
    }

    /// Limits the wait for each further piece of a response; 30 seconds by default.
    pub fn read_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.limits.read_timeout = timeout.into();
        self
    }

    /// Sets how many redirects are followed; 10 by default.
    pub fn redirects_max(mut self, redirects_max: u32) -> Self {
        self.options.redirects_max = redirects_max;
        self
    }

    /// Chooses the redirects that are followed, of those within the limit. `follows` is called with
    /// the URL that redirects and the one that it leads to. The caller sees a redirect that is not
    /// followed. All are by default.
    ///
    /// ```
    /// use annulus::http::client::Client;
    ///
    /// let client = Client::builder()
    ///     .redirects_if(|from, to| from.host() == to.host())
    ///     .build();
    /// # drop(client);
    /// ```
    pub fn redirects_if(mut self, follows: impl Fn(&Url, &Url) -> bool + 'static) -> Self {
        self.options.follows = Some(Rc::new(follows));
        self
    }

    /// Sets whether a redirect may lead from `https` to `http`; it may not by default.
    pub fn allow_downgrade(mut self, allows: bool) -> Self {
        self.options.allows_downgrade = allows;
        self
    }

    /// Limits the size of a body that is held in memory, decompressed; 10 MiB by default.
    pub fn body_bytes_max(mut self, bytes_max: u64) -> Self {
        self.options.limits.bytes_max = bytes_max;
        self
    }

    /// Sets the limits on the heads and the framing of responses. Limits on requests, and the one
    /// on bodies, have no effect here.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.rules.limits = limits;
        self
    }

    /// Accepts messages that break the protocol in these ways; none by default.
    pub fn leniency(mut self, leniency: Leniency) -> Self {
        self.rules.leniency = leniency;
        self
    }

    /// Sets whether the client asks for compressed responses and decompresses them; it does by
    /// default, in a build with the feature `compress`.
    /// [`Response::was_decoded`](super::Response::was_decoded) tells what became of one. A request
    /// with a `Range` asks for no compression, and a part of a body is given out as it came.
    pub fn decompress(mut self, decompresses: bool) -> Self {
        self.options.decompresses = decompresses;
        self
    }

    /// Sets `User-Agent`; `annulus/` and the version by default, and `None` to leave it out.
    pub fn user_agent(mut self, user_agent: impl Into<Option<HeaderValue>>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Adds a field to every request that has no field of that name.
    pub fn with_field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }

    /// Sets the address of `host`, which is then not looked up. Several are tried as several
    /// addresses of a host are. With a port of zero the URL's port is used.
    pub fn resolve(mut self, host: &str, addr: SocketAddr) -> Self {
        let host = host.to_ascii_lowercase();
        self.connector.resolver.overrides.push((host, addr));
        self
    }

    /// Looks up hosts by `resolver` instead of the system's.
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.connector.resolver.custom = Some(Rc::new(resolver));
        self
    }

    /// Opens connections from this address of the machine, to hosts and proxies that have an
    /// address of its family. May be called once for each family; a family without a local address
    /// is then not used. By default the kernel chooses.
    pub fn local_addr(mut self, addr: IpAddr) -> Self {
        self.connector.local.set(addr);
        self
    }

    /// Connects to this socket file, whichever host a URL names. A proxy comes before it.
    pub fn unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.connector.unix = Some(path.into());
        self
    }

    /// Opens connections by `connect`, which gets the URL, whichever host that names: over a stream
    /// with a protocol of its own below, or in memory. For `https` TLS is spoken over it. A proxy
    /// comes before it, and it comes before [`unix`](Self::unix).
    ///
    /// [`http::test::TestClient`](crate::http::test::TestClient) is such a client, for tests of
    /// handlers.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::{http::{Client, Connection, Request}, io::duplex, spawn};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// annulus::run(async {
    ///     let client = Client::builder()
    ///         .connect_by(|_url| {
    ///             let (near, far) = duplex(4096);
    ///             drop(spawn(Connection::new().serve(far, async |_: Request| "hello")));
    ///             async { Ok(near) }
    ///         })
    ///         .build();
    ///     assert_eq!(client.get("http://memory/").send().await?.text().await?, "hello");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn connect_by<F, R, S>(mut self, connect: F) -> Self
    where
        F: Fn(&Url) -> R + 'static,
        R: Future<Output = io::Result<S>> + 'static,
        S: Into<Transport>,
    {
        self.connector.by_hand = Some(ByHand::new(connect));
        self
    }

    /// Sends requests by proxies. By default none is used, not even one that the environment names:
    /// see [`Proxy::from_env`].
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.connector.proxy = proxy;
        self
    }

    /// Sets when requests are sent again; never by default, except after a dead idle connection.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options.retry = Some(Rc::new(retry));
        self
    }

    /// Calls `tell` with each informational response (1xx).
    pub fn on_informational(mut self, tell: impl Fn(&Informational<'_>) + 'static) -> Self {
        self.options.on_informational = Some(Rc::new(tell));
        self
    }

    /// Makes the client.
    #[must_use]
    pub fn build(self) -> Client {
        let mut fields = self.fields;
        let takes_part = fields.iter().any(|(name, _)| *name == header::RANGE);
        let mut add = |name: HeaderName, value: HeaderValue| {
            let is_missing = !fields.iter().any(|(other, _)| *other == name);
            if is_missing {
                fields.push((name, value));
            }
            is_missing
        };
        if let Some(value) = self.user_agent {
            add(header::USER_AGENT, value);
        }
        add(header::ACCEPT, HeaderValue::from_static("*/*"));
        let codings = compress::ACCEPTED.filter(|_| !takes_part);
        let adds_codings = codings
            .is_some_and(|codings| add(header::ACCEPT_ENCODING, HeaderValue::from_static(codings)));
        let pool = Pool::new(self.pool);
        Client::from_shared(Shared::new(
            self.options,
            self.rules,
            DefaultFields::new(fields, adds_codings),
            pool,
            self.connector,
        ))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("pool", &self.pool)
            .field("connector", &self.connector)
            .finish_non_exhaustive()
    }
}
