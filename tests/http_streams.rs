//! Bodies in pieces, timeouts and tunnels, on connections in memory and with a clock that stands
//! still: no test waits for a time.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    rc::Rc,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use annulus::{
    http::{
        self, BodyWriter, Connection, Event, EventSender, Handler, HeaderName, HeaderValue,
        Request, Response, StatusCode, Timeouts, Upgraded, header,
    },
    io::{ByteStream as _, Duplex, Reader, duplex},
    spawn, task, time,
};
use bytes::Bytes;

/// The client's end of a connection whose other end `handler` serves.
struct Client {
    stream: Duplex,
    received: Vec<u8>,
    served: task::JoinHandle<()>,
}

impl Client {
    fn of(connection: Connection, handler: impl Handler) -> Self {
        Self::with_room(64 * 1024, connection, handler)
    }

    fn with_room(bytes_max: usize, connection: Connection, handler: impl Handler) -> Self {
        let (stream, far) = duplex(bytes_max);
        Self {
            stream,
            received: Vec::new(),
            served: spawn(connection.serve(far, handler)),
        }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let mut bytes = bytes.as_ref();
        while !bytes.is_empty() {
            let sent = poll_fn(|context| self.stream.poll_write(context, bytes)).await;
            bytes = &bytes[sent.unwrap()..];
        }
    }

    /// Receives until `what` is there, and returns everything up to its end.
    async fn until(&mut self, what: &str) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.received).into_owned();
            if let Some(at) = text.find(what) {
                let rest = self.received.split_off(at + what.len());
                let found = std::mem::replace(&mut self.received, rest);
                return String::from_utf8(found).unwrap();
            }
            assert!(
                self.receive().await > 0,
                "the end came before {what:?}: {text:?}"
            );
        }
    }

    async fn receive(&mut self) -> usize {
        poll_fn(|context| self.stream.poll_read(context, &mut self.received))
            .await
            .unwrap()
    }

    /// Receives until the end.
    async fn rest(&mut self) -> String {
        while self.receive().await > 0 {}
        String::from_utf8(std::mem::take(&mut self.received)).unwrap()
    }

    async fn shut_down(&mut self) {
        poll_fn(|context| self.stream.poll_shutdown(context))
            .await
            .unwrap();
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

fn writer(write: impl AsyncFn(BodyWriter) -> http::Result<()> + Clone + 'static) -> impl Handler {
    async move |_: Request| {
        let write = write.clone();
        Response::writer(async move |out| write(out).await)
    }
}

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
            .field(
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
                return response.status(StatusCode::NOT_MODIFIED);
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
                out.trailer(name, HeaderValue::from_static("120"));
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
fn an_upgraded_connection_has_what_came_behind_the_request() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |request: Request| {
            assert_eq!(request.upgrades().collect::<Vec<_>>(), ["chat"]);
            Response::upgrade(
                HeaderValue::from_static("chat"),
                async |mut peer: Upgraded| {
                    loop {
                        let bytes = peer.recv().await.unwrap();
                        if bytes.is_empty() {
                            return;
                        }
                        peer.write_all(bytes.to_ascii_uppercase()).await.unwrap();
                    }
                },
            )
        });
        client
            .send("GET / HTTP/1.1\r\nHost: t\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\nahead")
            .await;
        let answer = client.until("AHEAD").await;
        assert!(
            answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
            "{answer}"
        );
        assert!(answer.contains("upgrade: chat\r\n") || answer.contains("Upgrade: chat\r\n"));
        client.send("more").await;
        client.until("MORE").await;
        client.shut_down().await;
        assert_eq!(client.rest().await, "");
    });
}

