//! Handlers, each of which answers the same by HTTP/1.1 and by HTTP/2.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
};

use annulus::{
    compat::Compat,
    http::{
        self, Body, BodyWriter, Client, Connection, Event, Handler, HeaderMap, HeaderName,
        HeaderValue, Method, Refusal, Request, Response, Router, StatusCode, client, header,
    },
    io::duplex,
    net::TcpListener,
    spawn,
    sync::Notify,
    task::yield_now,
};
use bytes::Bytes;

use crate::{
    frames::{self, Peer},
    support::{Folder, run_each},
};

/// An answer, as either version gives it.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    fields: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A request that either version sends.
#[derive(Clone)]
struct Ask {
    method: Method,
    path: &'static str,
    fields: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
}

fn get(path: &'static str) -> Ask {
    Ask {
        method: Method::GET,
        path,
        fields: Vec::new(),
        body: Vec::new(),
    }
}

fn post(path: &'static str, body: impl Into<Vec<u8>>) -> Ask {
    Ask {
        method: Method::POST,
        body: body.into(),
        ..get(path)
    }
}

/// Asks by HTTP/2.
async fn by_h2(handler: impl Handler, asks: &[Ask]) -> Vec<Answer> {
    by_h2_on(Connection::new(), handler, asks).await
}

/// Asks by HTTP/2 over a connection with these settings.
async fn by_h2_on(connection: Connection, handler: impl Handler, asks: &[Ask]) -> Vec<Answer> {
    let (near, far) = duplex(1 << 16);
    let served = spawn(connection.serve(far, handler));
    let (mut client, connection) = ::h2::client::handshake(Compat::new(near)).await.unwrap();
    let driven = spawn(connection);
    let mut answers = Vec::new();
    for ask in asks {
        let mut request = ::http::Request::builder()
            .method(ask.method.clone())
            .uri(format!("http://test{}", ask.path));
        for (name, value) in &ask.fields {
            request = request.header(*name, *value);
        }
        poll_fn(|context| client.poll_ready(context)).await.unwrap();
        let is_end = ask.body.is_empty();
        let request = request.body(()).unwrap();
        let (response, mut upload) = client.send_request(request, is_end).unwrap();
        if !is_end {
            let body = Bytes::from(ask.body.clone());
            drop(spawn(async move { upload_all(&mut upload, body).await }));
        }
        let (head, mut body) = response.await.unwrap().into_parts();
        let mut bytes = Vec::new();
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            bytes.extend_from_slice(&data);
        }
        answers.push(Answer {
            status: head.status,
            fields: head.headers,
            body: bytes,
            trailers: body.trailers().await.unwrap().unwrap_or_default(),
        });
    }
    drop(client);
    driven.await.unwrap().unwrap();
    served.await.unwrap();
    answers
}

/// Sends a body as fast as it is taken.
async fn upload_all(upload: &mut ::h2::SendStream<Bytes>, mut bytes: Bytes) {
    while !bytes.is_empty() {
        upload.reserve_capacity(bytes.len());
        let Some(Ok(room)) = poll_fn(|context| upload.poll_capacity(context)).await else {
            // The answer came before.
            return;
        };
        let piece = bytes.split_to(room.min(bytes.len()));
        upload.send_data(piece, bytes.is_empty()).unwrap();
    }
}

/// Asks by HTTP/1.1.
async fn by_h1(handler: impl Handler, asks: &[Ask]) -> Vec<Answer> {
    let handler = Rc::new(handler);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let accepting = spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let handler = Rc::clone(&handler);
            let shared = async move |request: Request| handler.handle(request).await;
            drop(spawn(Connection::new().serve(stream, shared)));
        }
    });
    let client = Client::new();
    let mut answers = Vec::new();
    for ask in asks {
        let mut request = client.request(ask.method.clone(), format!("http://{addr}{}", ask.path));
        for (name, value) in &ask.fields {
            request = request.with_field(*name, *value);
        }
        if !ask.body.is_empty() {
            request = request.body(ask.body.clone());
        }
        let mut response: client::Response = request.send().await.unwrap();
        let (status, fields) = (response.status(), response.field_map());
        let mut body = Vec::new();
        while let Some(piece) = response.next().await.unwrap() {
            body.extend_from_slice(&piece);
        }
        let trailers = response.trailers();
        answers.push(Answer {
            status,
            fields,
            body,
            trailers,
        });
    }
    accepting.abort();
    answers
}

