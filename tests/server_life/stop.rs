//! The graceful stop.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use annulus::{
    Cores,
    http::{BodyWriter, Request, Response, Server, Timeouts},
    signal,
};
use bytes::Bytes;

use crate::{
    running::{Gate, Listeners, NEVER, Running, expect_fin, get, waiting},
    support::{BOUND, http::read_answer},
};

fn unchanged(server: Server) -> Server {
    server
}

fn says_close(answer: &str) -> bool {
    answer.contains("\r\nConnection: close\r\n")
}

#[test]
fn a_request_in_flight_is_answered_whole_and_the_answer_says_close() {
    for count in [1, 2] {
        let gate = Gate::default();
        let server = Running::start(count, unchanged, waiting(&gate));
        let mut clients: Vec<TcpStream> = (0..8).map(|_| server.send(&get("/wait"))).collect();
        gate.wait_for(8);
        server.handle.stop(NEVER);
        server.wait_refused();
        gate.open();
        for client in &mut clients {
            let answer = read_answer(client);
            assert!(answer.ends_with("/wait") && says_close(&answer), "{answer}");
            expect_fin(client);
        }
        drop(clients);
        let report = server.ended().unwrap();
        assert_eq!((report.finished, report.cut), (8, 0), "{report}");
        assert_eq!(report.answered, 8, "{report}");
    }
}

#[test]
fn idle_connections_end_with_a_fin() {
    for count in [1, 2] {
        let server = Running::start(count, unchanged, waiting(&Gate::default()));
        let mut clients: Vec<TcpStream> = (0..8).map(|_| server.idle()).collect();
        // This one never said anything.
        clients.push(server.connect());
        server.handle.stop(NEVER);
        clients.iter_mut().for_each(expect_fin);
        let report = server.ended().unwrap();
        assert_eq!(report.cut, 0, "{report}");
        assert_eq!((report.accepted, report.answered), (9, 8), "{report}");
    }
}

#[test]
fn a_request_on_an_idle_connection_in_its_grace_is_answered_with_close() {
    let change = |server: Server| {
        server.timeouts(Timeouts {
            stop_grace: NEVER,
            ..Timeouts::default()
        })
    };
    let server = Running::start(1, change, waiting(&Gate::default()));
    let mut client = server.idle();
    server.handle.stop(NEVER);
    server.wait_refused();
    client.write_all(get("/late").as_bytes()).unwrap();
    let answer = read_answer(&mut client);
    assert!(answer.ends_with("/late") && says_close(&answer), "{answer}");
    expect_fin(&mut client);
    drop(client);
    server.ended().unwrap();
}

#[test]
fn a_head_that_is_under_way_may_go_on() {
    let server = Running::start(1, unchanged, waiting(&Gate::default()));
    let mut client = server.send(&format!("{}GET /half HTTP/1.1\r\nHo", get("/first")));
    assert!(read_answer(&mut client).ends_with("/first"));
    server.handle.stop(NEVER);
    server.wait_refused();
    client.write_all(b"st: a\r\n\r\n").unwrap();
    let answer = read_answer(&mut client);
    assert!(answer.ends_with("/half") && says_close(&answer), "{answer}");
    expect_fin(&mut client);
    drop(client);
    let report = server.ended().unwrap();
    assert_eq!((report.finished, report.cut), (1, 0), "{report}");
}

