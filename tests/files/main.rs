//! Files of a folder as answers: every convention, by GET and HEAD, on both drivers.
#![cfg(feature = "http")]

mod changes;
mod kept;
mod site;
#[path = "../support/mod.rs"]
mod support;
mod swaps;
mod tools;

use std::{net::SocketAddr, rc::Rc};

use annulus::{
    Runtime,
    http::{
        CachePolicy, Coding, Files, Handler as _, Request, Response, Router, serve_file,
        test::TestClient,
    },
};

use site::{Answer, LARGE, MODIFIED, Site, ask, kinds, large, on_each_driver, serve};

/// Everything on.
fn dressed(files: Files) -> Files {
    files
        .precompressed([Coding::Brotli, Coding::Gzip])
        .cache(CachePolicy::by_name)
        .not_found("404.html")
}

/// Asks by GET and by HEAD, whose answer has the same head and no body, and returns the first.
fn get(addr: SocketAddr, target: &str, lines: &str) -> Answer {
    let got = ask(addr, "GET", target, lines);
    let head = ask(addr, "HEAD", target, lines);
    let without = |answer: &Answer, names: &[&str]| -> Vec<String> {
        let is_left_out = |line: &str| {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            names.contains(&&*name)
        };
        let lines = answer.head.lines().filter(|line| !is_left_out(line));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(head.body, b"", "HEAD {target}");
    if !matches!(got.status, 206 | 416) {
        let own = ["date"];
        assert_eq!(
            without(&got, &own),
            without(&head, &own),
            "{target} {lines}"
        );
    } else {
        // HEAD ignores ranges.
        assert_eq!(head.status, 200, "{target}");
    }
    got
}

#[test]
fn each_path_has_its_file_and_what_is_not_served_is_404() {
    let site = Site::new("files-paths");
    // A FIFO and a socket are there.
    let fifo = std::ffi::CString::new(site.path("root/fifo").to_str().unwrap()).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(fifo.to_str().unwrap())
            .status()
            .unwrap()
            .success()
    );
    let _socket = std::os::unix::net::UnixListener::bind(site.path("root/socket")).unwrap();
    on_each_driver(
        &site,
        |files| files,
        |addr| {
            for (target, status, body, content_type) in [
                ("/", 200, "<p>home</p>", "text/html; charset=utf-8"),
                (
                    "/index.html",
                    200,
                    "<p>home</p>",
                    "text/html; charset=utf-8",
                ),
                (
                    "/hello.txt",
                    200,
                    "hello, world",
                    "text/plain; charset=utf-8",
                ),
                (
                    "/hello.txt?x=1",
                    200,
                    "hello, world",
                    "text/plain; charset=utf-8",
                ),
                (
                    "/%68ello.txt",
                    200,
                    "hello, world",
                    "text/plain; charset=utf-8",
                ),
                (
                    "/near.txt",
                    200,
                    "hello, world",
                    "text/plain; charset=utf-8",
                ),
                ("/a%20b.css", 200, "p {}", "text/css; charset=utf-8"),
                ("/dir/", 200, "<p>dir</p>", "text/html; charset=utf-8"),
                ("/zero.bin", 200, "", "application/octet-stream"),
                (
                    "/.well-known/acme",
                    200,
                    "token",
                    "application/octet-stream",
                ),
            ] {
                let answer = get(addr, target, "");
                assert_eq!((answer.status, answer.text()), (status, body), "{target}");
                assert_eq!(answer.field("content-type"), Some(content_type), "{target}");
                assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
                assert_eq!(answer.field("accept-ranges"), Some("bytes"));
                assert_eq!(answer.field("last-modified"), Some(MODIFIED));
                assert_eq!(
                    answer.field("content-length"),
                    Some(&*body.len().to_string())
                );
            }
            for target in [
                "/missing",
                "/hello.txt/",
                "/hello.txt/x",
                "/dir/missing",
                "/empty/",
                "/HELLO.txt",
                "/far.txt",
                "/.env",
                "/.git/config",
                "/%2egit/config",
                "/../secret",
                "/dir/../hello.txt",
                "/%2e%2e/secret",
                "/..%2fsecret",
                "/dir%2findex.html",
                "/..%5csecret",
                "//secret",
                "//hello.txt",
                "/hello.txt%00",
                "/%00",
                "/fifo",
                "/socket",
                "/hello.txt%",
                "/./hello.txt",
                "/dir//index.html",
            ] {
                let answer = get(addr, target, "");
                assert_eq!((answer.status, answer.text()), (404, ""), "{target}");
            }
            let long = format!("/{}", "a".repeat(4000));
            assert_eq!(get(addr, &long, "").status, 404);
        },
    );
}

