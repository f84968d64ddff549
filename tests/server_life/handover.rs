//! The next process takes the sockets over by a Unix socket.

use std::{
    env, fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt as _, PermissionsExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    pin::pin,
    process::{self, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use annulus::{
    Cores, DriverKind, Runtime,
    future::race,
    http::{Request, Response, Server, Timeouts},
    net::{Handover, InheritedKind, InheritedSocket},
    time,
};

use crate::{
    restart::{ask, until_answered, while_asked},
    running::{Child, Listeners, NEVER},
    support::{BOUND, Folder, skip::skip, until},
};

const GENERATION: &str = "HTTP_LIFE_HANDOVER";
const CONTROL: &str = "HTTP_LIFE_CONTROL";
const TEST: &str = "handover::no_connection_is_refused_and_no_request_is_lost";

/// A version of the program: a server that stops for its next one.
fn serve(generation: usize) {
    let mut handover = Handover::open(env::var_os(CONTROL).unwrap()).unwrap();
    assert_eq!(handover.is_first(), generation == 0);
    let web = handover.socket("web", || TcpListener::bind("127.0.0.1:0"));
    let web = TcpListener::from(OwnedFd::from(web.unwrap()));
    println!("address {}", web.local_addr().unwrap());
    let timeouts = Timeouts {
        // A client that has connected has all the time that it needs to send its request.
        stop_grace: NEVER,
        ..Timeouts::default()
    };
    let server = Server::new()
        .listen_on([web])
        .cores(Cores::Count(2))
        .timeouts(timeouts)
        .shutdown_on(handover.taken(), NEVER);
    let handle = server.handle();
    let report = server.run(async move |request: Request| {
        if request.path() == format!("/stop/{generation}") {
            handle.stop(NEVER);
        }
        Response::text(format!("generation {generation} ."))
    });
    println!("ended cut {}", report.unwrap().cut);
}

/// A process of that version, and the address where it serves.
struct Version {
    process: process::Child,
    lines: io::Lines<BufReader<process::ChildStdout>>,
    addr: SocketAddr,
}

impl Version {
    fn start(generation: usize, control: &Path) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args([TEST, "--exact", "--nocapture"])
            .env(GENERATION, generation.to_string())
            .env(CONTROL, control)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let addr = lines.find_map(|line| Some(line.unwrap().split_once("address ")?.1.to_owned()));
        Self {
            process,
            lines,
            addr: addr.unwrap().parse().unwrap(),
        }
    }

    /// Waits for its end, and checks that it has cut nothing.
    fn ended(mut self) {
        let cut = self
            .lines
            .find_map(|line| Some(line.unwrap().split_once("ended cut ")?.1.to_owned()));
        assert_eq!(cut.as_deref(), Some("0"));
        assert!(self.process.wait().unwrap().success());
    }
}

#[test]
fn no_connection_is_refused_and_no_request_is_lost() {
    if let Ok(generation) = env::var(GENERATION) {
        return serve(generation.parse().unwrap());
    }
    let restarts = env::var("ANNULUS_RESTARTS").map_or(10, |count| count.parse().unwrap());
    let folder = Folder::new("handover-load");
    let control = folder.path("control");
    let mut version = Version::start(0, &control);
    let addr = version.addr;
    let answered = while_asked(addr, || {
        for generation in 1..=restarts {
            let next = Version::start(generation, &control);
            assert_eq!(next.addr, addr);
            std::mem::replace(&mut version, next).ended();
            until_answered(addr, "/", generation);
        }
    });
    while ask(addr, &format!("/stop/{restarts}")) != restarts {}
    version.ended();
    assert!(answered >= restarts, "{answered} requests were answered");
    println!("{restarts} restarts, {answered} requests answered, none refused or cut");
}

/// The process that serves, as a thread.
struct Serving {
    addr: SocketAddr,
    thread: JoinHandle<io::Result<()>>,
}

impl Serving {
    /// Serves at `path` once it is ready, with the sockets of the names that it gets first.
    fn start(path: &Path, kind: DriverKind, names: &'static [&'static str]) -> Self {
        let path = path.to_owned();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut handover = Handover::open(path)?;
            for name in names {
                let socket = handover.socket(name, || TcpListener::bind("127.0.0.1:0"))?;
                tell.send(addr_of(socket)).unwrap();
            }
            drop(tell);
            let runtime = Runtime::builder().driver(kind).build()?;
            runtime.block_on(handover.taken())
        });
        let addr = told.recv_timeout(BOUND).unwrap();
        // The others are made by then, too.
        while told.recv_timeout(BOUND).is_ok() {}
        Self { addr, thread }
    }

    fn ended(self) {
        ended(self.thread);
    }
}

