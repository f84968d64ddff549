//! One service of axum on `axum::serve` and on annulus's server: the answers are the same.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{LazyLock, Once, mpsc},
    thread,
    time::Duration,
};

use annulus::{
    Cores,
    compat::{Tokio, tower::TowerToHandler},
    http::{Limits, Report, Server, ServerHandle},
};
use axum::extract::ConnectInfo;
use ecosystem::axum_app::{App, router};

/// A service that runs, on either server.
struct Running {
    addr: SocketAddr,
    app: App,
}

/// How long a test waits for what must come.
const BOUND: Duration = Duration::from_secs(60);

/// The folder of the static files, which is made anew.
fn files() -> PathBuf {
    static ONCE: Once = Once::new();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("axum");
    ONCE.call_once(|| {
        fs::create_dir_all(folder.join("inner")).unwrap();
        fs::write(folder.join("index.html"), "<p>index</p>").unwrap();
        fs::write(folder.join("data.txt"), "0123456789".repeat(50_000)).unwrap();
        fs::write(folder.join("inner/a b.css"), "p {}").unwrap();
    });
    folder
}

/// The runtime of tokio on a thread beside, whose files and timers handlers use.
fn tokio_beside() -> &'static Tokio {
    static TOKIO: LazyLock<Tokio> = LazyLock::new(|| Tokio::shared().unwrap());
    &TOKIO
}

fn on_axum() -> Running {
    let app = App::default();
    let router = router(app.clone(), &files());
    let runtime = tokio_beside().handle();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let addr = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    runtime.spawn(async { axum::serve(listener, service).await.unwrap() });
    Running { addr, app }
}

/// Starts annulus's server, which is stopped by the handle and returns its report then.
fn on_annulus_with_handle() -> (Running, ServerHandle, thread::JoinHandle<Report>) {
    let app = App::default();
    let (tell, told) = mpsc::channel();
    let (give, given) = mpsc::channel();
    let router = router(app.clone(), &files());
    let serving = thread::spawn(move || {
        let server = Server::new()
            .listen("127.0.0.1:0")
            .cores(Cores::Count(1))
            .limits(Limits {
                body_bytes_max: 8 << 20,
                ..Limits::default()
            })
            .on_listening(move |addr| tell.send(addr).unwrap());
        give.send(server.handle()).unwrap();
        server
            .run_each(move || {
                // The files of `ServeDir` and the timers of the events are tokio's.
                std::mem::forget(tokio_beside().enter());
                TowerToHandler::new(router.clone()).with_extensions(|request, extensions| {
                    if let Some(addr) = request.peer_addr() {
                        extensions.insert(ConnectInfo(addr));
                    }
                })
            })
            .unwrap()
    });
    let addr = told.recv_timeout(BOUND).unwrap();
    (Running { addr, app }, given.recv().unwrap(), serving)
}

fn on_annulus() -> Running {
    on_annulus_with_handle().0
}

/// An answer, without its date and without how it was cut into chunks.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status_line: String,
    /// In lower case and in order.
    fields: Vec<String>,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter().filter_map(|line| line.split_once(": "));
        fields
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream
}

/// Sends `request`, which closes its connection, and reads the answer.
fn ask(addr: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = connect(addr);
    stream.write_all(request).unwrap();
    read_answer(&mut stream)
}

fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    if bytes.starts_with(b"HTTP/1.1 100 ") {
        // The client had sent the body before it was asked for it.
        bytes.drain(..b"HTTP/1.1 100 Continue\r\n\r\n".len());
    }
    let head_len = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(bytes[..head_len].to_vec()).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let status_line = lines.next().unwrap().to_owned();
    let mut fields: Vec<_> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| format!("{}: {value}", name.to_lowercase()))
        .filter(|line| !line.starts_with("date: ") && !line.starts_with("last-modified: "))
        .collect();
    fields.sort();
    let mut answer = Answer {
        status_line,
        fields,
        body: bytes[head_len..].to_vec(),
    };
    if answer.field("transfer-encoding") == Some("chunked") {
        answer.body = unchunked(&answer.body);
    }
    answer
}