#[test]
fn a_folder_without_a_slash_is_led_to_the_one_with_it_and_nowhere_else() {
    let site = Site::new("files-folders");
    on_each_driver(
        &site,
        |files| files,
        |addr| {
            for (target, location) in [("/dir", "./dir/"), ("/dir?a=b", "./dir/?a=b")] {
                let answer = get(addr, target, "");
                assert_eq!(answer.status, 301, "{target}");
                assert_eq!(answer.field("location"), Some(location), "{target}");
            }
            // Neither is a folder here.
            for target in ["//dir", "//evil.test/..", "/%2f%2fevil.test"] {
                assert_eq!(get(addr, target, "").status, 404, "{target}");
            }
        },
    );
}

#[test]
fn other_methods_are_refused_and_told_what_is_allowed() {
    let site = Site::new("files-methods");
    on_each_driver(
        &site,
        |files| files,
        |addr| {
            for method in ["POST", "PUT", "DELETE", "PATCH"] {
                for target in ["/hello.txt", "/", "/missing"] {
                    let answer = ask(addr, method, target, "");
                    assert_eq!(answer.status, 405, "{method} {target}");
                    let allow = answer.field("allow").unwrap();
                    assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
                }
            }
            assert_eq!(ask(addr, "OPTIONS", "/hello.txt", "").status, 204);
        },
    );
}

#[test]
fn validators_are_strong_once_the_file_is_not_young_and_conditions_are_answered() {
    let site = Site::new("files-conditions");
    on_each_driver(&site, dressed, |addr| {
        for target in ["/hello.txt", "/large.bin"] {
            let whole = get(addr, target, "");
            let etag = whole.field("etag").unwrap();
            assert!(etag.starts_with('"'), "{etag}");
            for (lines, status) in [
                (format!("If-None-Match: {etag}\r\n"), 304),
                (format!("If-None-Match: W/{etag}\r\n"), 304),
                ("If-None-Match: *\r\n".to_owned(), 304),
                ("If-None-Match: \"x\"\r\n".to_owned(), 200),
                (format!("If-Match: {etag}\r\n"), 200),
                (format!("If-Match: W/{etag}\r\n"), 412),
                ("If-Match: \"x\"\r\n".to_owned(), 412),
                (format!("If-Modified-Since: {MODIFIED}\r\n"), 304),
                (
                    "If-Modified-Since: Sunday, 06-Nov-94 08:49:36 GMT\r\n".to_owned(),
                    200,
                ),
                (
                    "If-Modified-Since: Sun Nov  6 08:49:38 1994\r\n".to_owned(),
                    304,
                ),
                (format!("If-Unmodified-Since: {MODIFIED}\r\n"), 200),
                (
                    "If-Unmodified-Since: Sun Nov  6 08:49:36 1994\r\n".to_owned(),
                    412,
                ),
            ] {
                let answer = get(addr, target, &lines);
                assert_eq!(answer.status, status, "{target} {lines}");
                if status == 304 {
                    assert_eq!(answer.body, b"");
                    for name in ["etag", "cache-control", "vary", "date"] {
                        assert!(answer.field(name).is_some(), "{name}");
                    }
                    for name in ["content-type", "content-encoding", "content-range"] {
                        assert!(answer.field(name).is_none(), "{name}");
                    }
                }
            }
        }
    });
}

