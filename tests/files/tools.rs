//! Other programs that download: curl, wget, aria2, and nginx as a cache in front.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{
    site::{LARGE, Site, ask, large, on_each_driver},
    support::{http::connect, skip::skip},
};

/// Runs a program, whose output is returned, if it is there.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{program}: {error}"),
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn url(addr: SocketAddr, path: &str) -> String {
    format!("http://{addr}{path}")
}

#[test]
fn curl_asks_for_ranges_and_by_conditions() {
    if run("curl", &["--version"]).is_none() {
        return skip("curl is not installed");
    }
    let site = Site::new("files-curl");
    on_each_driver(
        &site,
        |files| files,
        |addr| {
            let out = site.path("out");
            let out = out.to_str().unwrap();
            let etag = site.path("etag");
            let etag = etag.to_str().unwrap();
            let code = |arguments: &[&str]| {
                let usual = ["-sS", "-o", out, "-w", "%{http_code} %{size_download}"];
                let target = url(addr, "/large.bin");
                run("curl", &[&usual, arguments, &[&*target]].concat()).unwrap()
            };
            assert_eq!(code(&["-r", "10-19"]), "206 10");
            assert_eq!(fs::read(out).unwrap(), large()[10..20]);
            assert_eq!(code(&["-r", "-7"]), "206 7");
            assert_eq!(code(&["-r", "2000000-"]), "416 0");
            assert!(code(&["-r", "0-1,5-6"]).starts_with("206 "));
            assert_eq!(code(&["-z", "Sun, 06 Nov 1994 08:49:37 GMT"]), "304 0");
            assert_eq!(code(&["-z", "-Sun, 06 Nov 1994 08:49:36 GMT"]), "412 0");
            assert_eq!(code(&["--etag-save", etag]), format!("200 {LARGE}"));
            assert_eq!(code(&["--etag-compare", etag]), "304 0");
            // A download that was cut goes on where it ended.
            fs::write(out, &large()[..400_000]).unwrap();
            assert_eq!(code(&["-C", "-"]), format!("206 {}", LARGE - 400_000));
            assert!(fs::read(out).unwrap() == large());
            fs::remove_file(etag).unwrap();
        },
    );
}

#[test]
fn wget_goes_on_with_a_download_that_was_cut() {
    if run("wget", &["--version"]).is_none() {
        return skip("wget is not installed");
    }
    let site = Site::new("files-wget");
    on_each_driver(
        &site,
        |files| files,
        |addr| {
            let out = site.path("large.bin");
            fs::write(&out, &large()[..300_000]).unwrap();
            let folder = site.path("");
            let folder = folder.to_str().unwrap();
            run(
                "wget",
                &["-q", "-c", "-P", folder, &url(addr, "/large.bin")],
            );
            assert!(fs::read(&out).unwrap() == large());
            fs::remove_file(out).unwrap();
        },
    );
}

#[test]
fn aria2_downloads_by_several_ranges_at_once() {
    if run("aria2c", &["--version"]).is_none() {
        return skip("aria2c is not installed");
    }
    let site = Site::new("files-aria2");
    on_each_driver(
        &site,
        |files| files,
        |addr| {
            let folder = site.path("");
            let arguments = [
                "-q",
                "-x",
                "8",
                "-s",
                "8",
                "-k",
                "1M",
                "-d",
                folder.to_str().unwrap(),
            ];
            // Larger than what it cuts into pieces.
            let content: Vec<u8> = large().repeat(12);
            fs::write(site.path("root/twelve.bin"), &content).unwrap();
            run(
                "aria2c",
                &[&arguments[..], &[&*url(addr, "/twelve.bin")]].concat(),
            );
            assert!(fs::read(site.path("twelve.bin")).unwrap() == content);
            fs::remove_file(site.path("twelve.bin")).unwrap();
        },
    );
}

/// An nginx that is stopped when it is dropped.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

impl Nginx {
    /// Starts it as a cache in front of `origin`.
    fn caching(folder: &Path, origin: SocketAddr) -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        drop(listener);
        fs::create_dir_all(folder).unwrap();
        let root = folder.to_str().unwrap();
        let config = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/log;
            events {{}}
            http {{
                access_log off;
                client_body_temp_path {root}/a; proxy_temp_path {root}/b;
                fastcgi_temp_path {root}/c; uwsgi_temp_path {root}/d; scgi_temp_path {root}/e;
                proxy_cache_path {root}/cache keys_zone=files:1m;
                server {{
                    listen {addr};
                    location / {{
                        proxy_pass http://{origin};
                        proxy_cache files;
                        proxy_cache_revalidate on;
                        proxy_cache_valid 200 0s;
                        add_header x-cache $upstream_cache_status;
                    }}
                }}
            }}"
        );
        fs::write(folder.join("conf"), config).unwrap();
        let child = Command::new("nginx")
            .args(["-p", root, "-c", folder.join("conf").to_str().unwrap()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self(child);
        while std::net::TcpStream::connect(addr).is_err() {
            std::thread::yield_now();
        }
        (nginx, addr)
    }
}

#[test]
fn nginx_caches_in_front_and_revalidates() {
    if run("nginx", &["-v"]).is_none() {
        return skip("nginx is not installed");
    }
    let site = Site::new("files-nginx");
    let count = std::cell::Cell::new(0);
    on_each_driver(
        &site,
        |files| {
            files
                .cache(|_| annulus::http::CachePolicy::MaxAge(std::time::Duration::from_secs(1000)))
        },
        |origin| {
            count.set(count.get() + 1);
            let folder = site.path(&format!("nginx{}", count.get()));
            let (_nginx, addr) = Nginx::caching(&folder, origin);
            drop(connect(addr));
            let mut statuses = Vec::new();
            for _ in 0..3 {
                let answer = ask(addr, "GET", "/large.bin", "");
                assert!(answer.status == 200 && answer.body == large());
                statuses.push(answer.field("x-cache").unwrap_or_default().to_owned());
            }
            assert_eq!(statuses, ["MISS", "HIT", "HIT"]);
            let part = ask(addr, "GET", "/large.bin", "Range: bytes=5-9\r\n");
            assert!(part.status == 206 && part.body == large()[5..10]);
            let whole = ask(addr, "GET", "/large.bin", "");
            let lines = format!("If-None-Match: {}\r\n", whole.field("etag").unwrap());
            assert_eq!(ask(addr, "GET", "/large.bin", &lines).status, 304);
        },
    );
}
