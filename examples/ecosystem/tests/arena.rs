//! The program `arena`: each profile, with real clients and a real database.

use std::{
    fmt::Write as _,
    fs,
    io::{BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output, id},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::Duration,
};

use annulus::{
    http::{Client, client::synchronous, websocket::Message},
    time,
};
use ecosystem::{
    arena::{SumReply, Summands},
    grpc::connect,
    postgres_server::PostgresServer,
    program::Program,
    skip::skip,
};
use http::uri::PathAndQuery;
use serde_json::{Value, json};
use tonic::{Code, Request, client::Grpc};
use tonic_prost::ProstCodec;

/// How long anything may take.
const BOUND: Duration = Duration::from_secs(60);

/// A folder that is removed with this.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("annulus-arena-{}-{}", id(), COUNT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("static")).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), content).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The running program, and its addresses.
struct Arena {
    program: Program,
    http: String,
    https: String,
    h2c: String,
    h2: String,
    folder: Folder,
}

impl Arena {
    fn start(database: Option<&str>) -> Self {
        let folder = Folder::new();
        let items: Vec<Value> = (1..=50).map(item).collect();
        folder.write("dataset.json", serde_json::to_vec(&items).unwrap());
        folder.write("static/app.js", "let app = 1;\n".repeat(100));
        folder.write("static/app.js.br", "as if by brotli");
        folder.write("static/hero.webp", [7; 3000]);
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        folder.write("server.crt", identity.cert.pem());
        folder.write("server.key", identity.signing_key.serialize_pem());
        let mut command = Command::new(env!("CARGO_BIN_EXE_arena"));
        command.args(["--address", "127.0.0.1"]);
        command.args([
            Path::new("--data"),
            &folder.0,
            Path::new("--certs"),
            &folder.0,
        ]);
        for port in ["--port", "--tls-port", "--h2c-port", "--h2-port"] {
            command.args([port, "0"]);
        }
        command
            .env_remove("DATABASE_URL")
            .env("DATABASE_MAX_CONN", "8");
        command.envs(database.map(|url| ("DATABASE_URL", url)));
        let mut program = Program::start(&mut command);
        let mut addr = |name: &str| {
            let line = program.line(&format!("{name} listening on "));
            line.rsplit(' ').next().unwrap().to_owned()
        };
        let [http, https, h2c, h2] = ["http", "https", "h2c", "h2"].map(&mut addr);
        Self {
            program,
            http,
            https,
            h2c,
            h2,
            folder,
        }
    }

    /// The status, the type and the text of an answer on the port for everything.
    fn get(&self, path: &str) -> (u16, String, String) {
        answer(synchronous::fetch(format!("http://{}{path}", self.http)))
    }

    fn send(&self, method: &str, path: &str, body: impl Into<Vec<u8>>) -> (u16, String, String) {
        let (url, body) = (format!("http://{}{path}", self.http), body.into());
        answer(synchronous::send(move |client| {
            let request = match method {
                "POST" => client.post(&*url),
                _ => client.put(&*url),
            };
            request.body(body)
        }))
    }

    fn json(&self, path: &str) -> Value {
        let (status, kind, text) = self.get(path);
        assert_eq!(
            (status, &*kind),
            (200, "application/json"),
            "{path}: {text}"
        );
        serde_json::from_str(&text).unwrap()
    }

    /// The output of curl, none without it.
    fn curl(&self, arguments: &[&str]) -> Option<Output> {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "60", "--cacert"]);
        command
            .arg(self.folder.0.join("server.crt"))
            .args(arguments);
        match command.output() {
            Ok(output) => Some(output),
            Err(_) => {
                skip("no curl");
                None
            }
        }
    }

    fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream
    }
}

fn answer(response: annulus::http::client::Result<synchronous::Page>) -> (u16, String, String) {
    let response = response.unwrap();
    let kind = response.field("content-type").unwrap_or_default().to_vec();
    let kind = String::from_utf8(kind).unwrap();
    (response.status().as_u16(), kind, response.text().unwrap())
}

fn bounded(test: impl Future<Output = ()>) {
    let ended = annulus::run(async { time::timeout(BOUND, test).await });
    ended.expect("the test does not hang");
}

