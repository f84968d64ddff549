//! Files below a prefix of a router.

use std::rc::Rc;

use super::Files;
use crate::http::server::message::{handler::Handler, request::Request, response::Response};

/// The name of the parameter with the path.
const PARAM: &str = "path";

/// Serves files by the part of a request's path that the router has matched by
/// [`PATTERN`](Self::PATTERN).
#[derive(Clone)]
pub(crate) struct Mounted(Rc<Files>);

impl Mounted {
    pub(crate) const PATTERN: &'static str = "{*path}";

    pub(crate) fn new(files: Files) -> Self {
        Self(Rc::new(files))
    }
}

impl Handler for Mounted {
    async fn handle(&self, request: Request) -> Response {
        let path = request.path();
        let sent = match request.raw_param(PARAM) {
            // It is the end of the path, with a slash before it.
            Some(param) => &path[path.len() - param.len() - 1..],
            None if path.ends_with('/') => "/",
            None => "",
        };
        self.0.answer(&request, sent).await
    }
}
