//! Helpers that several suites share.
//!
//! A suite takes them by `#[path = "../support/mod.rs"] mod support;`, the only `#[path]` between
//! test files: the suite `tidy` holds that.
#![expect(dead_code, reason = "each suite needs a part of it")]

pub(crate) mod build;
pub(crate) mod certificates;
pub(crate) mod conformance;
pub(crate) mod counted;
#[expect(unsafe_code, reason = "an allocator is unsafe to implement")]
pub(crate) mod counting;
#[expect(unsafe_code, reason = "they are made by raw system calls")]
pub(crate) mod descriptors;
pub(crate) mod http;
#[expect(
    unsafe_code,
    reason = "a waker that runs code as it is cloned is a raw one"
)]
pub(crate) mod nosy;
pub(crate) mod program;
#[expect(unsafe_code, reason = "an allocator is unsafe to implement")]
pub(crate) mod quarantine;
pub(crate) mod random;
#[cfg(feature = "tracing")]
pub(crate) mod recorder;
#[expect(unsafe_code, reason = "a filter is installed by raw system calls")]
pub(crate) mod seccomp;
#[cfg(feature = "http")]
pub(crate) mod server;
pub(crate) mod skip;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[expect(unsafe_code, reason = "names are exchanged by a raw system call")]
pub(crate) mod tree;

use std::{
    future::Future, io, net, path::PathBuf, pin::pin, sync::OnceLock, task::Poll, thread,
    time::Duration,
};

use annulus::{
    DriverKind, ManagedBuf, Runtime,
    net::{TcpListener, TcpStream},
    task::yield_now,
    time,
    workers::{AcceptPolicy, SharedListener},
};

/// How long a test waits for what must come. Only a test that fails waits so long.
pub(crate) const BOUND: Duration = Duration::from_secs(100);

/// An address that refuses connections for as long as the first part is kept: that has the port, so
/// that no other process listens there, and does not listen.
pub(crate) fn closed_port() -> (SharedListener, net::SocketAddr) {
    let held = SharedListener::bind("127.0.0.1:0", AcceptPolicy::ReusePort).unwrap();
    let addr = held.local_addr().unwrap();
    (held, addr)
}

/// A variable for programs that allocate megabytes again and again: so many free bytes stay at the
/// end of glibc's heap. Without it their pages are given back and made anew each time, which takes
/// half of the processor time of such a test.
pub(crate) const FREE_MEMORY_KEPT: (&str, &str) = ("MALLOC_TOP_PAD_", "67108864");

/// Runs a test on the runtime that the environment chooses.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    annulus::run(guarded(future))
}

/// Ends a test that hangs. Not for tests that stop the clock: it would jump to the guard's end.
pub(crate) async fn guarded<F: Future>(future: F) -> F::Output {
    time::timeout(BOUND, future)
        .await
        .expect("the test does not hang")
}

/// Runs a test on a runtime of each driver.
pub(crate) fn run_each(mut test: impl AsyncFnMut()) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        run_on(kind, test());
    }
}

/// As [`run_each`], at the same time, for a test that waits.
pub(crate) fn run_both(test: impl AsyncFn() + Sync) {
    thread::scope(|scope| {
        for kind in [DriverKind::Auto, DriverKind::Poll] {
            let test = &test;
            scope.spawn(move || run_on(kind, test()));
        }
    });
}

fn run_on<F: Future>(kind: DriverKind, future: F) -> F::Output {
    let runtime = Runtime::builder().driver(kind).build().unwrap();
    runtime.block_on(guarded(future))
}

/// A listener on a free port, and its address.
pub(crate) async fn listen() -> (TcpListener, net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// The two ends of a connection.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let (listener, addr) = listen().await;
    let near = TcpStream::connect(addr).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    (near, far)
}

/// A connection whose other end is std's, to be used by another thread.
pub(crate) async fn std_pair() -> (TcpStream, net::TcpStream) {
    let (listener, addr) = listen().await;
    let far = net::TcpStream::connect(addr).unwrap();
    let (near, _) = listener.accept().await.unwrap();
    (near, far)
}

/// The output of a stream's `recv`.
pub(crate) type Received = io::Result<ManagedBuf>;

/// Receives `len` bytes, which is all that was sent.
pub(crate) async fn recv_exact(stream: &TcpStream, len: usize) -> Vec<u8> {
    let bytes = recv_at_least(stream, len).await;
    assert_eq!(bytes.len(), len, "more came than was sent");
    bytes
}

/// Receives until there are at least `len` bytes.
pub(crate) async fn recv_at_least(stream: &TcpStream, len: usize) -> Vec<u8> {
    at_least(len, async || stream.recv().await).await
}

