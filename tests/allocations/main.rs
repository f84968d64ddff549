//! Once everything has been made, receiving, sending and sleeping allocate nothing.

#[path = "../support/mod.rs"]
mod support;

use std::{
    future::poll_fn,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use annulus::{
    DriverKind, Runtime,
    future::join,
    io::{AsyncFd, Interest},
    net::{EcnCodepoint, SendMeta, TcpListener, TcpStream, UdpSocket},
    spawn,
    time::{sleep, timeout},
};

use support::{
    counting::{self, Counting},
    echo,
};

#[global_allocator]
static COUNTING: Counting = Counting;

/// How many allocations `future` made, after it was done once to warm up. It is done again while it
/// allocates, up to ten times: a list grows to what the fullest turn brings, and which turn is the
/// fullest depends on the kernel. What allocates for each message does so every time.
async fn allocations(mut future: impl AsyncFnMut()) -> usize {
    let mut count = 0;
    for _ in 0..=10 {
        let before = counting::allocations();
        future().await;
        count = counting::allocations() - before;
        if count == 0 {
            break;
        }
    }
    count
}

/// The default driver, which the environment chooses, and the poll driver.
fn on_both_drivers(test: impl Fn(Runtime)) {
    test(Runtime::new().unwrap());
    test(Runtime::builder().driver(DriverKind::Poll).build().unwrap());
}

/// So many connections to an echo server in this runtime.
async fn connections(count: usize) -> Vec<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(addr).await.unwrap());
        spawn(echo(listener.accept().await.unwrap().0));
    }
    streams
}

/// Sends a message and waits for it to come back.
async fn exchange(stream: &TcpStream) {
    stream.write_all(b"0123456789".as_slice()).await.unwrap();
    let mut count = 0;
    while count < 10 {
        count += stream.recv().await.unwrap().len();
    }
}

#[test]
fn an_echoed_message_allocates_nothing() {
    on_both_drivers(|runtime| {
        let count = runtime.block_on(async {
            let stream = connections(1).await.pop().unwrap();
            allocations(async || {
                for _ in 0..10_000 {
                    exchange(&stream).await;
                }
            })
            .await
        });
        assert_eq!(count, 0, "{:?}", runtime.driver_kind());
    });
}

#[test]
fn a_message_by_polls_allocates_nothing() {
    on_both_drivers(|runtime| {
        let count = runtime.block_on(async {
            let stream = connections(1).await.pop().unwrap();
            allocations(async || {
                for _ in 0..10_000 {
                    let write = poll_fn(|context| stream.poll_write(context, b"0123456789"));
                    assert_eq!(write.await.unwrap(), 10);
                    poll_fn(|context| stream.poll_flush(context)).await.unwrap();
                    let mut count = 0;
                    while count < 10 {
                        let receive = poll_fn(|context| stream.poll_recv(context));
                        count += receive.await.unwrap().len();
                    }
                }
            })
            .await
        });
        assert_eq!(count, 0, "{:?}", runtime.driver_kind());
    });
}

/// Exchanges datagrams with an echo in this runtime, so many at a time, and returns the
/// allocations.
async fn datagram_allocations(count: usize) -> usize {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(server.local_addr().unwrap()).await.unwrap();
    spawn(async move {
        loop {
            let (datagram, from) = server.recv_from().await.unwrap();
            server.send_to(datagram, from).await.unwrap();
        }
    });
    allocations(async || {
        for _ in 0..1000 {
            for _ in 0..count {
                client.send(b"0123456789".as_slice()).await.unwrap();
            }
            for _ in 0..count {
                assert_eq!(client.recv().await.unwrap().len(), 10);
            }
        }
    })
    .await
}

#[test]
fn an_echoed_datagram_allocates_nothing() {
    on_both_drivers(|runtime| {
        let count = runtime.block_on(datagram_allocations(1));
        assert_eq!(count, 0, "{:?}", runtime.driver_kind());
    });
}

#[test]
fn datagrams_that_come_together_allocate_nothing() {
    on_both_drivers(|runtime| {
        let count = runtime.block_on(datagram_allocations(16));
        assert_eq!(count, 0, "{:?}", runtime.driver_kind());
    });
}

#[test]
fn a_datagram_with_a_control_message_allocates_nothing() {
    on_both_drivers(|runtime| {
        let count = runtime.block_on(async {
            let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let marked = SendMeta::to(server.local_addr().unwrap()).ecn(EcnCodepoint::Ect0);
            allocations(async || {
                for _ in 0..3_000 {
                    let sent = client.send_message(b"0123456789".as_slice(), &marked);
                    sent.await.unwrap();
                    client.try_send_message(b"0123456789", &marked).unwrap();
                    for _ in 0..2 {
                        assert_eq!(server.recv_from().await.unwrap().0.len(), 10);
                    }
                }
            })
            .await
        });
        assert_eq!(count, 0, "{:?}", runtime.driver_kind());
    });
}

