//! The examples where things go wrong: they say so in plain words, end with a failing exit code,
//! and leave nothing half done.
#![cfg(feature = "http")]

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixListener,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

#[cfg(all(
    feature = "compress",
    feature = "http2",
    feature = "json",
    feature = "tls"
))]
mod api;
mod chat;
#[path = "../support/mod.rs"]
mod support;
mod websockets;

use annulus::workers::SharedListener;
use support::{build, closed_port, descriptors::terminal};

/// A test that waits this long hangs.
const HANG: Duration = Duration::from_secs(60);

fn example(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(build::examples().join(name));
    command.args(arguments);
    command
}

/// As [`example`], where no file may have more than some kilobytes: its writes fail.
fn example_without_room(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\"";
    command
        .args(["-c", script])
        .arg(build::examples().join(name));
    command.args(arguments);
    command
}

/// Its end, unless it does not come.
fn ended(mut child: Child) -> Output {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > HANG {
            child.kill().unwrap();
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// Expects a failure that is told in plain words, with these among them.
fn fails_plainly(child: Child, words: &str) -> String {
    let output = ended(child);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(words), "{told}");
    for word in ["panicked", "Os {", "Custom {", "kind:", "Inner"] {
        assert!(!told.contains(word), "{told}");
    }
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn piped(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// A server among the examples, ended with this value.
struct Server {
    process: Child,
    addr: String,
}

impl Server {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        lines.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ");
        let addr = url.and_then(|url| url.split_once("://")?.1.strip_suffix('/'));
        let addr = addr.expect("it says where it listens").to_owned();
        Self { process, addr }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.addr).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream
    }

    fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder for one test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("annulus-example-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// The names in it, hidden ones too.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    fn until_names_are(&self, names: &[&str]) {
        let start = Instant::now();
        while self.names() != names {
            assert!(start.elapsed() < HANG, "{:?}", self.names());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Answers a number of requests, each on a connection of its own or not, and goes away. No other
/// process listens there as long as the first part is kept.
fn server_that_leaves(answers: usize, answer: &'static str) -> (SharedListener, String) {
    let (held, addr) = closed_port();
    let options = annulus::net::TcpListener::options().reuse_port(true);
    let listener = options.listen(addr).unwrap();
    thread::spawn(move || {
        let mut left = answers;
        while left > 0 {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            while left > 0 {
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    if stream.read_line(&mut line).unwrap_or(0) == 0 {
                        break;
                    }
                }
                if line.is_empty() {
                    break;
                }
                left -= 1;
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    (held, format!("http://{addr}/"))
}

#[test]
fn output_that_is_full_is_told_and_panics_nowhere() {
    let hello = Server::start(example("hello", &["0"]));
    let folder = Folder::new("full");
    let (url, copy) = (hello.url(), folder.path("copy"));
    let inspected = folder.path("inspect");
    let _inspector = annulus::inspect::listen(&inspected).unwrap();
    for (name, arguments) in [
        ("chat", &["0"][..]),
        ("conformance", &["0"]),
        ("doctor", &[]),
        ("download", &[&url, &copy]),
        ("echo", &["0"]),
        ("echo_all_cores", &["0"]),
        ("fetch", &[&url]),
        ("file_copy", &["Cargo.toml", &copy]),
        ("hello", &["0"]),
        ("load", &[&url, "2", "10"]),
        ("proxy", &["0"]),
        ("router", &["0"]),
        ("spider", &[&url]),
        ("ticker", &["0"]),
        ("timer", &[]),
        ("top", &[&inspected, "--once", "--seconds", "0"]),
        ("udp_echo", &["0"]),
        ("upload", &["0"]),
        ("ws_echo", &["0"]),
    ] {
        if name == "ws_echo" && !cfg!(feature = "compress") {
            continue;
        }
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = example(name, arguments);
        command.stdin(Stdio::null()).stdout(full);
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        println!("{name}");
        fails_plainly(child, "No space left on device");
    }
}

#[test]
fn what_cannot_be_done_is_told_in_plain_words() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (name, arguments, words) in [
        ("load", &["http://127.0.0.1:1/", "2", "10"][..], "refused"),
        ("load", &["nonsense", "2", "10"], "expected"),
        ("download", &["nonsense", "copy"], "expected"),
        ("spider", &["nonsense"], "expected"),
        (
            "fetch",
            &["http://127.0.0.1:1/"],
            "Error: http://127.0.0.1:1: no connection could be opened (127.0.0.1:1): Connection refused",
        ),
        ("file_copy", &["/no/such/file", "copy"], "No such file"),
        (
            "file_copy",
            &["Cargo.toml", "/dev/null"],
            "the name of a file",
        ),
        ("hello", &[&port], "in use"),
        ("echo", &[&port], "in use"),
        ("echo_all_cores", &[&port], "in use"),
        ("top", &["/no/such/socket"], "No such file"),
        ("ws_client", &["ws://127.0.0.1:1/"], "refused"),
    ] {
        fails_plainly(piped(example(name, arguments)), words);
    }
}

#[test]
fn a_spider_without_a_site_crawls_its_own() {
    let output = ended(piped(example("spider", &[])));
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told, "100 pages, 0 failed, 0 left out\n");
    assert!(output.status.success());
}

#[test]
fn arguments_that_make_no_sense_are_answered_with_the_right_ones() {
    let mut cases = vec![
        ("chat", &["nonsense"][..], "[PORT]"),
        ("conformance", &["nonsense"], "[PORT]"),
        ("conformance", &["0", "--nonsense", "1"], "[PORT]"),
        ("conformance", &["0", "--idle-timeout", "-1"], "[PORT]"),
        ("conformance", &["0", "--max-body"], "[PORT]"),
        ("doctor", &["nonsense"], ""),
        ("top", &[], "PATH"),
        ("top", &["path", "--seconds", "-1"], "PATH"),
        ("download", &[], "URL FILE [PARTS]"),
        ("download", &["http://a.test/"], "URL FILE [PARTS]"),
        (
            "download",
            &["http://a.test/", "copy", "few"],
            "URL FILE [PARTS]",
        ),
        ("echo", &["nonsense"], "[PORT]"),
        ("echo_all_cores", &["nonsense"], "[PORT]"),
        ("fetch", &[], "URL.."),
        ("file_copy", &["from"], "FROM TO"),
        ("file_copy", &["from", "to", "else"], "FROM TO"),
        ("hello", &["nonsense"], "[PORT]"),
        ("hello", &["65536"], "[PORT]"),
        ("hello", &["0", "0"], "[PORT]"),
        ("load", &[], "URL CONNECTIONS REQUESTS"),
        (
            "load",
            &["http://a.test/", "two", "10"],
            "URL CONNECTIONS REQUESTS",
        ),
        ("proxy", &["nonsense"], "[PORT [HOST:PORT ..]]"),
        ("router", &["nonsense"], "[PORT]"),
        ("spider", &["http://a.test/", "0"], "[URL [WORKERS]]"),
        ("spider", &["http://a.test/", "few"], "[URL [WORKERS]]"),
        ("ticker", &["nonsense"], "[PORT] | ticker watch URL COUNT"),
        ("ticker", &["watch", "ws://a.test/"], "[PORT] |"),
        ("timer", &["nonsense"], ""),
        ("udp_echo", &["nonsense"], "[PORT]"),
        ("upload", &["nonsense"], "[PORT [FOLDER]]"),
        ("ws_client", &[], "URL [--protocol NAME].."),
        ("ws_client", &["ws://a.test/", "--protocol", "a b"], "URL "),
        ("ws_client", &["ws://a.test/", "--close", "1006"], "URL "),
        ("ws_client", &["ws://a.test/", "--header", "none"], "URL "),
        ("ws_client", &["ws://a.test/", "else"], "URL "),
    ];
    if cfg!(feature = "json") {
        cases.push(("client_jobs", &["nonsense"], "< JOBS"));
        cases.push(("json_api", &["nonsense"], "[PORT]"));
    }
    if cfg!(feature = "compress") {
        let usage = "[PORT] [--deflate] [--max-message BYTES]";
        cases.push(("ws_echo", &["0", "--max-message"], usage));
        cases.push(("ws_echo", &["nonsense"], usage));
    }
    if cfg!(feature = "tls") {
        cases.push(("https", &[], "CERTIFICATE KEY [PORT]"));
    }
    for (name, arguments, expected) in cases {
        let output = ended(piped(example(name, arguments)));
        let told = String::from_utf8_lossy(&output.stderr);
        let usage = format!("usage: {name} {expected}");
        assert!(
            told.starts_with(usage.trim_end()) && told.lines().count() == 1,
            "{name} {arguments:?}: {told}"
        );
        assert_eq!(output.status.code(), Some(2), "{name} {arguments:?}");
        assert!(output.stdout.is_empty(), "{name} {arguments:?}");
    }
}

#[test]
fn load_tells_what_it_has_measured_when_its_server_goes_away() {
    let (_held, url) = server_that_leaves(20, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let told = fails_plainly(piped(example("load", &[&url, "1", "1000"])), "Error: ");
    assert!(told.starts_with("20 requests in "), "{told}");
    assert!(told.contains("99.9 % below"), "{told}");
}

#[test]
fn a_copy_that_fails_leaves_nothing() {
    let folder = Folder::new("copy");
    fs::write(folder.path("from"), vec![b'x'; 1 << 20]).unwrap();
    fs::write(folder.path("old"), "as it was").unwrap();
    for to in ["new", "old"] {
        let arguments = [&*folder.path("from"), &*folder.path(to)];
        fails_plainly(
            piped(example_without_room("file_copy", &arguments)),
            "large",
        );
    }
    let mut names = folder.names();
    names.sort();
    assert_eq!(names, ["from", "old"]);
    assert_eq!(fs::read_to_string(folder.path("old")).unwrap(), "as it was");
}

#[test]
fn a_download_that_fails_leaves_nothing() {
    let folder = Folder::new("download");
    fs::write(folder.path("old"), "as it was").unwrap();
    for to in ["new", "old"] {
        // The first answer is to HEAD, the second ends too early.
        let (_held, url) = server_that_leaves(2, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
        let path = folder.path(to);
        fails_plainly(piped(example("download", &[&url, &path])), "Error: ");
    }
    assert_eq!(folder.names(), ["old"]);
    assert_eq!(fs::read_to_string(folder.path("old")).unwrap(), "as it was");
}

#[test]
fn an_upload_that_fails_leaves_nothing() {
    let folder = Folder::new("upload");
    let folder_path = folder.path("");
    let put = "PUT /file HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    let asking = put.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    let server = Server::start(example_without_room("upload", &["0", &folder_path]));
    let mut stream = server.connect();
    stream.write_all(put.as_bytes()).unwrap();
    // The server may close before it has taken all.
    let _ = stream.write_all(&vec![b'x'; 1_000_000]);
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 500");
    folder.until_names_are(&[]);
    drop(server);
    // A client that leaves.
    let server = Server::start(example("upload", &["0", &folder_path]));
    let mut stream = server.connect();
    stream.write_all(asking.as_bytes()).unwrap();
    // The file has been made when the server asks for its content.
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    stream.write_all(&[b'x'; 100_000]).unwrap();
    drop(stream);
    folder.until_names_are(&[]);
    // One that does not.
    let mut stream = server.connect();
    let whole = "PUT /file HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nwhole";
    stream.write_all(whole.as_bytes()).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 201");
    assert_eq!(folder.names(), ["file"]);
    assert_eq!(fs::read_to_string(folder.path("file")).unwrap(), "whole");
}

#[test]
fn a_frame_of_top_has_the_threads_and_servers_of_this_process() {
    let folder = Folder::new("top");
    let path = folder.path("inspect");
    let _inspector = annulus::inspect::listen(&path).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let serving = thread::Builder::new().name("seen by top".to_owned());
    let serving = serving.spawn(move || {
        let runtime = annulus::Runtime::builder().measure(true).build().unwrap();
        runtime.block_on(async {
            let server = annulus::http::Server::new().listen("127.0.0.1:0");
            let handle = server.handle();
            let server =
                server.on_listening(move |addr| tell.send((addr, handle.clone())).unwrap());
            let answer = async |_request| annulus::http::Response::text("hello");
            server.serve(answer).await.unwrap();
        });
    });
    let (addr, handle) = told.recv().unwrap();
    let _kept = TcpStream::connect(addr).unwrap();
    let start = Instant::now();
    loop {
        let arguments = [&*path, "--once", "--seconds", "0.01"];
        let output = ended(piped(example("top", &arguments)));
        let frame = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{frame}");
        let line = |first: &str| frame.lines().find(|line| line.starts_with(first));
        let thread = line("seen by top").unwrap_or_default();
        let server = line(&addr.to_string()).unwrap_or_default();
        // The connection is idle once it was accepted.
        let cells: Vec<_> = server.split_whitespace().collect();
        if thread.contains("us") && cells.get(7) == Some(&"1") {
            assert!(frame.contains("HELPER THREADS"), "{frame}");
            break;
        }
        assert!(start.elapsed() < HANG, "{frame}");
    }
    // A signal ends the view, and leaves the terminal as it was.
    for signal in ["-INT", "-TERM"] {
        let (mut near, far) = terminal();
        let mut view = example("top", &[&path, "--seconds", "0.01"]);
        let view = view.stdout(far.try_clone().unwrap()).spawn().unwrap();
        let mut drawn = Vec::new();
        read_until(&mut near, &mut drawn, "HELPER THREADS");
        assert!(drawn.starts_with(b"\x1b[?1049h"), "the second screen");
        let pid = view.id().to_string();
        let killed = Command::new("kill").args([signal, &pid]).status();
        assert!(killed.unwrap().success());
        read_until(&mut near, &mut drawn, "\x1b[?7h\x1b[?25h\x1b[?1049l");
        assert!(ended(view).status.success(), "{signal}");
        drop(far);
    }
    let dump = ended(piped(example("top", &[&path, "--dump"])));
    let dump = String::from_utf8(dump.stdout).unwrap();
    assert!(dump.contains("thread `seen by top`"), "{dump}");
    handle.stop(HANG);
    serving.unwrap().join().unwrap();
}

/// Reads until `text` has come.
fn read_until(from: &mut File, read: &mut Vec<u8>, text: &str) {
    while !String::from_utf8_lossy(read).contains(text) {
        let mut piece = [0; 4096];
        let count = from.read(&mut piece).unwrap();
        read.extend_from_slice(&piece[..count]);
    }
}

#[test]
fn top_believes_no_program_that_promises_too_much() {
    let folder = Folder::new("promises");
    let path = folder.path("inspect");
    let listener = UnixListener::bind(&path).unwrap();
    for (answer, words) in [
        (
            format!("ok {}\n", usize::MAX),
            "expected up to 67108864 bytes",
        ),
        (format!("ok {}\n", u128::MAX), "ok 3402823669209384"),
        ("ok -1\n".to_owned(), "ok -1"),
        ("ok 5\nabc".to_owned(), "has closed the connection"),
    ] {
        let child = piped(example("top", &[&path, "--dump"]));
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 5]).unwrap(); // "dump" and its line end
        stream.write_all(answer.as_bytes()).unwrap();
        drop(stream);
        fails_plainly(child, words);
    }
}
