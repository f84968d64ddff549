//! A request as it is kept until it is answered: it may have to be sent more than once.

use super::{Body, Error, ErrorKind, Result, Url, exchange::Exchange, options::Options};
use crate::http::{HeaderName, HeaderValue, Method, h1::RequestEncoder, header};

/// What is sent, and under which limits.
pub(super) struct Message {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Body,
    pub(super) options: Options,
    /// The fields that go with every request of the client, unless the message has them itself.
    pub(super) asks_upgrade: bool,
}

/// How a request reaches its server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Via<'a> {
    /// The target is the whole URL, for a proxy that forwards.
    pub(super) is_absolute: bool,
    /// What the proxy wants to see.
    pub(super) proxy_authorization: Option<&'a HeaderValue>,
}

impl Message {
    pub(super) fn has(&self, name: &HeaderName) -> bool {
        self.fields.iter().any(|(other, _)| other == name)
    }

    /// Replaces all fields of that name by one.
    pub(super) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.fields.retain(|(other, _)| *other != name);
        self.fields.push((name, value));
    }

    /// Whether sending it twice does what sending it once does (RFC 9110, section 9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
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
    pub(super) fn begin(
        &mut self,
        defaults: &[(HeaderName, HeaderValue)],
        via: Via<'_>,
        exchange: &mut Exchange,
    ) -> Result<()> {
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
        let host = named
            .and_then(|(_, value)| value.to_str().ok())
            .unwrap_or(self.url.authority());
        let output = exchange.upload.output();
        output.clear();
        let mut encoder = RequestEncoder::new(output, &self.method, target, host)
            .map_err(|_| Error::new(ErrorKind::Request("expected a host in `Host`")))?;
        for (name, value) in &self.fields {
            encoder.field(name, value);
        }
        for (name, value) in defaults {
            if !self.has(name) {
                encoder.field(name, value);
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
}
