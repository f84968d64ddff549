//! The error of an answer that went through other hands.

use super::Response;
use crate::http::error::Error;

impl Response {
    /// Sets the error that it stands for, for the access log.
    pub(crate) fn set_error(&mut self, error: Box<Error>) {
        self.error = Some(error);
    }
}