#[test]
fn ranges_are_answered_by_their_parts() {
    let site = Site::new("files-ranges");
    let large = large();
    on_each_driver(
        &site,
        |files| files,
        |addr| {
            for (range, start, end) in [
                ("bytes=0-0", 0, 1),
                ("bytes=0-99999", 0, 100_000),
                ("bytes=999999-", 999_999, LARGE),
                ("bytes=-5", LARGE - 5, LARGE),
                ("bytes=500000-99999999", 500_000, LARGE),
                ("bytes=0-", 0, LARGE),
            ] {
                let answer = get(addr, "/large.bin", &format!("Range: {range}\r\n"));
                assert_eq!(answer.status, 206, "{range}");
                let expected = format!("bytes {start}-{}/{LARGE}", end - 1);
                assert_eq!(answer.field("content-range"), Some(&*expected));
                assert_eq!(
                    answer.field("content-length"),
                    Some(&*(end - start).to_string())
                );
                assert!(answer.body == large[start..end], "{range}");
            }
            for range in ["bytes=1000003-", "bytes=9999999-99999999", "bytes=-0"] {
                let answer = get(addr, "/large.bin", &format!("Range: {range}\r\n"));
                assert_eq!((answer.status, answer.text()), (416, ""), "{range}");
                assert_eq!(
                    answer.field("content-range"),
                    Some(&*format!("bytes */{LARGE}"))
                );
            }
            for range in [
                "bytes=5-4",
                "bytes=x",
                "items=0-1",
                "bytes=5-6,0-1",
                "bytes=0-9,5-9",
            ] {
                let answer = get(addr, "/large.bin", &format!("Range: {range}\r\n"));
                assert_eq!(answer.status, 200, "{range}");
                assert!(answer.body == large, "{range}");
            }
            let small = get(addr, "/hello.txt", "Range: bytes=7-\r\n");
            assert_eq!((small.status, small.text()), (206, "world"));
            assert_eq!(get(addr, "/zero.bin", "Range: bytes=0-\r\n").status, 416);
        },
    );
}

#[test]
fn if_range_lets_a_range_count_for_the_same_version_only() {
    let site = Site::new("files-if-range");
    on_each_driver(
        &site,
        |files| files,
        |addr| {
            let etag = get(addr, "/hello.txt", "")
                .field("etag")
                .unwrap()
                .to_owned();
            for (value, status) in [
                (&*etag, 206),
                (MODIFIED, 206),
                ("\"other\"", 200),
                ("Sun, 06 Nov 1994 08:49:38 GMT", 200),
                (&*format!("W/{etag}"), 200),
            ] {
                let lines = format!("Range: bytes=0-4\r\nIf-Range: {value}\r\n");
                assert_eq!(
                    ask(addr, "GET", "/hello.txt", &lines).status,
                    status,
                    "{value}"
                );
                assert_eq!(
                    ask(addr, "HEAD", "/hello.txt", &lines).status,
                    200,
                    "{value}"
                );
            }
        },
    );
}

#[test]
fn several_ranges_are_parts_of_one_answer() {
    let site = Site::new("files-multipart");
    let large = large();
    on_each_driver(
        &site,
        |files| files,
        |addr| {
            let lines = "Range: bytes=0-9,100000-299999,-1\r\n";
            let answer = get(addr, "/large.bin", lines);
            assert_eq!(answer.status, 206);
            let length: usize = answer.field("content-length").unwrap().parse().unwrap();
            assert_eq!(answer.body.len(), length);
            let content_type = answer.field("content-type").unwrap();
            let boundary = content_type
                .strip_prefix("multipart/byteranges; boundary=")
                .unwrap();
            let mut expected = Vec::new();
            for (index, (start, end)) in [(0, 10), (100_000, 300_000), (LARGE - 1, LARGE)]
                .into_iter()
                .enumerate()
            {
                let line_end = if index == 0 { "" } else { "\r\n" };
                let head = format!(
                    "{line_end}--{boundary}\r\nContent-Type: application/octet-stream\r\n\
                 Content-Range: bytes {start}-{}/{LARGE}\r\n\r\n",
                    end - 1
                );
                expected.extend_from_slice(head.as_bytes());
                expected.extend_from_slice(&large[start..end]);
            }
            expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
            assert!(answer.body == expected);
        },
    );
}

