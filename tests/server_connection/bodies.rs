//! Bodies in pieces, both ways, and what takes their place.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
};

use annulus::{
    http::{
        self, BodyWriter, Connection, Event, EventSender, HeaderName, HeaderValue, Request,
        Response, StatusCode, header,
    },
    io::Reader,
    spawn, task,
};
use bytes::Bytes;

use crate::client::{Client, GET, writer};

#[test]
fn a_body_of_unknown_length_goes_out_in_chunks_and_the_connection_stays() {
    annulus::run(async {
        let mut client = Client::of(
            Connection::new(),
            writer(async |mut out: BodyWriter| {
                for piece in ["alpha,", "beta,", "gamma", ""] {
                    out.write(piece).await?;
                }
                Ok(())
            }),
        );
        for _ in 0..2 {
            client.send(GET).await;
            let head = client.until("\r\n\r\n").await;
            assert!(
                head.contains("\r\nTransfer-Encoding: chunked\r\n"),
                "{head}"
            );
            let body = client.until("0\r\n\r\n").await;
            assert_eq!(body, "6\r\nalpha,\r\n5\r\nbeta,\r\n5\r\ngamma\r\n0\r\n\r\n");
        }
    });
}

#[test]
fn a_body_of_unknown_length_ends_with_the_connection_for_http_1_0() {
    annulus::run(async {
        let mut client = Client::of(
            Connection::new(),
            writer(async |mut out: BodyWriter| out.write("all").await),
        );
        client
            .send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .await;
        let answer = client.rest().await;
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert!(!answer.contains("chunked") && answer.ends_with("\r\n\r\nall"));
    });
}

#[test]
fn pieces_are_sent_when_the_handler_waits_and_not_before_it_does() {
    annulus::run(async {
        let gate = Rc::new(annulus::sync::Notify::new());
        let opener = Rc::clone(&gate);
        let mut client = Client::of(
            Connection::new(),
            writer(async move |mut out: BodyWriter| {
                out.write("one").await?;
                out.write("two").await?;
                gate.notified().await;
                out.write("three").await
            }),
        );
        client.send(GET).await;
        client.until("3\r\none\r\n3\r\ntwo\r\n").await;
        assert!(client.received.is_empty());
        opener.notify_one();
        assert_eq!(client.until("0\r\n\r\n").await, "5\r\nthree\r\n0\r\n\r\n");
    });
}

#[test]
fn a_handler_is_no_faster_than_its_client() {
    annulus::run(async {
        let written = Rc::new(Cell::new(0_usize));
        let count = Rc::clone(&written);
        let mut client = Client::with_room(
            1000,
            Connection::new(),
            writer(async move |mut out: BodyWriter| {
                for _ in 0..1000 {
                    out.write(vec![b'x'; 5000]).await?;
                    count.set(count.get() + 5000);
                }
                Ok(())
            }),
        );
        client.send(GET).await;
        client.until("\r\n\r\n").await;
        for _ in 0..100 {
            task::yield_now().await;
        }
        assert!(
            written.get() < 100_000,
            "{} bytes were written",
            written.get()
        );
        let mut total = 0;
        while !client.received.ends_with(b"0\r\n\r\n") {
            client.received.clear();
            total += client.receive().await;
        }
        assert_eq!(written.get(), 5_000_000);
        assert!(total > 5_000_000 - 1000);
    });
}

#[test]
fn large_pieces_and_small_ones_keep_their_order() {
    annulus::run(async {
        let mut client = Client::of(
            Connection::new(),
            writer(async |mut out: BodyWriter| {
                for size in [1, 20_000, 3, 30_000, 9000, 2] {
                    out.write(vec![b'a' + (size % 26) as u8; size]).await?;
                }
                Ok(())
            }),
        );
        client.send(GET).await;
        client.until("\r\n\r\n").await;
        for size in [1, 20_000, 3, 30_000, 9000, 2] {
            let letter = char::from(b'a' + (size % 26) as u8);
            let expected = format!("{size:X}\r\n{}\r\n", letter.to_string().repeat(size));
            assert_eq!(client.until(&expected).await.len(), expected.len());
        }
        assert_eq!(client.until("0\r\n\r\n").await, "0\r\n\r\n");
    });
}