/// An item of the data set.
fn item(id: i32) -> Value {
    json!({
        "id": id, "name": format!("Thing {id}"), "category": "tools", "price": id * 7,
        "quantity": id + 3, "active": id % 2 == 0, "tags": ["a", "b"],
        "rating": {"score": id % 50, "count": id},
    })
}

#[test]
fn sums_are_those_of_the_query_and_the_body() {
    let arena = Arena::start(None);
    let sum = |path| arena.get(path);
    let text = |text: &str| (200, "text/plain; charset=utf-8".to_owned(), text.to_owned());
    assert_eq!(sum("/baseline11?a=13&b=42"), text("55"));
    assert_eq!(sum("/baseline2?b=42&x=&%61=013"), text("55"));
    assert_eq!(sum("/baseline11?a=-9&b=4"), text("-5"));
    assert_eq!(
        arena.send("POST", "/baseline11?a=13&b=42", "20"),
        text("75")
    );
    for bad in [
        "/baseline11?a=1",
        "/baseline11?a=1&b=x",
        "/baseline11?a=9223372036854775807&b=1",
    ] {
        assert_eq!(sum(bad).0, 400, "{bad}");
    }
    assert_eq!(arena.send("POST", "/baseline11?a=1&b=2", "three").0, 400);
    assert_eq!(arena.get("/pipeline"), text("ok"));
    assert_eq!(arena.get("/delay/3"), text("3"));
    assert_eq!(arena.get("/delay/0"), text("0"));
    assert_eq!(arena.get("/nothing").0, 404);
}

#[test]
fn requests_in_one_burst_and_in_single_bytes_are_answered_in_order() {
    let arena = Arena::start(None);
    let mut burst = String::new();
    let mut expected = Vec::new();
    for number in 0..16 {
        match number % 3 {
            0 => burst += "GET /pipeline HTTP/1.1\r\nhost: a\r\n\r\n",
            1 => write!(
                burst,
                "GET /baseline11?a={number}&b=1 HTTP/1.1\r\nHost: a\r\n\r\n"
            )
            .unwrap(),
            _ => write!(
                burst,
                "POST /baseline11?a={number}&b=1 HTTP/1.1\r\nHost: a\r\n\
                 Transfer-Encoding: chunked\r\n\r\n2\r\n20\r\n0\r\n\r\n"
            )
            .unwrap(),
        }
        expected.push(match number % 3 {
            0 => "ok".to_owned(),
            1 => (number + 1).to_string(),
            _ => (number + 21).to_string(),
        });
    }
    burst += "GET /pipeline HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    expected.push("ok".to_owned());
    for size in [burst.len(), 1] {
        let mut stream = arena.raw();
        stream.set_nodelay(true).unwrap();
        for piece in burst.as_bytes().chunks(size) {
            stream.write_all(piece).unwrap();
        }
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let bodies = text.split("HTTP/1.1 200 OK\r\n").skip(1);
        let bodies = bodies.map(|answer| answer.split_once("\r\n\r\n").unwrap().1.to_owned());
        assert_eq!(bodies.collect::<Vec<_>>(), expected, "{size}");
    }
}

