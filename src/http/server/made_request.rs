//! Requests that the program makes itself, without a connection.

use std::{rc::Rc, sync::Arc};

use ::http::{HeaderValue, Method, Version, header, request};
use bytes::Bytes;

use super::{
    exchange::Exchange,
    message::{Request, received::Received},
    settings::Settings,
    worker_shared::Shared,
};
use crate::{
    http::{
        error::Error,
        h1::{BodyLength, RequestError},
    },
    io::duplex,
};

/// The host of a request that names none, which came from this process.
const UNNAMED_HOST: &[u8] = b"localhost";

/// A request that is made by hand, to call a handler without a connection, most often in a test.
/// Its body is here as a whole. It is complete in all else, and a
/// [`Router`](crate::http::Router) answers it as any other.
/// [`TestClient`](crate::http::test::TestClient) goes further: it has the server between the two.
///
/// The fields `Content-Length`, `Transfer-Encoding` and `Expect` are those of the body.
///
/// # Errors
///
/// That of the server for a head that breaks the protocol or a limit: 400 for a field value with a
/// control character, say.
///
/// # Examples
///
/// ```
/// use annulus::http::{Handler, Request, Router, StatusCode};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// annulus::run(async {
///     let router = Router::new().get("/users/{id}", async |request: Request| {
///         request.param::<String>("id")
///     });
///     let request = http::Request::get("/users/7").body("")?;
///     let response = router.handle(Request::try_from(request)?).await;
///     assert_eq!(response.status(), StatusCode::OK);
///     let response = http::Response::try_from(response).expect("its body is here");
///     assert_eq!(response.body(), "7");
///     Ok(())
/// })
/// # }
/// ```
impl<B: Into<Bytes>> TryFrom<::http::Request<B>> for Request {
    type Error = Error;

    fn try_from(request: ::http::Request<B>) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let body: Bytes = body.into();
        let framing = match body.len() {
            0 => BodyLength::None,
            len => BodyLength::Sized(len as u64),
        };
        let mut bytes = encode(&parts, Some(framing));
        bytes.extend_from_slice(&body);
        let settings = Settings::default();
        let exchange = Exchange::new(Rc::new(Shared::new(settings, Arc::default())));
        let mut received = Received::new(&exchange);
        let current = Rc::get_mut(&mut received).expect("it was made just now");
        // The other end is dropped: nothing comes after these bytes.
        let (nothing, _) = duplex(1);
        let number = exchange
            .begin_detached(&mut current.head, bytes, nothing.into())
            .map_err(refused)?;
        current.begin(number);
        Ok(Request::new(received))
    }
}

pub(super) fn refused(error: RequestError) -> Error {
    Error::new(error.status(), error.to_string())
}

/// Writes the head of a request. The length of the body is `framing`, or else the one in the
/// request's own fields.
pub(super) fn encode(parts: &request::Parts, framing: Option<BodyLength>) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let authority = parts.uri.authority();
    let named = parts.headers.get(header::HOST);
    // A request of HTTP/2 has its host in the target alone.
    let moves_host = named.is_none() && parts.method != Method::CONNECT;
    let target = match parts.uri.path_and_query() {
        Some(target) if moves_host => target.to_string(),
        _ => parts.uri.to_string(),
    };
    // HTTP/1.0 has no chunks, and so no way to tell a length that is not known beforehand.
    let is_http10 = parts.version <= Version::HTTP_10 && framing != Some(BodyLength::Chunked);
    for part in [parts.method.as_str(), " ", &target, " HTTP/1."] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(if is_http10 { b"0\r\n" } else { b"1\r\n" });
    if let (Some(authority), true) = (authority, named.is_none()) {
        // Userinfo is no part of `Host`.
        let text = authority.as_str();
        let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
        field(&mut out, "host", host.as_bytes());
    } else if named.is_none() && !is_http10 {
        field(&mut out, "host", UNNAMED_HOST);
    }
    for (name, value) in &parts.headers {
        let is_framing = *name == header::CONTENT_LENGTH
            || *name == header::TRANSFER_ENCODING
            || *name == header::EXPECT;
        if !is_framing || framing.is_none() {
            field(&mut out, name.as_str(), value.as_bytes());
        }
    }
    match framing {
        Some(BodyLength::Sized(len)) => {
            let len = HeaderValue::from(len);
            field(&mut out, "content-length", len.as_bytes());
        }
        Some(BodyLength::Chunked) => field(&mut out, "transfer-encoding", b"chunked"),
        Some(BodyLength::None | BodyLength::UntilClose) | None => {}
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}
