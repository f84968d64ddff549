//! The answers of `conformance` that send back what came.

use annulus::http::{
    self, HeaderName, HeaderValue, Request, Response, StatusCode, websocket::WebSocket,
};

/// Each message of a WebSocket.
pub(crate) async fn messages(mut socket: WebSocket) -> http::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// The body, with the method and the target.
pub(crate) async fn body(mut request: Request) -> http::Result<Response> {
    let value = |text: &str| HeaderValue::from_str(text).or(Err(StatusCode::BAD_REQUEST));
    let (method, target) = (value(request.method().as_str())?, value(request.target())?);
    Ok(Response::bytes(request.take_body().bytes().await?)
        .with_field(HeaderName::from_static("x-method"), method)
        .with_field(HeaderName::from_static("x-target"), target))
}