#[test]
fn json_has_totals_and_is_compressed_for_clients_that_accept_it() {
    let arena = Arena::start(None);
    for (count, m) in [(1, 3), (12, 3), (31, 2), (50, 5)] {
        let answer = arena.json(&format!("/json/{count}?m={m}"));
        let expected: Vec<Value> = (1..=count)
            .map(|id| {
                let mut expected = item(id);
                let total = i64::from(id * 7) * i64::from(id + 3) * m;
                expected["total"] = total.into();
                expected
            })
            .collect();
        assert_eq!(answer, json!({"items": expected, "count": count}));
    }
    assert_eq!(arena.json("/json/1")["items"][0]["total"], 28);
    assert_eq!(arena.json("/json/99?m=1")["count"], 50);
    assert_eq!(arena.get("/json/many").0, 400);
    let ask = |field: &str| {
        let mut stream = arena.raw();
        let head = format!("GET /json/50?m=2 HTTP/1.0\r\nHost: a\r\n{field}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        BufReader::new(stream).read_to_end(&mut bytes).unwrap();
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        (
            String::from_utf8(bytes[..end].to_vec()).unwrap(),
            bytes.len(),
        )
    };
    let (plain, length) = ask("");
    assert!(
        !plain.to_ascii_lowercase().contains("content-encoding"),
        "{plain}"
    );
    for coding in ["gzip", "br"] {
        let (coded, shorter) = ask(&format!("Accept-Encoding: {coding}\r\n"));
        let expected = format!("content-encoding: {coding}");
        assert!(coded.to_ascii_lowercase().contains(&expected), "{coded}");
        assert!(shorter * 3 < length, "{shorter} {length}");
    }
}

#[test]
fn uploads_are_counted_and_echoes_come_back() {
    let arena = Arena::start(None);
    for size in [0, 17, 500 << 10, 20 << 20] {
        let body = vec![7; size];
        assert_eq!(arena.send("POST", "/upload", body).2, size.to_string());
    }
    let body: String = (0..2000).map(|number| format!("{number} ")).collect();
    let (status, kind, text) = arena.send("POST", "/echo", body.clone());
    assert_eq!((status, &*kind), (200, "application/octet-stream"));
    assert!(text == body);
    // A body that ends early is no upload of its announced size.
    let mut stream = arena.raw();
    stream
        .write_all(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\n\r\n0123456789")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(!text.contains("200 OK"), "{text}");
}

#[test]
fn files_are_those_on_the_disk_with_their_compressed_siblings() {
    let arena = Arena::start(None);
    let url = format!("http://{}/static/", arena.http);
    let fetch = |name: &str, coding: &'static str| {
        let url = format!("{url}{name}");
        synchronous::send(move |client| client.get(&*url).with_field("accept-encoding", coding))
            .unwrap()
    };
    let plain = fetch("hero.webp", "br;q=1, gzip;q=0.8");
    assert_eq!(plain.field("content-type"), Some(&b"image/webp"[..]));
    assert_eq!(plain.bytes(), [7; 3000]);
    let plain = fetch("app.js", "identity");
    let kind = plain.field("content-type");
    assert_eq!(kind, Some(&b"text/javascript; charset=utf-8"[..]));
    assert_eq!(plain.bytes().len(), 1300);
    assert_eq!(arena.get("/static/nonexistent.txt").0, 404);
    // A file is replaced by another of its length.
    arena.folder.write("static/new", [8; 3000]);
    let path = |name: &str| arena.folder.0.join("static").join(name);
    fs::rename(path("new"), path("hero.webp")).unwrap();
    let until = std::time::Instant::now() + BOUND;
    while fetch("hero.webp", "identity").bytes() != [8; 3000] {
        assert!(
            std::time::Instant::now() < until,
            "the old file is served on"
        );
        thread::yield_now();
    }
    let Some(coded) = arena.curl(&[
        "-H",
        "Accept-Encoding: br;q=1, gzip;q=0.8",
        "-i",
        &format!("{url}app.js"),
    ]) else {
        return;
    };
    let text = String::from_utf8(coded.stdout).unwrap();
    assert!(text.ends_with("as if by brotli"), "{text}");
}

#[test]
fn a_port_speaks_the_versions_of_its_row() {
    let arena = Arena::start(None);
    let port = |addr: &str| addr.parse::<SocketAddr>().unwrap().port();
    let (https, h2) = (port(&arena.https), port(&arena.h2));
    // The options of curl, the address, the version that answers if one does.
    let rows = [
        ("--http1.1", format!("http://{}", arena.http), Some("1.1")),
        (
            "--http2-prior-knowledge",
            format!("http://{}", arena.http),
            Some("2"),
        ),
        (
            "--http1.1",
            format!("https://localhost:{https}"),
            Some("1.1"),
        ),
        ("--http2", format!("https://localhost:{https}"), Some("1.1")),
        (
            "--http2-prior-knowledge",
            format!("http://{}", arena.h2c),
            Some("2"),
        ),
        ("--http1.1", format!("http://{}", arena.h2c), None),
        ("--http2", format!("https://localhost:{h2}"), Some("2")),
        ("--http1.1", format!("https://localhost:{h2}"), None),
    ];
    for (option, origin, expected) in rows {
        let url = format!("{origin}/baseline2?a=1&b=1");
        let form = "\n%{http_version} %{http_code}";
        let Some(output) = arena.curl(&[option, "--write-out", form, &url]) else {
            return;
        };
        let text = String::from_utf8(output.stdout).unwrap();
        match expected {
            Some(version) => assert_eq!(text, format!("2\n{version} 200"), "{option} {origin}"),
            None => assert!(!text.ends_with(" 200"), "{option} {origin}: {text}"),
        }
    }
}

#[test]
fn a_websocket_sends_everything_back() {
    let arena = Arena::start(None);
    assert!([400, 426].contains(&arena.get("/ws").0));
    let url = format!("ws://{}/ws", arena.http);
    bounded(async move {
        let mut socket = Client::new().websocket(url).connect().await.unwrap();
        for number in 0..16 {
            socket.send(format!("hello {number}")).await.unwrap();
        }
        for number in 0..16 {
            let message = socket.recv().await.unwrap().unwrap();
            assert_eq!(message.as_text(), Some(&*format!("hello {number}")));
        }
        let bytes: Vec<u8> = (0..=255).collect();
        socket
            .send(Message::Binary(bytes.clone().into()))
            .await
            .unwrap();
        assert_eq!(
            socket.recv().await.unwrap(),
            Some(Message::Binary(bytes.into()))
        );
    });
}

#[test]
fn grpc_calls_are_answered_on_the_port_for_everything() {
    let arena = Arena::start(None);
    let addr: SocketAddr = arena.http.parse().unwrap();
    bounded(async move {
        let mut grpc = Grpc::new(connect(addr).await.unwrap());
        let codec = || ProstCodec::<Summands, SumReply>::default();
        let method = |name: &str| -> PathAndQuery {
            format!("/benchmark.BenchmarkService/{name}")
                .parse()
                .unwrap()
        };
        let summands = |count| {
            Request::new(Summands {
                a: 13,
                b: 42,
                count,
            })
        };
        grpc.ready().await.unwrap();
        let sum = grpc.unary(summands(0), method("GetSum"), codec());
        assert_eq!(sum.await.unwrap().into_inner().result, 55);
        for count in [0, 10, 5000] {
            grpc.ready().await.unwrap();
            let sums = grpc.server_streaming(summands(count), method("StreamSum"), codec());
            let mut sums = sums.await.unwrap().into_inner();
            for more in 0..count {
                assert_eq!(sums.message().await.unwrap().unwrap().result, 55 + more);
            }
            assert_eq!(sums.message().await.unwrap(), None);
        }
        grpc.ready().await.unwrap();
        let unknown = grpc.unary(summands(0), method("Other"), codec());
        assert_eq!(unknown.await.unwrap_err().code(), Code::Unimplemented);
    });
}

/// A table of 300 items, and fortunes.
fn fill(server: &PostgresServer) {
    let _ = server.sql(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, category TEXT NOT NULL, \
         price INTEGER NOT NULL, quantity INTEGER NOT NULL, active BOOLEAN NOT NULL, \
         tags JSONB NOT NULL, rating_score INTEGER NOT NULL, rating_count INTEGER NOT NULL); \
         INSERT INTO items SELECT i, 'Thing ' || i, CASE i % 2 WHEN 0 THEN 'office' ELSE \
         'electronics' END, i, i % 9, i % 2 = 0, '[\"new\", \"blue\"]', i % 50, i % 500 \
         FROM generate_series(1, 300) AS i; \
         CREATE TABLE fortune (id INTEGER PRIMARY KEY, message TEXT NOT NULL); \
         INSERT INTO fortune SELECT i, 'Fortune <' || i || '>' FROM generate_series(1, 200) AS i",
    );
}