#[test]
fn compressed_siblings_are_chosen_by_the_client_and_have_tags_of_their_own() {
    let site = Site::new("files-codings");
    on_each_driver(&site, dressed, |addr| {
        let mut tags = Vec::new();
        for (accepted, coding, body) in [
            ("", None, "original"),
            ("Accept-Encoding: gzip\r\n", Some("gzip"), "as gzip"),
            ("Accept-Encoding: gzip, br\r\n", Some("br"), "as br"),
            (
                "Accept-Encoding: gzip, br;q=0.5\r\n",
                Some("gzip"),
                "as gzip",
            ),
            ("Accept-Encoding: gzip;q=0, identity\r\n", None, "original"),
            ("Accept-Encoding: zstd\r\n", None, "original"),
        ] {
            let answer = get(addr, "/app.js", accepted);
            assert_eq!((answer.status, answer.text()), (200, body), "{accepted}");
            assert_eq!(answer.field("content-encoding"), coding, "{accepted}");
            assert_eq!(answer.field("vary"), Some("accept-encoding"));
            let content_type = answer.field("content-type");
            assert_eq!(content_type, Some("text/javascript; charset=utf-8"));
            tags.push((coding, answer.field("etag").unwrap().to_owned()));
        }
        for (coding, tag) in &tags {
            for (other_coding, other) in &tags {
                assert_eq!(coding == other_coding, tag == other, "{tag} {other}");
            }
        }
        // Nothing is beside it, and the answer could still be another one.
        assert_eq!(
            get(addr, "/hello.txt", "").field("vary"),
            Some("accept-encoding")
        );
    });
    // A sibling that is older than its file is not used.
    site.age("root/app.js.br", 700_000_000);
    on_each_driver(&site, dressed, |addr| {
        let answer = get(addr, "/app.js", "Accept-Encoding: br, gzip\r\n");
        assert_eq!(answer.text(), "as gzip");
    });
}

#[test]
fn the_cache_policy_is_told_by_path() {
    let site = Site::new("files-cache");
    on_each_driver(&site, dressed, |addr| {
        let policy = |target: &str| {
            let answer = get(addr, target, "");
            answer.field("cache-control").map(str::to_owned)
        };
        assert_eq!(policy("/hello.txt").as_deref(), Some("no-cache"));
        let immutable = "public, max-age=31536000, immutable";
        assert_eq!(policy("/app.3f9c1a2b.js").as_deref(), Some(immutable));
    });
    on_each_driver(
        &site,
        |files| files,
        |addr| {
            assert_eq!(get(addr, "/hello.txt", "").field("cache-control"), None);
        },
    );
}

#[test]
fn pages_stand_where_nothing_is() {
    let site = Site::new("files-fallback");
    on_each_driver(&site, dressed, |addr| {
        let answer = get(addr, "/missing", "");
        assert_eq!((answer.status, answer.text()), (404, "<p>nothing</p>"));
        assert_eq!(answer.field("etag"), None);
    });
    on_each_driver(
        &site,
        |files| dressed(files).fallback("index.html"),
        |addr| {
            let html = "Accept: text/html,application/xhtml+xml;q=0.9\r\n";
            for (target, lines, status, body) in [
                ("/users/7", html, 200, "<p>home</p>"),
                (
                    "/users/7",
                    "Accept: application/json\r\n",
                    404,
                    "<p>nothing</p>",
                ),
                ("/users/7", "", 404, "<p>nothing</p>"),
                ("/users/7.js", html, 404, "<p>nothing</p>"),
                ("/hello.txt", html, 200, "hello, world"),
            ] {
                let answer = get(addr, target, lines);
                assert_eq!(
                    (answer.status, answer.text()),
                    (status, body),
                    "{target} {lines}"
                );
                // A cache must not give the page to a client that asks for something else.
                let has_vary = answer
                    .head
                    .to_ascii_lowercase()
                    .contains("vary: accept\r\n");
                assert_eq!(has_vary, body == "<p>home</p>", "{target} {lines}");
            }
        },
    );
}

