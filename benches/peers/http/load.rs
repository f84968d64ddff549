//! The load, on one thread.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use super::process;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const REQUEST_CLOSE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const BODY: &[u8] = b"Hello, World!";
/// The same to the handler that reads three fields, and its answer: their length together.
const REQUEST_BARE: &[u8] = b"GET /head HTTP/1.1\r\nHost: localhost\r\n\r\n";
const BODY_BARE: &[u8] = b"Hello, World! 0";
/// The request of a browser: 14 fields.
const REQUEST_BROWSER: &[u8] = b"GET /head HTTP/1.1\r\n\
Host: localhost:8080\r\n\
Connection: keep-alive\r\n\
Cache-Control: max-age=0\r\n\
sec-ch-ua: \"Chromium\";v=\"128\", \"Not;A=Brand\";v=\"24\", \"Google Chrome\";v=\"128\"\r\n\
sec-ch-ua-mobile: ?0\r\n\
sec-ch-ua-platform: \"Linux\"\r\n\
Upgrade-Insecure-Requests: 1\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
Chrome/128.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Sec-Fetch-Site: same-origin\r\n\
Sec-Fetch-Mode: navigate\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-US,en;q=0.9,de;q=0.7\r\n\
Cookie: session=6fb2c7a09e4d4f1c8a35b7e0d1f9c264; theme=dark; consent=1\r\n\r\n";
const BODY_BROWSER: &[u8] = b"Hello, World! 187";
const PIECE_BYTES: usize = 256 * 1024;
const CHUNK_BYTES: usize = 64 * 1024;
/// Connections of `churn`, `head` and `pace` at once.
const CONNECTION_COUNT: usize = 64;
/// Addresses of this host that connections come from: one has some 28,000 ports.
const SOURCE_COUNT: usize = 64;

fn addr(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(addr(port)).expect("the server listens");
    stream.set_nodelay(true).expect("it is a TCP socket");
    stream
}

/// Sends a body of `len` bytes and reads the answer.
pub(crate) fn upload(port: u16, len: u64, chunked: bool) {
    let mut stream = connect(port);
    let framing = if chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {len}")
    };
    let head = format!("PUT /up HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the head is sent");
    let mut piece = Vec::new();
    while piece.len() < PIECE_BYTES {
        if chunked {
            piece.extend_from_slice(format!("{CHUNK_BYTES:x}\r\n").as_bytes());
        }
        piece.resize(piece.len() + CHUNK_BYTES, b'x');
        if chunked {
            piece.extend_from_slice(b"\r\n");
        }
    }
    for _ in 0..len / PIECE_BYTES as u64 {
        stream.write_all(&piece).expect("the body is sent");
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n").expect("the end is sent");
    }
    let mut answer = [0; 1024];
    let count = stream.read(&mut answer).expect("an answer comes");
    assert!(
        answer[..count].starts_with(b"HTTP/1.1 200"),
        "it is refused"
    );
}

/// Reads an answer of `len` bytes.
pub(crate) fn download(port: u16, path: &str, len: u64) {
    let mut stream = connect(port);
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("a request is sent");
    let mut buf = vec![0; PIECE_BYTES];
    let count = stream.read(&mut buf).expect("an answer comes");
    let head = buf[..count]
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n");
    let mut received = (count - head.expect("the head comes at once") - 4) as u64;
    while received < len {
        let count = stream.read(&mut buf).expect("the body comes");
        assert!(count > 0, "the body is cut");
        received += count as u64;
    }
}

/// One of the connections of a load.
struct Connection {
    stream: mio::net::TcpStream,
    answer: Vec<u8>,
    due: Instant,
}