#[test]
fn connections_in_the_backlog_are_answered() {
    let (enter, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let left = Arc::new(Mutex::new(left));
    let handler = async move |request: Request| {
        if request.path() == "/block" {
            enter.send(()).unwrap();
            // The whole worker stands still here.
            left.lock().unwrap().recv().unwrap();
        }
        Response::text(request.path().to_owned())
    };
    let server = Running::start(1, unchanged, handler);
    let mut first = server.send(&get("/block"));
    entered.recv_timeout(BOUND).unwrap();
    let mut clients: Vec<TcpStream> = (0..40).map(|_| server.send(&get("/queued"))).collect();
    server.handle.stop(NEVER);
    leave.send(()).unwrap();
    assert!(says_close(&read_answer(&mut first)));
    drop(first);
    for client in &mut clients {
        let answer = read_answer(client);
        assert!(says_close(&answer), "{answer}");
    }
    drop(clients);
    let report = server.ended().unwrap();
    assert_eq!((report.accepted, report.answered), (41, 41), "{report}");
}

#[test]
fn under_load_every_request_is_answered_and_the_last_answer_says_close() {
    let change = |server: Server| {
        server.timeouts(Timeouts {
            stop_grace: NEVER,
            ..Timeouts::default()
        })
    };
    for round in 0..20 {
        let server = Running::start(2, change, waiting(&Gate::default()));
        let (tell, told) = mpsc::channel();
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let (mut client, tell) = (server.connect(), tell.clone());
                thread::spawn(move || {
                    let mut count = 0;
                    loop {
                        client.write_all(get("/again").as_bytes()).unwrap();
                        let answer = read_answer(&mut client);
                        assert!(answer.ends_with("/again"), "{answer}");
                        count += 1;
                        tell.send(()).unwrap();
                        if says_close(&answer) {
                            expect_fin(&mut client);
                            return count;
                        }
                    }
                })
            })
            .collect();
        for _ in 0..round * 10 {
            told.recv_timeout(BOUND).unwrap();
        }
        server.handle.stop(NEVER);
        let counts: u64 = clients.into_iter().map(|one| one.join().unwrap()).sum();
        let report = server.ended().unwrap();
        assert_eq!((report.answered, report.cut), (counts, 0), "{report}");
        assert_eq!(report.accepted, 8, "{report}");
    }
}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A server whose handler never answers, with three requests in it.
fn stuck(
    count: usize,
    change: impl FnOnce(Server) -> Server + Send + 'static,
) -> (Running, Vec<TcpStream>, Arc<AtomicUsize>) {
    let (gate, drops) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
    let (inner, counter) = (gate.clone(), Arc::clone(&drops));
    let handler = async move |_request: Request| {
        let _counted = Counted(Arc::clone(&counter));
        inner.pass().await;
        Response::text("never")
    };
    let server = Running::start(count, change, handler);
    let clients = (0..3).map(|_| server.send(&get("/"))).collect();
    gate.wait_for(3);
    (server, clients, drops)
}

/// Checks that the connections ended without an answer.
fn expect_cut(clients: Vec<TcpStream>) {
    for mut client in clients {
        let mut answer = Vec::new();
        let result = client.read_to_end(&mut answer);
        assert!(result.is_err() && answer.is_empty(), "{answer:?}");
    }
}

#[test]
fn the_deadline_cuts_and_drops_the_handlers() {
    for count in [1, 2] {
        let (server, clients, drops) = stuck(count, unchanged);
        server.handle.stop(Duration::from_millis(20));
        let report = server.ended().unwrap();
        assert_eq!((report.finished, report.cut), (0, 3), "{report}");
        assert_eq!(drops.load(Ordering::Relaxed), 3);
        expect_cut(clients);
    }
}

#[test]
fn a_client_that_has_its_answer_and_does_not_close_is_not_counted_as_cut() {
    let gate = Gate::default();
    let server = Running::start(1, unchanged, waiting(&gate));
    let mut client = server.send(&get("/wait"));
    gate.wait_for(1);
    server.handle.stop(NEVER);
    server.wait_refused();
    gate.open();
    assert!(says_close(&read_answer(&mut client)));
    expect_fin(&mut client);
    server.handle.stop(NEVER);
    let report = server.ended().unwrap();
    assert_eq!((report.finished, report.cut), (1, 0), "{report}");
}

#[test]
fn the_second_stop_cuts_at_once() {
    let (server, clients, drops) = stuck(2, unchanged);
    server.handle.stop(NEVER);
    server.wait_refused();
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    server.handle.clone().stop(NEVER);
    let report = server.ended().unwrap();
    assert_eq!((report.finished, report.cut), (0, 3), "{report}");
    expect_cut(clients);
}

#[test]
fn an_answer_without_a_reader_is_cut_too() {
    let handler = async |_request: Request| Response::bytes(vec![b'x'; 64 << 20]);
    let server = Running::start(1, unchanged, handler);
    let mut client = server.send(&get("/"));
    client.read_exact(&mut [0; 1024]).unwrap();
    server.handle.stop(Duration::ZERO);
    let report = server.ended().unwrap();
    assert_eq!((report.finished, report.cut), (0, 1), "{report}");
    assert!(std::io::copy(&mut client, &mut std::io::sink()).is_err());
}

