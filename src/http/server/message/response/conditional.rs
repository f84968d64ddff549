//! Answers by the conditions of their requests.

use std::time::{Duration, SystemTime};

use super::Response;
use crate::http::{
    HeaderName, HeaderValue, StatusCode,
    h1::{imf_fixdate, parse_date},
    header,
    representation::{
        ETag,
        conditions::{Validators, Verdict, evaluate},
    },
    server::message::{request::Request, response_body::ResponseBody},
};

/// Validators, by which clients and caches ask whether what they have is still right.
impl Response {
    /// Sets the field `ETag`: the name of this version of the answer.
    #[must_use]
    pub fn with_etag(self, etag: ETag) -> Self {
        self.with_field(header::ETAG, etag.into())
    }

    /// Sets the field `Last-Modified`, which has whole seconds.
    #[must_use]
    pub fn with_last_modified(self, time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.map_or(0, |since| since.as_secs());
        self.with_field(header::LAST_MODIFIED, date_value(seconds))
    }

    /// Answers by the conditions of `request` (RFC 9110, section 13.2): 304 without a body when
    /// the client has what the fields `ETag` and `Last-Modified` of this answer name, and 412 when
    /// it asks for another version. An answer without these fields stays as it is, and so does one
    /// that is no success.
    ///
    /// The handler has made the answer by then: this saves the sending. A handler that knows the
    /// tag before it does the work sets `with_etag` on an empty answer first, and looks whether
    /// that has become a 304.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{ETag, Request, Response};
    ///
    /// async fn prices(request: Request) -> Response {
    ///     let page = "copper 4\n";
    ///     Response::text(page).with_etag(ETag::of_content(page.as_bytes())).conditional(&request)
    /// }
    /// # let _ = prices;
    /// ```
    #[must_use]
    pub fn conditional(self, request: &Request) -> Self {
        if !self.status.is_success() {
            return self;
        }
        let field = |wanted: &HeaderName| {
            let mut fields = self.fields.iter();
            fields
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.as_bytes())
        };
        let now = unix_seconds();
        let etag = field(&header::ETAG).and_then(ETag::parse);
        let last_modified = field(&header::LAST_MODIFIED).and_then(|value| parse_date(value, now));
        if etag.is_none() && last_modified.is_none() {
            return self;
        }
        let validators = Validators {
            exists: true,
            etag: etag.as_ref(),
            last_modified,
            is_date_strong: false,
        };
        match evaluate(request.method(), request.head().fields(), validators, now) {
            Verdict::Proceed { .. } => self,
            Verdict::NotModified => self.into_not_modified(),
            Verdict::Failed => Self::new(StatusCode::PRECONDITION_FAILED),
        }
    }

    /// Leaves out what belongs to the representation and not to this answer.
    pub(crate) fn without_validators(mut self) -> Self {
        self.fields.retain(|(name, _)| {
            *name != header::ETAG
                && *name != header::LAST_MODIFIED
                && *name != header::ACCEPT_RANGES
        });
        self
    }

    /// Answers 304 with the fields that a 200 would have, but for those about its content (RFC
    /// 9110, section 15.4.5).
    pub(crate) fn into_not_modified(mut self) -> Self {
        self.status = StatusCode::NOT_MODIFIED;
        self.content_type = None;
        self.body = ResponseBody::default();
        self.fields.retain(|(name, _)| {
            let name = name.as_str();
            !name.starts_with("content-") || name == "content-location"
        });
        self
    }
}

/// The present time, in seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

/// A time as a field's value.
pub(crate) fn date_value(unix_seconds: u64) -> HeaderValue {
    HeaderValue::from_bytes(&imf_fixdate(unix_seconds)).expect("a date is visible ASCII")
}
