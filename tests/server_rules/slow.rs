//! Clients that take their time: all are ended, and other clients do not notice.
//!
//! The server's timeouts are short here, and the tests wait for what must come, however long.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::Client,
    support::{BOUND, conformance::Server},
    table::BEHIND,
};

const TIMEOUTS: [&str; 8] = [
    "--head-timeout",
    "0.7",
    "--idle-timeout",
    "1",
    "--body-timeout",
    "0.7",
    "--write-timeout",
    "1",
];

/// Between two bytes of a client that trickles: far less than any timeout.
const TRICKLE: Duration = Duration::from_millis(50);

/// Sends `start` and then one byte of `drops` after the other, until an answer comes.
fn trickle(client: &mut Client, start: &str, drops: &str) {
    client.send(start);
    client.stream.set_read_timeout(Some(TRICKLE)).unwrap();
    let begin = Instant::now();
    for drop in drops.bytes().cycle() {
        assert!(begin.elapsed() < BOUND, "it is never ended");
        match client.stream.peek(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // The answer or the end, which the caller reads.
            _ => break,
        }
        if client.stream.write_all(&[drop]).is_err() {
            break;
        }
    }
    client.stream.set_read_timeout(Some(BOUND)).unwrap();
}

/// Waits until the server has as many sockets as `count` again.
fn wait_for_sockets(server: &Server, count: usize) {
    let begin = Instant::now();
    while server.socket_count() > count {
        assert!(begin.elapsed() < BOUND, "{} sockets", server.socket_count());
        thread::sleep(Duration::from_millis(10));
    }
}

/// Asks again and again on one connection, and on new ones, while `work` is done. Returns how
/// often.
fn beside_an_honest_client<R>(server: &Server, work: impl FnOnce() -> R) -> (R, usize) {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let honest = scope.spawn(|| {
            let mut count = 0;
            while count == 0 || !is_done.load(Ordering::Relaxed) {
                let mut client = Client::connect(server.addr());
                for _ in 0..5 {
                    client.send(BEHIND);
                    assert_eq!(client.answer().echo(), "GET /behind");
                    count += 1;
                }
                thread::sleep(Duration::from_millis(5));
            }
            count
        });
        let result = work();
        is_done.store(true, Ordering::Relaxed);
        (result, honest.join().expect("the honest client is served"))
    })
}

/// Checks that the client is told that it was too slow, and that the connection ends.
fn expect_timeout(mut client: Client) {
    let answer = client.answer();
    assert_eq!((answer.status, answer.closes()), (408, true));
    client.expect_fin();
}

#[test]
fn every_kind_of_slow_sender_is_ended_and_told_why() {
    let server = Server::start(&TIMEOUTS);
    let connect = || Client::connect(server.addr());
    let reused = || {
        let mut client = connect();
        client.send(BEHIND);
        assert_eq!(client.answer().echo(), "GET /behind");
        client
    };
    let sockets = server.socket_count();
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegin";
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let kinds: [(&str, &(dyn Fn() + Sync)); 10] = [
        ("not one byte", &|| connect().expect_fin()),
        ("idle behind an answer", &|| reused().expect_fin()),
        ("half a request line", &|| {
            let mut client = connect();
            client.send("GET /half");
            expect_timeout(client);
        }),
        ("half a head", &|| {
            let mut client = connect();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n");
            expect_timeout(client);
        }),
        ("a head that trickles", &|| {
            let mut client = connect();
            trickle(&mut client, "GET / HTTP/1.1\r\n", "X: y\r\n");
            expect_timeout(client);
        }),
        ("a head that trickles on a used connection", &|| {
            let mut client = reused();
            trickle(&mut client, "GET / HTTP/1.1\r\n", "X: y\r\n");
            expect_timeout(client);
        }),
        ("a body that stops", &|| {
            let mut client = connect();
            client.send(post);
            expect_timeout(client);
        }),
        ("a body that trickles", &|| {
            let mut client = connect();
            trickle(&mut client, post, "x");
            expect_timeout(client);
        }),
        ("chunks that trickle", &|| {
            let mut client = connect();
            trickle(&mut client, chunked, "1\r\nx\r\n");
            expect_timeout(client);
        }),
        ("a body that never begins", &|| {
            let mut client = connect();
            client.send(chunked);
            expect_timeout(client);
        }),
    ];
    let ((), asked) = beside_an_honest_client(&server, || {
        thread::scope(|scope| {
            let threads = kinds.map(|(name, play)| (name, scope.spawn(play)));
            for (name, thread) in threads {
                assert!(thread.join().is_ok(), "{name}");
            }
        });
    });
    assert!(asked > 0);
    wait_for_sockets(&server, sockets);
}

