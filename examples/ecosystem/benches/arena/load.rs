//! The load on a server.

use std::{
    cell::Cell,
    fs,
    path::PathBuf,
    process::Command,
    rc::Rc,
    time::{Duration, Instant},
};

use annulus::{
    http::{Client, websocket::WebSocket},
    net::TcpStream,
    spawn, time,
};

use super::{
    Setting,
    profiles::{Load, Profile},
    servers::Server,
};

/// Connections of a load, unless said.
const CONNECTIONS: usize = 64;

/// Requests a second at the fixed rate.
const RATE: f64 = 5_000.0;

/// Drives a server, and returns how many requests it answered.
pub(super) fn drive(profile: &Profile, server: &Server, setting: &Setting) -> f64 {
    let (port, path) = (server.port(profile.port), profile.path);
    match &profile.load {
        Load::Wrk(script) => wrk(script, profile.port, port, setting),
        Load::H2load(streams, more) => h2load(profile, *streams, more, port, setting),
        Load::Short => in_tasks(CONNECTIONS, setting, async move |done| {
            short(port, path, &done).await;
        }),
        &Load::Upload(sizes) => in_tasks(4, setting, async move |done| {
            upload(port, sizes, &done).await;
        }),
        &Load::WebSocket(depth) => in_tasks(CONNECTIONS, setting, async move |done| {
            echo(port, path, depth, &done).await;
        }),
        Load::Rate => in_tasks(CONNECTIONS, setting, async move |done| {
            paced(port, path, &done).await;
        }),
    }
}

fn wrk(script: &str, name: &str, port: u16, setting: &Setting) -> f64 {
    let path = setting.scratch.join("wrk.lua");
    fs::write(&path, script).expect("the scratch folder can be written to");
    let scheme = if name == "https" { "https" } else { "http" };
    let output = Command::new("taskset")
        .args(["-c", &setting.first, "wrk", "-t1"])
        .args([
            &format!("-c{CONNECTIONS}"),
            &format!("-d{}s", setting.seconds),
            "-s",
        ])
        .arg(path)
        .arg(format!("{scheme}://127.0.0.1:{port}/"))
        .output()
        .expect("wrk is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("Non-2xx"), "{text}");
    let line = text.lines().find(|line| line.contains(" requests in "));
    let count = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    count.unwrap_or_else(|| panic!("wrk counts nothing: {text}"))
}

fn h2load(profile: &Profile, streams: usize, more: &[String], port: u16, setting: &Setting) -> f64 {
    let scheme = if profile.port == "h2" {
        "https"
    } else {
        "http"
    };
    let origin = format!("{scheme}://127.0.0.1:{port}");
    let mut command = Command::new("taskset");
    command.args([
        "-c",
        &setting.first,
        "h2load",
        "-t1",
        "-c",
        &CONNECTIONS.to_string(),
    ]);
    command.args([
        "-m",
        &streams.to_string(),
        "-D",
        &setting.seconds.to_string(),
    ]);
    let mut urls = Vec::new();
    let mut more = more.iter();
    while let Some(word) = more.next() {
        if word == "-d" {
            let name = more.next().expect("it has a name");
            command.arg("-d").arg(grpc_message(name, setting));
        } else if word.starts_with('/') {
            urls.push(format!("{origin}{word}"));
        } else {
            command.arg(word);
        }
    }
    if urls.is_empty() {
        urls.push(format!("{origin}{}", profile.path));
    }
    let output = command.args(urls).output().expect("h2load is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with("status codes: "));
    let count = line.and_then(|line| line.split_whitespace().nth(2)?.parse().ok());
    count.unwrap_or_else(|| panic!("h2load counts nothing: {text}"))
}

/// A request of the gRPC service: the sum of 1 and 2, and for a stream 5,000 of them.
fn grpc_message(name: &str, setting: &Setting) -> PathBuf {
    let protobuf: &[u8] = match name {
        "unary" => &[8, 1, 16, 2],
        _ => &[8, 1, 16, 2, 24, 0x88, 0x27],
    };
    let length = u8::try_from(protobuf.len()).expect("it is short");
    let path = setting.scratch.join(name);
    let message = [&[0, 0, 0, 0, length], protobuf].concat();
    fs::write(&path, message).expect("the scratch folder can be written to");
    path
}

/// Runs a task for each connection until the time is over, and returns what they have counted.
fn in_tasks(count: usize, setting: &Setting, task: impl AsyncFn(Rc<Cell<f64>>) + 'static) -> f64 {
    let done = Rc::new(Cell::new(0.0));
    let seconds = Duration::from_secs_f64(setting.seconds);
    annulus::run(async {
        let task = Rc::new(task);
        let tasks: Vec<_> = (0..count)
            .map(|_| {
                let (task, done) = (Rc::clone(&task), Rc::clone(&done));
                spawn(async move { task(done).await })
            })
            .collect();
        time::sleep(seconds).await;
        for task in &tasks {
            task.abort();
        }
    });
    done.get()
}

fn count(done: &Cell<f64>) {
    done.set(done.get() + 1.0);
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// Sends a request, and reads an answer whose head and body come together.
async fn ask(stream: &TcpStream, request: &[u8]) {
    stream
        .write_all(request.to_vec())
        .await
        .expect("the server reads");
    let answer = stream.recv().await.expect("the server answers");
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        answer.escape_ascii()
    );
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("the server listens")
}

async fn short(port: u16, path: &str, done: &Cell<f64>) {
    let request = request(path);
    loop {
        let stream = connect(port).await;
        for _ in 0..10 {
            ask(&stream, request.as_bytes()).await;
            count(done);
        }
    }
}

async fn upload(port: u16, sizes: &[usize], done: &Cell<f64>) {
    let client = Client::new();
    let url = format!("http://127.0.0.1:{port}/upload");
    for size in sizes.iter().cycle() {
        let answer = client.post(&*url).body(vec![7; *size]).send().await;
        let text = answer.expect("the server answers").text().await;
        assert_eq!(text.expect("it is a number"), size.to_string());
        count(done);
    }
}

async fn echo(port: u16, path: &str, depth: usize, done: &Cell<f64>) {
    let url = format!("ws://127.0.0.1:{port}{path}");
    let opened = Client::new().websocket(url).connect().await;
    let mut socket: WebSocket = opened.expect("the server takes WebSockets");
    loop {
        for _ in 0..depth {
            socket.send("hello").await.expect("the server reads");
        }
        for _ in 0..depth {
            let message = socket.recv().await.expect("the server answers");
            assert!(message.is_some());
            count(done);
        }
    }
}

async fn paced(port: u16, path: &str, done: &Cell<f64>) {
    let request = request(path);
    let stream = connect(port).await;
    let every = Duration::from_secs_f64(CONNECTIONS as f64 / RATE);
    let mut due = Instant::now();
    loop {
        time::sleep_until(due).await;
        ask(&stream, request.as_bytes()).await;
        count(done);
        due += every;
    }
}