#[test]
fn a_prefix_leads_to_the_folder_also_where_routers_are_nested() {
    let site = Site::new("files-prefix");
    for kind in kinds() {
        let root = site.root();
        let addr = serve(kind, move || {
            let inner = Router::new().files("/static", Files::new(&root));
            Router::new()
                .get("/api/static/own", async |_| "own")
                .nest("/api", inner)
                .fallback(async |_| "fallback")
        });
        for (target, status, body) in [
            ("/api/static/hello.txt", 200, "hello, world"),
            ("/api/static/", 200, "<p>home</p>"),
            ("/api/static/dir/", 200, "<p>dir</p>"),
            ("/api/static/own", 200, "own"),
            ("/api/static/missing", 404, ""),
            ("/api/static/../hello.txt", 404, ""),
            ("/api/statichello.txt", 200, "fallback"),
        ] {
            let answer = get(addr, target, "");
            assert_eq!((answer.status, answer.text()), (status, body), "{target}");
        }
        let answer = get(addr, "/api/static", "");
        assert_eq!(answer.field("location"), Some("./static/"));
    }
}

#[test]
fn a_folder_that_is_not_there_is_the_servers_fault() {
    let site = Site::new("files-no-folder");
    for kind in kinds() {
        let root = site.path("nowhere");
        let addr = serve(kind, move || Router::new().files("/", Files::new(&root)));
        assert_eq!(get(addr, "/hello.txt", "").status, 500);
    }
}

#[test]
fn a_folder_is_served_by_one_runtime_after_the_other() {
    let site = Site::new("files-runtimes");
    let root = site.path("root");
    std::fs::write(root.join("wide.bin"), vec![b'x'; 300_000]).unwrap();
    for kind in kinds() {
        let router = Rc::new(Router::new().files("/", Files::new(&root)));
        for round in 0..3 {
            let runtime = Runtime::builder().driver(kind).build().unwrap();
            let router = Rc::clone(&router);
            runtime.block_on(async {
                let client = TestClient::new(async move |request: Request| {
                    let router = Rc::clone(&router);
                    router.handle(request).await
                });
                for (path, len) in [("/hello.txt", 12), ("/wide.bin", 300_000)] {
                    let answer = client.get(path).send().await.unwrap();
                    assert_eq!(answer.status(), 200, "{path} {round}");
                    assert_eq!(answer.bytes().await.unwrap().len(), len, "{path} {round}");
                }
            });
        }
    }
}

#[test]
fn one_file_is_answered_with_conditions_and_ranges() {
    let site = Site::new("files-one");
    for kind in kinds() {
        let (file, missing) = (site.path("root/large.bin"), site.path("root/missing"));
        let addr = serve(kind, move || {
            let (file, missing) = (file.clone(), missing.clone());
            Router::new()
                .get("/file", async move |request: Request| {
                    let answer = serve_file(&request, &file).await?;
                    annulus::http::Result::<Response>::Ok(answer.with_file_name("a b.bin"))
                })
                .get("/missing", async move |request: Request| {
                    serve_file(&request, &missing).await
                })
        });
        let whole = get(addr, "/file", "");
        assert!(whole.status == 200 && whole.body == large());
        let disposition = "attachment; filename=\"a b.bin\"";
        assert_eq!(whole.field("content-disposition"), Some(disposition));
        let etag = whole.field("etag").unwrap();
        let lines = format!("If-None-Match: {etag}\r\n");
        assert_eq!(get(addr, "/file", &lines).status, 304);
        let part = get(addr, "/file", "Range: bytes=5-6\r\n");
        assert!(part.status == 206 && part.body == large()[5..7]);
        assert_eq!(get(addr, "/missing", "").status, 404);
    }
}
