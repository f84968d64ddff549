//! The program `postgres`, against a real server.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use annulus::http::client::synchronous;
use ecosystem::{postgres_server::PostgresServer, program::Program};

/// How long anything may take.
const BOUND: Duration = Duration::from_secs(60);
const PROGRAM: &str = env!("CARGO_BIN_EXE_postgres");

fn get(url: &str) -> (u16, String) {
    let answer = synchronous::fetch(url).unwrap();
    (answer.status().as_u16(), answer.text().unwrap())
}

fn send(method: &str, url: &str, body: &str) -> (u16, String) {
    let answer = synchronous::send(|client| {
        let request = match method {
            "POST" => client.post(url),
            _ => client.put(url),
        };
        request.body(body.to_owned())
    });
    let answer = answer.unwrap();
    (answer.status().as_u16(), answer.text().unwrap())
}

/// Asks and leaves the answer to be read line by line.
fn open(addr: &str, path: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n").unwrap();
    BufReader::new(stream)
}

fn line_with(reader: &mut BufReader<TcpStream>, text: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "no {text:?}");
        if line.contains(text) {
            return line;
        }
    }
}

/// Asks the server until the answer is `expected`.
fn until(server: &PostgresServer, sql: &str, expected: &str) {
    let begun = Instant::now();
    while server.sql(sql) != expected {
        assert!(begun.elapsed() < BOUND, "{sql} is never {expected}");
        thread::yield_now();
    }
}

#[test]
fn notes_are_written_in_a_transaction_and_found_by_any_worker() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    for url in [server.url(), server.socket_url()] {
        let (program, addr) = Program::serve_with(PROGRAM, &[&url]);
        let notes = format!("http://{addr}/notes");
        let _ = server.sql("TRUNCATE notes RESTART IDENTITY");
        let (status, ids) = send("POST", &notes, "first\nsecond");
        assert_eq!((status, &*ids), (201, "1\n2\n"), "{url}");
        for _ in 0..20 {
            assert_eq!(get(&format!("{notes}/2")), (200, "second".into()));
        }
        assert_eq!(get(&format!("{notes}/9")).0, 404);
        assert_eq!(get(&format!("{notes}/nine")).0, 400);
        // The empty line breaks a rule of the table: the first of the two is not there either.
        let (status, reason) = send("POST", &notes, "third\n\nfourth");
        assert_eq!(status, 422, "{reason}");
        assert_eq!(server.sql("SELECT count(*) FROM notes"), "2");
        let _ = program.interrupt();
    }
}

#[test]
fn tables_are_copied_in_and_out_as_they_come() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let (program, addr) = Program::serve_with(PROGRAM, &[&server.url()]);
    let csv = format!("http://{addr}/notes.csv");
    let rows: Vec<String> = (0..100_000)
        .map(|number| format!("note {number}"))
        .collect();
    let (status, text) = send("PUT", &csv, &format!("{}\n", rows.join("\n")));
    assert_eq!((status, &*text), (200, "100000 notes\n"));
    let (status, text) = get(&csv);
    assert_eq!(status, 200);
    let texts = text.lines().map(|row| row.split_once(',').unwrap().1);
    assert!(texts.eq(rows.iter().map(String::as_str)));
    // A row with two columns is refused, and nothing of the table is kept.
    let (status, reason) = send("PUT", &csv, "good\nnot,good\n");
    assert_eq!(status, 400, "{reason}");
    assert_eq!(server.sql("SELECT count(*) FROM notes"), "100000");
    // The connections are good for the next question.
    for _ in 0..10 {
        assert_eq!(get(&format!("http://{addr}/notes/1")).0, 200);
    }
    let _ = program.interrupt();
}

#[test]
fn notifications_reach_each_client_that_watches() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let (mut program, addr) = Program::serve_with(PROGRAM, &[&server.url()]);
    let mut watchers: Vec<_> = (0..4).map(|_| open(&addr, "/events")).collect();
    for watcher in &mut watchers {
        let _ = line_with(watcher, "text/event-stream");
    }
    let workers = thread::available_parallelism().unwrap().get();
    for _ in 0..workers {
        let _ = program.line("receives notifications");
    }
    let (status, _) = send("POST", &format!("http://{addr}/notes"), "by HTTP");
    assert_eq!(status, 201);
    let _ = server.sql("NOTIFY notes, 'by another program'");
    for watcher in &mut watchers {
        assert_eq!(line_with(watcher, "data:"), "data: 1 by HTTP\n");
        assert_eq!(line_with(watcher, "data:"), "data: by another program\n");
    }
    let _ = program.interrupt();
}

#[test]
fn a_query_is_cancelled_when_its_client_leaves() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let (program, addr) = Program::serve_with(PROGRAM, &[&server.url()]);
    let running = "SELECT count(*) FROM pg_stat_activity \
                   WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'";
    // More than the pools have connections: they are free again each time.
    for _ in 0..20 {
        let asked = open(&addr, "/sleep/3600");
        until(&server, running, "1");
        drop(asked);
        until(&server, running, "0");
    }
    assert_eq!(
        get(&format!("http://{addr}/sleep/0")),
        (200, "slept\n".into())
    );
    let _ = program.interrupt();
}

#[test]
fn connections_are_made_again_when_the_server_is_back() {
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    let (mut program, addr) = Program::serve_with(PROGRAM, &[&server.url()]);
    let notes = format!("http://{addr}/notes");
    assert_eq!(send("POST", &notes, "kept").0, 201);
    let workers = thread::available_parallelism().unwrap().get();
    for _ in 0..workers {
        let _ = program.line("receives notifications");
    }
    server.stop();
    assert_eq!(get(&format!("{notes}/1")).0, 503);
    server.resume();
    for _ in 0..20 {
        assert_eq!(get(&format!("{notes}/1")), (200, "kept".into()));
    }
    // The listeners are back as well.
    for _ in 0..workers {
        let _ = program.line("receives notifications");
    }
    let mut watcher = open(&addr, "/events");
    let _ = line_with(&mut watcher, "text/event-stream");
    let _ = server.sql("NOTIFY notes, 'again'");
    assert_eq!(line_with(&mut watcher, "data:"), "data: again\n");
    let _ = program.interrupt();
}