#[test]
fn futures_stop_and_cut_a_server_of_any_size() {
    for count in [1, 2] {
        let (stop, cut) = (Gate::default(), Gate::default());
        let (on_stop, on_cut) = (stop.clone(), cut.clone());
        let (server, clients, _drops) = stuck(count, move |server| {
            server
                .shutdown_on(async move { on_stop.pass().await }, NEVER)
                .cut_on(async move || on_cut.pass().await)
        });
        stop.open();
        server.wait_refused();
        cut.open();
        let report = server.ended().unwrap();
        assert_eq!((report.finished, report.cut), (0, 3), "{report}");
        expect_cut(clients);
    }
}

#[test]
fn an_order_that_will_never_come_ends_the_server_with_its_error() {
    for count in [1, 2] {
        let change = |server: Server| {
            let fails = async { io::Result::<()>::Err(io::Error::other("no signal")) };
            server.shutdown_on(fails, NEVER)
        };
        let server = Running::start(count, change, waiting(&Gate::default()));
        assert_eq!(server.ended().unwrap_err().to_string(), "no signal");
    }
}

#[test]
fn a_future_of_any_output_stops_the_server() {
    let change = |server: Server| {
        let (sender, receiver) = annulus::sync::oneshot::channel::<u8>();
        // The receiver sees that no value will come.
        drop(sender);
        server.shutdown_on(receiver, NEVER).cut_on(|| async { 5 })
    };
    let server = Running::start(1, change, waiting(&Gate::default()));
    assert_eq!(server.ended().unwrap().cut, 0);
}

const CHILD: &str = "HTTP_LIFE_SIGNALS";

/// The server of the tests below, in a process of its own.
fn serve_until_signals(kind: &str) {
    let server = Server::new()
        .listen("127.0.0.1:0")
        .on_listening(|addr| println!("listening {addr}"));
    let handler = async |_request: Request| {
        println!("entered");
        std::future::pending::<Response>().await
    };
    let on_ctrl_c = |server: Server| server.shutdown_on(signal::ctrl_c(), NEVER);
    let report = match kind {
        "cut_on" => server
            .cores(Cores::Count(2))
            .shutdown_on(signal::terminate(), NEVER)
            .cut_on(signal::ctrl_c)
            .run(handler),
        "terminate" => server.shutdown_on(signal::terminate(), NEVER).run(handler),
        "inside" => annulus::run(async { on_ctrl_c(server).serve(handler).await }),
        count => {
            let count = count.parse().unwrap();
            on_ctrl_c(server.cores(Cores::Count(count))).run(handler)
        }
    };
    println!("cut {}", report.unwrap().cut);
}

/// Starts this test in a process of its own, and sends it two signals.
fn first_stops_and_second_cuts(test: &str, kind: &str, signals: [&str; 2]) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, kind)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let send = |signal: &str| {
        let status = Command::new("sh")
            .args(["-c", "kill -\"$1\" \"$0\"", &pid, signal])
            .status();
        assert!(status.unwrap().success());
    };
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut find = |text: &str| -> String {
        lines
            .find_map(|line| Some(line.unwrap().split_once(text)?.1.to_owned()))
            .unwrap()
    };
    let addr = find("listening ").parse().unwrap();
    let listeners = Listeners::at(addr);
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(get("/").as_bytes()).unwrap();
    find("entered");
    send(signals[0]);
    listeners.wait_refused();
    send(signals[1]);
    assert_eq!(find("cut "), "1", "{kind}");
    assert!(child.wait().unwrap().success());
    expect_cut(vec![client]);
}

#[test]
fn the_first_signal_stops_and_another_cuts() {
    if let Ok(kind) = std::env::var(CHILD) {
        return serve_until_signals(&kind);
    }
    let test = "stop::the_first_signal_stops_and_another_cuts";
    first_stops_and_second_cuts(test, "cut_on", ["TERM", "INT"]);
}

#[test]
fn the_second_signal_of_a_kind_cuts() {
    if let Ok(kind) = std::env::var(CHILD) {
        return serve_until_signals(&kind);
    }
    let test = "stop::the_second_signal_of_a_kind_cuts";
    for kind in ["1", "2", "inside"] {
        first_stops_and_second_cuts(test, kind, ["INT", "INT"]);
    }
    first_stops_and_second_cuts(test, "terminate", ["TERM", "TERM"]);
}

#[test]
fn a_stop_before_the_start_ends_it_at_the_start() {
    let change = |server: Server| {
        server.handle().stop(NEVER);
        server
    };
    let server = Running::start(2, change, waiting(&Gate::default()));
    assert_eq!(server.ended().unwrap().accepted, 0);
}

