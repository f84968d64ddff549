//! The crate `h2` by itself, on both sides of a connection.

use annulus::{compat::Compat, net::TcpStream, spawn};
use bytes::Bytes;
use http::{Request, Response};

use crate::{listen, pattern, run_each};

/// Sends the body of each request back, with a trailer.
async fn serve(stream: TcpStream) {
    let mut connection = h2::server::handshake(Compat::new(stream)).await.unwrap();
    while let Some(accepted) = connection.accept().await {
        let (request, mut respond) = accepted.unwrap();
        spawn(async move {
            let mut body = request.into_body();
            let mut answer = respond.send_response(Response::new(()), false).unwrap();
            while let Some(data) = body.data().await {
                let data = data.unwrap();
                body.flow_control().release_capacity(data.len()).unwrap();
                answer.send_data(data, false).unwrap();
            }
            let mut trailers = http::HeaderMap::new();
            trailers.insert("x-end", "yes".parse().unwrap());
            answer.send_trailers(trailers).unwrap();
        });
    }
}

async fn exchange(client: h2::client::SendRequest<Bytes>, len: usize) {
    let mut client = client.ready().await.unwrap();
    let request = Request::post("http://localhost/").body(()).unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    let sent = pattern(len);
    body.send_data(Bytes::from(sent.clone()), true).unwrap();
    let mut echoed = response.await.unwrap().into_body();
    let mut received = Vec::new();
    while let Some(data) = echoed.data().await {
        let data = data.unwrap();
        echoed.flow_control().release_capacity(data.len()).unwrap();
        received.extend_from_slice(&data);
    }
    assert!(received == sent, "{len} bytes");
    let trailers = echoed.trailers().await.unwrap().unwrap();
    assert_eq!(trailers["x-end"], "yes");
}

#[test]
fn streams_with_bodies_and_trailers() {
    run_each(async || {
        let addr = listen(serve).await;
        let stream = Compat::new(TcpStream::connect(&*addr).await.unwrap());
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        spawn(connection);
        let tasks: Vec<_> = (0..64)
            .map(|index| spawn(exchange(client.clone(), index * 10_000)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}
