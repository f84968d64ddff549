//! The fields that a gateway hands on, and those that it writes itself (RFC 9110, section 7.6).

use std::{fmt::Write as _, net::IpAddr};

use crate::http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    client::{self, OnwardHead},
    header,
    server::{Request, Response},
};

/// The names of fields about one connection (section 7.6.1), and of those that a gateway answers
/// for by itself: framing, host, expectation, and credentials for a proxy.
fn is_of_connection(name: &str) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 => is("te"),
        4 => is("host"),
        6 => is("expect"),
        7 => is("upgrade"),
        10 => is("connection") || is("keep-alive"),
        14 => is("content-length"),
        16 => is("proxy-connection"),
        17 => is("transfer-encoding"),
        18 => is("proxy-authenticate"),
        19 => is("proxy-authorization"),
        _ => false,
    }
}

/// The names of fields by which a gateway tells of the client.
fn is_of_client(name: &str, writes_forwarded: bool) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    match name.len() {
        9 => is("forwarded") && !writes_forwarded,
        15 => is("x-forwarded-for") && writes_forwarded,
        16 => is("x-forwarded-host"),
        17 => is("x-forwarded-proto"),
        _ => false,
    }
}

/// Whether `Connection` names the field, in any of the fields that `options` gives.
fn is_named<'a>(mut options: impl Iterator<Item = &'a [u8]>, name: &str) -> bool {
    options.any(|value| {
        let mut names = value.split(|&byte| byte == b',');
        names.any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    })
}

/// How a gateway tells of itself and of the client.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) pseudonym: String,
    pub(super) writes_forwarded: bool,
}

/// Writes the head of `request` as it goes to another server. `hops` is the `Max-Forwards` that is
/// left, and `upgrade` the protocol that is asked for.
pub(super) fn write_request(
    head: &mut OnwardHead,
    request: &Request,
    told: &Told,
    hops: Option<u64>,
    upgrade: Option<&str>,
) {
    let has_options = request.field("connection").is_some();
    for (name, value) in request.fields() {
        if is_of_connection(name)
            || is_of_client(name, told.writes_forwarded)
            || has_options && is_named(request.field_all("connection"), name)
            || hops.is_some() && name.eq_ignore_ascii_case("max-forwards")
        {
            continue;
        }
        head.line(name, value);
    }
    let mut text = String::new();
    if let Some(hops) = hops {
        head.line("Max-Forwards", hops.to_string().as_bytes());
    }
    let via = format_via(&mut text, request.version(), &told.pseudonym);
    head.line("Via", via.as_bytes());
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    if told.writes_forwarded {
        write_forwarded(&mut text, request, peer);
        head.line("Forwarded", text.as_bytes());
    } else {
        if let Some(peer) = peer {
            text.clear();
            let _ = write!(text, "{peer}");
            head.line("X-Forwarded-For", text.as_bytes());
        }
        head.line("X-Forwarded-Proto", request.scheme().as_bytes());
        if let Some(host) = request.host() {
            head.line("X-Forwarded-Host", host.as_bytes());
        }
    }
    match upgrade {
        Some(protocol) => {
            head.line("Connection", b"Upgrade");
            head.line("Upgrade", protocol.as_bytes());
        }
        None if request.accepts_trailers() => {
            head.line("Connection", b"TE");
            head.line("TE", b"trailers");
        }
        None => {}
    }
}

fn format_via<'t>(text: &'t mut String, version: Version, pseudonym: &str) -> &'t str {
    text.clear();
    text.push_str(match version {
        Version::HTTP_10 => "1.0 ",
        Version::HTTP_2 => "2 ",
        _ => "1.1 ",
    });
    text.push_str(pseudonym);
    text
}

/// An element of `Forwarded` (RFC 7239, section 4).
fn write_forwarded(text: &mut String, request: &Request, peer: Option<IpAddr>) {
    text.clear();
    let _ = match peer {
        Some(IpAddr::V4(addr)) => write!(text, "for={addr}"),
        Some(IpAddr::V6(addr)) => write!(text, "for=\"[{addr}]\""),
        None => write!(text, "for=unknown"),
    };
    let _ = write!(text, ";proto={}", request.scheme());
    if let Some(host) = request.host() {
        let _ = write!(text, ";host=\"{host}\"");
    }
}

/// Puts the fields of `response` into `answer`. Its length is handed on where `keeps_length`.
pub(super) fn copy_response(
    response: &client::Response,
    mut answer: Response,
    pseudonym: &str,
    keeps_length: bool,
) -> Response {
    let has_options = response.field("connection").is_some();
    for (name, value) in response.fields() {
        let is_length = keeps_length && name.eq_ignore_ascii_case("content-length");
        if is_of_connection(name) && !is_length
            || has_options && is_named(response.field_all("connection"), name)
        {
            continue;
        }
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            answer = answer.with_field(name, value);
        }
    }
    let mut text = String::new();
    let via = HeaderValue::try_from(format_via(&mut text, response.version(), pseudonym));
    match via {
        Ok(via) => answer.with_field(header::VIA, via),
        Err(_) => answer,
    }
}

/// Puts `fields` of a response into `answer`.
pub(super) fn copy_map(fields: &HeaderMap, mut answer: Response, pseudonym: &str) -> Response {
    let options = || {
        fields
            .get_all(header::CONNECTION)
            .iter()
            .map(HeaderValue::as_bytes)
    };
    for (name, value) in fields {
        if !is_of_connection(name.as_str()) && !is_named(options(), name.as_str()) {
            answer = answer.with_field(name.clone(), value.clone());
        }
    }
    match HeaderValue::try_from(format!("1.1 {pseudonym}")) {
        Ok(via) => answer.with_field(header::VIA, via),
        Err(_) => answer,
    }
}
