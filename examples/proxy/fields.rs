//! The fields that a proxy hands on.

use annulus::http::{HeaderMap, HeaderName, HeaderValue, Request, Version, client, header};

/// Fields about one connection (RFC 9110, section 7.6.1), and those that a proxy answers for
/// itself.
const OF_A_CONNECTION: [&str; 10] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The fields of a request, with who has sent it.
pub(crate) fn of_request(request: &Request) -> HeaderMap {
    let mut fields = handed_on(request.field_map(), request.version());
    let peer = request.peer_addr().map(|addr| addr.ip().to_string());
    if let Some(Ok(peer)) = peer.map(HeaderValue::try_from) {
        fields.append(HeaderName::from_static("x-forwarded-for"), peer);
    }
    fields
}

/// The fields of a response.
pub(crate) fn of_response(response: &client::Response) -> HeaderMap {
    handed_on(response.field_map(), response.version())
}

fn handed_on(mut fields: HeaderMap, version: Version) -> HeaderMap {
    let named: Vec<HeaderName> = fields
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|options| options.as_bytes().split(|&byte| byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in &named {
        fields.remove(name);
    }
    for name in OF_A_CONNECTION {
        fields.remove(name);
    }
    let via = match version {
        Version::HTTP_10 => HeaderValue::from_static("1.0 annulus"),
        _ => HeaderValue::from_static("1.1 annulus"),
    };
    fields.append(header::VIA, via);
    fields
}
