//! A folder of files, a server of it on each driver, and how to ask that.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use annulus::{
    DriverKind,
    http::{Files, Router},
};

use crate::support::{Folder, http::connect, server::serve_by};

/// 1994-11-06 08:49:37.
pub(crate) const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const MODIFIED_SECONDS: u64 = 784_111_777;

/// The size of `large.bin`, which is read in pieces.
pub(crate) const LARGE: usize = 1_000_003;

pub(crate) struct Site(Folder);

impl Site {
    pub(crate) fn new(name: &str) -> Self {
        let site = Self(Folder::new(name));
        fs::create_dir_all(site.path("root/dir")).unwrap();
        fs::create_dir_all(site.path("root/empty")).unwrap();
        fs::create_dir_all(site.path("root/.well-known")).unwrap();
        fs::create_dir_all(site.path("root/.git")).unwrap();
        site.write("secret", "outside");
        for (path, content) in [
            ("index.html", "<p>home</p>"),
            ("dir/index.html", "<p>dir</p>"),
            ("hello.txt", "hello, world"),
            ("a b.css", "p {}"),
            ("zero.bin", ""),
            (".well-known/acme", "token"),
            (".git/config", "hidden"),
            (".env", "hidden"),
            ("app.js", "original"),
            ("app.js.gz", "as gzip"),
            ("app.js.br", "as br"),
            ("app.3f9c1a2b.js", "hashed"),
            ("404.html", "<p>nothing</p>"),
        ] {
            site.write(&format!("root/{path}"), content);
        }
        fs::write(site.path("root/large.bin"), large()).unwrap();
        site.age("root/large.bin", MODIFIED_SECONDS);
        std::os::unix::fs::symlink("../secret", site.path("root/far.txt")).unwrap();
        std::os::unix::fs::symlink("hello.txt", site.path("root/near.txt")).unwrap();
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// Writes a file that was last modified at [`MODIFIED`].
    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
        self.age(name, MODIFIED_SECONDS);
    }

    pub(crate) fn age(&self, name: &str, seconds: u64) {
        let file = fs::File::options()
            .write(true)
            .open(self.path(name))
            .unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_modified(time).unwrap();
    }
}

/// The content of `large.bin`: no two places of it are alike.
pub(crate) fn large() -> Vec<u8> {
    (0..LARGE as u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// Serves by `router` on a thread that ends with the process.
pub(crate) fn serve(
    kind: DriverKind,
    router: impl Fn() -> Router + Clone + Send + Sync + 'static,
) -> SocketAddr {
    serve_by(move |server| {
        server
            .runtime(move |runtime| runtime.driver(kind))
            .run_each(router)
    })
}

/// Calls with servers of `files` of the site on both drivers, or on the one that there is.
pub(crate) fn on_each_driver(site: &Site, files: fn(Files) -> Files, check: impl Fn(SocketAddr)) {
    for kind in kinds() {
        let root = site.root();
        check(serve(kind, move || {
            Router::new().files("/", files(Files::new(&root)))
        }));
    }
}

pub(crate) fn kinds() -> Vec<DriverKind> {
    if std::env::var("ANNULUS_DRIVER").as_deref() == Ok("poll") {
        return vec![DriverKind::Poll];
    }
    let built = annulus::Runtime::builder().driver(DriverKind::Ring).build();
    match built {
        Ok(_) => vec![DriverKind::Ring, DriverKind::Poll],
        Err(_) => vec![DriverKind::Poll],
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) fn ask(addr: SocketAddr, method: &str, target: &str, lines: &str) -> Answer {
    let mut stream = connect(addr);
    let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body }
}
