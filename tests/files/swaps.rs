//! Symbolic links that are exchanged while files are asked for.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    site::{Site, on_each_driver},
    support::http::connect,
};

const OUTSIDE: &str = "these bytes are outside";

fn swap_count() -> u32 {
    if std::env::var_os("ANNULUS_REQUIRE_ALL").is_some() {
        100_000
    } else {
        5_000
    }
}

/// A folder is exchanged for a link out of the root and back, and so is a file.
#[test]
fn swaps_under_load_bring_no_byte_from_outside() {
    let site = Site::new("files-swaps");
    fs::create_dir_all(site.path("outside")).unwrap();
    fs::write(site.path("outside/file.txt"), OUTSIDE).unwrap();
    fs::create_dir_all(site.path("root/folder")).unwrap();
    fs::write(site.path("root/folder/file.txt"), "inside").unwrap();
    symlink("../outside", site.path("root/link")).unwrap();
    fs::write(site.path("root/swapped.txt"), "inside").unwrap();
    symlink("../outside/file.txt", site.path("root/far-file.txt")).unwrap();
    on_each_driver(
        &site,
        |files| files.validity(Duration::ZERO),
        |addr| {
            let is_over = AtomicBool::new(false);
            thread::scope(|scope| {
                let swapping = scope.spawn(|| {
                    let path = |name: &str| site.path(&format!("root/{name}"));
                    for _ in 0..swap_count() {
                        for (a, b) in [("folder", "link"), ("swapped.txt", "far-file.txt")] {
                            fs::rename(path(a), path("between")).unwrap();
                            fs::rename(path(b), path(a)).unwrap();
                            fs::rename(path("between"), path(b)).unwrap();
                        }
                    }
                    is_over.store(true, Ordering::Relaxed);
                });
                let (mut served, mut refused) = (0, 0);
                let mut stream = connect(addr);
                while !is_over.load(Ordering::Relaxed) {
                    for target in ["/folder/file.txt", "/swapped.txt", "/link/file.txt"] {
                        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
                        stream.write_all(head.as_bytes()).unwrap();
                        let answer = read_answer(&mut stream);
                        assert!(!answer.contains(OUTSIDE), "{answer}");
                        if answer.ends_with("inside") {
                            served += 1;
                        } else {
                            assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
                            refused += 1;
                        }
                    }
                }
                swapping.join().unwrap();
                assert!(served > 0 && refused > 0, "{served} {refused}");
            });
        },
    );
}

fn read_answer(stream: &mut std::net::TcpStream) -> String {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    let head = String::from_utf8(answer).unwrap();
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")
                .map(|length| length.parse().unwrap())
        })
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    head + std::str::from_utf8(&body).unwrap()
}