#[test]
fn items_of_the_database_are_found_cached_and_changed() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    fill(&server);
    let arena = Arena::start(Some(&server.url()));
    let found = arena.json("/async-db?min=10&max=50&limit=7");
    assert_eq!(
        (
            found["count"].as_u64(),
            found["items"].as_array().unwrap().len()
        ),
        (Some(7), 7)
    );
    assert!(found["items"].as_array().unwrap().iter().all(|item| {
        let price = item["price"].as_i64().unwrap();
        let tags = item["tags"] == json!(["new", "blue"]);
        (10..=50).contains(&price) && tags && item["rating"]["score"] == price % 50
    }));
    assert_eq!(arena.json("/async-db")["count"], 41);
    assert_eq!(arena.json("/async-db?max=300&limit=99")["count"], 50);
    assert_eq!(
        arena.json("/async-db?min=9999&max=9999"),
        json!({"items": [], "count": 0})
    );

    let listed = arena.json("/crud/items?category=electronics&page=01&limit=5");
    assert_eq!(
        (&listed["total"], &listed["page"], &listed["limit"]),
        (&json!(5), &json!(1), &json!(5))
    );
    assert_eq!(listed["items"][4]["id"], 9);
    assert_eq!(
        arena.json("/crud/items?category=office&page=2&limit=3")["items"][0]["id"],
        8
    );

    let read = |id: &str| {
        let url = format!("http://{}/crud/items/{id}", arena.http);
        let response = synchronous::fetch(&url).unwrap();
        let from = response
            .field("x-cache")
            .map(|from| String::from_utf8(from.to_vec()).unwrap());
        (response.status().as_u16(), from, response.text().unwrap())
    };
    let (status, from, text) = read("00042");
    assert_eq!((status, from.as_deref()), (200, Some("MISS")), "{text}");
    // It is known for 200 ms, and a test may be slower than that: sooner or later it is in time.
    let begun = std::time::Instant::now();
    while read("42").1.as_deref() != Some("HIT") {
        assert!(begun.elapsed() < BOUND, "it is never known");
    }
    assert_eq!(read("999999").0, 404);
    let change = json!({"name": "Changed", "category": "x", "price": 1, "quantity": 2});
    let (status, _, text) = arena.send("PUT", "/crud/items/42", change.to_string());
    assert_eq!(status, 200, "{text}");
    let (_, from, text) = read("42");
    assert_eq!(from.as_deref(), Some("MISS"));
    let changed: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&changed["name"], &changed["category"]),
        (&json!("Changed"), &json!("office"))
    );
    assert_eq!(
        arena
            .send("PUT", "/crud/items/999999", change.to_string())
            .0,
        404
    );
    let new = json!({"id": 200_001, "name": "New", "category": "toys", "price": 5, "quantity": 6});
    for _ in 0..2 {
        let (status, _, text) = arena.send("POST", "/crud/items", new.to_string());
        let made: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (status, &made["tags"], &made["active"]),
            (201, &json!([]), &json!(true))
        );
    }
    assert_eq!(read("200001").0, 200);
    assert_eq!(arena.send("POST", "/crud/items", "{}").0, 422);

    let (status, kind, page) = arena.get("/fortunes");
    assert_eq!((status, &*kind), (200, "text/html; charset=utf-8"));
    assert_eq!(page.matches("<tr><td>").count(), 201);
    assert!(
        page.contains("<td>7</td><td>Fortune &#60;7&#62;</td>"),
        "{page}"
    );
    assert!(page.find("Additional fortune").unwrap() < page.find("Fortune &#60;1&#62;").unwrap());
}

#[test]
fn a_database_that_is_away_is_an_empty_list_and_found_again() {
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    fill(&server);
    server.stop();
    let arena = Arena::start(Some(&server.url()));
    let empty = json!({"items": [], "count": 0});
    assert_eq!(arena.json("/async-db?min=10&max=50"), empty);
    assert_eq!(arena.get("/crud/items/1").0, 503);
    server.resume();
    assert_eq!(arena.json("/async-db?min=10&max=50")["count"], 41);
    server.stop();
    let begun = std::time::Instant::now();
    while arena.json("/async-db?min=10&max=50") != empty {
        assert!(begun.elapsed() < BOUND, "it answers without a database");
    }
    let without = Arena::start(None);
    assert_eq!(without.json("/async-db?min=10&max=50"), empty);
    let lines = arena.program.interrupt();
    assert!(lines.last().unwrap().contains("answered"), "{lines:?}");
}
