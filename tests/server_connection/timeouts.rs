//! How long a client is waited for, by a clock that stands still.

use std::{
    cell::Cell,
    io,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use annulus::{
    DriverKind, ManagedBuf, Runtime,
    http::{self, BodyWriter, Connection, Request, Timeouts},
    io::{ByteRead, ByteWrite, Duplex, duplex},
    net::UnixStream,
    spawn, task, time,
};

use crate::client::{Client, GET, writer};

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
fn a_line_end_too_many_behind_a_body_leaves_the_client_idle() {
    annulus::run(async {
        time::pause();
        let mut client = Client::of(
            Connection::new().timeouts(timeouts()),
            async |_: Request| "ok",
        );
        // Of each request's own, as many as may come.
        for _ in 0..3 {
            client
                .send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx\r\n")
                .await;
            client.until("\r\n\r\nok").await;
            for _ in 0..3 {
                time::advance(Duration::from_secs(20)).await;
                client.send("\r\n").await;
                for _ in 0..5 {
                    task::yield_now().await;
                }
                assert!(!client.served_output().await);
            }
        }
        for _ in 0..4 {
            client.send("\r\n").await;
            for _ in 0..5 {
                task::yield_now().await;
            }
        }
        assert!(client.rest().await.starts_with("HTTP/1.1 400 "));
    });
}

#[test]
fn empty_lines_before_a_request_are_counted_however_they_are_split() {
    annulus::run(async {
        for (first, second, is_answered) in
            [(4, 0, true), (2, 2, true), (3, 2, false), (0, 5, false)]
        {
            let mut client = Client::of(Connection::new(), async |_: Request| "ok");
            client.send("\r\n".repeat(first)).await;
            for _ in 0..5 {
                task::yield_now().await;
            }
            client.send("\r\n".repeat(second) + GET).await;
            let answer = client.until("\r\n\r\n").await;
            assert_eq!(answer.starts_with("HTTP/1.1 200 "), is_answered, "{answer}");
        }
    });
}

#[test]
fn a_slow_client_behind_a_unix_socket_gets_all_and_one_that_has_stopped_is_cut() {
    const BODY_BYTES: usize = 1 << 20;
    /// How much of the body a client gets that takes `step` bytes each 25 seconds.
    async fn taken(step: usize) -> usize {
        time::pause();
        let (client, server) = UnixStream::pair().unwrap();
        let handler = async |_: Request| vec![b'x'; BODY_BYTES];
        let served = spawn(
            Connection::new()
                .timeouts(timeouts())
                .serve(server, handler),
        );
        client.write_all(GET).await.unwrap();
        let head = client.recv().await.unwrap();
        let mut taken =
            head.len() - head.windows(4).position(|end| end == b"\r\n\r\n").unwrap() - 4;
        while taken < BODY_BYTES && !(step == 0 && served.is_finished()) {
            time::advance(Duration::from_secs(25)).await;
            let goal = BODY_BYTES.min(taken + step);
            while taken < goal {
                let bytes = client.recv().await.unwrap();
                assert!(!bytes.is_empty(), "cut after {taken} bytes");
                taken += bytes.len();
            }
            task::yield_now().await;
        }
        taken
    }
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let run = |step| {
            let runtime = Runtime::builder().driver(kind).build().unwrap();
            runtime.block_on(taken(step))
        };
        assert_eq!(run(64 * 1024), BODY_BYTES);
        assert!(run(0) < BODY_BYTES);
    }
}

/// A stream that counts how often its sending direction was ended.
struct Counting {
    stream: Duplex,
    shutdowns: Rc<Cell<u32>>,
}

impl ByteRead for Counting {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        self.stream.poll_recv(context)
    }
}

impl ByteWrite for Counting {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(context, bytes)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shutdowns.set(self.shutdowns.get() + 1);
        self.stream.poll_shutdown(context)
    }
}

#[test]
fn a_stream_is_shut_down_at_the_clients_end_and_when_it_was_idle_too_long() {
    annulus::run(async {
        time::pause();
        for client_ends in [true, false] {
            let (client, stream) = duplex(1024);
            let shutdowns = Rc::new(Cell::new(0));
            let counting = Counting {
                stream,
                shutdowns: Rc::clone(&shutdowns),
            };
            let served = spawn(Connection::new().serve(counting, async |_: Request| "ok"));
            client.write_all(GET.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"ok") {
                answer.extend_from_slice(&client.recv().await.unwrap());
            }
            assert_eq!(shutdowns.get(), 0);
            if client_ends {
                client.shutdown().await.unwrap();
            } else {
                time::advance(Duration::from_secs(76)).await;
            }
            let rest = client.recv().await.unwrap();
            assert_eq!((rest.len(), shutdowns.get()), (0, 1));
            // It is not waited for long.
            time::advance(Duration::from_secs(3)).await;
            served.await.unwrap();
        }
    });
}