/// Calls `recv` until there are at least `len` bytes.
pub(crate) async fn at_least(len: usize, mut recv: impl AsyncFnMut() -> Received) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let piece = recv().await.unwrap();
        assert!(
            !piece.is_empty(),
            "the stream ended after {} bytes",
            bytes.len()
        );
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// Receives to the end of the stream.
pub(crate) async fn recv_to_end(stream: &TcpStream) -> Vec<u8> {
    to_end(async || stream.recv().await).await
}

/// Calls `recv` until the stream has ended.
pub(crate) async fn to_end(mut recv: impl AsyncFnMut() -> Received) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let piece = recv().await.unwrap();
        if piece.is_empty() {
            return bytes;
        }
        bytes.extend_from_slice(&piece);
    }
}

/// Sends everything back until the peer has finished or is gone.
pub(crate) async fn echo(stream: TcpStream) {
    while let Ok(bytes) = stream.recv().await {
        if bytes.is_empty() || stream.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the runtime has seen everything that the kernel had to tell up to now: bytes that
/// are sent through another connection come after it.
pub(crate) async fn settle() {
    let (near, far) = pair().await;
    settle_by(&near, &far).await;
    // Thousands of connections in TIME_WAIT make each later `bind` search long for a port.
    near.set_linger(Some(Duration::ZERO)).unwrap();
}

/// As [`settle`], through a connection that is there.
pub(crate) async fn settle_by(near: &TcpStream, far: &TcpStream) {
    for _ in 0..3 {
        near.write_all("ping").await.unwrap();
        recv_exact(far, 4).await;
        far.write_all("pong").await.unwrap();
        recv_exact(near, 4).await;
        yield_now().await;
    }
}

/// Polls `future` once.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// How often a test does something: `full` times, or a quarter of that where the suite `kernels`
/// runs it once more, on an emulated kernel or the poll driver. With `ANNULUS_REQUIRE_ALL=1` it is
/// always `full`.
pub(crate) fn repetitions(full: usize) -> usize {
    let is_set = |name| std::env::var_os(name).is_some();
    let is_again = is_set("ANNULUS_DRIVER") || is_set("ANNULUS_KERNEL");
    if is_again && !is_set("ANNULUS_REQUIRE_ALL") {
        full.div_ceil(4)
    } else {
        full
    }
}

/// The length of a long random test: `full` with `ANNULUS_REQUIRE_ALL=1`, else a fifth of it, and
/// less where `kernels` runs it once more.
pub(crate) fn long_repetitions(full: usize) -> usize {
    match std::env::var_os("ANNULUS_REQUIRE_ALL") {
        Some(_) => full,
        None => repetitions(full / 5),
    }
}

/// The bytes that [`pattern`] repeats.
pub(crate) const PERIOD: usize = 251;

/// Bytes that do not repeat within any power of two.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..PERIOD).map(|index| index as u8).collect();
    // Copied and not computed: in a debug build that takes a tenth of the time.
    while bytes.len() < len {
        bytes.extend_from_within(..);
    }
    bytes.truncate(len);
    bytes
}

/// Whether `bytes` are the pattern from `start` on.
pub(crate) fn is_pattern(bytes: &[u8], start: usize) -> bool {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    let sample = SAMPLE.get_or_init(|| pattern(PERIOD * 256));
    let (offset, mut rest) = (start % PERIOD, bytes);
    let mut expected = &sample[offset..];
    while !rest.is_empty() {
        let len = rest.len().min(expected.len());
        if rest[..len] != expected[..len] {
            return false;
        }
        rest = &rest[len..];
        expected = sample;
    }
    true
}

/// Whether the ring is used, on a kernel of at least this version, real and emulated.
pub(crate) fn rings_since(major: u32, minor: u32) -> bool {
    let parse = |text: &str| {
        let mut parts = text.split(|c: char| !c.is_ascii_digit());
        let mut next = || parts.next().and_then(|part| part.parse::<u32>().ok());
        Some((next()?, next()?))
    };
    let runtime = annulus::Runtime::new();
    let is_ring = runtime.is_ok_and(|runtime| runtime.driver_kind() == annulus::DriverKind::Ring);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mask = std::env::var("ANNULUS_KERNEL").unwrap_or_default();
    let new_enough = |version: Option<(u32, u32)>| version.is_none_or(|v| v >= (major, minor));
    is_ring && new_enough(parse(&release)) && new_enough(parse(&mask))
}

/// A folder of its own for a test, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("annulus-test-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
