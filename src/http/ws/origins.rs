//! The check where a page comes from that opens a connection (RFC 6455, section 10.2).

use std::{fmt, str, sync::Arc};

use crate::http::h1::RequestHead;

/// The pages that may open a connection.
///
/// A browser opens WebSockets for every page to every server, with the user's cookies, and says in
/// `Origin` for which one. A server that does not look at it lets any page act for the user. Other
/// programs send no `Origin`, and are let through: they can send what they like.
#[derive(Clone, Default)]
pub enum Origins {
    /// Pages of the server itself: the origin's host and port are those of `Host`. The scheme is
    /// not compared, since a proxy may end TLS.
    #[default]
    Same,
    /// Pages of these origins alone, such as `https://example.com`.
    List(Vec<String>),
    /// Pages for whose origin the function returns true.
    Check(Arc<dyn Fn(&str) -> bool + Send + Sync>),
    /// All pages: for servers that do not know users by cookies.
    Any,
}

impl Origins {
    /// Whether the page that made this request may open a connection.
    pub(super) fn allow(&self, head: &RequestHead) -> bool {
        let mut values = head.field_all("origin");
        match (values.next(), self) {
            (None, _) | (_, Self::Any) => true,
            (Some(_), _) if values.next().is_some() => false,
            (Some(origin), _) => {
                str::from_utf8(origin).is_ok_and(|origin| self.allow_one(origin, head))
            }
        }
    }

    fn allow_one(&self, origin: &str, head: &RequestHead) -> bool {
        match self {
            Self::Any => true,
            Self::Same => head
                .authority()
                .is_some_and(|host| is_same_host(origin, host)),
            Self::List(list) => list.iter().any(|one| one.eq_ignore_ascii_case(origin)),
            Self::Check(check) => check(origin),
        }
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("Same"),
            Self::List(list) => f.debug_tuple("List").field(list).finish(),
            Self::Check(_) => f.write_str("Check(..)"),
            Self::Any => f.write_str("Any"),
        }
    }
}

/// Whether `origin` names the host and the port of `host`, which may leave out the port of the
/// origin's scheme.
fn is_same_host(origin: &str, host: &str) -> bool {
    let Some((scheme, origin_host)) = origin.split_once("://") else {
        // The origin of a page without one is `null`.
        return false;
    };
    let port = if scheme.eq_ignore_ascii_case("https") {
        "443"
    } else if scheme.eq_ignore_ascii_case("http") {
        "80"
    } else {
        return false;
    };
    let (origin_name, origin_port) = split_port(origin_host, port);
    let (name, port) = split_port(host, port);
    origin_name.eq_ignore_ascii_case(name) && origin_port == port
}

/// The name and the port of `host`, or `default` where it has none.
fn split_port<'a>(host: &'a str, default: &'a str) -> (&'a str, &'a str) {
    match host.rsplit_once(':') {
        // The colons of an address are in brackets.
        Some((name, port)) if !port.ends_with(']') => {
            (name, if port.is_empty() { default } else { port })
        }
        _ => (host, default),
    }
}
