//! The servers, each of which answers the same paths: `/up` counts the body, `/down` sends a GiB in
//! pieces of 64 KiB, `/head` reads three fields, and everything else is greeted.

use std::{
    convert::Infallible,
    env,
    fs::File,
    hint::black_box,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use annulus::{
    Cores,
    http::{self, Method, Request, Response, Server, StatusCode, header},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const PIECE_BYTES: usize = 64 * 1024;
const DOWN_BYTES: u64 = 1 << 30;
static PIECE: [u8; PIECE_BYTES] = [b'x'; PIECE_BYTES];

/// The memory that a handler of the idle connections holds while it waits.
const HELD_BYTES: usize = 4096;

pub(crate) fn serve(name: &str, port: u16) {
    match name {
        "annulus" => serve_annulus(port),
        "hyper" => on_tokio(port, async |stream| serve_hyper(stream, Some(PIECE_BYTES)).await),
        "hyper-default" => on_tokio(port, async |stream| serve_hyper(stream, None).await),
        "tokio" => on_tokio(port, async |stream| drop(serve_tokio(stream).await)),
        other => panic!("expected annulus, hyper, hyper-default or tokio, found {other}"),
    }
}

fn serve_annulus(port: u16) {
    let path = large_file();
    Server::new().listen(("127.0.0.1", port))
        .cores(Cores::Count(1))
        .run(async move |request: Request| answer(request, &path).await)
        .expect("the server runs");
}

async fn answer(mut request: Request, path: &PathBuf) -> http::Result<Response> {
    match request.path() {
        "/up" if *request.method() == Method::PUT => {
            let mut body = request.take_body().limit(u64::MAX);
            let mut len = 0;
            while let Some(piece) = body.next().await? {
                len += piece.len();
            }
            Ok(Response::text(len.to_string()))
        }
        "/up" => Err(StatusCode::METHOD_NOT_ALLOWED.into()),
        "/down" => {
            let response = Response::writer(async |mut out| {
                for _ in 0..DOWN_BYTES / PIECE_BYTES as u64 {
                    out.write(&PIECE[..]).await?;
                }
                Ok(())
            });
            Ok(response.with_field(header::CONTENT_LENGTH, DOWN_BYTES.into()))
        }
        "/file" => Response::file(path).await,
        "/head" => {
            let len = |name| request.field(name).map_or(0, <[u8]>::len);
            let len = len("user-agent") + len("accept-language") + len("cookie");
            Ok(Response::text(format!("Hello, World! {len}")))
        }
        _ => {
            let mut held = [0; HELD_BYTES];
            black_box(&mut held);
            std::future::ready(()).await;
            black_box(&mut held);
            Ok(Response::text("Hello, World!"))
        }
    }
}

/// A file of a GiB, made once; it has holes only, which are read as a file's pages are.
fn large_file() -> PathBuf {
    let path = env::temp_dir().join("annulus-bench-http");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .expect("a file can be made");
    file.set_len(DOWN_BYTES).expect("a file can be made long");
    path
}

fn on_tokio<S: AsyncFn(tokio::net::TcpStream) + Copy + 'static>(port: u16, serve: S) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("tokio starts");
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async move {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket can be made");
        socket.set_reuseaddr(true).expect("it is a socket");
        socket
            .bind(([127, 0, 0, 1], port).into())
            .expect("the port is free");
        let listener = socket.listen(4096).expect("it is bound");
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let _ = stream.set_nodelay(true);
            tokio::task::spawn_local(async move { serve(stream).await });
        }
    });
}

/// With buffers of a size, for what it receives and for what it gathers to send, or of its own
/// choice.
async fn serve_hyper(stream: tokio::net::TcpStream, buf_bytes: Option<usize>) {
    let service = hyper::service::service_fn(answer_with_hyper);
    let stream = hyper_util::rt::TokioIo::new(stream);
    let mut builder = hyper::server::conn::http1::Builder::new();
    if let Some(bytes) = buf_bytes {
        builder.max_buf_size(bytes);
    }
    let _ = builder.serve_connection(stream, service).await;
}

async fn answer_with_hyper(
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Either<Full<Bytes>, Down>>, Infallible> {
    let body = match request.uri().path() {
        "/up" => {
            let mut body = request.into_body();
            let mut len = 0;
            while let Some(Ok(frame)) = body.frame().await {
                len += frame.data_ref().map_or(0, Bytes::len);
            }
            Either::Left(Full::from(len.to_string()))
        }
        "/down" => Either::Right(Down { left: DOWN_BYTES }),
        "/head" => {
            use hyper::header::{ACCEPT_LANGUAGE, COOKIE, USER_AGENT};

            let fields = request.headers();
            let len = |name| fields.get(name).map_or(0, |value| value.as_bytes().len());
            let len = len(USER_AGENT) + len(ACCEPT_LANGUAGE) + len(COOKIE);
            Either::Left(Full::from(format!("Hello, World! {len}")))
        }
        _ => Either::Left(Full::from("Hello, World!")),
    };
    let mut response = hyper::Response::new(body);
    let text = hyper::header::HeaderValue::from_static("text/plain");
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, text);
    Ok(response)
}

struct Down {
    left: u64,
}

impl hyper::body::Body for Down {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= PIECE_BYTES as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Nearly no HTTP: what a body costs on tokio at the least, one buffer of 64 KiB for a connection.
async fn serve_tokio(mut stream: tokio::net::TcpStream) -> std::io::Result<()> {
    let mut buf = vec![0; PIECE_BYTES];
    loop {
        let mut filled = 0;
        let end = loop {
            let count = stream.read(&mut buf[filled..]).await?;
            if count == 0 {
                return Ok(());
            }
            filled += count;
            if let Some(at) = buf[..filled]
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n")
            {
                break at + 4;
            }
        };
        let head = String::from_utf8_lossy(&buf[..end]).into_owned();
        if head.starts_with("GET /down") {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {DOWN_BYTES}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            for _ in 0..DOWN_BYTES / PIECE_BYTES as u64 {
                stream.write_all(&PIECE).await?;
            }
            continue;
        }
        let length = head.split("Content-Length: ").nth(1);
        let length: Option<u64> = length.and_then(|rest| rest.split('\r').next()?.parse().ok());
        let mut tail: Vec<u8> = buf[end..filled].to_vec();
        let mut received = tail.len() as u64;
        // A body in chunks is not decoded: its end is looked for.
        while length.map_or(!tail.ends_with(b"0\r\n\r\n"), |length| received < length) {
            let count = stream.read(&mut buf).await?;
            if count == 0 {
                return Ok(());
            }
            received += count as u64;
            tail = buf[..count][count.saturating_sub(5)..].to_vec();
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await?;
    }
}
