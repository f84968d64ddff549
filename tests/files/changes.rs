//! Files that change while they are served.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use annulus::http::{Files, Router};

use crate::{
    site::{Site, ask, kinds, on_each_driver, serve},
    support::http::connect,
};

/// More than the buffers of both systems hold.
const HUGE: u64 = 256 * 1024 * 1024;

fn begin(addr: std::net::SocketAddr, target: &str) -> TcpStream {
    let mut stream = connect(addr);
    let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = format!("content-length: {HUGE}\r\n");
    assert!(head.to_ascii_lowercase().contains(&length), "{head}");
    stream
}

/// Reads to the end, or to where the connection is cut.
fn count(mut stream: TcpStream) -> u64 {
    let mut buf = vec![0; 1024 * 1024];
    let mut count = 0;
    loop {
        match stream.read(&mut buf) {
            // A ring of this thread may send signals.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return count,
            Ok(some) => count += some as u64,
        }
    }
}

/// Sets the length of a huge file while it is sent, and checks how many bytes come.
fn resize_while_sent(name: &str, len: u64, check: fn(u64)) {
    let site = Site::new(name);
    on_each_driver(
        &site,
        |files| files,
        |addr| {
            let file = File::create(site.path("root/huge.bin")).unwrap();
            file.set_len(HUGE).unwrap();
            let stream = begin(addr, "/huge.bin");
            file.set_len(len).unwrap();
            check(count(stream));
        },
    );
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_cuts_the_connection() {
    resize_while_sent("files-shrink", 1000, |count| {
        assert!(count < HUGE, "{count}")
    });
}

#[test]
fn a_file_that_grows_while_it_is_sent_has_the_length_as_promised() {
    resize_while_sent("files-grow", HUGE + 1_000_000, |count| {
        assert_eq!(count, HUGE)
    });
}

#[test]
fn a_young_file_has_a_weak_tag_and_no_range_by_it() {
    let site = Site::new("files-young");
    fs::write(site.path("root/new.txt"), "fresh").unwrap();
    // It stays young for as long as the test takes.
    let file = File::options()
        .write(true)
        .open(site.path("root/new.txt"))
        .unwrap();
    let ahead = std::time::SystemTime::now() + Duration::from_secs(3600);
    file.set_modified(ahead).unwrap();
    on_each_driver(
        &site,
        |files| files,
        |addr| {
            let answer = ask(addr, "GET", "/new.txt", "");
            let etag = answer.field("etag").unwrap().to_owned();
            assert!(etag.starts_with("W/\""), "{etag}");
            let lines = format!("If-None-Match: {etag}\r\n");
            assert_eq!(ask(addr, "GET", "/new.txt", &lines).status, 304);
            let modified = answer.field("last-modified").unwrap();
            for value in [&*etag, modified] {
                let lines = format!("Range: bytes=0-1\r\nIf-Range: {value}\r\n");
                assert_eq!(ask(addr, "GET", "/new.txt", &lines).status, 200, "{value}");
            }
        },
    );
}

#[test]
fn a_file_that_is_exchanged_is_noticed_and_has_another_tag() {
    let site = Site::new("files-exchange");
    on_each_driver(
        &site,
        |files| files.validity(Duration::ZERO),
        |addr| {
            site.write("root/page.txt", "one");
            let one = ask(addr, "GET", "/page.txt", "");
            // Of the same size and time: another file all the same.
            site.write("root/next.txt", "two");
            fs::rename(site.path("root/next.txt"), site.path("root/page.txt")).unwrap();
            let two = ask(addr, "GET", "/page.txt", "");
            assert_eq!((one.text(), two.text()), ("one", "two"));
            assert_ne!(one.field("etag"), two.field("etag"));
            fs::remove_file(site.path("root/page.txt")).unwrap();
            assert_eq!(ask(addr, "GET", "/page.txt", "").status, 404);
        },
    );
}

#[test]
fn a_file_that_was_kept_is_used_until_its_time_is_over() {
    let site = Site::new("files-validity");
    for kind in kinds() {
        let root = site.root();
        let addr = serve(kind, move || {
            let files = Files::new(&root).validity(Duration::from_secs(1_000_000));
            Router::new().files("/", files)
        });
        site.write("root/kept.txt", "one");
        assert_eq!(ask(addr, "GET", "/kept.txt", "").text(), "one");
        fs::remove_file(site.path("root/kept.txt")).unwrap();
        assert_eq!(ask(addr, "GET", "/kept.txt", "").text(), "one");
        // A larger one is looked at each time, since its bytes are read from the file itself.
        let mut file = File::create(site.path("root/big.txt")).unwrap();
        file.write_all(&vec![b'a'; 200_000]).unwrap();
        assert_eq!(ask(addr, "GET", "/big.txt", "").body.len(), 200_000);
        file.write_all(b"more").unwrap();
        assert_eq!(ask(addr, "GET", "/big.txt", "").body.len(), 200_004);
    }
}