/// Asks by both, on both drivers, and has `check` look at the answers.
fn both<H: Handler>(
    make: impl Fn() -> H + Copy + 'static,
    asks: Vec<Ask>,
    check: impl Fn(&[Answer]) + Copy + 'static,
) {
    run_each(async || {
        check(&by_h1(make(), &asks).await);
        check(&by_h2(make(), &asks).await);
    });
}

async fn echo(mut request: Request) -> http::Result<Response> {
    Ok(Response::bytes(
        request.take_body().limit(1 << 30).bytes().await?,
    ))
}

#[test]
fn a_router_finds_its_routes_by_both_versions() {
    let router = || {
        Router::new()
            .get("/hello/{name}", async |request: Request| {
                let name: String = request.param("name")?;
                Ok::<_, http::Error>(format!("hello {name}"))
            })
            .post("/echo", echo)
    };
    let asks = vec![
        get("/hello/you?x=1"),
        post("/echo", "hi"),
        get("/echo"),
        get("/none"),
    ];
    both(router, asks, |answers| {
        assert_eq!(answers[0].text(), "hello you");
        assert_eq!(answers[1].text(), "hi");
        assert_eq!(answers[2].status, 405);
        assert_eq!(answers[2].fields[header::ALLOW], "POST, OPTIONS");
        assert_eq!(answers[3].status, 404);
    });
}

#[test]
fn large_bodies_go_both_ways() {
    let body: Vec<u8> = (0..3_000_000_u32)
        .map(|index| (index % 251) as u8)
        .collect();
    let asks = vec![post("/", body.clone()), post("/", "small")];
    run_each(async || {
        for answers in [by_h1(echo, &asks).await, by_h2(echo, &asks).await] {
            assert!(answers[0].body == body, "{} bytes", answers[0].body.len());
            assert_eq!(answers[1].text(), "small");
        }
    });
}

#[test]
fn a_body_that_is_written_in_pieces_ends_with_its_trailers() {
    let handler = || {
        async |_: Request| {
            Response::writer(async |mut out: BodyWriter| {
                for number in 0..100 {
                    out.write(format!("line {number}\n")).await?;
                    if number % 10 == 0 {
                        yield_now().await;
                    }
                }
                let name = HeaderName::from_static("grpc-status");
                out.add_trailer(name, HeaderValue::from_static("0"));
                Ok(())
            })
        }
    };
    let mut ask = get("/");
    ask.fields.push(("te", "trailers"));
    both(handler, vec![ask], |answers| {
        assert_eq!(answers[0].text().lines().count(), 100);
        assert_eq!(answers[0].trailers["grpc-status"], "0");
    });
}

#[test]
fn an_answer_is_written_while_the_request_is_read() {
    let handler = || {
        async |mut request: Request| {
            let mut body: Body = request.take_body().limit(1 << 30);
            Response::writer(async move |mut out: BodyWriter| {
                while let Some(piece) = body.next().await? {
                    out.write(piece.to_vec()).await?;
                }
                Ok(())
            })
        }
    };
    let body = vec![b'x'; 1_000_000];
    both(handler, vec![post("/", body)], |answers| {
        assert_eq!(answers[0].body.len(), 1_000_000);
    });
}

#[test]
fn events_and_files_are_answers_as_others() {
    let folder = Folder::new("h2-file");
    let path = folder.path("a.txt");
    std::fs::write(&path, vec![b'f'; 200_000]).unwrap();
    let handler = async move |request: Request| -> http::Result<Response> {
        if request.path() == "/file" {
            return Response::file(&path).await;
        }
        Ok(Response::sse(async |mut events| {
            for number in 0..3 {
                events.send(Event::data(format!("tick {number}"))).await?;
            }
            Ok(())
        }))
    };
    let handler = Rc::new(handler);
    run_each(async || {
        let asks = [get("/file"), get("/events")];
        let shared = || {
            let handler = Rc::clone(&handler);
            async move |request: Request| handler.handle(request).await
        };
        for answers in [by_h1(shared(), &asks).await, by_h2(shared(), &asks).await] {
            assert_eq!(answers[0].body.len(), 200_000);
            assert_eq!(answers[0].fields[header::CONTENT_LENGTH], "200000");
            assert_eq!(answers[1].fields[header::CONTENT_TYPE], "text/event-stream");
            assert!(answers[1].text().contains("data: tick 2\n\n"));
        }
    });
}

