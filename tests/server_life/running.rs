//! A server in the background, clients with raw sockets, and gates that handlers wait at.

use std::{
    fs::File,
    future::poll_fn,
    io::{self, BufRead as _, BufReader, Lines, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{self, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    task::{Poll, Waker},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use annulus::{
    Cores,
    http::{Handler, Report, Request, Response, Server, ServerHandle},
};

use crate::support::{
    BOUND,
    http::{connect, read_answer},
};

/// A deadline that no test reaches.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

/// A server that runs on a thread of its own.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    listeners: Listeners,
    pub(crate) handle: ServerHandle,
    thread: JoinHandle<io::Result<Report>>,
}

impl Running {
    /// Starts a server with `count` workers.
    pub(crate) fn start<H: Handler + Clone + Send>(
        count: usize,
        change: impl FnOnce(Server) -> Server + Send + 'static,
        handler: H,
    ) -> Self {
        Self::start_by(count, change, |server| server.run(handler))
    }

    pub(crate) fn start_by(
        count: usize,
        change: impl FnOnce(Server) -> Server + Send + 'static,
        run: impl FnOnce(Server) -> io::Result<Report> + Send + 'static,
    ) -> Self {
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let server = Server::new()
                .listen("127.0.0.1:0")
                .cores(Cores::Count(count));
            let server = change(server);
            let handle = server.handle();
            // Only the first address is waited for.
            run(server.on_listening(move |addr| drop(tell.send((addr, handle.clone())))))
        });
        let (addr, handle) = told.recv_timeout(BOUND).unwrap();
        Self {
            addr,
            listeners: Listeners::at(addr),
            handle,
            thread,
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end of the server.
    pub(crate) fn ended(self) -> io::Result<Report> {
        let start = Instant::now();
        while !self.has_ended() {
            assert!(start.elapsed() < BOUND, "the server does not end");
            thread::sleep(Duration::from_millis(1));
        }
        self.thread.join().unwrap()
    }

    /// Waits until the server refuses connections.
    pub(crate) fn wait_refused(&self) {
        self.listeners.wait_refused();
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.addr)
    }

    /// A connection that has sent `request`.
    pub(crate) fn send(&self, request: &str) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// A connection that has had an answer and is idle now.
    pub(crate) fn idle(&self) -> TcpStream {
        let mut stream = self.send(&get("/idle"));
        assert!(read_answer(&mut stream).starts_with("HTTP/1.1 200 "));
        stream
    }
}

/// Ends a connection by a reset.
pub(crate) fn reset(stream: TcpStream) {
    annulus::run(async {
        let stream = annulus::net::TcpStream::from_std(stream).unwrap();
        stream.set_linger(Some(Duration::ZERO)).unwrap();
    });
}

/// A handler that waits here blocks its whole worker, until the other end lets it go on.
pub(crate) struct Block {
    arrive: mpsc::Sender<()>,
    released: Mutex<mpsc::Receiver<()>>,
}

/// The other end of a [`Block`].
pub(crate) struct Release {
    arrived: mpsc::Receiver<()>,
    release: mpsc::Sender<()>,
}

pub(crate) fn block() -> (Arc<Block>, Release) {
    let (arrive, arrived) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let block = Arc::new(Block { arrive, released });
    (block, Release { arrived, release })
}

impl Block {
    /// Blocks the thread until it is released.
    pub(crate) fn hold(&self) {
        self.arrive.send(()).unwrap();
        self.released.lock().unwrap().recv_timeout(BOUND).unwrap();
    }
}

impl Release {
    /// Waits until a handler holds its worker.
    pub(crate) fn wait(&self) {
        self.arrived.recv_timeout(BOUND).unwrap();
    }

    pub(crate) fn release(&self) {
        self.release.send(()).unwrap();
    }
}

/// The sockets that listen at a port, by the numbers that the kernel has for them.
///
/// A port whose listeners have closed may get one of another test at once, so that a connection
/// that is accepted there says nothing about them.
pub(crate) struct Listeners {
    port: u16,
    inodes: Vec<u64>,
}

impl Listeners {
    /// Those that are there now.
    pub(crate) fn at(addr: SocketAddr) -> Self {
        let port = addr.port();
        let inodes = listening(port);
        Self { port, inodes }
    }

    /// Waits until all of them have closed: the port refuses connections then, unless it has
    /// others.
    pub(crate) fn wait_refused(&self) {
        assert!(!self.inodes.is_empty(), "there were no listeners");
        let start = Instant::now();
        while listening(self.port).iter().any(|i| self.inodes.contains(i)) {
            assert!(start.elapsed() < BOUND, "connections are accepted");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The numbers of all sockets that listen at `port`, as proc(5) has them.
fn listening(port: u16) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let mut found = Vec::new();
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        // A machine without IPv6 lacks the second.
        let Ok(table) = File::open(table) else {
            continue;
        };
        for line in BufReader::new(table).lines().skip(1) {
            let line = line.unwrap();
            let fields: Vec<&str> = line.split_whitespace().collect();
            // They stand first, and the kernel makes the lines as they are read: those of ten
            // thousand connections would take it long.
            if fields[3] != LISTEN {
                break;
            }
            let (_, own) = fields[1].rsplit_once(':').expect("an address has a port");
            if u16::from_str_radix(own, 16) == Ok(port) {
                found.push(fields[9].parse().unwrap());
            }
        }
    }
    found
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// Checks that the connection ends here, by a FIN.
pub(crate) fn expect_fin(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "it goes on: {rest:?}");
}

/// A test of this program that runs once more, in a process of its own that may be stopped. The
/// process ends with the value.
pub(crate) struct Child {
    process: process::Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// The variable that says which part the child has.
    const VARIABLE: &str = "SERVER_LIFE_CHILD";

    /// The part that this process has, if it is a child.
    pub(crate) fn part() -> Option<String> {
        std::env::var(Self::VARIABLE).ok()
    }

    /// Runs the test `name` with `part`, with at most `descriptors` if that is given.
    pub(crate) fn spawn(name: &str, part: &str, descriptors: Option<usize>) -> Self {
        let limit = descriptors.map_or(String::new(), |count| format!("ulimit -n {count}; "));
        let mut process = Command::new("sh")
            .args(["-c", &format!("{limit}exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(Self::VARIABLE, part)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// The rest of the line that the child prints after `start`.
    pub(crate) fn find(&mut self, start: &str) -> String {
        self.lines
            .find_map(|line| Some(line.unwrap().split_once(start)?.1.to_owned()))
            .unwrap()
    }

    /// Stops the process once it waits for the kernel. None of its threads runs any more
    /// afterwards.
    pub(crate) fn stop(&self) {
        self.await_state('S');
        self.signal(libc::SIGSTOP);
        // The signal is only sent by now: on a busy machine a thread would see what came since.
        self.await_state('T');
    }

    /// Waits until each of its threads is in this state of proc_pid_stat(5).
    fn await_state(&self, state: char) {
        let tasks = format!("/proc/{}/task", self.process.id());
        let is_there = || {
            std::fs::read_dir(&tasks).unwrap().all(|task| {
                let stat = std::fs::read_to_string(task.unwrap().path().join("stat"));
                // A thread that ends meanwhile is looked at again.
                stat.is_ok_and(|stat| stat.rsplit(") ").next().unwrap().starts_with(state))
            })
        };
        let start = Instant::now();
        while !is_there() {
            assert!(start.elapsed() < BOUND, "{tasks} do not become {state}");
            thread::yield_now();
        }
    }

    /// Lets a stopped process go on.
    pub(crate) fn go_on(&self) {
        self.signal(libc::SIGCONT);
    }

    #[expect(unsafe_code, reason = "std has no call that sends these signals")]
    fn signal(&self, signal: libc::c_int) {
        let process = libc::pid_t::try_from(self.process.id()).unwrap();
        // SAFETY: the call takes no address, and the process has not been waited for.
        assert_eq!(unsafe { libc::kill(process, signal) }, 0);
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) {
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A gate that many handlers wait at until the test opens it.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Mutex<GateState>>);

#[derive(Default)]
struct GateState {
    is_open: bool,
    arrived: usize,
    wakers: Vec<Waker>,
}

impl Gate {
    pub(crate) async fn pass(&self) {
        self.0.lock().unwrap().arrived += 1;
        poll_fn(|context| {
            let mut state = self.0.lock().unwrap();
            if state.is_open {
                return Poll::Ready(());
            }
            state.wakers.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn open(&self) {
        let wakers = {
            let mut state = self.0.lock().unwrap();
            state.is_open = true;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// How many have arrived.
    pub(crate) fn arrived(&self) -> usize {
        self.0.lock().unwrap().arrived
    }

    /// Waits until `count` have arrived.
    pub(crate) fn wait_for(&self, count: usize) {
        let start = Instant::now();
        while self.arrived() < count {
            assert!(start.elapsed() < BOUND, "no connection comes");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A handler that answers `/wait` when the gate opens, and everything else at once.
pub(crate) fn waiting(gate: &Gate) -> impl AsyncFn(Request) -> Response + Clone + Send + use<> {
    let gate = gate.clone();
    async move |request: Request| {
        if request.path() == "/wait" {
            gate.pass().await;
        }
        Response::text(request.path().to_owned())
    }
}
