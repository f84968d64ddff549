//! Listening again where a process has just been killed. Its ring, and with it its listener, is
//! taken down by the kernel a little later.

use std::{
    env, fs,
    future::pending,
    io::{self, BufRead as _, BufReader},
    net::TcpStream as StdTcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use annulus::net::{TcpListener, UnixListener};

use crate::child;

const ROUNDS: usize = 40;
const KILLED: &str = "ANNULUS_TEST_KILLED";
const SAYS: &str = "listens at ";

/// A process that listens at a place, until it is killed.
struct Listening {
    process: Child,
    place: String,
}

impl Listening {
    /// Runs the test with this name again, which finds its place in the environment.
    fn start(name: &str, place: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(KILLED, place)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let place = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix(SAYS).map(str::to_owned))
            .expect("the child says where it listens");
        Self { process, place }
    }

    /// Returns once the process is gone.
    fn kill(mut self) -> String {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::mem::take(&mut self.place)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where the child shall listen, if this is one.
fn childs_place() -> Option<String> {
    env::var(KILLED).ok()
}

/// Says where it listens, and accepts until it is killed.
async fn listen_on<T>(place: impl std::fmt::Display, accept: impl AsyncFn() -> io::Result<T>) -> ! {
    let accepts = async {
        eprintln!("{SAYS}{place}");
        let mut connections = Vec::new();
        while let Ok(connection) = accept().await {
            connections.push(connection);
        }
    };
    annulus::time::timeout(Duration::from_secs(100), accepts)
        .await
        .expect("the parent kills this process");
    pending().await
}

#[test]
fn tcp_is_bound_again_at_once() {
    if let Some(place) = childs_place() {
        annulus::run(async {
            let listener = TcpListener::bind(place).await.unwrap();
            let addr = listener.local_addr().unwrap();
            listen_on(addr, async || listener.accept().await).await
        })
    }
    for round in 0..ROUNDS {
        let child = Listening::start("killed::tcp_is_bound_again_at_once", "127.0.0.1:0");
        let _clients: Vec<_> = (0..5)
            .map(|_| StdTcpStream::connect(&child.place).unwrap())
            .collect();
        let place = child.kill();
        if round % 2 == 0 {
            let bound = annulus::run(TcpListener::bind(place));
            bound.unwrap_or_else(|error| panic!("round {round}: {error}"));
        } else {
            let bound = TcpListener::options().listen(place.parse().unwrap());
            bound.unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
    }
}

#[test]
fn unix_sockets_are_bound_again_at_once() {
    let bind = |place: &str| match place.strip_prefix('@') {
        Some(name) => UnixListener::options().bind_abstract(name),
        None => UnixListener::options().remove_stale(true).bind(place),
    };
    if let Some(place) = childs_place() {
        annulus::run(async {
            let listener = bind(&place).unwrap();
            listen_on(place, async || listener.accept().await).await
        })
    }
    let folder = env::temp_dir().join(format!("annulus-killed-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path: PathBuf = folder.join("socket");
    let names = [
        path.to_str().unwrap().to_owned(),
        format!("@{}", path.display()),
    ];
    for round in 0..ROUNDS {
        let name = &names[round % 2];
        let child = Listening::start("killed::unix_sockets_are_bound_again_at_once", name);
        let place = child.kill();
        let bound = annulus::run(async { bind(&place) });
        bound.unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_listener_that_lives_keeps_its_address() {
    if child::is_child() {
        return;
    }
    let first = TcpListener::options()
        .listen("127.0.0.1:0".parse().unwrap())
        .unwrap();
    let addr = first.local_addr().unwrap();
    let start = Instant::now();
    let refused = annulus::run(TcpListener::bind(addr)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    let refused = TcpListener::options().listen(addr).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    // A bound against hangs: two waits of a quarter of a second.
    assert!(start.elapsed() < Duration::from_secs(20));
    let folder = env::temp_dir().join(format!("annulus-lives-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let options = UnixListener::options().remove_stale(true);
    let living = options.listen(&path).unwrap();
    let refused = options.listen(&path).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    drop(living);
    fs::remove_dir_all(&folder).unwrap();
}
