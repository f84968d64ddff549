//! The page for Prometheus, and the socket for viewers.

use std::{
    collections::{HashMap, HashSet},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::PathBuf,
    time::Instant,
};

use annulus::{
    Cores,
    http::{Response, Router, Server, metrics},
    inspect,
};

use crate::support::{BOUND, http};

/// The samples of a page: a name with its labels, and the value. It fails on a page that breaks the
/// format.
fn parse(page: &str) -> HashMap<String, f64> {
    let mut samples = HashMap::new();
    let mut families = HashSet::new();
    let (mut name, mut kind) = (String::new(), String::new());
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (family, text) = help.split_once(' ').expect("a help has a text");
            assert!(
                !text.is_empty() && families.insert(family.to_owned()),
                "{line}"
            );
            name = family.to_owned();
            continue;
        }
        if let Some(of) = line.strip_prefix("# TYPE ") {
            let (family, is) = of.split_once(' ').expect("a type has a name");
            assert_eq!(family, name, "the type comes after the help");
            assert!(["counter", "gauge", "histogram"].contains(&is), "{line}");
            assert_eq!(is == "counter", family.ends_with("_total"), "{line}");
            kind = is.to_owned();
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').expect("a sample has a value");
        let own = sample.split('{').next().unwrap();
        let is_own = match &*kind {
            "histogram" => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|end| own.strip_suffix(end) == Some(&name)),
            _ => own == name,
        };
        assert!(is_own, "{line} stands below {name}");
        if let Some(labels) = sample.strip_prefix(own).filter(|labels| !labels.is_empty()) {
            let labels = labels.strip_prefix('{').and_then(|l| l.strip_suffix('}'));
            for label in labels.expect("labels stand in braces").split("\",") {
                let (name, text) = label.split_once("=\"").expect("a label has a text");
                assert!(
                    name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
                    "{line}"
                );
                assert!(!text.trim_end_matches('"').contains(['"', '\n']), "{line}");
            }
        }
        let value: f64 = value.parse().expect("a value is a number");
        let before = samples.insert(sample.to_owned(), value);
        assert_eq!(before, None, "{sample} stands there twice");
    }
    assert!(page.ends_with('\n'));
    samples
}

/// The sum of the samples that begin so and contain the labels.
fn sum(samples: &HashMap<String, f64>, name: &str, labels: &[&str]) -> f64 {
    let found = samples.iter().filter(|(sample, _)| {
        sample.split('{').next() == Some(name) && labels.iter().all(|l| sample.contains(l))
    });
    found.map(|(_, value)| value).sum()
}

fn get(stream: &mut TcpStream, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    http::read_answer(stream)
}

#[test]
fn one_page_has_all_workers_of_the_server() {
    let router = || {
        Router::new()
            .get("/", async |_| Response::text("hello"))
            .get("/metrics", metrics)
    };
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let running = scope.spawn(move || {
            let server = Server::new().listen("127.0.0.1:0").cores(Cores::Count(2));
            let handle = server.handle();
            let tell = move |addr| tell.send((addr, handle.clone())).unwrap();
            server.on_listening(tell).run_each(router)
        });
        let (addr, handle) = told.recv().unwrap();
        let own = format!("server=\"{addr}\"");
        let mut kept = http::connect(addr);
        for _ in 0..3 {
            assert!(get(&mut kept, "/").ends_with("hello"));
        }
        let start = Instant::now();
        loop {
            let answer = get(&mut http::connect(addr), "/metrics");
            let (head, page) = answer.split_once("\r\n\r\n").unwrap();
            let kind = http::field(head, "content-type");
            assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
            let samples = parse(page);
            let of_server = |name| sum(&samples, name, &[&own]);
            let threads: HashSet<_> = samples
                .keys()
                .filter(|sample| sample.contains(&own) && sample.contains("requests_total"))
                .collect();
            let up = sum(&samples, "annulus_runtime_up", &[]);
            if threads.len() == 2 && of_server("annulus_http_requests_total") >= 3.0 && up >= 2.0 {
                assert!(of_server("annulus_http_connections_accepted_total") >= 2.0);
                assert!(sum(&samples, "annulus_http_connections", &[&own, "idle"]) >= 1.0);
                assert!(sum(&samples, "annulus_http_connections", &[&own, "handler"]) >= 1.0);
                assert!(sum(&samples, "annulus_enters_total", &[]) > 0.0);
                break;
            }
            assert!(start.elapsed() < BOUND, "{samples:#?}");
        }
        handle.stop(BOUND);
        running.join().unwrap().unwrap();
    });
}

