//! The HTTP server and clients that others wrote: curl, wrk, h2load, nginx in front, Python's
//! requests, httpx, aiohttp and websockets, Node's fetch, and Chromium. Beside them are other
//! programs' UDP sockets.
//!
//! A client that is not installed is skipped, and said so; with `ANNULUS_REQUIRE_ALL=1` it is a
//! failure. The Python packages of `requirements.txt`, which stands beside this file, are installed
//! into the target folder.
#![cfg(feature = "http")]

mod browser;
#[path = "../support/mod.rs"]
mod support;
mod udp;
#[cfg(feature = "compress")]
mod websockets;

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use support::{
    BOUND,
    conformance::Server,
    program::{Program, folder},
};

fn serve() -> Server {
    Server::start(&["--max-body", "8000000"])
}

/// The text that curl writes when it is called so.
fn curl(curl: &Program, arguments: &[&str]) -> String {
    curl.output(&[&["-sS", "--max-time", "60"], arguments].concat())
}

/// A file of so many bytes that are no text.
fn file(name: &str, len: usize) -> PathBuf {
    let path = folder().join(name);
    let bytes: Vec<u8> = (0..len)
        .map(|index| (index * 7 + index / 251) as u8)
        .collect();
    fs::write(&path, bytes).unwrap();
    path
}

/// Plays what curl can do against the server at `base`, directly or through a proxy. Its files
/// begin with `name`.
fn play_curl(program: &Program, base: &str, name: &str) {
    let call = |arguments: &[&str]| curl(program, arguments);
    let url = |path: &str| format!("{base}{path}");
    assert_eq!(call(&["-d", "hello", &url("/x")]), "hello");
    let upload = file(&format!("{name}-sent"), 3_000_000);
    let back = folder().join(format!("{name}-received"));
    let (from, to) = (format!("@{}", upload.display()), back.display().to_string());
    // Sized, and with an expectation, since it is large.
    call(&["--data-binary", &from, "-o", &to, &url("/x")]);
    assert!(
        fs::read(&upload).unwrap() == fs::read(&back).unwrap(),
        "sized"
    );
    // In chunks.
    let path = upload.display().to_string();
    call(&[
        "-H",
        "Transfer-Encoding: chunked",
        "-T",
        &path,
        "-o",
        &to,
        &url("/x"),
    ]);
    assert!(
        fs::read(&upload).unwrap() == fs::read(&back).unwrap(),
        "in chunks"
    );

    let size = ["-o", "/dev/null", "-w", "%{http_code} %{size_download}"];
    let sized = |path: &str| call(&[&size[..], &[&url(path)]].concat());
    assert_eq!(sized("/big?n=50000000"), "200 50000000");
    assert_eq!(sized("/big?n=0"), "200 0");
    assert_eq!(sized("/status/204"), "204 0");
    assert_eq!(sized("/status/304"), "304 0");
    assert_eq!(sized("/status/404"), "404 0");
    assert_eq!(sized("/boom").split(' ').next(), Some("500"));
    assert_eq!(call(&[&url("/chunked")]), "alpha,beta,gamma");
    assert_eq!(call(&[&url("/slow?ms=50")]), "slow");
    assert_eq!(call(&[&url("/static/hello.txt")]), "hello, static world\n");
    let events = call(&["-N", &url("/sse")]);
    assert_eq!(events.matches("data: tick ").count(), 3, "{events}");
    let head = call(&["-I", &url("/big?n=1000")]).to_ascii_lowercase();
    assert!(head.contains("\r\ncontent-length: 1000\r\n"), "{head}");
    for version in ["--http1.0", "--http1.1"] {
        assert_eq!(call(&[version, &url("/chunked")]), "alpha,beta,gamma");
        assert_eq!(call(&[version, "-d", "hello", &url("/x")]), "hello");
    }
}

