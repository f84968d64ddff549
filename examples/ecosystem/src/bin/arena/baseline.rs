//! The endpoints that need neither data nor a database.

use std::time::Duration;

use annulus::{
    http::{
        self, Error, Request, Response, StatusCode,
        websocket::{Options, Origins, WebSocket},
    },
    time,
};
use serde::Deserialize;

/// The longest number in a body.
const NUMBER_BYTES_MAX: u64 = 64;

/// The largest upload.
const UPLOAD_BYTES_MAX: u64 = 32 << 20;

/// The longest wait of `/delay/{ms}`, in milliseconds.
const DELAY_MAX: u64 = 60_000;

#[derive(Deserialize)]
struct Summands {
    a: i64,
    b: i64,
}

/// Adds `a` and `b` of the query, and the number in the body if there is one.
pub(crate) async fn sum(mut request: Request) -> http::Result<String> {
    let Summands { a, b } = request.query_as()?;
    let body = request.take_body().limit(NUMBER_BYTES_MAX).bytes().await?;
    let text = str::from_utf8(&body).map_err(|_| bad_number())?.trim();
    let c = match text {
        "" => 0,
        text => text.parse::<i64>().map_err(|_| bad_number())?,
    };
    let sum = a.checked_add(b).and_then(|sum| sum.checked_add(c));
    Ok(sum.ok_or_else(bad_number)?.to_string())
}

fn bad_number() -> Error {
    let reason = "expected whole numbers whose sum has 64 bits";
    Error::new(StatusCode::BAD_REQUEST, reason)
}

/// Counts the bytes of the body as they come.
pub(crate) async fn upload(mut request: Request) -> http::Result<String> {
    let mut body = request.take_body().limit(UPLOAD_BYTES_MAX);
    let mut count = 0;
    while let Some(piece) = body.next().await? {
        count += piece.len();
    }
    Ok(count.to_string())
}

/// Sends the body back.
pub(crate) async fn echo(mut request: Request) -> http::Result<Response> {
    let body = request.take_body().bytes().await?;
    Ok(Response::bytes(body))
}

/// Answers after a time.
pub(crate) async fn delay(request: Request) -> http::Result<String> {
    let ms: u64 = request.param("ms")?;
    time::sleep(Duration::from_millis(ms.min(DELAY_MAX))).await;
    Ok(ms.to_string())
}

/// Sends each message of a WebSocket back. Clients of any origin may use it.
pub(crate) async fn websocket(request: Request) -> Response {
    let options = Options::new().origins(Origins::Any);
    request.websocket_with(&options, async |mut socket: WebSocket| {
        while let Some(message) = socket.recv().await? {
            socket.send(message).await?;
        }
        Ok(())
    })
}