/// Waits for the end of a process that serves.
fn ended(thread: JoinHandle<io::Result<()>>) {
    let start = Instant::now();
    while !thread.is_finished() {
        assert!(start.elapsed() < BOUND, "it does not end");
        thread::sleep(Duration::from_millis(1));
    }
    thread.join().unwrap().unwrap();
}

/// Waits on a thread of its own until the sockets are taken.
fn serve_on(handover: Handover) -> JoinHandle<io::Result<()>> {
    thread::spawn(move || annulus::run(handover.taken()))
}

fn addr_of(socket: InheritedSocket) -> SocketAddr {
    assert_eq!(socket.kind(), InheritedKind::TcpListener);
    TcpListener::from(OwnedFd::from(socket))
        .local_addr()
        .unwrap()
}

/// The sockets of a process that has them.
fn never() -> io::Result<TcpListener> {
    panic!("the socket is there")
}

const KINDS: [DriverKind; 2] = [DriverKind::Auto, DriverKind::Poll];

#[test]
fn a_next_process_that_is_not_ready_changes_nothing_and_one_that_is_ends_the_wait() {
    let folder = Folder::new("handover-life");
    for (number, kind) in KINDS.into_iter().enumerate() {
        let path = folder.path(&format!("control-{number}"));
        let first = Serving::start(&path, kind, &["web", "old"]);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // One that ends after it has the sockets, one that says something else, and one that says
        // nothing.
        for text in [None, Some("GET / HTTP/1.1\r\n\r\n"), Some("")] {
            match text {
                None => {
                    let mut next = Handover::open(&path).unwrap();
                    assert!(!next.is_first());
                    let web = next.socket("web", never).unwrap();
                    assert_eq!(addr_of(web), first.addr);
                }
                Some(text) => {
                    let mut next = UnixStream::connect(&path).unwrap();
                    next.read_exact(&mut [0; 8]).unwrap();
                    next.write_all(text.as_bytes()).unwrap();
                }
            }
            assert!(!first.thread.is_finished());
        }
        // One that has another socket, and no use for an old one.
        let mut next = Handover::open(&path).unwrap();
        assert_eq!(addr_of(next.socket("web", never).unwrap()), first.addr);
        let new = next.socket("new", || TcpListener::bind("127.0.0.1:0"));
        let new = addr_of(new.unwrap());
        next.ready();
        next.ready();
        first.ended();
        let second = serve_on(next);
        let mut third = Handover::open(&path).unwrap();
        assert!(!third.is_first());
        let old = third.socket("old", || Err::<TcpListener, _>(io::Error::other("closed")));
        assert_eq!(old.unwrap_err().to_string(), "closed");
        let new_again = third.socket("new", never).unwrap();
        assert_eq!(addr_of(new_again), new);
        drop(third);
        assert!(!second.is_finished());
        let mut fourth = Handover::open(&path).unwrap();
        fourth.ready();
        ended(second);
    }
}

#[test]
fn one_that_is_ready_at_once_is_heard() {
    let folder = Folder::new("handover-at-once");
    let path = folder.path("control");
    for _ in 0..200 {
        let first = Serving::start(&path, DriverKind::Auto, &["web"]);
        // It has closed before the other has looked at it again.
        Handover::open(&path).unwrap().ready();
        first.ended();
    }
}

