//! An HTTP/3 answer, by the crate `h3` over [`quic`](crate::quic).

use std::future::poll_fn;

use annulus::spawn;
use bytes::{Buf as _, Bytes};
use h3::server::RequestResolver;
use http::{Request, Response};
use quinn::Connection;

use crate::quic_echo::Result;

/// The name of HTTP/3 for ALPN.
pub const PROTOCOL: &[u8] = b"h3";

/// Answers each request of a connection by its method and its path.
pub async fn serve(connection: Connection) -> Result<()> {
    let mut connection =
        h3::server::Connection::<_, Bytes>::new(h3_quinn::Connection::new(connection)).await?;
    loop {
        match connection.accept().await {
            // A request that fails leaves the others as they are.
            Ok(Some(request)) => drop(spawn(answer(request))),
            Ok(None) => return Ok(()),
            Err(error) if error.is_h3_no_error() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn answer(request: RequestResolver<h3_quinn::Connection, Bytes>) -> Result<()> {
    let (request, mut stream) = request.resolve_request().await?;
    let text = format!("{} {}\n", request.method(), request.uri().path());
    let head = Response::builder().header("content-type", "text/plain");
    stream.send_response(head.body(())?).await?;
    stream.send_data(text.into()).await?;
    Ok(stream.finish().await?)
}

/// Sends a GET for each of the paths over one connection, and returns the bodies.
pub async fn get(connection: Connection, paths: &[&str]) -> Result<Vec<String>> {
    let connection = h3_quinn::Connection::new(connection);
    let (mut driver, mut requests) = h3::client::new(connection).await?;
    let driving = spawn(async move { poll_fn(|context| driver.poll_close(context)).await });
    let mut bodies = Vec::new();
    for path in paths {
        let request = Request::get(format!("https://localhost{path}")).body(())?;
        let mut stream = requests.send_request(request).await?;
        stream.finish().await?;
        let response = stream.recv_response().await?;
        if !response.status().is_success() {
            return Err(format!("{path}: {}", response.status()).into());
        }
        let mut body = Vec::new();
        while let Some(mut piece) = stream.recv_data().await? {
            body.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
        }
        bodies.push(String::from_utf8(body)?);
    }
    drop(requests);
    // The driver closes the connection when the last handle for requests is gone.
    driving.await?;
    Ok(bodies)
}
