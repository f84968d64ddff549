//! The redirect from plain HTTP to `https`.

use super::{HeaderValue, Request, Response, StatusCode, header};

/// Answers a request of plain HTTP by a redirect to the same place at `https`: 308, with the host,
/// the path and the query of the request, and the usual port 443. The method and the body stay, as
/// RFC 9110 (section 15.4.9) has it.
///
/// It is a handler, for all paths of an address without TLS or for those that no route has, so that
/// the challenges of an authority (ACME, RFC 8555) are answered beside it. It redirects to whatever
/// host the client has named: a server that shall do that for its own names alone has
/// [`Server::hosts`](super::Server::hosts).
///
/// A request without a host, which HTTP/1.0 allows, is answered with 400. One of a target that is
/// no path, such as `OPTIONS *`, is redirected to `/`.
///
/// # Examples
///
/// ```no_run
/// use annulus::http::{self, Files, Router, Server};
///
/// # fn main() -> std::io::Result<()> {
/// let router = || {
///     let challenges = Files::new("/var/lib/acme/challenges");
///     Router::new()
///         .files("/.well-known/acme-challenge", challenges)
///         .fallback(http::redirect_to_https)
/// };
/// Server::new().listen("[::]:80").run_each(router).map(drop)
/// # }
/// ```
pub async fn redirect_to_https(request: Request) -> Response {
    let Some(location) = location(request.authority(), request.path(), request.query()) else {
        return Response::text("expected a host, found none\n")
            .with_status(StatusCode::BAD_REQUEST);
    };
    Response::new(StatusCode::PERMANENT_REDIRECT).with_field(header::LOCATION, location)
}

/// The place at `https`; none without a host.
fn location(authority: Option<&str>, path: &str, query: Option<&str>) -> Option<HeaderValue> {
    let authority = authority.filter(|authority| !authority.is_empty())?;
    // The port follows the last colon, unless that is inside of an address in brackets.
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    };
    if host.is_empty() {
        return None;
    }
    let path = if path.starts_with('/') { path } else { "/" };
    let (mark, query) = query.map_or(("", ""), |query| ("?", query));
    HeaderValue::try_from(format!("https://{host}{path}{mark}{query}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_path_and_query_stay_and_the_port_goes() {
        let cases = [
            (Some("a.test"), "/", None, Some("https://a.test/")),
            (
                Some("a.test:8080"),
                "/x%20y",
                Some("q=1&r"),
                Some("https://a.test/x%20y?q=1&r"),
            ),
            (
                Some("[::1]:80"),
                "//b.test",
                None,
                Some("https://[::1]//b.test"),
            ),
            (Some("[::1]"), "/a:b", Some(""), Some("https://[::1]/a:b?")),
            (Some("a.test"), "*", None, Some("https://a.test/")),
            (Some(":80"), "/", None, None),
            (Some(""), "/", None, None),
            (None, "/", None, None),
        ];
        for (authority, path, query, expected) in cases {
            let found = location(authority, path, query);
            let found = found.as_ref().map(|value| value.to_str().unwrap());
            assert_eq!(found, expected, "{authority:?} {path} {query:?}");
        }
    }

    #[test]
    fn any_method_is_redirected_and_keeps_its_body() {
        crate::run(async {
            let request = ::http::Request::post("/form?step=2").header("host", "a.test:80");
            let request = Request::try_from(request.body("text").unwrap()).unwrap();
            let answer = redirect_to_https(request).await;
            assert_eq!(answer.status(), StatusCode::PERMANENT_REDIRECT);
            assert_eq!(
                answer.field("location").unwrap(),
                b"https://a.test/form?step=2"
            );
        });
    }
}