#[test]
fn a_process_that_comes_meanwhile_takes_over_from_the_next_one() {
    let folder = Folder::new("handover-two");
    let path = folder.path("control");
    let first = Serving::start(&path, DriverKind::Auto, &["web"]);
    let mut second = Handover::open(&path).unwrap();
    second.socket("web", never).unwrap();
    // Its connection waits in the queue of the control socket.
    let addr = first.addr;
    let third = thread::spawn(move || {
        let mut third = Handover::open(path).unwrap();
        assert_eq!(addr_of(third.socket("web", never).unwrap()), addr);
        third.ready();
    });
    second.ready();
    first.ended();
    ended(serve_on(second));
    third.join().unwrap();
}

#[test]
fn a_wait_that_is_dropped_leaves_a_stale_file_that_is_replaced() {
    let folder = Folder::new("handover-stale");
    let path = folder.path("control");
    for kind in KINDS {
        let mut handover = Handover::open(&path).unwrap();
        assert!(handover.is_first());
        let socket = handover.socket("web", || TcpListener::bind("127.0.0.1:0"));
        let listeners = Listeners::at(addr_of(socket.unwrap()));
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        let soon = async { time::timeout(Duration::from_millis(1), handover.taken()).await };
        assert!(runtime.block_on(soon).is_err());
        drop(runtime);
        assert!(fs::metadata(&path).unwrap().file_type().is_socket());
        // The copy for the next process is gone, too.
        listeners.wait_refused();
    }
    // Of those that come at once, one is the first, and each of the others takes over from another.
    let ready_count = Arc::new(AtomicUsize::new(0));
    let openers: Vec<_> = (0..8)
        .map(|_| {
            let (path, ready_count) = (path.clone(), Arc::clone(&ready_count));
            thread::spawn(move || {
                let mut handover = Handover::open(path)?;
                let is_first = handover.is_first();
                handover.ready();
                ready_count.fetch_add(1, Ordering::Relaxed);
                let all = until(|| ready_count.load(Ordering::Relaxed) == 8);
                annulus::run(async { drop(race(handover.taken(), all).await) });
                io::Result::Ok(is_first)
            })
        })
        .collect();
    let firsts = openers
        .into_iter()
        .map(|opener| opener.join().unwrap().unwrap());
    assert_eq!(firsts.filter(|is_first| *is_first).count(), 1);
}

/// The error of a takeover at `path`.
fn refusal(path: &Path) -> io::Error {
    let error = Handover::open(path).unwrap_err();
    let text = format!("cannot take over at {}: ", path.display());
    assert!(error.to_string().starts_with(&text), "{error}");
    error
}

#[test]
fn what_stands_at_the_path_and_is_no_such_process_is_an_error() {
    let folder = Folder::new("handover-other");
    let path = folder.path("control");
    fs::write(&path, "a file").unwrap();
    let error = refusal(&path);
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("found another file"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"a file");
    fs::remove_file(&path).unwrap();
    // There is no folder, and a name is too long.
    let error = refusal(&folder.path("absent/control"));
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let error = refusal(&folder.path(&"long".repeat(30)));
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    // Another service, and one that closes each connection.
    let service = UnixListener::bind(&path).unwrap();
    let text: &[u8] = b"220 mail.example.org ESMTP\r\n";
    for (text, kind) in [
        (text, io::ErrorKind::InvalidData),
        (b"", io::ErrorKind::ConnectionAborted),
    ] {
        let opening = {
            let path = path.clone();
            thread::spawn(move || refusal(&path))
        };
        while !opening.is_finished() {
            service.set_nonblocking(true).unwrap();
            if let Ok((mut peer, _)) = service.accept() {
                peer.write_all(text).unwrap();
            }
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(opening.join().unwrap().kind(), kind);
    }
}

#[test]
fn names_and_numbers_of_sockets_are_checked() {
    let folder = Folder::new("handover-names");
    let mut handover = Handover::open(folder.path("control")).unwrap();
    let make = || UnixStream::pair().map(|(near, _)| near);
    for name in ["a\nb", "\0", &"n".repeat(256)] {
        let error = handover.socket(name, never).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
    }
    handover.socket("127.0.0.1:80", make).unwrap();
    let again = handover.socket("127.0.0.1:80", never).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::InvalidInput);
    for number in 1..252 {
        handover.socket(&number.to_string(), make).unwrap();
    }
    let error = handover.socket("more", never).unwrap_err();
    assert!(error.to_string().contains("up to 252 sockets"), "{error}");
    // So many go over in one piece.
    let path = folder.path("control");
    let serving = serve_on(handover);
    let mut next = Handover::open(path).unwrap();
    for number in 1..252 {
        let socket = next.socket(&number.to_string(), never).unwrap();
        assert_eq!(socket.kind(), InheritedKind::Other);
    }
    next.ready();
    ended(serving);
}

