//! Compression as a layer.

use std::mem;

use crate::http::{
    Compression, Layer, Next, Request, Response, StatusCode,
    server::{LayerBox, Step, handle_step},
};

impl Step for Compression {
    fn before(&self, _: &mut Request) -> Option<Response> {
        None
    }

    fn after(&self, request: &Request, response: &mut Response) {
        let answered = mem::replace(response, Response::new(StatusCode::OK));
        *response = self.apply(answered, request);
    }
}

/// Compresses what is below a router.
impl Layer for Compression {
    async fn handle(&self, request: Request, next: Next<'_>) -> Response {
        handle_step(self, request, next).await
    }

    fn into_any(self) -> LayerBox {
        LayerBox::step(self)
    }
}