#[test]
fn an_answer_without_a_reader_is_cut_and_fills_no_memory() {
    let server = Server::start(&TIMEOUTS);
    let sockets = server.socket_count();
    let before = server.memory_bytes();
    let (clients, _) = beside_an_honest_client(&server, || {
        let clients: Vec<Client> = (0..20)
            .map(|_| {
                let mut client = Client::connect(server.addr());
                client.send("GET /big?n=200000000 HTTP/1.1\r\nHost: a\r\n\r\n");
                // From here on it reads nothing.
                client.take_head().unwrap();
                client
            })
            .collect();
        let begin = Instant::now();
        let mut most = 0;
        // The honest client has some too.
        while server.socket_count() > sockets + 1 {
            most = most.max(server.memory_bytes());
            assert!(begin.elapsed() < BOUND, "{} sockets", server.socket_count());
            thread::sleep(Duration::from_millis(10));
        }
        // 20 of them would fill 4 GB.
        assert!(most < before + (16 << 20), "from {before} to {most}");
        clients
    });
    for client in clients {
        let mut stream = client.stream;
        let mut total = 0;
        let mut bytes = vec![0; 1 << 16];
        while let Ok(1..) = stream.read(&mut bytes).inspect(|count| total += count) {}
        assert!(total < 100_000_000, "it was cut, and has {total}");
    }
    wait_for_sockets(&server, sockets);
}

/// Sends `bytes` again and again until the socket has taken none for a while. Returns how many
/// went.
fn stuff(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    stream
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut total = 0;
    while total < 1 << 30 {
        // The next begins where this one ended.
        match stream.write(&bytes[total % bytes.len()..]) {
            Ok(count) => total += count,
            Err(_) => break,
        }
    }
    total
}

#[test]
fn requests_without_end_fill_no_memory() {
    let server = Server::start(&["--write-timeout", "1", "--max-body", "1000000000"]);
    let sockets = server.socket_count();
    let before = server.memory_bytes();
    let clients: Vec<Client> = (0..10).map(|_| Client::connect(server.addr())).collect();
    let sent: usize = thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, mut client)| {
                scope.spawn(move || match number % 2 {
                    // Pipelined, and no answer is read.
                    0 => stuff(&mut client.stream, BEHIND.repeat(100).as_bytes()),
                    // A body that the handler does not read, nor skips yet.
                    _ => {
                        let start = "POST /slow?ms=1500 HTTP/1.1\r\nHost: a\r\n";
                        client.send(format!("{start}Content-Length: 1000000000\r\n\r\n"));
                        stuff(&mut client.stream, &[b'x'; 1 << 16])
                    }
                })
            })
            .collect();
        let sent = threads.into_iter().map(|thread| thread.join().unwrap());
        sent.sum()
    });
    // All of it would have been more, and the sockets alone hold some.
    assert!(sent < 1 << 30, "{sent} bytes were taken");
    let most = server.peak_memory_bytes();
    assert!(most < before + (16 << 20), "from {before} to {most}");
    wait_for_sockets(&server, sockets);
    let mut honest = Client::connect(server.addr());
    honest.send(BEHIND);
    assert_eq!(honest.answer().echo(), "GET /behind");
}

#[test]
fn a_slow_reader_that_reads_is_not_cut() {
    let server = Server::start(&["--write-timeout", "1"]);
    let mut client = Client::connect(server.addr());
    client.send("GET /big?n=20000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.take_head().unwrap();
    assert!(head.starts_with(b"HTTP/1.1 200 "));
    let mut total = 0;
    let mut bytes = vec![0; 600_000];
    // Longer than the timeout in all, and less from piece to piece.
    while total < 15_000_000 {
        let count = client.stream.read(&mut bytes).unwrap();
        assert!(count > 0);
        total += count;
        if total < 6_000_000 {
            thread::sleep(Duration::from_millis(60));
        }
    }
}

#[test]
fn thousands_of_halves_cost_little_and_an_honest_client_nothing() {
    const COUNT: usize = 5000;
    // With few to spare the server would close connections that are idle for a moment.
    raise_descriptor_limit(2 * COUNT);
    let server = Server::start(&["--head-timeout", "3", "--idle-timeout", "30"]);
    let sockets = server.socket_count();
    let before = server.memory_bytes();
    let (most, asked) = beside_an_honest_client(&server, || {
        let mut halves: Vec<TcpStream> = (0..COUNT)
            .map(|number| {
                let mut stream = TcpStream::connect(server.addr()).unwrap();
                stream.set_read_timeout(Some(BOUND)).unwrap();
                write!(stream, "GET /{number} HTTP/1.1\r\nHost: a\r\nX-Half: y").unwrap();
                stream
            })
            .collect();
        let most = server.memory_bytes();
        for stream in &mut halves {
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            assert!(
                answer.starts_with(b"HTTP/1.1 408 "),
                "{}",
                answer.escape_ascii()
            );
        }
        most
    });
    wait_for_sockets(&server, sockets);
    let after = server.memory_bytes();
    println!("{before} bytes before, {most} with {COUNT} halves, {after} after; {asked} honest");
    assert!(most < before + COUNT * 8192, "from {before} to {most}");
}

/// Lets this process, and those that it starts, have at least `count` descriptors.
fn raise_descriptor_limit(count: usize) {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    if soft.is_some_and(|soft| soft >= count) {
        return;
    }
    let status = Command::new("prlimit")
        .arg(format!("--pid={}", std::process::id()))
        .arg(format!("--nofile={count}:"))
        .status();
    let is_raised = status.is_ok_and(|status| status.success());
    assert!(is_raised, "{count} descriptors");
}