/// The data of a body in chunks, which has to be complete.
fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let line = bytes.windows(2).position(|end| end == b"\r\n").unwrap();
        let len = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).unwrap();
        bytes = &bytes[line + 2..];
        if len == 0 {
            assert_eq!(bytes, b"\r\n");
            return data;
        }
        data.extend_from_slice(&bytes[..len]);
        assert_eq!(&bytes[len..len + 2], b"\r\n");
        bytes = &bytes[len + 2..];
    }
}

/// A request with `fields` and a body.
fn request(method: &str, target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let mut head =
        format!("{method} {target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{fields}");
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

const JSON: &str = "Content-Type: application/json\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[test]
fn both_servers_give_the_same_answers() {
    let (theirs, ours) = (on_axum(), on_annulus());
    let note = br#"{"title":"milk","tags":["shop"]}"#;
    let large = vec![b'y'; 2 << 20];
    let chunked = b"POST /echo HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\
                    Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n";
    let requests: Vec<(&str, Vec<u8>)> = vec![
        ("text", request("GET", "/", "", b"")),
        ("HEAD", request("HEAD", "/", "", b"")),
        ("page", request("GET", "/page", "", b"")),
        ("no route", request("GET", "/nowhere", "", b"")),
        ("no method", request("DELETE", "/page", "", b"")),
        ("peer", request("GET", "/peer", "", b"")),
        (
            "fields",
            request("GET", "/fields", "X-A: 1\r\nX-B: \u{e9}\r\nX-A: 2\r\n", b""),
        ),
        ("redirect", request("GET", "/moved", "", b"")),
        ("no content", request("GET", "/empty", "", b"")),
        ("create", request("POST", "/api/notes", JSON, note)),
        ("create again", request("POST", "/api/notes", JSON, note)),
        ("show", request("GET", "/api/notes/2", "", b"")),
        (
            "replace",
            request("PUT", "/api/notes/2", JSON, br#"{"title":"bread"}"#),
        ),
        ("list", request("GET", "/api/notes?from=1&count=5", "", b"")),
        ("bad query", request("GET", "/api/notes?count=x", "", b"")),
        ("bad path", request("GET", "/api/notes/x", "", b"")),
        ("missing", request("GET", "/api/notes/9", "", b"")),
        ("bad JSON", request("POST", "/api/notes", JSON, b"{")),
        (
            "other JSON",
            request("POST", "/api/notes", JSON, br#"{"name":1}"#),
        ),
        ("no type", request("POST", "/api/notes", "", note)),
        ("remove", request("DELETE", "/api/notes/1", "", b"")),
        (
            "CORS",
            request(
                "OPTIONS",
                "/api/notes",
                "Origin: http://b.test\r\nAccess-Control-Request-Method: POST\r\n",
                b"",
            ),
        ),
        ("form", request("GET", "/login", "", b"")),
        (
            "login",
            request("POST", "/login", FORM, b"name=a%20b&password=secret"),
        ),
        (
            "refused",
            request("POST", "/login", FORM, b"name=a&password=b"),
        ),
        ("half a form", request("POST", "/login", FORM, b"name=a")),
        ("echo", request("POST", "/echo", "", &large)),
        ("echo in chunks", chunked.to_vec()),
        ("echo of nothing", request("POST", "/echo", "", b"")),
        ("upload", request("POST", "/upload", "", &large[..1 << 20])),
        (
            "expected",
            request("POST", "/upload", "Expect: 100-continue\r\n", b"hello"),
        ),
        ("stream", request("GET", "/stream", "", b"")),
        ("large", request("GET", "/large", "", b"")),
        ("events", request("GET", "/events", "", b"")),
        ("file", request("GET", "/files/data.txt", "", b"")),
        (
            "HEAD of a file",
            request("HEAD", "/files/data.txt", "", b""),
        ),
        (
            "part of a file",
            request("GET", "/files/data.txt", "Range: bytes=5-14\r\n", b""),
        ),
        (
            "wrong part",
            request("GET", "/files/data.txt", "Range: bytes=9999999-\r\n", b""),
        ),
        (
            "encoded name",
            request("GET", "/files/inner/a%20b.css", "", b""),
        ),
        ("index", request("GET", "/files/", "", b"")),
        ("no file", request("GET", "/files/none", "", b"")),
        ("outside", request("GET", "/files/../Cargo.toml", "", b"")),
        (
            "compressed",
            request("GET", "/compressed", "Accept-Encoding: gzip\r\n", b""),
        ),
        ("not compressed", request("GET", "/compressed", "", b"")),
    ];
    let mut differences = Vec::new();
    for (name, request) in &requests {
        let (their, our) = (ask(theirs.addr, request), ask(ours.addr, request));
        if their != our {
            let show = |answer: &Answer| {
                let body = &answer.body[..answer.body.len().min(100)];
                format!(
                    "{} {:?} {}",
                    answer.status_line,
                    answer.fields,
                    body.escape_ascii()
                )
            };
            differences.push(format!(
                "{name}:\n  axum::serve {}\n  annulus     {}",
                show(&their),
                show(&our)
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_request_of_http_1_0_has_the_same_body_in_the_servers_own_version() {
    let request = b"GET / HTTP/1.0\r\n\r\n";
    let (their, our) = (
        ask(on_axum().addr, request),
        ask(on_annulus().addr, request),
    );
    assert_eq!(their.body, our.body);
    // hyper takes over the client's version; a server sends its own (RFC 9110, section 2.5).
    assert_eq!(their.status_line, "HTTP/1.0 200 OK");
    assert_eq!(our.status_line, "HTTP/1.1 200 OK");
}

#[test]
fn a_stop_finishes_the_request_that_has_begun() {
    let (running, handle, serving) = on_annulus_with_handle();
    let mut stream = connect(running.addr);
    stream.write_all(&request("GET", "/held", "", b"")).unwrap();
    running.app.wait_for_held();
    handle.stop(BOUND);
    // New connections are refused once the listening socket is closed.
    while TcpStream::connect(running.addr).is_ok() {
        thread::yield_now();
    }
    running.app.release.notify_waiters();
    let answer = read_answer(&mut stream);
    assert_eq!(answer.body, b"released");
    assert_eq!(answer.field("connection"), Some("close"));
    let report = serving.join().unwrap();
    assert_eq!(report.answered, 1, "{report}");
}

#[test]
fn a_panic_of_a_handler_is_a_500_and_nothing_more() {
    let ours = on_annulus();
    let answer = ask(ours.addr, &request("GET", "/panic", "", b""));
    assert!(
        answer.status_line.contains(" 500 "),
        "{}",
        answer.status_line
    );
    assert_eq!(
        ask(ours.addr, &request("GET", "/", "", b"")).body,
        b"Hello, World!"
    );
}

#[test]
fn a_body_over_the_servers_limit_is_refused() {
    let ours = on_annulus();
    // axum streams it, and has no limit of its own for that.
    let large = vec![b'y'; 9 << 20];
    let mut stream = connect(ours.addr);
    let _ = stream.write_all(&request("POST", "/echo", "", &large));
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 413");
}

#[test]
fn a_router_of_ours_is_a_service_of_axums() {
    use annulus::{compat::tower::HandlerToTower, http};
    use axum::{Router, routing::get};

    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        Server::new()
            .listen("127.0.0.1:0")
            .cores(Cores::Count(1))
            .on_listening(move |addr| tell.send(addr).unwrap())
            .run_each(|| {
                let inner = http::Router::new()
                    .get(
                        "/{name}",
                        async |request: http::Request| -> http::Result<String> {
                            let peer = request.peer_addr().map(|addr| addr.ip());
                            Ok(format!("hello {} {peer:?}", request.param_str("name")?))
                        },
                    )
                    .post("/echo", async |mut request: http::Request| {
                        let mut body = request.take_body();
                        http::Response::writer(async move |mut out: http::BodyWriter| {
                            while let Some(piece) = body.next().await? {
                                out.write(piece).await?;
                            }
                            Ok(())
                        })
                    });
                let router = Router::new()
                    .route("/", get(|| async { "axum" }))
                    .nest_service("/inner", HandlerToTower::new(inner));
                TowerToHandler::new(router)
            })
            .unwrap()
    });
    let addr = told.recv_timeout(BOUND).unwrap();
    assert_eq!(ask(addr, &request("GET", "/", "", b"")).body, b"axum");
    let hello = ask(addr, &request("GET", "/inner/you", "", b""));
    assert_eq!(String::from_utf8_lossy(&hello.body), "hello you None");
    let large = vec![b'z'; 1 << 20];
    assert_eq!(
        ask(addr, &request("POST", "/inner/echo", "", &large)).body,
        large
    );
}

#[test]
fn layers_of_tower_http_stand_around_our_router() {
    use annulus::http;
    use tower_http::{
        compression::CompressionLayer, cors::CorsLayer, limit::RequestBodyLimitLayer,
        set_header::SetResponseHeaderLayer, trace::TraceLayer,
    };

    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        Server::new()
            .listen("127.0.0.1:0")
            .cores(Cores::Count(1))
            .on_listening(move |addr| tell.send(addr).unwrap())
            .run_each(|| {
                let router = http::Router::new()
                    .get("/text", async |_| "compress me ".repeat(1000))
                    .post(
                        "/count",
                        async |mut request: http::Request| -> http::Result<String> {
                            let bytes = request.take_body().bytes().await?;
                            Ok(format!("{} bytes", bytes.len()))
                        },
                    );
                let name = axum::http::HeaderName::from_static("x-served-by");
                let value = axum::http::HeaderValue::from_static("annulus");
                let layers = tower::ServiceBuilder::new()
                    .layer(TraceLayer::new_for_http())
                    .layer(SetResponseHeaderLayer::if_not_present(name, value))
                    .layer(CorsLayer::permissive())
                    .layer(CompressionLayer::new())
                    .layer(RequestBodyLimitLayer::new(1000));
                router.tower_layer(layers)
            })
            .unwrap()
    });
    let addr = told.recv_timeout(BOUND).unwrap();
    let text = ask(
        addr,
        &request("GET", "/text", "Accept-Encoding: gzip\r\n", b""),
    );
    assert_eq!(text.field("content-encoding"), Some("gzip"));
    assert_eq!(text.field("x-served-by"), Some("annulus"));
    assert!(text.body.len() < 1000, "{}", text.body.len());
    let count = ask(addr, &request("POST", "/count", "", &[b'a'; 1000]));
    assert_eq!(count.body, b"1000 bytes");
    let refused = ask(addr, &request("POST", "/count", "", &[b'a'; 1001]));
    assert!(
        refused.status_line.contains(" 413 "),
        "{}",
        refused.status_line
    );
    let origin = "Origin: http://b.test\r\nAccess-Control-Request-Method: POST\r\n";
    let preflight = ask(addr, &request("OPTIONS", "/count", origin, b""));
    assert_eq!(preflight.field("access-control-allow-origin"), Some("*"));
    let missing = ask(addr, &request("GET", "/nowhere", "", b""));
    assert!(
        missing.status_line.contains(" 404 "),
        "{}",
        missing.status_line
    );
    assert_eq!(missing.field("x-served-by"), Some("annulus"));
}
