//! Fields that tell browsers to be careful.

use std::time::Duration;

use crate::http::{
    HeaderName, HeaderValue, Layer, Next, Request, Response, header,
    server::{LayerBox, Sides, Step, handle_step},
};

/// Adds fields to each answer that tell browsers to be careful with it. A field that the handler
/// has set stays as it is.
///
/// | Field | Value | Effect |
/// |---|---|---|
/// | `X-Content-Type-Options` | `nosniff` | The type of a body is the one in `Content-Type`, no guess. |
/// | `X-Frame-Options` | `DENY` | No page of another site shows this one in a frame. |
/// | `Referrer-Policy` | `no-referrer` | Other sites are not told from where a visitor comes. |
///
/// [`content_policy`](Self::content_policy) and [`https_only`](Self::https_only) add two more.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use annulus::http::{Router, layers::SecurityFields};
///
/// let fields = SecurityFields::new()
///     .content_policy("default-src 'self'")
///     .https_only(Duration::from_secs(365 * 24 * 3600));
/// let router = Router::new().get("/", async |_| "hello").layer(fields);
/// ```
#[derive(Clone, Debug)]
pub struct SecurityFields {
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Default for SecurityFields {
    fn default() -> Self {
        Self::new()
    }
}

impl SecurityFields {
    /// Makes the layer with the three fields of the table.
    #[must_use]
    pub fn new() -> Self {
        let fields = [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        let fields = fields.map(|(name, value)| (name, HeaderValue::from_static(value)));
        Self {
            fields: fields.into(),
        }
    }

    /// Adds `Content-Security-Policy`, which says from where a page may load what.
    ///
    /// # Panics
    ///
    /// When the policy has control characters.
    #[must_use]
    pub fn content_policy(self, policy: &str) -> Self {
        let value = HeaderValue::from_str(policy)
            .unwrap_or_else(|_| panic!("expected a policy of text, found {policy:?}"));
        self.field(header::CONTENT_SECURITY_POLICY, value)
    }

    /// Adds `Strict-Transport-Security`: for so long browsers ask this host by `https` only. For
    /// servers behind TLS, since browsers ignore it elsewhere (RFC 6797, section 8.1).
    #[must_use]
    pub fn https_only(self, max_age: Duration) -> Self {
        let value = HeaderValue::try_from(format!("max-age={}", max_age.as_secs()));
        let value = value.expect("a number is a field value");
        self.field(header::STRICT_TRANSPORT_SECURITY, value)
    }

    /// Adds a field, or gives it another value.
    #[must_use]
    pub fn field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.retain(|(known, _)| *known != name);
        self.fields.push((name, value));
        self
    }
}

impl Step for SecurityFields {
    fn sides(&self) -> Sides {
        Sides::After
    }

    fn after(&self, _: &Request, response: &mut Response) {
        for (name, value) in &self.fields {
            if response.field(name.as_str()).is_none() {
                response.add_field(name.clone(), value.clone());
            }
        }
    }
}

impl Layer for SecurityFields {
    async fn handle(&self, request: Request, next: Next<'_>) -> Response {
        handle_step(self, request, next).await
    }

    fn into_any(self) -> LayerBox {
        LayerBox::step(self)
    }
}