#[test]
fn a_promised_length_is_kept_to_the_byte() {
    annulus::run(async {
        let surplus = Rc::new(RefCell::new(None));
        let seen = Rc::clone(&surplus);
        let mut client = Client::of(Connection::new(), async move |request: Request| {
            let seen = Rc::clone(&seen);
            let short = request.path() == "/short";
            Response::writer(async move |mut out: BodyWriter| {
                out.write("12345").await?;
                task::yield_now().await;
                if !short {
                    *seen.borrow_mut() = out.write("6").await.err();
                    return Ok(());
                }
                Ok(())
            })
            .with_field(
                header::CONTENT_LENGTH,
                HeaderValue::from_static(if short { "7" } else { "5" }),
            )
        });
        client.send(GET).await;
        let answer = client.until("12345").await;
        assert!(answer.contains("Content-Length: 5\r\n") && !answer.contains("chunked"));
        client
            .send("GET /short HTTP/1.1\r\nHost: test\r\n\r\n")
            .await;
        assert!(surplus.borrow().is_some(), "a sixth byte of five was taken");
        let answer = client.rest().await;
        assert!(answer.contains("Content-Length: 7\r\n") && answer.ends_with("\r\n\r\n12345"));
    });
}

#[test]
fn a_writer_that_fails_before_anything_left_answers_with_its_error() {
    annulus::run(async {
        let mut client = Client::of(
            Connection::new(),
            writer(async |mut out: BodyWriter| {
                out.write("never seen").await?;
                Err(StatusCode::INSUFFICIENT_STORAGE.into())
            }),
        );
        client.send(GET).await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 507 "), "{answer}");
        assert!(answer.contains("Connection: close") && !answer.contains("never"));
    });
}

#[test]
fn a_writer_that_fails_or_panics_later_cuts_the_answer_without_its_last_chunk() {
    annulus::run(async {
        for panics in [false, true] {
            let mut client = Client::of(
                Connection::new(),
                writer(async move |mut out: BodyWriter| {
                    out.write("begun").await?;
                    out.flush().await?;
                    assert!(!panics, "as the test asks");
                    Err(io::Error::other("lost").into())
                }),
            );
            client.send(GET).await;
            let answer = client.rest().await;
            assert!(answer.ends_with("\r\n\r\n5\r\nbegun\r\n"), "{answer}");
        }
    });
}

#[test]
fn a_head_request_and_a_304_never_start_the_writer() {
    annulus::run(async {
        let started = Rc::new(Cell::new(false));
        let start = Rc::clone(&started);
        let mut client = Client::of(Connection::new(), async move |request: Request| {
            let start = Rc::clone(&start);
            let response = Response::writer(async move |_: BodyWriter| {
                start.set(true);
                Ok(())
            });
            if request.path() == "/304" {
                return response.with_status(StatusCode::NOT_MODIFIED);
            }
            response
        });
        client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        client.until("\r\n\r\n").await;
        client
            .send("GET /304 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            .await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 304 ") && answer.ends_with("\r\n\r\n"));
        assert!(!started.get());
    });
}

#[test]
fn trailers_go_to_who_asked_for_them() {
    annulus::run(async {
        let mut client = Client::of(
            Connection::new(),
            writer(async |mut out: BodyWriter| {
                out.write("x").await?;
                let name = HeaderName::from_static("x-sum");
                out.add_trailer(name, HeaderValue::from_static("120"));
                Ok(())
            }),
        );
        client
            .send("GET / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
            .await;
        client
            .until("\r\n\r\n1\r\nx\r\n0\r\nx-sum: 120\r\n\r\n")
            .await;
        client.send(GET).await;
        client.until("\r\n\r\n1\r\nx\r\n0\r\n\r\n").await;
    });
}

#[test]
fn a_channel_feeds_a_body_from_another_task() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |_: Request| {
            let (sender, response) = Response::channel(2);
            spawn(async move {
                for number in 0..100 {
                    if sender
                        .send(Bytes::from(format!("{number},")))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            });
            response
        });
        client.send(GET).await;
        let body = client.until("0\r\n\r\n").await;
        assert!(body.contains("2\r\n0,\r\n") && body.contains("3\r\n99,\r\n"));
    });
}

#[test]
fn events_leave_one_by_one() {
    annulus::run(async {
        let gate = Rc::new(annulus::sync::Notify::new());
        let opener = Rc::clone(&gate);
        let mut client = Client::of(Connection::new(), async move |_: Request| {
            let gate = Rc::clone(&gate);
            Response::sse(async move |mut events: EventSender| {
                for id in 1..=2 {
                    let event = Event::data(format!("tick {id}")).id(id.to_string());
                    events.send(event).await?;
                    gate.notified().await;
                }
                Ok(())
            })
        });
        client.send(GET).await;
        let first = client.until("id: 1\ndata: tick 1\n\n\r\n").await;
        assert!(
            first.contains("Content-Type: text/event-stream\r\n"),
            "{first}"
        );
        assert!(first.contains("cache-control: no-cache\r\n") || first.contains("Cache-Control"));
        opener.notify_one();
        client.until("id: 2\ndata: tick 2\n\n\r\n").await;
        opener.notify_one();
        client.until("0\r\n\r\n").await;
    });
}

