//! Bodies in JSON.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    error::{Error, ErrorKind, Result},
    request::Request,
    response::Response,
};
use crate::http::{HeaderValue, header};

impl Request {
    /// Sets the body to `value` in JSON.
    ///
    /// Feature: `json`.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.try_with(|message| {
            let bytes = serde_json::to_vec(value).map_err(|error| {
                let text = "the value cannot be written as JSON";
                Error::with_source(ErrorKind::Request(text), error.into())
            })?;
            let content_type = HeaderValue::from_static("application/json");
            message.set(header::CONTENT_TYPE, content_type);
            message.body = bytes.into();
            Ok(())
        })
    }
}

impl Response {
    /// The whole body, read as JSON.
    ///
    /// Feature: `json`.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and when the body is not the JSON of such a value.
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Self::bytes).
    pub async fn json<T: DeserializeOwned>(mut self) -> Result<T> {
        let bytes = self.collect().await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let text = "the body is not the JSON that was expected";
            Error::with_source(ErrorKind::Decode(text), error.into()).asking(self.url())
        })
    }
}