#[test]
fn failures_have_the_same_status() {
    let handler = || {
        async |mut request: Request| -> http::Result<Response> {
            match request.path() {
                "/panic" => panic!("the handler panics"),
                "/large" => {
                    request.take_body().limit(4).bytes().await?;
                    Ok(Response::text("small"))
                }
                "/early" => Ok(Response::writer(async |_| Err(StatusCode::CONFLICT.into()))),
                "/informational" => Ok(Response::new(StatusCode::PROCESSING)),
                _ => Err(StatusCode::IM_A_TEAPOT.into()),
            }
        }
    };
    let asks = vec![
        get("/panic"),
        get("/early"),
        get("/informational"),
        get("/"),
        post("/large", "12345"),
    ];
    both(handler, asks, |answers| {
        let codes: Vec<_> = answers
            .iter()
            .map(|answer| answer.status.as_u16())
            .collect();
        assert_eq!(codes, [500, 409, 500, 418, 413]);
    });
}

#[test]
fn values_of_a_request_do_not_reach_the_next() {
    let handler = || {
        async |request: Request| {
            let before = request.extensions().get::<u32>();
            request.extensions().insert(7_u32);
            format!("{before:?}")
        }
    };
    both(handler, vec![get("/"), get("/")], |answers| {
        assert!(answers.iter().all(|answer| answer.text() == "None"));
    });
}

#[test]
fn refusals_are_answered_by_their_hook() {
    run_each(async || {
        let handler = async |request: Request| -> http::Result<&str> {
            request.extensions().insert("seven");
            panic!("the handler panics")
        };
        let connection = Connection::new().on_refusal(|refusal: &Refusal<'_>| {
            let value = refusal.extension::<&str>().map(|value| *value);
            Response::text(format!("{:?} {value:?}", refusal.target()))
        });
        let answers = by_h2_on(connection, handler, &[get("/panic")]).await;
        assert_eq!(answers[0].status, 500);
        assert_eq!(answers[0].text(), "Some(\"/panic\") Some(\"seven\")");
    });
}

#[test]
fn an_answer_without_a_body_has_none() {
    let handler = || {
        async |request: Request| match request.path() {
            "/204" => Response::new(StatusCode::NO_CONTENT),
            "/304" => Response::new(StatusCode::NOT_MODIFIED),
            _ => Response::text("hello"),
        }
    };
    let head = Ask {
        method: Method::HEAD,
        ..get("/")
    };
    both(handler, vec![head, get("/204"), get("/304")], |answers| {
        assert_eq!(answers[0].fields[header::CONTENT_LENGTH], "5");
        assert!(!answers[1].fields.contains_key(header::CONTENT_LENGTH));
        assert!(answers.iter().all(|answer| answer.body.is_empty()));
        assert_eq!(answers[2].status, 304);
    });
}

#[test]
fn a_handler_sees_a_request_of_http_2_as_one_of_its_version() {
    run_each(async || {
        let handler = async |mut request: Request| -> http::Result<String> {
            let head = format!(
                "{} {} {:?} {:?}",
                request.method(),
                request.target(),
                request.version(),
                request.authority()
            );
            let fields: Vec<_> = request.fields().map(|(name, _)| name.to_owned()).collect();
            let cookie = request.field("cookie").unwrap_or_default().to_vec();
            let mut body = request.take_body();
            let left = body.bytes_left();
            let mut text = Vec::new();
            while let Some(piece) = body.next().await? {
                text.extend_from_slice(&piece);
            }
            Ok(format!(
                "{head} {fields:?} {} {left:?} {} {:?}",
                cookie.escape_ascii(),
                text.escape_ascii(),
                body.trailers()
            ))
        };
        let mut peer = Peer::new(handler).await;
        let fields = [
            &frames::request("POST", "/a?b")[..],
            &[("cookie", "a=1"), ("cookie", "b=2"), ("x-a", "1")],
        ]
        .concat();
        peer.send(frames::headers(frames::END_HEADERS, 1, &fields))
            .await;
        peer.send(frames::frame(frames::DATA, 0, 1, b"hello")).await;
        let end = frames::END_HEADERS | frames::END_STREAM;
        peer.send(frames::headers(end, 1, &[("x-sum", "7")])).await;
        let (body, is_whole) = peer.body(1).await;
        assert!(is_whole);
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "POST /a?b HTTP/2.0 Some(\"test\") [\"host\", \"x-a\", \"cookie\"] a=1; b=2 None hello \
             {\"x-sum\": \"7\"}"
        );
    });
}