#[test]
fn a_wait_for_a_descriptor_allocates_nothing() {
    on_both_drivers(|runtime| {
        let count = runtime.block_on(async {
            let (near, far) = UnixStream::pair().unwrap();
            near.set_nonblocking(true).unwrap();
            let near = AsyncFd::new(near).unwrap();
            allocations(async || {
                for _ in 0..3_000 {
                    let read = near.async_io(Interest::READABLE, |mut s| s.read(&mut [0; 8]));
                    let (read, written) = join(read, async { (&far).write(b"x") }).await;
                    assert_eq!((read.unwrap(), written.unwrap()), (1, 1));
                    let wait = poll_fn(|context| near.poll_readable(context));
                    let (ready, written) = join(wait, async { (&far).write(b"x") }).await;
                    assert_eq!(written.unwrap(), 1);
                    ready.unwrap();
                    assert_eq!(near.get_ref().read(&mut [0; 8]).unwrap(), 1);
                    // One that is given up in flight.
                    let _ = timeout(Duration::ZERO, near.readable()).await;
                }
            })
            .await
        });
        assert_eq!(count, 0, "{:?}", runtime.driver_kind());
    });
}

#[test]
fn messages_of_many_connections_allocate_nothing() {
    on_both_drivers(|runtime| {
        let count = runtime.block_on(async {
            let streams = connections(64).await;
            // A turn brings more completions than are answered by plain sends.
            allocations(async || {
                for _ in 0..200 {
                    for stream in &streams {
                        stream.write_all(b"0123456789".as_slice()).await.unwrap();
                    }
                    for stream in &streams {
                        let mut count = 0;
                        while count < 10 {
                            count += stream.recv().await.unwrap().len();
                        }
                    }
                }
            })
            .await
        });
        assert_eq!(count, 0, "{:?}", runtime.driver_kind());
    });
}

#[test]
fn a_message_read_into_memory_that_is_used_again_allocates_nothing() {
    on_both_drivers(|runtime| {
        let count = runtime.block_on(async {
            let stream = connections(1).await.pop().unwrap();
            let mut kept = Vec::with_capacity(100);
            allocations(async || {
                for _ in 0..1000 {
                    stream.write_all(b"0123456789".as_slice()).await.unwrap();
                    let mut count = 0;
                    while count < 10 {
                        let (more, buf) = stream.read(std::mem::take(&mut kept)).await.unwrap();
                        (count, kept) = (count + more, buf);
                    }
                }
            })
            .await
        });
        assert_eq!(count, 0, "{:?}", runtime.driver_kind());
    });
}

#[test]
fn a_sleep_allocates_nothing() {
    on_both_drivers(|runtime| {
        let count = runtime.block_on(async {
            allocations(async || {
                for micros in 0..1000 {
                    sleep(Duration::from_micros(micros % 20)).await;
                }
                for _ in 0..100 {
                    let long = sleep(Duration::from_secs(1000));
                    let short = sleep(Duration::from_micros(10));
                    let _ = annulus::future::race(long, short).await;
                    join(
                        sleep(Duration::from_micros(5)),
                        sleep(Duration::from_micros(9)),
                    )
                    .await;
                }
            })
            .await
        });
        assert_eq!(count, 0, "{:?}", runtime.driver_kind());
    });
}

#[test]
fn a_receive_under_a_timeout_allocates_nothing() {
    on_both_drivers(|runtime| {
        let count = runtime.block_on(async {
            let stream = connections(1).await.pop().unwrap();
            allocations(async || {
                for _ in 0..1000 {
                    let limit = Duration::from_secs(1000);
                    timeout(limit, exchange(&stream)).await.unwrap();
                    let nothing = timeout(Duration::from_micros(10), stream.recv()).await;
                    assert!(nothing.is_err());
                }
            })
            .await
        });
        assert_eq!(count, 0, "{:?}", runtime.driver_kind());
    });
}

/// The handler's future has a large array while it waits, which its exchange keeps. A tunnel, with
/// the client's end of it, needs a small part of that.
#[cfg(feature = "http")]
#[test]
fn an_upgraded_connection_gives_its_exchange_back() {
    use std::cell::Cell;

    use annulus::{
        http::{HeaderValue, Request, Response, Server, Upgraded},
        sync::oneshot,
        task::yield_now,
    };

    const COUNT: usize = 100;
    const HANDLER_BYTES: usize = 64 * 1024;
    const QUESTION: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: t\r\nConnection: upgrade\r\n\r\n";

    async fn answer(_request: Request) -> Response {
        let array = [0_u8; HANDLER_BYTES];
        yield_now().await;
        std::hint::black_box(&array);
        Response::upgrade(HeaderValue::from_static("t"), async |peer: Upgraded| {
            while peer.recv().await.is_ok_and(|bytes| !bytes.is_empty()) {}
        })
    }

    on_both_drivers(|runtime| {
        runtime.block_on(async {
            let (tell, told) = oneshot::channel();
            let tell = Cell::new(Some(tell));
            let server = Server::new()
                .listen("127.0.0.1:0")
                .on_listening(move |addr| {
                    let _ = tell.take().expect("there is one address").send(addr);
                });
            let handle = server.handle();
            let serving = spawn(server.serve(answer));
            let addr = told.await.unwrap();
            let connect = async || {
                let stream = TcpStream::connect(addr).await.unwrap();
                stream.write_all(QUESTION).await.unwrap();
                assert!(stream.recv().await.unwrap().starts_with(b"HTTP/1.1 101 "));
                stream
            };
            let mut streams = vec![connect().await];
            let before = counting::live();
            for _ in 0..COUNT {
                streams.push(connect().await);
            }
            let each = (counting::live() - before) / COUNT as i64;
            assert!(each < HANDLER_BYTES as i64 / 8, "{each} bytes");
            drop(streams);
            handle.stop(Duration::ZERO);
            serving.await.unwrap().unwrap();
        });
    });
}