#[test]
fn times_of_polls_are_a_histogram_in_seconds() {
    let name = "measured";
    let measured = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let runtime = annulus::Runtime::builder().measure(true).build().unwrap();
            runtime.block_on(async {
                for _ in 0..10 {
                    annulus::spawn(async {}).await.unwrap();
                }
                let start = Instant::now();
                loop {
                    let page = inspect::metrics(std::time::Duration::from_millis(100)).await;
                    let samples = parse(&page);
                    let own = format!("thread=\"{name}\"");
                    let count = sum(&samples, "annulus_poll_seconds_count", &[&own]);
                    if count >= 10.0 {
                        let all = sum(&samples, "annulus_poll_seconds_bucket", &[&own, "+Inf"]);
                        assert_eq!(count, all);
                        let first = sum(
                            &samples,
                            "annulus_poll_seconds_bucket",
                            &[&own, "\"0.000001\""],
                        );
                        let second = sum(
                            &samples,
                            "annulus_poll_seconds_bucket",
                            &[&own, "\"0.000002\""],
                        );
                        assert!(first <= second && second <= all);
                        assert!(sum(&samples, "annulus_busy_seconds_total", &[&own]) > 0.0);
                        return;
                    }
                    assert!(start.elapsed() < BOUND, "{page}");
                }
            });
        });
    measured.unwrap().join().unwrap();
}

fn socket(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("annulus-{name}-{}", std::process::id()))
}

/// Asks at the socket, and returns the first line of the answer with the text.
fn ask(stream: &UnixStream, request: &str) -> (String, String) {
    (&*stream).write_all(request.as_bytes()).unwrap();
    let mut reader = BufReader::with_capacity(1, stream);
    let mut head = String::new();
    reader.read_line(&mut head).unwrap();
    let len = head
        .trim()
        .strip_prefix("ok ")
        .map_or(0, |len| len.parse().unwrap());
    let mut text = vec![0; len];
    reader.read_exact(&mut text).unwrap();
    (head, String::from_utf8(text).unwrap())
}

#[test]
fn a_viewer_asks_at_a_socket_that_only_this_user_may_use() {
    let path = socket("viewer");
    let inspector = inspect::listen(&path).unwrap();
    assert_eq!(inspector.path(), path);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = inspect::listen(&path).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse);
    let (tell, told) = annulus::sync::remote::oneshot::channel::<()>();
    let shown = std::thread::Builder::new()
        .name("shown".to_owned())
        .spawn(|| {
            let _ = annulus::run(told);
        });
    let stream = UnixStream::connect(&path).unwrap();
    let start = Instant::now();
    loop {
        let (head, text) = ask(&stream, "dump\n");
        assert!(head.starts_with("ok "), "{head}");
        if text.contains("thread `shown`\n  the future given to `run` or `block_on`: waits for") {
            assert!(!text.contains("annulus-inspect"), "{text}");
            break;
        }
        assert!(start.elapsed() < BOUND, "{text}");
    }
    let (_, page) = ask(&stream, "metrics\n");
    assert!(
        sum(&parse(&page), "annulus_runtime_up", &["shown"]) == 1.0,
        "{page}"
    );
    let (head, _) = ask(&stream, "nonsense\n");
    assert!(head.starts_with("error expected"), "{head}");
    let (head, _) = ask(&stream, &"x".repeat(100));
    assert!(head.starts_with("error the request is too long"), "{head}");
    assert_eq!((&stream).read(&mut [0; 8]).unwrap(), 0, "it is closed");
    // One that goes away in the middle of its answer is no concern of the others.
    let leaving = UnixStream::connect(&path).unwrap();
    (&leaving).write_all(b"metrics\n").unwrap();
    drop(leaving);
    let (head, _) = ask(&UnixStream::connect(&path).unwrap(), "metrics\n");
    assert!(head.starts_with("ok "), "{head}");
    drop(inspector);
    assert!(!path.exists());
    drop(tell);
    shown.unwrap().join().unwrap();
}

#[test]
fn the_socket_of_a_later_viewer_is_left_alone() {
    let path = socket("later");
    let first = inspect::listen(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let second = inspect::listen(&path).unwrap();
    drop(first);
    let (head, _) = ask(&UnixStream::connect(&path).unwrap(), "metrics\n");
    assert!(head.starts_with("ok "), "{head}");
    drop(second);
    assert!(!path.exists());
}
