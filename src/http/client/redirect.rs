//! Makes the request that follows a redirect.

use super::{
    error::{Error, ErrorKind, Result},
    exchange::message::Message,
    response::Response,
    url::Url,
};
use crate::http::{Method, StatusCode, header};

/// Whether a redirect leaves a request its method and body.
fn keeps_method(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        307 | 308 => true,
        303 => matches!(*method, Method::GET | Method::HEAD),
        // RFC 9110, sections 15.4.2 and 15.4.3: a POST becomes a GET, for historical reasons.
        _ => *method != Method::POST,
    }
}

/// Where the response leads, unless it is to be handed to the caller as it is.
pub(super) fn target(message: &Message, response: &Response) -> Result<Option<Url>> {
    let status = response.status();
    if message.options.redirects_max == 0 || !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
    {
        return Ok(None);
    }
    let Some(location) = response.field("location") else {
        return Ok(None);
    };
    if keeps_method(status, &message.method) && !message.body.is_here() {
        // A stream that was sent cannot be sent again; the caller sees the redirect.
        return Ok(None);
    }
    let url = message.url.join(location)?;
    if message.url.is_https() && !url.is_https() && !message.options.allows_downgrade {
        let text = "expected a redirect to stay on https, found one to http";
        return Err(Error::new(ErrorKind::Redirect(text)).about(url.origin()));
    }
    let follows = message.options.follows.as_ref();
    let is_followed = follows.is_none_or(|follows| follows(&message.url, &url));
    Ok(is_followed.then_some(url))
}

/// Makes the request that the redirect asks for. Fields that the caller gave for one origin stay
/// there.
pub(super) fn apply(message: &mut Message, mut url: Url, status: StatusCode) {
    if !keeps_method(status, &message.method) {
        if message.method != Method::HEAD {
            message.method = Method::GET;
        }
        message.body = super::Body::none();
        message.fields.retain(|(name, _)| {
            ![
                header::CONTENT_TYPE,
                header::CONTENT_ENCODING,
                header::CONTENT_LANGUAGE,
                header::CONTENT_LOCATION,
            ]
            .contains(name)
        });
    }
    if url.origin() != message.url.origin() {
        message.fields.retain(|(name, _)| {
            ![
                header::AUTHORIZATION,
                header::COOKIE,
                header::PROXY_AUTHORIZATION,
                header::HOST,
            ]
            .contains(name)
        });
        // Userinfo in a Location of another origin is that server's word, not the caller's.
        drop(url.take_authorization());
    } else if let Some(value) = url.take_authorization() {
        message.set(header::AUTHORIZATION, value);
    }
    message.url = url;
}
