//! The answers of `conformance` that are written in pieces.

use std::time::Duration;

use annulus::{
    http::{self, BodyWriter, Event, EventSender, HeaderValue, Request, Response, header},
    time,
};

const PIECE: &[u8] = &[b'x'; 64 << 10];

pub(crate) fn chunked() -> Response {
    Response::writer(async |mut out: BodyWriter| {
        for piece in ["alpha,", "beta,", "gamma"] {
            out.write(piece).await?;
            out.flush().await?;
        }
        Ok(())
    })
}

/// Written only as fast as the client reads.
pub(crate) fn big(count: u64) -> Response {
    let response = Response::writer(async move |mut out: BodyWriter| {
        let mut left = count;
        while left > 0 {
            let len = left.min(PIECE.len() as u64);
            out.write(&PIECE[..len as usize]).await?;
            left -= len;
        }
        Ok(())
    });
    response.with_field(header::CONTENT_LENGTH, HeaderValue::from(count))
}

pub(crate) async fn file() -> http::Result<Response> {
    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/conformance");
    Response::file(format!("{FOLDER}/static/hello.txt")).await
}

pub(crate) fn events() -> Response {
    Response::sse(async |mut events: EventSender| {
        for number in 0..3 {
            let event = Event::data(format!("tick {number}"));
            events.send(event.id(number.to_string())).await?;
            time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
}

/// A number of the query, or zero.
pub(crate) fn number(request: &Request, name: &str) -> u64 {
    let mut pairs = request.query().unwrap_or("").split('&');
    let text = pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
