//! Looks up the addresses of a host.

use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    rc::Rc,
};

use crate::net::ToAddrs as _;

/// The addresses of a host, in the order in which they are to be tried.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>>>>;

/// Finds the addresses of hosts, for
/// [`ClientBuilder::resolver`](crate::http::client::ClientBuilder::resolver).
///
/// Implemented for functions of a host and a port.
pub trait Resolve {
    /// Looks up `host`.
    fn resolve(&self, host: &str, port: u16) -> Resolving;
}

impl<F, R> Resolve for F
where
    F: Fn(&str, u16) -> R,
    R: Future<Output = io::Result<Vec<SocketAddr>>> + 'static,
{
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        Box::pin(self(host, port))
    }
}

/// How a client finds addresses: its overrides first, then its resolver, then the system's.
#[derive(Clone, Default)]
pub(crate) struct Resolver {
    pub(crate) overrides: Vec<(String, SocketAddr)>,
    pub(crate) custom: Option<Rc<dyn Resolve>>,
}

impl Resolver {
    pub(crate) async fn addrs(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let chosen = self.overrides.iter().filter(|(name, _)| name == host);
        let mut addrs: Vec<SocketAddr> = chosen.map(|(_, addr)| *addr).collect();
        if addrs.is_empty() {
            let literal = host.trim_start_matches('[').trim_end_matches(']');
            addrs = match (literal.parse::<IpAddr>(), &self.custom) {
                (Ok(ip), _) => return Ok(vec![SocketAddr::new(ip, port)]),
                (_, Some(custom)) => custom.resolve(host, port).await?,
                (_, None) => format!("{host}:{port}").to_addrs().await?,
            };
        }
        for addr in &mut addrs {
            if addr.port() == 0 {
                addr.set_port(port);
            }
        }
        if addrs.is_empty() {
            let text = "the host has no addresses";
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        Ok(addrs)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("overrides", &self.overrides)
            .finish_non_exhaustive()
    }
}
