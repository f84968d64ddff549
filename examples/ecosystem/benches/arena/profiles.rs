//! The profiles, and how each is driven.

use std::path::Path;

const FILES: &[&str] = &[
    "reset.css",
    "layout.css",
    "theme.css",
    "components.css",
    "utilities.css",
    "analytics.js",
    "helpers.js",
    "app.js",
    "vendor.js",
    "router.js",
    "header.html",
    "footer.html",
    "regular.woff2",
    "bold.woff2",
    "logo.svg",
    "icon-sprite.svg",
    "hero.webp",
    "thumb1.webp",
    "thumb2.webp",
    "manifest.json",
];
const JSON: &[&str] = &[
    "/json/1?m=3",
    "/json/5?m=7",
    "/json/10?m=2",
    "/json/15?m=5",
    "/json/25?m=4",
    "/json/40?m=8",
    "/json/50?m=6",
];

/// How a profile is driven.
pub(super) enum Load {
    /// `wrk`, with this script.
    Wrk(String),
    /// `h2load`, with streams at a time and further arguments.
    H2load(usize, Vec<String>),
    /// Connections of ten requests each.
    Short,
    /// Bodies of these sizes in turn.
    Upload(&'static [usize]),
    /// Messages of a WebSocket, so many at a time.
    WebSocket(usize),
    /// Requests at a fixed rate.
    Rate,
}

pub(super) struct Profile {
    pub(super) name: &'static str,
    /// The name of the server's port, as it prints it.
    pub(super) port: &'static str,
    pub(super) path: &'static str,
    pub(super) load: Load,
    pub(super) servers: &'static [&'static str],
}

pub(super) const BOTH: &[&str] = &["annulus", "axum"];
pub(super) const WITH_NGINX: &[&str] = &["annulus", "axum", "nginx"];

/// A script of wrk's that sends these requests in turn.
fn script(requests: &[String]) -> String {
    let requests: Vec<_> = requests
        .iter()
        .map(|request| format!("  {request},\n"))
        .collect();
    format!(
        "local requests = {{\n{}}}\nlocal at = 0\n\
         function init() for i, request in ipairs(requests) do requests[i] = request() end end\n\
         function request() at = at % #requests + 1 return requests[at] end\n",
        requests.concat()
    )
}

fn get(path: &str, fields: &str) -> String {
    format!("function() return wrk.format('GET', '{path}', {{{fields}}}) end")
}

fn gets(paths: &[&str], fields: &str) -> Load {
    let requests: Vec<_> = paths.iter().map(|path| get(path, fields)).collect();
    Load::Wrk(script(&requests))
}

fn baseline() -> Load {
    let path = "/baseline11?a=13&b=42";
    let sized = format!("function() return wrk.format('POST', '{path}', {{}}, '20') end");
    let chunked = format!(
        "function() return 'POST {path} HTTP/1.1\\r\\nHost: a\\r\\nTransfer-Encoding: \
         chunked\\r\\n\\r\\n2\\r\\n20\\r\\n0\\r\\n\\r\\n' end"
    );
    Load::Wrk(script(&[get(path, ""), sized, chunked]))
}

fn pipelined() -> Load {
    let one = "wrk.format('GET', '/pipeline')";
    Load::Wrk(format!(
        "local all\nfunction init() all = string.rep({one}, 16) end\n\
         function request() return all end\n"
    ))
}

fn static_files(folder: &Path) -> (Vec<String>, Load) {
    let mut paths: Vec<_> = FILES.iter().map(|name| format!("/static/{name}")).collect();
    paths.retain(|path| folder.join(path.trim_start_matches('/')).exists());
    let refs: Vec<&str> = paths.iter().map(String::as_str).collect();
    let load = gets(&refs, "['Accept-Encoding'] = 'br;q=1, gzip;q=0.8'");
    (paths, load)
}

pub(super) fn profiles(folder: &Path, has_database: bool) -> Vec<Profile> {
    let (files, static_load) = static_files(folder);
    let (_, static_tls) = static_files(folder);
    let all_of = |paths: Vec<String>| {
        let fields = [
            "-H".to_owned(),
            "accept-encoding: br;q=1, gzip;q=0.8".to_owned(),
        ];
        paths.into_iter().chain(fields).collect::<Vec<_>>()
    };
    let echo = "function() return wrk.format('POST', '/echo', {}, string.rep('x', 10240)) end";
    let grpc = |name: &str| {
        [
            "-d",
            name,
            "-H",
            "content-type: application/grpc",
            "-H",
            "te: trailers",
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let row = |name, port, path, load| Profile {
        name,
        port,
        path,
        load,
        servers: BOTH,
    };
    let coded = gets(&JSON[4..], "['Accept-Encoding'] = 'gzip, br'");
    let mut all = vec![
        row("baseline", "http", "/", baseline()),
        row("pipelined", "http", "/", pipelined()),
        row("limited-conn", "http", "/baseline11?a=13&b=42", Load::Short),
        row("latency", "http", "/baseline11?a=13&b=42", Load::Rate),
        row("json", "http", "/", gets(JSON, "")),
        row("json-comp", "http", "/", coded),
        row("json-tls", "https", "/", gets(JSON, "")),
        row("8gbit", "https", "/", Load::Wrk(script(&[echo.to_owned()]))),
        row(
            "upload",
            "http",
            "/upload",
            Load::Upload(&[500 << 10, 2 << 20, 10 << 20, 20 << 20]),
        ),
        Profile {
            name: "static",
            port: "http",
            path: "/",
            load: static_load,
            servers: WITH_NGINX,
        },
        row("static-tls", "https", "/", static_tls),
        row("async", "http", "/", gets(&["/delay/15"], "")),
        row("echo-ws", "http", "/ws", Load::WebSocket(1)),
        row("echo-ws-pipeline", "http", "/ws", Load::WebSocket(16)),
        row(
            "baseline-h2c",
            "h2c",
            "/baseline2?a=1&b=1",
            Load::H2load(100, Vec::new()),
        ),
        row(
            "json-h2c",
            "h2c",
            "/json/25?m=4",
            Load::H2load(32, Vec::new()),
        ),
        row(
            "baseline-h2",
            "h2",
            "/baseline2?a=1&b=1",
            Load::H2load(100, Vec::new()),
        ),
        row("static-h2", "h2", "", Load::H2load(32, all_of(files))),
        row(
            "unary-grpc",
            "http",
            "/benchmark.BenchmarkService/GetSum",
            Load::H2load(100, grpc("unary")),
        ),
        row(
            "stream-grpc",
            "http",
            "/benchmark.BenchmarkService/StreamSum",
            Load::H2load(4, grpc("stream")),
        ),
    ];
    if has_database {
        let paths: Vec<String> = [5, 10, 20, 35, 50]
            .map(|limit| format!("/async-db?min=10&max=50&limit={limit}"))
            .to_vec();
        let refs: Vec<&str> = paths.iter().map(String::as_str).collect();
        all.push(row("async-db", "http", "/", gets(&refs, "")));
    }
    all
}
