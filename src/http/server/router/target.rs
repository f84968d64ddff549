//! The end of a request's way through the layers.

use super::{
    boxed_handler::BoxedHandler,
    routes::{Route, Routes},
};
use crate::http::{
    HeaderValue, Method, StatusCode, header,
    server::message::{request::Request, response::Response},
};

/// The handler that a router has found, or the reason why it answers by itself.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    Handler(&'a BoxedHandler),
    /// The path has no handler for the method.
    NoMethod(&'a Route),
    /// `OPTIONS *`, which is about all routes.
    Star(&'a Routes),
    /// No route has the path.
    NoRoute,
}

impl Target<'_> {
    pub(super) async fn answer(self, request: Request) -> Response {
        match self {
            Self::Handler(handler) => handler.handle(request).await,
            Self::NoMethod(route) => without_handler(route.allowed(), request.method()),
            Self::Star(routes) => {
                let allowed = routes.iter().flat_map(Route::allowed);
                without_handler(allowed, request.method())
            }
            Self::NoRoute => Response::new(StatusCode::NOT_FOUND),
        }
    }
}

/// The answer to a method that has no handler where `allowed` have one.
#[cold]
fn without_handler<'a>(allowed: impl Iterator<Item = &'a Method>, method: &Method) -> Response {
    let mut names: Vec<&str> = Vec::new();
    for name in allowed.chain([&Method::OPTIONS]).map(Method::as_str) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let allow = HeaderValue::try_from(names.join(", ")).expect("methods are tokens");
    let status = if method == Method::OPTIONS {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::METHOD_NOT_ALLOWED
    };
    Response::new(status).with_field(header::ALLOW, allow)
}
