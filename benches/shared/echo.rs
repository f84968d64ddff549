//! Echo servers, and the load that is the same for all of them.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use annulus::DriverKind;
use criterion::Criterion;

use super::{
    clock::ThreadClock,
    cores::{pin_to, usable_cores},
    rounds::{Question, Rounds, Work},
};

const MESSAGE_BYTES: usize = 64;
const CONNECTION_COUNT: usize = 64;

/// Serves so many connections of a listener until they are closed.
pub(crate) type Serve = fn(TcpListener, usize);

/// Measures the servers by one connection, then by many at once.
pub(crate) fn compare(rounds: &mut Rounds, criterion: &mut Criterion, servers: &[(&str, Serve)]) {
    let cores = usable_cores();
    if let [first, _, ..] = cores[..] {
        pin_to(first);
    }
    let server_core = cores.get(1).copied();
    let mut run = |what, connection_count, measure: fn(&mut Load, u64) -> Duration| {
        let question = Question {
            what,
            bases: &["tokio", "bare epoll"],
            things: 1,
        };
        let rivals = servers.iter().map(|&(name, serve)| {
            // A server that the filter leaves out never starts.
            let mut load = None;
            let work: Work<'_> = Box::new(move |messages| {
                let start = || Load::start(serve, connection_count, server_core);
                measure(load.get_or_insert_with(start), messages)
            });
            (name, work)
        });
        rounds.compare(criterion, &question, rivals.collect());
    };
    run(
        "echo, 1 connection, time of a round trip",
        1,
        Load::round_trips,
    );
    run(
        "echo, 64 connections, time of a message",
        CONNECTION_COUNT,
        Load::round_trips,
    );
    run(
        "echo, 64 connections, CPU time of the server for a message",
        CONNECTION_COUNT,
        Load::server_time,
    );
}

/// Connections to a server on a thread of its own.
struct Load {
    streams: Vec<TcpStream>,
    server_clock: ThreadClock,
    server: Option<JoinHandle<()>>,
}

impl Load {
    fn start(serve: Serve, connection_count: usize, server_core: Option<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is up");
        let addr = listener.local_addr().expect("the listener is bound");
        let (clock_sender, clock) = mpsc::channel();
        let server = thread::spawn(move || {
            if let Some(core) = server_core {
                pin_to(core);
            }
            clock_sender
                .send(ThreadClock::of_this_thread())
                .expect("the load waits for it");
            serve(listener, connection_count);
        });
        let streams = (0..connection_count).map(|_| {
            let stream = TcpStream::connect(addr).expect("the server listens");
            stream.set_nodelay(true).expect("it is a TCP socket");
            stream
        });
        let mut load = Self {
            streams: streams.collect(),
            server_clock: clock.recv().expect("the server has started"),
            server: Some(server),
        };
        load.round();
        load
    }

    /// One message on each connection, all of them under way at once.
    fn round(&mut self) {
        let sent = [b'x'; MESSAGE_BYTES];
        for stream in &mut self.streams {
            stream.write_all(&sent).expect("the server reads");
        }
        let mut received = [0; MESSAGE_BYTES];
        for stream in &mut self.streams {
            stream.read_exact(&mut received).expect("the server writes");
        }
        assert_eq!(sent, received);
    }

    /// The time that `messages` take.
    fn round_trips(&mut self, messages: u64) -> Duration {
        let start = Instant::now();
        let share = self.rounds(messages);
        start.elapsed().mul_f64(share)
    }

    /// The CPU time of the server for `messages`.
    fn server_time(&mut self, messages: u64) -> Duration {
        let start = self.server_clock.now();
        let share = self.rounds(messages);
        (self.server_clock.now() - start).mul_f64(share)
    }

    /// As many rounds as hold so many messages, and the part of them that these are.
    fn rounds(&mut self, messages: u64) -> f64 {
        let messages_in_round = self.streams.len() as u64;
        let rounds = messages.div_ceil(messages_in_round);
        for _ in 0..rounds {
            self.round();
        }
        messages as f64 / (rounds * messages_in_round) as f64
    }
}

impl Drop for Load {
    /// Waits for the server, which ends with its connections.
    fn drop(&mut self) {
        self.streams.clear();
        if let Some(server) = self.server.take() {
            server.join().expect("the server does not panic");
        }
    }
}

/// Whether annulus finds the ring that [`serve_on_ring`] needs.
pub(crate) fn has_ring() -> bool {
    let runtime = annulus::Runtime::builder().driver(DriverKind::Ring).build();
    if let Err(error) = &runtime {
        eprintln!("left out: annulus on its ring: {error}");
    }
    runtime.is_ok()
}

/// annulus on its ring driver.
pub(crate) fn serve_on_ring(listener: TcpListener, connection_count: usize) {
    serve_on_annulus(DriverKind::Ring, listener, connection_count);
}

/// annulus on its poll driver.
pub(crate) fn serve_on_poll(listener: TcpListener, connection_count: usize) {
    serve_on_annulus(DriverKind::Poll, listener, connection_count);
}

fn serve_on_annulus(driver: DriverKind, listener: TcpListener, connection_count: usize) {
    let runtime = annulus::Runtime::builder()
        .driver(driver)
        .build()
        .expect("the driver is there");
    runtime.block_on(async {
        let listener = annulus::net::TcpListener::from_std(listener).expect("inside the runtime");
        let mut tasks = Vec::new();
        for _ in 0..connection_count {
            let (stream, _) = listener.accept().await.expect("a connection comes");
            tasks.push(annulus::spawn(async move {
                loop {
                    let bytes = stream.recv().await?;
                    if bytes.is_empty() {
                        return std::io::Result::Ok(());
                    }
                    stream.write_all(bytes).await?;
                }
            }));
        }
        for task in tasks {
            // A connection that the load resets has ended as well.
            let _ended = task.await.expect("no task panics");
        }
    });
}

/// tokio on one thread.
pub(crate) fn serve_on_tokio(listener: TcpListener, connection_count: usize) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("tokio starts");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("it is a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("inside the runtime");
        let mut tasks = Vec::new();
        for _ in 0..connection_count {
            let (mut stream, _) = listener.accept().await.expect("a connection comes");
            stream.set_nodelay(true).expect("it is a TCP socket");
            tasks.push(tokio::spawn(async move {
                let mut buf = vec![0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buf).await {
                    if stream.write_all(&buf[..count]).await.is_err() {
                        return;
                    }
                }
            }));
        }
        for task in tasks {
            task.await.expect("no task panics");
        }
    });
}