impl Connection {
    /// Reads what is there; true when the answer is complete, which is when it ends with `body`.
    fn read(&mut self, body: &[u8]) -> bool {
        let mut buf = [0; 4096];
        loop {
            match self.stream.read(&mut buf) {
                Ok(0) => panic!("the connection was closed"),
                Ok(count) => {
                    self.answer.extend_from_slice(&buf[..count]);
                    if self.answer.ends_with(body) {
                        self.answer.clear();
                        return true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("the connection broke: {error}"),
            }
        }
    }

    fn ask(&mut self, request: &[u8]) {
        let sent = self.stream.write(request).expect("a request is sent");
        assert_eq!(sent, request.len(), "there is room for a request");
    }
}

/// Begins a connection from one of this host's addresses.
fn begin(port: u16, number: usize) -> mio::net::TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    socket.set_nonblocking(true).expect("it is a socket");
    let source = Ipv4Addr::new(127, 0, 1, (number % SOURCE_COUNT) as u8 + 1);
    let source = SocketAddr::V4(SocketAddrV4::new(source, 0));
    socket.bind(&source.into()).expect("there is a free port");
    if let Err(error) = socket.connect(&addr(port).into()) {
        assert_eq!(error.raw_os_error(), Some(libc::EINPROGRESS), "{error}");
    }
    mio::net::TcpStream::from_std(socket.into())
}

/// Makes `count` connections with one request each, many at a time.
pub(crate) fn churn(port: u16, count: u64, close: bool) {
    let request = if close { REQUEST_CLOSE } else { REQUEST };
    let mut poll = Poll::new().expect("there is an epoll");
    let mut events = Events::with_capacity(CONNECTION_COUNT);
    let mut begun = 0;
    let mut open = |poll: &Poll, index: usize| {
        begun += 1;
        let mut connection = Connection {
            stream: begin(port, begun),
            answer: Vec::new(),
            due: Instant::now(),
        };
        poll.registry()
            .register(
                &mut connection.stream,
                Token(index),
                Interest::READABLE | Interest::WRITABLE,
            )
            .expect("it can be watched");
        connection
    };
    let mut connections: Vec<_> = (0..CONNECTION_COUNT)
        .map(|i| (open(&poll, i), false))
        .collect();
    let mut done = 0;
    while done < count {
        poll.poll(&mut events, None).expect("epoll waits");
        for event in &events {
            let index = event.token().0;
            let (connection, has_asked) = &mut connections[index];
            if event.is_writable() && !*has_asked {
                connection.ask(request);
                *has_asked = true;
            }
            if event.is_readable() && connection.read(BODY) {
                done += 1;
                connections[index] = (open(&poll, index), false);
            }
        }
    }
}

/// Connections that stay, watched for answers.
fn connect_all(port: u16, poll: &Poll) -> Vec<Connection> {
    let open = |index| {
        let stream = connect(port);
        stream.set_nonblocking(true).expect("it is a socket");
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry()
            .register(&mut stream, Token(index), Interest::READABLE)
            .expect("it can be watched");
        Connection {
            stream,
            answer: Vec::new(),
            due: Instant::now(),
        }
    };
    (0..CONNECTION_COUNT).map(open).collect()
}

/// Asks `count` times over 64 connections, with the head of a browser or with a bare one.
pub(crate) fn ask(port: u16, count: u64, browser: bool) {
    let (request, body) = if browser {
        (REQUEST_BROWSER, BODY_BROWSER)
    } else {
        (REQUEST_BARE, BODY_BARE)
    };
    let mut poll = Poll::new().expect("there is an epoll");
    let mut events = Events::with_capacity(CONNECTION_COUNT);
    let mut connections = connect_all(port, &poll);
    for connection in &mut connections {
        connection.ask(request);
    }
    let mut done = 0;
    while done < count {
        poll.poll(&mut events, None).expect("epoll waits");
        for event in &events {
            let connection = &mut connections[usize::from(event.token())];
            if connection.read(body) {
                done += 1;
                connection.ask(request);
            }
        }
    }
}

/// How a server answered.
pub(crate) struct Paced {
    pub(crate) rate: f64,
    pub(crate) median_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
}

/// Asks at a rate over 64 connections for some seconds. A request that is due while all connections
/// wait for an answer waits too, and that counts.
pub(crate) fn pace(port: u16, rate: f64, seconds: f64) -> Paced {
    let mut poll = Poll::new().expect("there is an epoll");
    let mut events = Events::with_capacity(CONNECTION_COUNT);
    let mut connections = connect_all(port, &poll);
    let mut free: VecDeque<usize> = (0..CONNECTION_COUNT).collect();
    let mut latencies = Vec::new();
    let start = Instant::now();
    let interval = Duration::from_secs_f64(1.0 / rate.min(1e9));
    let is_open = rate.is_finite();
    let end = start + Duration::from_secs_f64(seconds);
    let mut due = start;
    loop {
        let now = Instant::now();
        if now >= end {
            break;
        }
        while !is_open || due <= now {
            let Some(index) = free.pop_front() else { break };
            let connection = &mut connections[index];
            connection.due = if is_open { due } else { now };
            connection.ask(REQUEST);
            due += interval;
        }
        let timeout = is_open.then_some(Duration::ZERO);
        poll.poll(&mut events, timeout).expect("epoll waits");
        for event in &events {
            let index = event.token().0;
            if connections[index].read(BODY) {
                latencies.push(connections[index].due.elapsed().as_nanos() as u64);
                free.push_back(index);
            }
        }
    }
    let elapsed = start.elapsed().as_secs_f64();
    let count = latencies.len();
    // The first part finds caches cold.
    let mut sorted = latencies.split_off(count / 10);
    sorted.sort_unstable();
    let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part) as usize] as f64 / 1e3;
    Paced {
        rate: count as f64 / elapsed,
        median_us: at(0.5),
        p99_us: at(0.99),
        p999_us: at(0.999),
    }
}