#[test]
fn outside_of_a_runtime_the_process_before_is_not_told() {
    let folder = Folder::new("handover-outside");
    let path = folder.path("control");
    let first = Serving::start(&path, DriverKind::Auto, &["web"]);
    let mut taken = pin!(Handover::open(&path).unwrap().taken());
    let context = &mut Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = taken.as_mut().poll(context) else {
        panic!("it waits outside of a runtime");
    };
    assert!(error.to_string().contains("runtime"), "{error}");
    assert!(!first.thread.is_finished());
    Handover::open(&path).unwrap().ready();
    first.ended();
}

/// How many descriptors this process has.
fn descriptor_count() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_process_without_room_for_the_descriptors_says_so_and_keeps_none() {
    let test = "handover::a_process_without_room_for_the_descriptors_says_so_and_keeps_none";
    if let Some(path) = Child::part() {
        let before = descriptor_count();
        let error = refusal(Path::new(&path));
        assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
        assert_eq!(descriptor_count(), before);
        return;
    }
    let folder = Folder::new("handover-room");
    let path = folder.path("control");
    let mut handover = Handover::open(&path).unwrap();
    for number in 0..100 {
        let make = || UnixStream::pair().map(|(near, _)| near);
        handover.socket(&number.to_string(), make).unwrap();
    }
    let serving = serve_on(handover);
    Child::spawn(test, path.to_str().unwrap(), Some(50)).ended();
    assert!(!serving.is_finished());
    Handover::open(&path).unwrap().ready();
    ended(serving);
}

/// The number of a user that no process of a test has.
const OTHER_USER: libc::uid_t = 65534;

/// Makes the calling thread one of another user. Returns whether it may.
#[expect(unsafe_code, reason = "the C library would change all threads")]
fn become_other_user() -> bool {
    let keep = libc::uid_t::MAX;
    // SAFETY: the call takes no address.
    unsafe { libc::syscall(libc::SYS_setresuid, keep, OTHER_USER, keep) == 0 }
}

#[test]
fn processes_of_other_users_get_nothing_and_give_nothing() {
    let folder = Folder::new("handover-users");
    let path: PathBuf = folder.path("control");
    let first = Serving::start(&path, DriverKind::Auto, &["web"]);
    // The mode would keep it out, so it is lifted.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let (there, theirs) = (path.clone(), folder.path("theirs"));
    let listener = UnixListener::bind(&theirs).unwrap();
    let own = listener.try_clone().unwrap();
    let other = thread::spawn(move || {
        if !become_other_user() {
            return false;
        }
        let mut next = UnixStream::connect(there).unwrap();
        next.set_read_timeout(Some(BOUND)).unwrap();
        assert!(
            matches!(next.read(&mut [0]), Ok(0) | Err(_)),
            "another user got a byte"
        );
        // The user of a listener is that of its listen(2).
        listen_again(&own);
        true
    });
    if !other.join().unwrap() {
        skip("only root can be another user");
        Handover::open(&path).unwrap().ready();
        return first.ended();
    }
    assert!(!first.thread.is_finished());
    let error = refusal(&theirs);
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("one of user 65534"), "{error}");
    Handover::open(&path).unwrap().ready();
    first.ended();
}

/// Calls listen(2) once more, which notes the user of the calling thread.
#[expect(unsafe_code, reason = "std calls it once")]
fn listen_again(listener: &UnixListener) {
    use std::os::fd::AsRawFd as _;

    // SAFETY: the call takes no address.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 16) }, 0);
}
