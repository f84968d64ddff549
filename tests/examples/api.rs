//! The example `api`: the whole service by curl, from its first answer to its stop.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use super::{Folder, HANG, build, ended, fails_plainly, piped};
use crate::support::{certificates::Certificates, program::Program};

/// The running service, ended with this value.
struct Service {
    process: Option<Child>,
    lines: mpsc::Receiver<String>,
    url: String,
    operation: String,
    curl: Program,
    authority: String,
}

impl Service {
    /// None without the programs that it needs.
    fn start(pages: &Folder) -> Option<Self> {
        let certificates = Certificates::get()?;
        let curl = Program::find("curl")?;
        let path = |name: &str| certificates.path(name).to_str().unwrap().to_owned();
        let mut process = Command::new(build::examples().join("api"))
            .args([&path("server.pem"), &path("server.key"), "secret", "0", "0"])
            .arg(&pages.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let line = || lines.recv_timeout(HANG).unwrap();
        let after = |line: String, text: &str| {
            let rest = line.strip_prefix(text).unwrap();
            rest.trim_end_matches('/').to_owned()
        };
        let port = after(line(), "listening on https://127.0.0.1:");
        let operation = after(line(), "operated on ");
        Some(Self {
            process: Some(process),
            lines,
            url: format!("https://localhost:{port}"),
            operation,
            curl,
            authority: path("authority.pem"),
        })
    }

    /// The head and body of an answer, and behind them the version.
    fn ask(&self, path: &str, arguments: &[&str]) -> String {
        let url = format!("{}{path}", self.url);
        self.run(&[&["--cacert", &self.authority][..], arguments, &[&url]].concat())
    }

    fn run(&self, arguments: &[&str]) -> String {
        let usual = ["--silent", "--show-error", "--include", "--max-time", "60"];
        self.curl
            .output(&[&usual, arguments, &["-w", "\n%{http_version}"]].concat())
    }

    fn operated(&self, path: &str) -> String {
        self.run(&[&format!("{}/{path}", self.operation)])
    }

    /// The lines of its log until one has `text`.
    fn log_line(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(HANG).expect("it logs what it does");
            if line.contains(text) {
                return line;
            }
        }
    }

    fn stop(mut self) -> Vec<String> {
        let process = self.process.take().unwrap();
        let pid = process.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.unwrap().success());
        let output = ended(process);
        assert!(output.status.success(), "{output:?}");
        self.lines.iter().collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

const BEARER: [&str; 2] = ["-H", "Authorization: Bearer secret"];
const JSON: [&str; 2] = ["-H", "Content-Type: application/json"];

fn expect(answer: &str, parts: &[&str]) {
    let lower = answer.to_ascii_lowercase();
    for part in parts {
        assert!(
            lower.contains(&part.to_ascii_lowercase()),
            "{part}: {answer}"
        );
    }
}

#[test]
fn a_whole_service_from_its_first_answer_to_its_stop() {
    let pages = Folder::new("api");
    std::fs::write(pages.path("index.html"), "<title>Notes</title>").unwrap();
    std::fs::write(pages.path("app.js"), "let notes = [];\n".repeat(100)).unwrap();
    let Some(service) = Service::start(&pages) else {
        return;
    };
    let page = service.ask("/", &[]);
    expect(
        &page,
        &["HTTP/2 200", "text/html", "<title>Notes", "x-request-id: "],
    );
    expect(
        &page,
        &["content-security-policy: default-src 'self'", "\n2"],
    );
    expect(&page, &["strict-transport-security: max-age=31536000"]);
    expect(
        &service.ask("/", &["--http1.1"]),
        &["HTTP/1.1 200", "\n1.1"],
    );
    let coded = service.ask("/app.js", &["--compressed"]);
    expect(
        &coded,
        &["content-encoding: ", "let notes", "vary: accept-encoding"],
    );
    expect(
        &service.ask("/nothing", &[]),
        &["404", "application/problem+json"],
    );

    let add = |text: &str, more: &[&str]| {
        service.ask("/api/notes", &[&JSON[..], &["-d", text], more].concat())
    };
    let refused = add(r#"{"text":"milk"}"#, &[]);
    expect(
        &refused,
        &[
            "401",
            "www-authenticate: Bearer",
            "application/problem+json",
        ],
    );
    expect(&add(r#"{"text":7}"#, &BEARER), &["422", "`text`"]);
    expect(
        &add("no JSON", &BEARER),
        &["400", "application/problem+json"],
    );
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(70_000));
    // By HTTP/2, curl 7.88 takes the reset that follows the answer for an error, although RFC 9113
    // forbids that in section 8.1.
    let refused = add(&large, &[&BEARER[..], &["--http1.1"]].concat());
    expect(&refused, &["413", "application/problem+json"]);
    for (number, text) in [(1, "milk"), (2, "mint"), (3, "bread")] {
        let added = add(&format!("{{\"text\":\"{text}\"}}"), &BEARER);
        let place = format!("location: /api/notes/{number}");
        expect(&added, &["HTTP/2 201", &place, text]);
    }
    let get = |path: &str| service.ask(path, &BEARER);
    let found = get("/api/notes?text=mi&page=1");
    expect(
        &found,
        &["200", r#"{"1":{"text":"milk"},"2":{"text":"mint"}}"#],
    );
    expect(&get("/api/notes?page=2"), &["200", "{}"]);
    expect(&get("/api/notes?page=x"), &["400", "`page`"]);
    expect(&get("/api/notes/2"), &["200", "mint"]);
    expect(&get("/api/notes/9"), &["404", "application/problem+json"]);
    let remove = [&BEARER[..], &["-X", "DELETE"]].concat();
    expect(&service.ask("/api/notes/2", &remove), &["HTTP/2 204"]);
    expect(&service.ask("/api/notes/2", &remove), &["404"]);
    let patch = [&BEARER[..], &["-X", "PATCH"]].concat();
    expect(&service.ask("/api/notes", &patch), &["405"]);

    expect(&service.operated("livez"), &["HTTP/1.1 200"]);
    expect(&service.operated("readyz"), &["HTTP/1.1 200"]);
    expect(
        &service.operated("metrics"),
        &["annulus_runtime_up", "200 OK"],
    );
    expect(&service.operated("api/notes"), &["404"]);
    let line = service.log_line("\"DELETE\"");
    expect(&line, &["/api/notes/2", "204"]);
    let last = service.stop().pop().unwrap();
    expect(&last, &["answered"]);
}

#[test]
fn wrong_arguments_and_a_missing_certificate_are_told_plainly() {
    let api = |arguments: &[&str]| {
        let mut command = Command::new(build::examples().join("api"));
        command.args(arguments);
        piped(command)
    };
    let output = ended(api(&["only-one"]));
    assert_eq!(output.status.code(), Some(2));
    fails_plainly(
        api(&["missing.pem", "missing.key", "secret"]),
        "missing.pem",
    );
    let none = api(&["missing.pem", "missing.key", "secret", "a-port"]);
    fails_plainly(none, "digit");
}