/// Connections that are mostly idle.
pub(crate) struct Connections(Vec<TcpStream>);

/// Connections that are active at the same time in `ask_in_groups`.
const GROUP: usize = 100;

impl Connections {
    pub(crate) fn open(port: u16, count: usize) -> Self {
        let open = |number| {
            let stream = loop {
                let stream: TcpStream = {
                    let socket = Socket::new(Domain::IPV4, Type::STREAM, None);
                    let socket = socket.expect("descriptors suffice: see ulimit -n");
                    let source = Ipv4Addr::new(127, 0, 1, (number % SOURCE_COUNT) as u8 + 1);
                    let source = SocketAddr::V4(SocketAddrV4::new(source, 0));
                    socket.bind(&source.into()).expect("there is a free port");
                    match socket.connect(&addr(port).into()) {
                        Ok(()) => socket.into(),
                        Err(_) => continue,
                    }
                };
                break stream;
            };
            stream.set_nodelay(true).expect("it is a TCP socket");
            stream
        };
        Self((0..count).map(open).collect())
    }

    /// One request on each, the next when the last is answered.
    pub(crate) fn ask_one_by_one(&mut self) {
        for stream in &mut self.0 {
            stream.write_all(REQUEST).expect("a request is sent");
            answer(stream);
        }
    }

    /// One request on each, some at a time.
    pub(crate) fn ask_in_groups(&mut self) {
        for group in self.0.chunks_mut(GROUP) {
            ask_all(group);
        }
    }

    /// One request on each, all of which have begun before the first ends; `look` is called then.
    pub(crate) fn ask_at_once<T>(&mut self, look: impl FnOnce() -> T) -> T {
        let (half, rest) = REQUEST.split_at(REQUEST.len() / 2);
        for stream in &mut self.0 {
            stream.write_all(half).expect("a request is sent");
        }
        process::settle();
        let seen = look();
        for stream in &mut self.0 {
            stream.write_all(rest).expect("a request is sent");
        }
        for stream in &mut self.0 {
            answer(stream);
        }
        seen
    }
}

fn ask_all(streams: &mut [TcpStream]) {
    for stream in streams.iter_mut() {
        stream.write_all(REQUEST).expect("a request is sent");
    }
    for stream in streams {
        answer(stream);
    }
}

fn answer(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    let mut buf = [0; 4096];
    while !answer.ends_with(BODY) {
        let count = stream.read(&mut buf).expect("an answer comes");
        assert!(count > 0, "the connection was closed");
        answer.extend_from_slice(&buf[..count]);
    }
}
