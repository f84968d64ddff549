//! A request that is kept until it is answered, since it may be sent more than once.

use std::rc::Rc;

use super::{Exchange, onward_head::OnwardHead};
use crate::http::{
    HeaderName, HeaderValue, Method,
    client::{
        body::Body,
        error::{Error, ErrorKind, Result},
        options::Options,
        url::Url,
    },
    h1::{FieldLines, RequestEncoder},
    header,
};

/// Fields whose room a used message keeps.
const KEPT_FIELDS_MAX: usize = 32;

/// A request, and the limits under which it is sent.
pub(crate) struct Message {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) fields: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Body,
    /// Shared with other messages until it is changed.
    pub(crate) options: Rc<Options>,
    pub(crate) asks_upgrade: bool,
    /// The head of a request that is sent on, and empty for others.
    pub(crate) onward: OnwardHead,
}

/// The fields of every request of a client that does not have them itself.
pub(crate) struct DefaultFields {
    fields: Vec<(HeaderName, HeaderValue)>,
    /// Whether `Accept-Encoding` among them is not the caller's.
    adds_codings: bool,
    lines: FieldLines,
}

impl DefaultFields {
    pub(crate) fn new(fields: Vec<(HeaderName, HeaderValue)>, adds_codings: bool) -> Self {
        Self {
            adds_codings,
            lines: FieldLines::new(fields.iter().map(|(name, value)| (name, value))),
            fields,
        }
    }
}

/// How a request reaches its server.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Via<'a> {
    /// The target is the whole URL, for a proxy that forwards.
    pub(crate) is_absolute: bool,
    /// The `Proxy-Authorization` for the proxy.
    pub(crate) proxy_authorization: Option<&'a HeaderValue>,
}

impl Message {
    pub(crate) fn options_mut(&mut self) -> &mut Options {
        Rc::make_mut(&mut self.options)
    }

    /// Forgets what is not needed once there is a response.
    pub(crate) fn forget(&mut self) {
        self.fields.clear();
        if self.fields.capacity() > KEPT_FIELDS_MAX {
            self.fields = Vec::new();
        }
        self.body = Body::none();
        self.asks_upgrade = false;
        self.onward.clear();
    }

    /// Whether a proxy is to open a tunnel for it. One that forwards requests would take `Upgrade`
    /// for a field of its own hop (RFC 6455, section 4.1).
    pub(crate) fn needs_tunnel(&self) -> bool {
        self.url.is_https() || self.asks_upgrade
    }

    pub(crate) fn has(&self, name: &HeaderName) -> bool {
        self.fields.iter().any(|(other, _)| other == name)
    }

    /// Replaces all fields of that name by one.
    pub(crate) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.fields.retain(|(other, _)| *other != name);
        self.fields.push((name, value));
    }

    /// Whether sending it twice does what sending it once does (RFC 9110, section 9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        matches!(
            self.method,
            Method::GET
                | Method::HEAD
                | Method::PUT
                | Method::DELETE
                | Method::OPTIONS
                | Method::TRACE
        )
    }

    /// Writes the head and hands over the body.
    pub(crate) fn begin(
        &mut self,
        defaults: &DefaultFields,
        via: Via<'_>,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if !self.onward.is_empty() {
            return self.begin_onward(exchange);
        }
        let length = self.body.length();
        let holds = self.options.expects_continue && !length.is_empty();
        let connect_target;
        let target = if self.method == Method::CONNECT {
            connect_target = format!("{}:{}", self.url.host(), self.url.port());
            &connect_target
        } else if via.is_absolute {
            self.url.as_str()
        } else {
            self.url.target()
        };
        let named = self.fields.iter().find(|(name, _)| *name == header::HOST);
        let named = named.and_then(|(_, value)| value.to_str().ok());
        let output = exchange.upload.output();
        output.clear();
        let mut encoder = match named {
            None if target.starts_with('/') => {
                RequestEncoder::checked(output, &self.method, target, self.url.authority())
            }
            host => {
                let host = host.unwrap_or(self.url.authority());
                RequestEncoder::new(output, &self.method, target, host).map_err(|_| {
                    Error::new(ErrorKind::Request(
                        "expected a host in `Host`, found something else",
                    ))
                })?
            }
        };
        for (name, value) in &self.fields {
            encoder.field(name, value);
        }
        if self.fields.is_empty() {
            encoder.lines(&defaults.lines);
        } else {
            // A part of a body that was coded for us alone is of no use.
            let takes_part = self.has(&header::RANGE);
            for (name, value) in &defaults.fields {
                let is_for_whole = defaults.adds_codings && *name == header::ACCEPT_ENCODING;
                let is_left_out = is_for_whole && takes_part;
                if !is_left_out && !self.has(name) {
                    encoder.field(name, value);
                }
            }
        }
        if let Some(value) = via.proxy_authorization {
            encoder.field(&header::PROXY_AUTHORIZATION, value);
        }
        if holds {
            encoder.field(&header::EXPECT, &HeaderValue::from_static("100-continue"));
        }
        exchange.keeps_alive = encoder.finish(length);
        exchange.asks_upgrade = self.asks_upgrade;
        let source = self.body.source()?;
        exchange.upload.begin(source, length, holds);
        Ok(())
    }

    /// As [`begin`](Self::begin), for a request that is sent on.
    #[inline(never)]
    fn begin_onward(&mut self, exchange: &mut Exchange) -> Result<()> {
        let length = self.body.length();
        let holds = self.options.expects_continue && !length.is_empty();
        let output = exchange.upload.output();
        output.clear();
        let text = "expected a host in a request to be sent on, found something else";
        let invalid = || Error::new(ErrorKind::Request(text));
        let (target, host, lines) = self.onward.parts().ok_or_else(invalid)?;
        let encoder = RequestEncoder::new(output, &self.method, target, host);
        let mut encoder = encoder.map_err(|_| invalid())?;
        encoder.checked_lines(lines);
        if holds {
            encoder.field(&header::EXPECT, &HeaderValue::from_static("100-continue"));
        }
        exchange.keeps_alive = encoder.finish(length);
        exchange.asks_upgrade = self.asks_upgrade;
        let source = self.body.source()?;
        exchange.upload.begin(source, length, holds);
        Ok(())
    }
}
