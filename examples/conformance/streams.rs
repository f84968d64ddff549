//! The answers of `conformance` that are written in pieces.

use std::time::Duration;

use annulus::{
    http::{BodyWriter, HeaderValue, Response, header},
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
    response.field(header::CONTENT_LENGTH, HeaderValue::from(count))
}

pub(crate) fn events() -> Response {
    let response = Response::writer(async |mut out: BodyWriter| {
        for number in 0..3 {
            out.write(format!("id: {number}\ndata: tick {number}\n\n"))
                .await?;
            out.flush().await?;
            time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    });
    let media_type = HeaderValue::from_static("text/event-stream");
    response.field(header::CONTENT_TYPE, media_type)
}
