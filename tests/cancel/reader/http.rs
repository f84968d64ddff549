//! The bodies of requests and responses.

use annulus::{
    http::{self, Client, Connection, Request, Response},
    net::{TcpListener, TcpStream},
};

use super::*;

/// A request's body that is sent in chunks, and the reader of it in the handler.
#[test]
fn frames_in_a_requests_body_stay_whole_when_reads_are_dropped_at_random() {
    for_each_seed(async |seed| {
        let (near, far): (TcpStream, TcpStream) = pair().await;
        let far = Rc::new(far);
        let server = spawn(Connection::new().serve(
            near,
            async move |mut request: Request| -> http::Result<String> {
                let body = request.take_body().limit(u64::MAX);
                receive(body, seed).await;
                Ok("all frames".to_owned())
            },
        ));
        let head = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
        far.write_all(head).await.unwrap();
        send(seed, |piece| {
            let far = Rc::clone(&far);
            let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
            chunk.extend_from_slice(&piece);
            chunk.extend_from_slice(b"\r\n");
            async move { far.write_all(chunk).await.map(drop) }
        })
        .await;
        far.write_all("0\r\n\r\n").await.unwrap();
        let mut answer = Reader::new(&*far);
        assert_eq!(
            answer.read_until(b'\n', 100).await.unwrap(),
            b"HTTP/1.1 200 OK\r\n"
        );
        drop(answer);
        drop(far);
        server.await.unwrap();
    });
}

/// A response's body that a handler writes in pieces, and the client's reader of it.
#[test]
fn frames_in_a_responses_body_stay_whole_when_reads_are_dropped_at_random() {
    for_each_seed(async |seed| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let handler = async move |_request: Request| -> http::Result<Response> {
                Ok(Response::writer(async move |mut out| {
                    for piece in pieces(seed) {
                        out.write(piece).await?;
                    }
                    Ok(())
                }))
            };
            Connection::new().serve(stream, handler).await;
        });
        let client = Client::new();
        let response = client.get(format!("http://{addr}/")).send().await.unwrap();
        let (source, rest) = response.reader().into_parts();
        assert!(rest.is_empty());
        receive(source, seed).await;
        drop(client);
        server.await.unwrap();
    });
}
