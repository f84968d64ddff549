//! Opens connections: directly, by a proxy, by a unix socket; with TLS or without.

pub(super) mod by_hand;
mod bypass;
mod happy_eyeballs;
mod local_addrs;
#[cfg(not(feature = "tls"))]
pub(super) mod no_tls;
pub(super) mod proxy;
pub(super) mod resolve;
#[cfg(feature = "tls")]
pub(super) mod tls;

use std::{borrow::Cow, cell::Cell, future::poll_fn, net::SocketAddr, path::PathBuf};

use super::{
    error::{Error, ErrorKind, Result},
    exchange::{INFORMATIONAL_MAX, message::Via},
    phase::Phase,
    timings::Watch,
    url::Url,
};
use crate::{
    http::{
        HeaderValue, Method,
        h1::{BodyLength, RequestEncoder, ResponseHead, Rules},
        header,
        transport::{Transport, input::Input},
    },
    net::UnixStream,
    time,
};
use by_hand::ByHand;
use local_addrs::LocalAddrs;
#[cfg(not(feature = "tls"))]
pub(super) use no_tls as tls;
use proxy::{Proxy, ProxyServer};
use resolve::Resolver;

/// How a client reaches servers.
#[derive(Debug, Default)]
pub(super) struct Connector {
    pub(super) resolver: Resolver,
    pub(super) proxy: Proxy,
    pub(super) tls: tls::Tls,
    /// The socket file that all servers are behind.
    pub(super) unix: Option<PathBuf>,
    /// It opens all connections, if it is there.
    pub(super) by_hand: Option<ByHand>,
    pub(super) local: LocalAddrs,
}

/// How far a connection that is being opened has come.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) phase: Cell<Phase>,
    /// The address that was tried last.
    tried: Cell<Option<SocketAddr>>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            phase: Cell::new(Phase::Dns),
            tried: Cell::new(None),
        }
    }
}

impl Connector {
    /// The key under which requests share connections. With `tunnels` a proxy does not forward
    /// them: it opens a tunnel.
    pub(super) fn key<'a>(&self, url: &'a Url, tunnels: bool) -> Cow<'a, str> {
        match self.proxy.server(url) {
            None => url.origin().into(),
            Some(proxy) if tunnels => format!("{} by {}", url.origin(), proxy.url.origin()).into(),
            // One that forwards takes requests for all origins.
            Some(proxy) => format!("proxy {}", proxy.url.origin()).into(),
        }
    }

    /// How a request for this URL has to look.
    pub(super) fn via(&self, url: &Url, tunnels: bool) -> Via<'_> {
        match self.proxy.server(url) {
            Some(proxy) if !tunnels => Via {
                is_absolute: true,
                proxy_authorization: proxy.authorization.as_ref(),
            },
            _ => Via::default(),
        }
    }

    /// Adds to the error of a request to `url` how far the way there had come.
    pub(super) fn name_way(&self, error: Error, url: &Url, progress: &Progress) -> Error {
        let error = match progress.tried.get() {
            Some(addr) => error.about(addr.to_string()),
            None => error,
        };
        match self.proxy.server(url) {
            Some(proxy) => error.by_proxy(&proxy.url),
            None => error,
        }
    }

    /// Opens a connection for requests to `url`, and tells `progress` what it is doing.
    pub(super) async fn open(
        &self,
        url: &Url,
        tunnels: bool,
        watch: &mut Watch,
        progress: &Progress,
    ) -> Result<Transport> {
        let mut enter = |next: Phase| {
            watch.enter(next, time::now());
            progress.phase.set(next);
        };
        let proxy = self.proxy.server(url);
        if let (None, Some(by_hand)) = (proxy, &self.by_hand) {
            enter(Phase::Connect);
            let opened = by_hand.open(url).await;
            let failed = |error| Error::with_source(ErrorKind::Connect, error);
            return self.secure(opened.map_err(failed)?, url, enter).await;
        }
        if let (None, Some(path)) = (proxy, &self.unix) {
            enter(Phase::Connect);
            let stream = UnixStream::connect(path).await;
            let failed = |error| {
                let about = path.display().to_string();
                Error::with_source(ErrorKind::Connect, error).about(about)
            };
            let transport = Transport::from(stream.map_err(failed)?);
            return self.secure(transport, url, enter).await;
        }
        let hop = proxy.map_or(url, |proxy| &proxy.url);
        let addrs = self
            .resolver
            .addrs(hop.host(), hop.port())
            .await
            .map_err(|error| Error::with_source(ErrorKind::Dns, error))?;
        enter(Phase::Connect);
        let stream = happy_eyeballs::connect(addrs, self.local, &progress.tried)
            .await
            .map_err(|error| Error::with_source(ErrorKind::Connect, error))?;
        let mut transport = Transport::from(stream);
        if let Some(proxy) = proxy {
            if proxy.url.is_https() {
                transport = self.tls.connect(transport, &proxy.url).await?;
            }
            if tunnels {
                tunnel(&transport, proxy, url).await?;
            }
        }
        self.secure(transport, url, enter).await
    }

    /// The last step: TLS, for `https`.
    async fn secure(
        &self,
        mut transport: Transport,
        url: &Url,
        mut enter: impl FnMut(Phase),
    ) -> Result<Transport> {
        if url.is_https() {
            enter(Phase::Tls);
            transport = self.tls.connect(transport, url).await?;
        }
        enter(Phase::Send);
        Ok(transport)
    }
}

/// Asks a proxy for a tunnel to the server of `url`.
async fn tunnel(transport: &Transport, proxy: &ProxyServer, url: &Url) -> Result<()> {
    let failed = |error| Error::with_source(ErrorKind::Connect, error);
    let target = format!("{}:{}", url.host(), url.port());
    let mut request = Vec::new();
    let mut encoder = RequestEncoder::new(&mut request, &Method::CONNECT, &target, &target)
        .map_err(|_| Error::new(ErrorKind::Url("expected a host")))?;
    if let Some(value) = &proxy.authorization {
        encoder.field(&header::PROXY_AUTHORIZATION, value);
    }
    let agent = HeaderValue::from_static(super::USER_AGENT);
    encoder.field(&header::USER_AGENT, &agent);
    encoder.finish(BodyLength::None);
    transport.write_all(request).await.map_err(failed)?;

    let rules = Rules::default();
    let mut head = ResponseHead::new();
    let mut input = Input::default();
    let mut informational_count = 0;
    loop {
        let read = head
            .read(input.bytes(), &Method::CONNECT, &rules)
            .map_err(|error| Error::new(ErrorKind::Protocol(error)))?;
        let Some(consumed) = read else {
            let received = poll_fn(|context| transport.poll_recv(context)).await;
            let bytes = received.map_err(failed)?;
            if bytes.is_empty() {
                return Err(Error::new(ErrorKind::Closed));
            }
            input.push(bytes);
            continue;
        };
        input.consume(consumed);
        if head.status().is_informational() {
            informational_count += 1;
            if informational_count > INFORMATIONAL_MAX {
                let kind = ErrorKind::TooManyInformational(INFORMATIONAL_MAX);
                return Err(Error::new(kind));
            }
            continue;
        }
        if !head.status().is_success() {
            return Err(Error::new(ErrorKind::Proxy(head.status())));
        }
        if !input.is_empty() {
            // The server cannot speak first: what came is not from it.
            return Err(Error::new(ErrorKind::Connect));
        }
        return Ok(());
    }
}
