//! An answer tells whether its connection stays open, and that is what the connection does.

use std::future::poll_fn;

use annulus::http::{BodyWriter, Connection, Limits, Request, Response, StatusCode};

use crate::client::{Client, GET};

/// How the handler that a request names deals with the request's body.
async fn handle(mut request: Request) -> Response {
    let path = request.path().to_owned();
    match path.as_str() {
        "/ignore" => Response::text("ignored"),
        "/refuse" => Response::new(StatusCode::FORBIDDEN),
        "/no-content" => Response::writer(async |_| Ok(())).with_status(StatusCode::NO_CONTENT),
        "/write" => Response::writer(async |mut out: BodyWriter| out.write("written").await),
        "/hold" => {
            let body = request.take_body();
            Response::writer(async move |mut out: BodyWriter| {
                out.write(format!("{:?}", body.bytes_left())).await
            })
        }
        "/late" => Response::writer(async move |mut out: BodyWriter| {
            let body = request.take_body().limit(u64::MAX).bytes().await?;
            out.write(body.len().to_string()).await
        }),
        "/first" => {
            let mut body = request.take_body();
            let _ = body.next().await;
            Response::text("the first piece")
        }
        "/read" => match request.take_body().limit(u64::MAX).bytes().await {
            Ok(body) => Response::text(body.len().to_string()),
            Err(error) => Response::new(error.status()),
        },
        _ => Response::text("other"),
    }
}

fn chunks(bytes: usize) -> Vec<u8> {
    let mut body = Vec::new();
    let mut left = bytes;
    while left > 0 {
        let len = left.min(10_000);
        body.extend_from_slice(format!("{len:x}\r\n").as_bytes());
        body.resize(body.len() + len, b'x');
        body.extend_from_slice(b"\r\n");
        left -= len;
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

/// A request in its parts: what is sent before the answer is waited for, and what is sent then.
fn upload(method: &str, path: &str, framing: &str, at_once: &[u8], later: &[u8]) -> [Vec<u8>; 2] {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n");
    [[head.as_bytes(), at_once].concat(), later.to_vec()]
}

/// Sends until the server takes no more.
async fn send(client: &mut Client, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let sent = poll_fn(|context| client.stream.poll_write(context, bytes)).await;
        match sent {
            Ok(sent) => bytes = &bytes[sent..],
            Err(_) => return,
        }
    }
}

/// Plays an upload and a request behind it, and returns whether the answer says that the connection
/// stays, which must be what it does.
async fn stays([before, behind]: [Vec<u8>; 2], is_head: bool) -> bool {
    let limits = Limits {
        body_bytes_max: 64 * 1024,
        ..Limits::default()
    };
    let mut client = Client::of(Connection::new().limits(limits), handle);
    client.send(&before).await;
    let read_first = String::from_utf8_lossy(&before).contains("/read");
    let read_first = read_first || String::from_utf8_lossy(&before).contains("/late");
    if read_first {
        send(&mut client, &behind).await;
    }
    let mut head = client.until("\r\n\r\n").await;
    if head.starts_with("HTTP/1.1 100 ") {
        head = client.until("\r\n\r\n").await;
    }
    if !read_first {
        send(&mut client, &behind).await;
    }
    send(&mut client, GET.replace("GET / ", "GET /other ").as_bytes()).await;
    send(
        &mut client,
        GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
            .as_bytes(),
    )
    .await;
    let rest = client.rest().await;
    let says_stays = !head.contains("Connection: close");
    let expected = if says_stays { 2 } else { 0 };
    assert_eq!(
        rest.matches("HTTP/1.1 200 OK\r\n").count(),
        expected,
        "{head:?} (HEAD: {is_head}), then {rest:?}"
    );
    says_stays
}

#[test]
fn an_answer_says_close_when_the_end_of_the_request_is_not_near() {
    annulus::run(async {
        const CHUNKED: &str = "Transfer-Encoding: chunked";
        const EXPECTED: &str = "Transfer-Encoding: chunked\r\nExpect: 100-continue";
        let sized = |bytes: usize| format!("Content-Length: {bytes}");
        let body = |bytes: usize| vec![b'x'; bytes];
        let large = 1 << 20;
        for (path, method) in [
            ("/ignore", "POST"),
            ("/ignore", "HEAD"),
            ("/refuse", "POST"),
            ("/no-content", "POST"),
            ("/write", "POST"),
            ("/write", "HEAD"),
            ("/hold", "HEAD"),
            ("/first", "POST"),
        ] {
            let is_head = method == "HEAD";
            let upload = |framing: &str, at_once: &[u8], later: &[u8]| {
                upload(method, path, framing, at_once, later)
            };
            let case = format!("{method} {path}");
            // The end is not here, and nothing tells where it is.
            assert!(
                !stays(upload(CHUNKED, b"3\r\nabc\r\n", &chunks(large)), is_head).await,
                "{case}"
            );
            assert!(
                !stays(upload(CHUNKED, b"3\r\nabc\r\n", &chunks(10)), is_head).await,
                "{case}"
            );
            // It is here.
            assert!(
                stays(upload(CHUNKED, &chunks(10), b""), is_head).await,
                "{case}"
            );
            // It is known to be near, also beyond the limit on what a handler takes; or to be far.
            assert!(
                stays(upload(&sized(1000), b"x", &body(999)), is_head).await,
                "{case}"
            );
            if path != "/first" {
                assert!(
                    stays(upload(&sized(200_000), b"x", &body(199_999)), is_head).await,
                    "{case}"
                );
                // Nothing tells whether the body will come.
                assert!(!stays(upload(EXPECTED, b"", b""), is_head).await, "{case}");
            }
            assert!(
                !stays(upload(&sized(300_000), b"x", &body(299_999)), is_head).await,
                "{case}"
            );
        }
        // Who has the body may read it to its end. If it does not, that is done for it.
        for path in ["/hold", "/late"] {
            let upload = |framing: &str, later: &[u8]| upload("POST", path, framing, b"", later);
            assert!(
                stays(upload(CHUNKED, &chunks(large)), false).await,
                "{path}"
            );
            assert!(
                stays(upload(&sized(300_000), &body(300_000)), false).await,
                "{path}"
            );
        }
        let read = |framing: &str, later: &[u8]| upload("POST", "/read", framing, b"", later);
        assert!(stays(read(CHUNKED, &chunks(large)), false).await);
        assert!(stays(read(EXPECTED, &chunks(large)), false).await);
    });
}