#[test]
fn curl_is_served() {
    let Some(program) = Program::find("curl") else {
        return;
    };
    let server = serve();
    let base = format!("http://{}", server.addr());
    play_curl(&program, &base, "direct");
    // One connection for all, whatever is between.
    let mut arguments = vec!["-v".to_owned()];
    for path in [
        "/a",
        "/status/204",
        "/chunked",
        "/noread",
        "/status/404",
        "/big?n=100000",
        "/b",
    ] {
        arguments.extend([format!("{base}{path}"), "-o".into(), "/dev/null".into()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(|text| &**text).collect();
    let log = program.log(&arguments).to_ascii_lowercase();
    assert_eq!(log.matches("re-using existing").count(), 6, "{log}");
    // It sees the refusal although it has more to send.
    let large = file("large", 30_000_000);
    for _ in 0..10 {
        let status = curl(
            &program,
            &[
                "-H",
                "Expect:",
                "--data-binary",
                &format!("@{}", large.display()),
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                &format!("{base}/x"),
            ],
        );
        assert_eq!(status, "413");
    }
}

#[test]
fn wrk_and_h2load_find_no_error() {
    let server = serve();
    let url = format!("http://{}/x", server.addr());
    if let Some(wrk) = Program::find("wrk") {
        let report = wrk.output(&["-t1", "-c64", "-d1", &url]);
        assert!(report.contains("Requests/sec"), "{report}");
        assert!(
            !report.contains("Socket errors") && !report.contains("Non-2xx"),
            "{report}"
        );
    }
    if let Some(h2load) = Program::find("h2load") {
        for (requests, clients, streams) in [("5000", "16", "1"), ("5000", "4", "16")] {
            let counts = ["-n", requests, "-c", clients, "-m", streams, "--h1", &url];
            let report = h2load.output(&counts);
            assert!(
                report.contains(&format!(" {requests} succeeded, 0 failed, 0 errored")),
                "{report}"
            );
            assert!(report.contains(&format!(" {requests} 2xx, ")), "{report}");
        }
    }
}

/// A running nginx, which ends with this value.
struct Nginx(Child, u16);

impl Nginx {
    /// Starts one in front of `server`: under `/kept` it keeps connections to it and passes bodies
    /// on as they come, under `/old` it speaks HTTP/1.0 and collects them first.
    fn start(program: &Program, server: &Server) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let work = folder().join("nginx");
        fs::create_dir_all(&work).unwrap();
        let configuration = format!(
            "daemon off; master_process off; pid {work}/pid; error_log stderr;
            events {{ worker_connections 512; }}
            http {{
                access_log off; client_max_body_size 100m;
                client_body_temp_path {work}/body; proxy_temp_path {work}/proxy;
                fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
                upstream annulus {{ server {addr}; keepalive 8; }}
                server {{
                    listen 127.0.0.1:{port};
                    location /kept/ {{
                        proxy_pass http://annulus/; proxy_http_version 1.1;
                        proxy_set_header Connection ''; proxy_set_header Host $host;
                        proxy_request_buffering off; proxy_buffering off;
                    }}
                    location /old/ {{ proxy_pass http://annulus/; }}
                }}
            }}",
            work = work.display(),
            addr = server.addr(),
        );
        let path = work.join("nginx.conf");
        fs::write(&path, configuration).unwrap();
        let child = program
            .command()
            .arg("-p")
            .arg(&work)
            .arg("-c")
            .arg(&path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self(child, port);
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < BOUND, "nginx does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nginx_in_front_passes_everything_on() {
    let Some(program) = Program::find("nginx") else {
        return;
    };
    let Some(curl) = Program::find("curl") else {
        return;
    };
    let server = serve();
    let nginx = Nginx::start(&program, &server);
    for place in ["kept", "old"] {
        play_curl(
            &curl,
            &format!("http://127.0.0.1:{}/{place}", nginx.1),
            place,
        );
    }
    let Some(wrk) = Program::find("wrk") else {
        return;
    };
    let report = wrk.output(&[
        "-t1",
        "-c32",
        "-d1",
        &format!("http://127.0.0.1:{}/kept/x", nginx.1),
    ]);
    assert!(
        !report.contains("Socket errors") && !report.contains("Non-2xx"),
        "{report}"
    );
}

#[test]
fn the_clients_of_python_are_served() {
    let Some(python) = Program::python() else {
        return;
    };
    let server = serve();
    let script = script("clients.py");
    for client in ["requests", "httpx", "aiohttp"] {
        let written = python.output(&[&script, client, &format!("http://{}", server.addr())]);
        assert_eq!(written.trim(), "served", "{client}");
    }
}

#[test]
fn the_fetch_of_node_is_served() {
    let Some(node) = Program::find("node") else {
        return;
    };
    let server = serve();
    let written = node.output(&[&script("fetch.mjs"), &format!("http://{}", server.addr())]);
    assert_eq!(written.trim(), "served");
}

fn script(name: &str) -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_clients");
    tests.join(name).display().to_string()
}