#[test]
fn a_handler_may_stop_its_own_server() {
    let handle = Arc::new(Mutex::new(None));
    let inner = Arc::clone(&handle);
    let change = move |server: Server| {
        *handle.lock().unwrap() = Some(server.handle());
        server
    };
    let handler = async move |_request: Request| {
        let handle = inner.lock().unwrap().clone();
        handle.unwrap().stop(NEVER);
        Response::text("bye")
    };
    let server = Running::start(2, change, handler);
    let mut client = server.send(&get("/"));
    assert!(read_answer(&mut client).ends_with("bye"));
    expect_fin(&mut client);
    drop(client);
    assert_eq!(server.ended().unwrap().finished, 1);
}

#[test]
fn a_worker_that_fails_ends_the_others() {
    let workers = AtomicUsize::new(0);
    let make = move || {
        let number = workers.fetch_add(1, Ordering::Relaxed);
        assert_ne!(number, 1, "this worker fails, as it should");
        async |_request: Request| Response::text("hello")
    };
    let server = Running::start_by(2, unchanged, |server| server.run_each(make));
    let error = server.ended().unwrap_err();
    assert_eq!(error.to_string(), "a worker has panicked");
}

#[test]
fn a_value_that_panics_when_it_is_dropped_leaves_the_cut_to_go_on() {
    struct Panics(Vec<u8>);
    impl AsRef<[u8]> for Panics {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Panics {
        fn drop(&mut self) {
            if !thread::panicking() {
                panic!("dropped");
            }
        }
    }
    let (tell, told) = mpsc::channel();
    let handler = async move |_: Request| {
        let tell = tell.clone();
        Response::writer(async move |mut out: BodyWriter| {
            let other = annulus::spawn(async move {
                // The first is with the kernel, which has no room for it, and the second waits.
                out.write(vec![b'x'; 64 << 20]).await.unwrap();
                for _ in 0..100 {
                    annulus::task::yield_now().await;
                }
                out.write(Bytes::from_owner(Panics(vec![b'x'; 1 << 20])))
                    .await
                    .unwrap();
                tell.send(()).unwrap();
                std::future::pending::<()>().await;
            });
            other.await.unwrap();
            Ok(())
        })
    };
    let server = Running::start(1, unchanged, handler);
    let clients = [server.send(&get("/")), server.send(&get("/"))];
    for _ in &clients {
        told.recv_timeout(BOUND).unwrap();
    }
    server.handle.stop(Duration::ZERO);
    let report = server.ended().unwrap();
    assert_eq!(report.cut, 2, "{report}");
}

#[test]
fn a_client_that_keeps_its_side_open_is_not_waited_for_once_it_has_the_answer() {
    const ROUNDS: u64 = 20;
    let start = Instant::now();
    // A client that is waited for takes two seconds.
    for _ in 0..ROUNDS {
        let gate = Gate::default();
        let server = Running::start(1, unchanged, waiting(&gate));
        let mut body =
            server.send("POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
        let mut busy = server.send(&get("/wait"));
        gate.wait_for(2);
        server.handle.stop(NEVER);
        server.wait_refused();
        gate.open();
        // Neither of them closes, and one does not read before the server has ended.
        assert!(says_close(&read_answer(&mut busy)));
        assert_eq!(server.ended().unwrap().finished, 2);
        assert!(says_close(&read_answer(&mut body)));
        expect_fin(&mut busy);
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(ROUNDS), "{took:?}");
}

#[test]
fn a_client_that_uploads_is_read_on_and_sees_the_answer() {
    const BODY_BYTES: usize = 2 << 20;
    let gate = Gate::default();
    let server = Running::start(1, unchanged, waiting(&gate));
    let head = format!("POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
    let chunked = "POST /wait HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut clients = [server.send(&head), server.send(chunked)];
    gate.wait_for(2);
    server.handle.stop(NEVER);
    server.wait_refused();
    gate.open();
    // Bytes after the answer would be reset if the server had closed.
    clients[0].write_all(&vec![b'b'; BODY_BYTES]).unwrap();
    for _ in 0..60 {
        clients[1]
            .write_all(format!("8000\r\n{:32768}\r\n", "").as_bytes())
            .unwrap();
    }
    clients[1].write_all(b"0\r\n\r\n").unwrap();
    for mut client in clients {
        assert!(says_close(&read_answer(&mut client)));
        expect_fin(&mut client);
    }
    assert_eq!(server.ended().unwrap().finished, 2);
}