#[test]
fn interim_answers_come_before_the_answer() {
    run_each(async || {
        let handler = async |mut request: Request| -> http::Result<String> {
            let link = HeaderValue::from_static("</a.css>; rel=preload");
            request.early_hints(&[(header::LINK, link)]);
            let body = request.take_body().bytes().await?;
            Ok(format!("{} bytes", body.len()))
        };
        let mut peer = Peer::new(handler).await;
        let fields = [
            &frames::request("POST", "/")[..],
            &[("expect", "100-continue")],
        ]
        .concat();
        peer.send(frames::headers(frames::END_HEADERS, 1, &fields))
            .await;
        let mut count = 0;
        while count < 2 {
            let frame = peer.frame().await.unwrap();
            if frame.kind == frames::HEADERS {
                assert!(!frame.is_end());
                count += 1;
            }
        }
        peer.send(frames::frame(frames::DATA, frames::END_STREAM, 1, b"hello"))
            .await;
        assert_eq!(peer.body(1).await, (b"5 bytes".to_vec(), true));
    });
}

#[test]
fn a_stream_that_its_client_resets_drops_its_handler_alone() {
    run_each(async || {
        let dropped = Rc::new(Cell::new(0));
        let (told, running) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        struct Guard(Rc<Cell<u32>>, Rc<Notify>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
                self.1.notify_one();
            }
        }
        let go = Rc::new(Notify::new());
        let handler = {
            let (dropped, told, running, go) =
                (dropped.clone(), told.clone(), running.clone(), go.clone());
            async move |request: Request| {
                if request.path() == "/kept" {
                    request.keep_running();
                }
                let _guard = Guard(dropped.clone(), told.clone());
                running.notify_one();
                go.notified().await;
                "done"
            }
        };
        let mut peer = Peer::new(handler).await;
        peer.send(frames::get(1, "/")).await;
        running.notified().await;
        peer.send(frames::get(3, "/kept")).await;
        running.notified().await;
        peer.send(frames::get(5, "/")).await;
        running.notified().await;
        peer.send(frames::reset(1, frames::CANCEL)).await;
        peer.send(frames::reset(3, frames::CANCEL)).await;
        told.notified().await;
        peer.ping().await;
        assert_eq!(dropped.get(), 1, "one goes on, and one has its client");
        go.notify_waiters();
        assert_eq!(peer.body(5).await, (b"done".to_vec(), true));
        assert_eq!(dropped.get(), 3);
    });
}

#[test]
fn an_answer_that_fails_in_the_middle_is_reset() {
    run_each(async || {
        let handler = async |_: Request| {
            Response::writer(async |mut out: BodyWriter| {
                out.write("half").await?;
                out.flush().await?;
                Err(StatusCode::INTERNAL_SERVER_ERROR.into())
            })
        };
        let mut peer = Peer::new(handler).await;
        peer.send(frames::get(1, "/")).await;
        let ended = peer.until(|frame| frame.kind == frames::RST_STREAM).await;
        assert_eq!(ended.last().unwrap().code(), Some(frames::INTERNAL_ERROR));
        peer.send(frames::get(3, "/")).await;
        assert!(!peer.body(3).await.1, "the connection goes on");
    });
}

#[test]
fn the_access_log_has_each_stream() {
    run_each(async || {
        let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let log = lines.clone();
        let connection = Connection::new().access_log(move |access| {
            let line = format!("{} {} {:?}", access.target, access.sent, access.version());
            log.lock().unwrap().push(line);
        });
        let seen = Rc::new(RefCell::new(Vec::new()));
        let handler = {
            let seen = seen.clone();
            async move |request: Request| {
                seen.borrow_mut().push(request.peer_addr());
                "hello"
            }
        };
        let mut peer = Peer::greeted(connection, &[], handler).await;
        peer.send(frames::get(1, "/a")).await;
        peer.body(1).await;
        peer.send(frames::get(3, "/b")).await;
        peer.body(3).await;
        let lines = lines.lock().unwrap().clone();
        assert_eq!(lines, ["/a 5 Some(HTTP/2.0)", "/b 5 Some(HTTP/2.0)"]);
        assert_eq!(
            *seen.borrow(),
            [None, None],
            "a connection in memory has no address"
        );
    });
}
