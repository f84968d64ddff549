//! The programs `tracing`, `metrics` and `opentelemetry`: they are run, asked, and read.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use annulus::http::client::synchronous;
use ecosystem::program::Program;

fn get(url: &str) -> String {
    let page = synchronous::fetch(url).unwrap();
    page.text().unwrap()
}

/// Sends what is no HTTP, and returns the answer.
fn send_nonsense(addr: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(b"nonsense\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// How many lines have all of `parts`.
fn count(lines: &[String], parts: &[&str]) -> usize {
    let has_all = |line: &&String| parts.iter().all(|part| line.contains(part));
    lines.iter().filter(has_all).count()
}

#[test]
fn each_line_of_tracing_knows_its_request() {
    let (program, addr) = Program::serve(env!("CARGO_BIN_EXE_tracing"));
    // Both are under way on one thread or two, and wait in between.
    std::thread::scope(|scope| {
        for id in 0..20 {
            let url = format!("http://{addr}/users/{id}");
            scope.spawn(move || assert!(get(&url).starts_with(&format!("user {id} has "))));
        }
    });
    let missing = synchronous::fetch(format!("http://{addr}/nothing")).unwrap();
    assert_eq!(missing.status(), 404);
    assert!(send_nonsense(&addr).starts_with("HTTP/1.1 400 "));
    let lines = program.interrupt();
    for id in 0..20 {
        let of_this = format!(
            r#"request{{otel.kind="server" otel.name="GET" http.request.method="GET" url.path="/users/{id}" "#
        );
        let route = r#"http.route="/users/{id}""#;
        let looking = format!("}}: looking the user up id={id}");
        assert_eq!(
            count(&lines, &[&of_this, route, &looking]),
            1,
            "{id}: {lines:#?}"
        );
        // On a helper thread.
        let hashing = format!("}}: hashing name=\"user-{id}\"");
        assert_eq!(count(&lines, &[&of_this, &hashing]), 1, "{id}: {lines:#?}");
        let closed = ["http.response.status_code=200 ", "}: close time.busy"];
        assert_eq!(
            count(&lines, &[&of_this, closed[0], closed[1]]),
            1,
            "{id}: {lines:#?}"
        );
    }
    // In a task of its own.
    let of_zero = [r#"url.path="/users/0" "#, "}: there is no such user"];
    assert_eq!(count(&lines, &["WARN", of_zero[0], of_zero[1]]), 1);
    let none = [
        r#"url.path="/nothing" "#,
        "http.response.status_code=404 ",
        "}: close",
    ];
    assert_eq!(count(&lines, &none), 1, "{lines:#?}");
    assert_eq!(count(&lines, &["INFO answered /users/", "sent="]), 20);
    assert_eq!(count(&lines, &["WARN ended  reason="]), 1, "{lines:#?}");
}

#[test]
fn prometheus_reads_counts_of_requests_and_of_each_runtime() {
    let (program, addr) = Program::serve(env!("CARGO_BIN_EXE_metrics"));
    for _ in 0..3 {
        assert_eq!(get(&format!("http://{addr}/hello/Ada")), "Hello, Ada!\n");
    }
    assert!(send_nonsense(&addr).starts_with("HTTP/1.1 400 "));
    let url = format!("http://{addr}/metrics");
    let page = synchronous::fetch(&*url).unwrap();
    let content_type = page.field("content-type").unwrap();
    assert_eq!(content_type, b"text/plain; version=0.0.4");
    let text = page.text().unwrap();
    let requests = r#"http_requests_total{method="GET",route="/hello/{name}",status="200"} 3"#;
    assert!(text.lines().any(|line| line == requests), "{text}");
    for line in [
        r#"http_request_seconds_count{route="/hello/{name}"} 3"#,
        "# TYPE annulus_tasks_spawned gauge",
        r#"annulus_operations_in_flight{worker=""#,
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{text}");
    }
    // A record is made after the answer has been sent: the next page has it at the latest.
    let start = Instant::now();
    loop {
        let text = get(&url);
        assert!(start.elapsed() < Duration::from_secs(60), "{text}");
        if text.contains("http_ended_total{reason=") && text.contains("http_sent_bytes_total") {
            break;
        }
    }
    let _ = program.interrupt();
}

#[test]
fn spans_reach_a_collector_under_the_trace_of_the_caller() {
    let (program, addr) = Program::serve(env!("CARGO_BIN_EXE_opentelemetry"));
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let page = synchronous::send(|client| {
        let request = client.get(format!("http://{addr}/users/7"));
        request.with_field("traceparent", format!("00-{trace}-{parent}-01"))
    });
    assert_eq!(page.unwrap().text().unwrap(), "user 7\n");
    assert_eq!(get(&format!("http://{addr}/users/8")), "user 8\n");
    // The stop sends what is left.
    let lines = program.interrupt();
    let request = r#"collected "GET" route=/users/{id}"#;
    let ours = format!("trace={trace} ");
    let under = format!("parent={parent}");
    assert_eq!(count(&lines, &[request, &ours, &under]), 1, "{lines:#?}");
    assert_eq!(count(&lines, &[r#"collected "name_of""#, &ours]), 1);
    // The other request has a trace of its own, with two spans.
    assert_eq!(count(&lines, &["collected "]), 4, "{lines:#?}");
    assert_eq!(count(&lines, &[request]), 2);
    assert_eq!(count(&lines, &[&ours]), 2);
}