#[test]
fn a_connect_becomes_a_tunnel_and_without_one_is_refused() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |request: Request| {
            if request.target() == "no:1" {
                return Response::text("not a tunnel");
            }
            Response::tunnel(async |mut peer: Upgraded| {
                let bytes = peer.recv().await.unwrap();
                peer.write_all(bytes.to_vec()).await.unwrap();
            })
        });
        client
            .send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nping")
            .await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nping"));
        assert!(!answer.contains("Content-Length") && !answer.contains("Transfer-Encoding"));

        let mut client = Client::of(Connection::new(), async |_: Request| "no tunnel");
        client
            .send("CONNECT no:1 HTTP/1.1\r\nHost: no:1\r\n\r\n")
            .await;
        assert!(client.rest().await.starts_with("HTTP/1.1 501 "));
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
                while !reader.fill_buf().await?.is_empty() {
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

fn timeouts() -> Timeouts {
    Timeouts::default()
}

#[test]
fn a_head_that_does_not_come_in_time_is_answered_with_408_however_it_trickles() {
    annulus::run(async {
        time::pause();
        let mut client = Client::of(
            Connection::new().timeouts(timeouts()),
            async |_: Request| "",
        );
        client.send("GET / HTTP/1.1\r\nHo").await;
        let mut answered = None;
        for second in 1..30 {
            task::yield_now().await;
            time::advance(Duration::from_secs(1)).await;
            client.send("s").await;
            for _ in 0..5 {
                task::yield_now().await;
            }
            if answered.is_none() && client.served_output().await {
                answered = Some(second);
                break;
            }
        }
        assert!(matches!(answered, Some(10 | 11)), "{answered:?}");
        assert!(client.rest().await.starts_with("HTTP/1.1 408 "));
    });
}

impl Client {
    /// Whether something has come, without waiting for it.
    async fn served_output(&mut self) -> bool {
        poll_fn(|context| {
            let polled = self.stream.poll_read(context, &mut self.received);
            Poll::Ready(matches!(polled, Poll::Ready(Ok(1..))))
        })
        .await
    }
}

/// The seconds after which the read of a body failed, when the client sends `piece` each second.
async fn seconds_until_the_body_fails(timeouts: Timeouts, piece: &str) -> (u32, String) {
    let mut client = Client::of(
        Connection::new().timeouts(timeouts),
        async |mut request: Request| -> http::Result<String> {
            Ok(request.take_body().bytes().await?.len().to_string())
        },
    );
    client
        .send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n")
        .await;
    for second in 1..200 {
        for _ in 0..5 {
            task::yield_now().await;
        }
        time::advance(Duration::from_secs(1)).await;
        for _ in 0..5 {
            task::yield_now().await;
        }
        if client.served_output().await {
            return (second, client.rest().await);
        }
        client.send(piece).await;
    }
    panic!("nothing happened in 200 seconds");
}

#[test]
fn a_body_that_stops_is_answered_with_408_after_its_timeout() {
    annulus::run(async {
        time::pause();
        let timeouts = Timeouts {
            body_rate_min: 0,
            ..timeouts()
        };
        let (seconds, answer) = seconds_until_the_body_fails(timeouts, "").await;
        assert!((30..=31).contains(&seconds), "{seconds}");
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("Connection: close"));
    });
}

#[test]
fn a_body_that_trickles_is_answered_with_408_after_the_grace() {
    annulus::run(async {
        time::pause();
        let (seconds, answer) = seconds_until_the_body_fails(timeouts(), "x").await;
        assert!((10..=12).contains(&seconds), "{seconds}");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    });
}

#[test]
fn a_client_that_reads_nothing_is_cut_after_the_write_timeout() {
    annulus::run(async {
        time::pause();
        let dropped = Rc::new(Cell::new(false));
        struct Told(Rc<Cell<bool>>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let told = Rc::clone(&dropped);
        let mut client = Client::with_room(
            100,
            Connection::new().timeouts(timeouts()),
            writer(async move |mut out: BodyWriter| {
                let _told = Told(Rc::clone(&told));
                loop {
                    out.write(vec![b'x'; 1000]).await?;
                }
            }),
        );
        client.send(GET).await;
        for second in 0..40 {
            for _ in 0..5 {
                task::yield_now().await;
            }
            if dropped.get() {
                assert!((29..=31).contains(&second), "{second}");
                client.served.await.unwrap();
                return;
            }
            time::advance(Duration::from_secs(1)).await;
        }
        panic!("the handler still writes");
    });
}

#[test]
fn the_access_log_is_told_of_answers_refusals_and_cuts() {
    annulus::run(async {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&lines);
        let connection = Connection::new().access_log(move |access| {
            let line = access.to_string();
            // The duration is the only part that differs.
            let words: Vec<&str> = line
                .split(' ')
                .filter(|word| !word.ends_with("us"))
                .collect();
            log.lock().unwrap().push(words.join(" "));
        });
        let handler = async |mut request: Request| -> http::Result<Response> {
            let body = request.take_body().bytes().await?;
            if request.path() == "/boom" {
                panic!("as the test asks");
            }
            Ok(Response::bytes(body))
        };
        let mut client = Client::of(connection.clone(), handler);
        client
            .send("POST /a?b HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc")
            .await;
        client.until("abc").await;
        client.send("GET  / HTTP/1.1\r\n\r\n").await;
        client.rest().await;
        let mut client = Client::of(connection.clone(), handler);
        client.send("GET /boom HTTP/1.1\r\nHost: t\r\n\r\n").await;
        client.rest().await;
        let mut client = Client::of(connection, handler);
        client
            .send("POST /cut HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\na")
            .await;
        client.shut_down().await;
        client.rest().await;
        assert_eq!(
            *lines.lock().unwrap(),
            [
                "- POST /a?b 200 3 3",
                "- - - 400 0 0 request-line-invalid",
                "- GET /boom 500 0 0 handler-failed",
                "- POST /cut 400 1 0 body-unexpected-eof",
            ]
        );
    });
}

#[test]
fn a_file_is_sent_as_it_is_and_one_that_is_not_there_is_404() {
    annulus::run(async {
        let mut client = Client::of(
            Connection::new(),
            async |request: Request| -> http::Result<Response> {
                Response::file(&request.path()[1..]).await
            },
        );
        let expected = std::fs::read_to_string("Cargo.toml").unwrap();
        client
            .send("GET /Cargo.toml HTTP/1.1\r\nHost: t\r\n\r\n")
            .await;
        let head = client.until("\r\n\r\n").await;
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", expected.len())),
            "{head}"
        );
        assert_eq!(client.until(&expected).await, expected);
        for missing in ["src", "missing.txt", "Cargo.toml/x"] {
            client
                .send(format!("GET /{missing} HTTP/1.1\r\nHost: t\r\n\r\n"))
                .await;
            assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
        }
    });
}
