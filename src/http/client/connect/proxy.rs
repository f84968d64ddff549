//! HTTP proxies.

use std::env;

use super::bypass;
use crate::http::{
    HeaderValue,
    client::{
        error::Result,
        url::{IntoUrl, Url},
    },
};

/// The rule that chooses an HTTP proxy for a request.
///
/// Requests for `http` are sent to the proxy whole; for `https`, and for another protocol such as
/// WebSocket ([`Request::upgrade`](crate::http::client::Request::upgrade)), it opens a tunnel
/// (`CONNECT`).
/// Userinfo in the proxy's URL becomes `Proxy-Authorization`.
///
/// # Examples
///
/// ```
/// use annulus::http::client::{Client, Error, Proxy};
///
/// fn clients() -> Result<[Client; 2], Error> {
///     let proxy = Proxy::all("http://user:password@proxy.test:3128")?;
///     let proxy = proxy.bypass("localhost, 10.0.0.0/8, .internal");
///     Ok([
///         Client::builder().proxy(proxy).build(),
///         Client::builder().proxy(Proxy::from_env()).build(), // as curl does
///     ])
/// }
/// # clients().unwrap();
/// ```
#[derive(Debug, Clone, Default)]
pub struct Proxy {
    http: Option<ProxyServer>,
    https: Option<ProxyServer>,
    bypass: Vec<bypass::Entry>,
}

#[derive(Debug, Clone)]
pub(crate) struct ProxyServer {
    pub(crate) url: Url,
    pub(crate) authorization: Option<HeaderValue>,
}

impl ProxyServer {
    fn new(url: impl IntoUrl) -> Result<Self> {
        let mut url = url.into_url()?;
        let authorization = url.take_authorization();
        Ok(Self { url, authorization })
    }
}

impl Proxy {
    /// Makes a proxy for all requests.
    ///
    /// # Errors
    ///
    /// The URL makes no sense.
    pub fn all(url: impl IntoUrl) -> Result<Self> {
        let server = ProxyServer::new(url)?;
        Ok(Self {
            http: Some(server.clone()),
            https: Some(server),
            bypass: Vec::new(),
        })
    }

    /// Makes a proxy for requests whose scheme is `http`.
    ///
    /// # Errors
    ///
    /// The URL makes no sense.
    pub fn http(url: impl IntoUrl) -> Result<Self> {
        Ok(Self {
            http: Some(ProxyServer::new(url)?),
            ..Self::default()
        })
    }

    /// Makes a proxy for requests whose scheme is `https`.
    ///
    /// # Errors
    ///
    /// The URL makes no sense.
    pub fn https(url: impl IntoUrl) -> Result<Self> {
        Ok(Self {
            https: Some(ProxyServer::new(url)?),
            ..Self::default()
        })
    }

    /// Reads the environment: `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` (with the
    /// grammar of [`bypass`](Self::bypass)), the latter three also in upper case. `HTTP_PROXY` is
    /// not looked at: in a CGI program a client sets it by sending a field `Proxy`. A value that is
    /// no URL is ignored.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_vars(|name| env::var(name).ok())
    }

    fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| var(name).or_else(|| var(&name.to_ascii_uppercase()));
        let server = |text: Option<String>| {
            let text = text.filter(|text| !text.is_empty())?;
            let has_scheme = text.contains("://");
            let text = if has_scheme {
                text
            } else {
                format!("http://{text}")
            };
            ProxyServer::new(text).ok()
        };
        let all = server(either("all_proxy"));
        let no_proxy = either("no_proxy").unwrap_or_default();
        Self {
            http: server(var("http_proxy")).or_else(|| all.clone()),
            https: server(either("https_proxy")).or(all),
            bypass: Vec::new(),
        }
        .bypass(&no_proxy)
    }

    /// Sets the hosts that are asked directly: a list as in `no_proxy`, with commas or blanks
    /// between its entries.
    ///
    /// | Entry | Stands for |
    /// |---|---|
    /// | `a.test`, `.a.test`, `*.a.test` | This name and those below it |
    /// | `10.1.2.3`, `fd00::1`, `[fd00::1]` | This address |
    /// | `10.0.0.0/8`, `fd00::/8` | The addresses in this network |
    /// | any but a network, with a port behind a colon | The same at this port; of IPv6 in brackets |
    /// | `*` | All hosts |
    ///
    /// Case, and a dot at the end of a name, make no difference. An address of IPv4 in the form of
    /// IPv6 (`::ffff:10.1.2.3`) is that of IPv4. Names are compared with names and addresses with
    /// addresses, as the URL has them: nothing is looked up for this. A malformed entry is skipped.
    #[must_use]
    pub fn bypass(mut self, hosts: &str) -> Self {
        self.bypass.extend(bypass::entries(hosts));
        self
    }

    /// The proxy for this URL.
    pub(crate) fn server(&self, url: &Url) -> Option<&ProxyServer> {
        let server = if url.is_https() {
            &self.https
        } else {
            &self.http
        };
        server
            .as_ref()
            .filter(|_| !bypass::includes(&self.bypass, url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_read_as_others_read_it() {
        let vars = |name: &str| {
            let value = match name {
                "http_proxy" => "http://u:p@p.test:3128",
                "HTTP_PROXY" => "http://evil.test",
                "ALL_PROXY" => "all.test:1",
                "no_proxy" => "localhost, .inner.test,127.0.0.1,[::1]:8080",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let proxy = Proxy::from_vars(vars);
        for (url, expected) in [
            ("http://a.test/", Some("http://p.test:3128/")),
            ("https://a.test/", Some("http://all.test:1/")),
            ("http://localhost:81/", None),
            ("http://inner.test/", None),
            ("http://a.inner.test/", None),
            ("http://winner.test/", Some("http://p.test:3128/")),
            ("http://127.0.0.1/", None),
            ("http://[::1]:8080/", None),
        ] {
            let url = Url::parse(url).unwrap();
            let found = proxy.server(&url).map(|server| server.url.as_str());
            assert_eq!(found, expected, "{url}");
        }
        let url = Url::parse("http://a.test/").unwrap();
        assert!(proxy.server(&url).unwrap().authorization.is_some());
    }
}