#[test]
fn early_hints_come_before_the_answer_and_not_to_http_1_0() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |request: Request| {
            let link = HeaderValue::from_static("</style.css>; rel=preload");
            request.early_hints(&[(header::LINK, link)]);
            task::yield_now().await;
            "page"
        });
        client.send(GET).await;
        let answer = client.until("page").await;
        assert!(answer.starts_with("HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");
        client.send("GET / HTTP/1.0\r\n\r\n").await;
        assert!(client.rest().await.starts_with("HTTP/1.1 200 OK\r\n"));
    });
}

#[test]
fn a_body_can_be_read_while_the_answer_is_written() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |mut request: Request| {
            let mut body = request.take_body();
            Response::writer(async move |mut out: BodyWriter| {
                while let Some(piece) = body.next().await? {
                    out.write(piece.to_ascii_uppercase()).await?;
                }
                Ok(())
            })
        });
        client
            .send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        client.until("\r\n\r\n").await;
        for word in ["one", "two"] {
            client.send(format!("3\r\n{word}\r\n")).await;
            client.until(&word.to_ascii_uppercase()).await;
        }
        client.send("0\r\n\r\n").await;
        client.until("0\r\n\r\n").await;
        client.send(GET).await;
        client.until("0\r\n\r\n").await;
    });
}

#[test]
fn a_request_s_trailers_are_there_at_the_end_of_its_body() {
    annulus::run(async {
        let mut client = Client::of(
            Connection::new(),
            async |mut request: Request| -> http::Result<String> {
                let mut body = request.take_body();
                assert!(body.trailers().is_empty());
                while body.next().await?.is_some() {}
                let sum = body.trailers().get("x-sum").cloned();
                Ok(format!("sum {}", sum.unwrap().to_str().unwrap()))
            },
        );
        client
            .send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        client
            .send("1\r\nx\r\n0\r\nX-Sum: 120\r\nHost: evil\r\n\r\n")
            .await;
        client.until("sum 120").await;
    });
}

#[test]
fn a_body_is_what_a_reader_reads_from() {
    annulus::run(async {
        let mut client = Client::of(
            Connection::new(),
            async |mut request: Request| -> http::Result<String> {
                let mut reader = Reader::new(request.take_body());
                let mut lines = 0;
                while reader.fill(1).await?.is_some() {
                    reader.read_until(b'\n', 100).await?;
                    lines += 1;
                }
                Ok(format!("{lines} lines"))
            },
        );
        client
            .send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\na\nb\nc\n")
            .await;
        client.until("3 lines").await;
    });
}

#[test]
fn a_route_may_take_larger_bodies_than_the_server() {
    annulus::run(async {
        let limits = http::Limits {
            body_bytes_max: 10,
            ..http::Limits::default()
        };
        let handler = async |mut request: Request| -> http::Result<String> {
            let large = request.path() == "/large";
            let body = request.take_body();
            let body = if large { body.limit(100) } else { body };
            Ok(body.bytes().await?.len().to_string())
        };
        let mut client = Client::of(Connection::new().limits(limits), handler);
        let body = "x".repeat(50);
        client
            .send(format!(
                "POST /large HTTP/1.1\r\nHost: t\r\nContent-Length: 50\r\n\r\n{body}"
            ))
            .await;
        assert!(
            client
                .until("\r\n\r\n50")
                .await
                .starts_with("HTTP/1.1 200 ")
        );
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 50\r\n\r\n{body}"
            ))
            .await;
        assert!(client.rest().await.starts_with("HTTP/1.1 413 "));
    });
}

#[test]
fn an_answer_with_a_body_at_hand_converts_to_the_http_crate_s() {
    let response = Response::text("hi").with_field(header::VARY, HeaderValue::from_static("a"));
    let converted = ::http::Response::<Bytes>::try_from(response).unwrap();
    assert_eq!(converted.body(), "hi");
    assert_eq!(
        converted.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
    assert_eq!(converted.headers()["vary"], "a");
    let streamed = Response::writer(async |_: BodyWriter| Ok(()));
    assert!(::http::Response::<Bytes>::try_from(streamed).is_err());
}

#[test]
fn a_request_that_was_understood_but_refused_leaves_the_connection_open() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |_: Request| "fine");
        for _ in 0..2 {
            client
                .send("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
                .await;
            let head = client.until("\r\n\r\n").await;
            assert!(
                head.starts_with("HTTP/1.1 400 ") && !head.contains("close"),
                "{head}"
            );
            client.until("found none\n").await;
        }
        client.send(GET).await;
        client.until("fine").await;
    });
}
