//! Counts what a test may have lost: descriptors, operations in flight, buffers.

use std::{
    cell::Cell,
    env,
    future::Future,
    io::Write as _,
    net::TcpStream as StdStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use annulus::{
    Runtime,
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::support::{BOUND, FREE_MEMORY_KEPT};

/// Runs a test, or a part of one, in a process without other tests: they would be counted.
///
/// The process is this program, run again for the test. It does the whole test, so the other parts
/// do nothing here.
#[track_caller]
pub(super) fn alone(part: impl FnOnce()) {
    const ONE_BY_ONE: &str = "--test-threads=1";
    thread_local! {
        static IS_DONE: Cell<bool> = const { Cell::new(false) };
    }
    if env::args().any(|argument| argument == ONE_BY_ONE) {
        return part();
    }
    // Each test has a thread of its own.
    if IS_DONE.replace(true) {
        return;
    }
    let thread = thread::current();
    let name = thread.name().expect("the harness names it by the test");
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", ONE_BY_ONE])
        .envs([FREE_MEMORY_KEPT])
        .output()
        .unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let has_passed = output.status.success() && out.contains("\nrunning 1 test\n");
    assert!(has_passed, "{name} alone: {}\n{out}{err}", output.status);
}

/// How many descriptors this process has.
pub(super) fn descriptors() -> usize {
    // The listing itself is one, each time.
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The counts at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Census {
    descriptors: usize,
    in_flight: u64,
}

impl Census {
    pub(super) fn take() -> Self {
        Self {
            descriptors: descriptors(),
            in_flight: annulus::stats().driver.in_flight,
        }
    }

    /// The same with so many more descriptors.
    pub(super) fn and_descriptors(mut self, count: usize) -> Self {
        self.descriptors += count;
        self
    }

    /// Turns the loop until everything is as it was.
    #[track_caller]
    pub(super) fn settled(self, what: &str) -> impl Future<Output = ()> {
        let end = Instant::now() + BOUND;
        let what = what.to_owned();
        async move {
            while Self::take() != self {
                assert!(
                    Instant::now() < end,
                    "{what}: expected {self:?}, found {:?}",
                    Self::take()
                );
                sleep(Duration::from_micros(200)).await;
            }
        }
    }
}

/// Waits until the process has `count` descriptors again, outside a runtime.
#[track_caller]
pub(super) fn descriptors_settle_at(count: usize) {
    let end = Instant::now() + BOUND;
    while descriptors() != count {
        assert!(
            Instant::now() < end,
            "expected {count} descriptors, found {}",
            descriptors()
        );
        thread::sleep(Duration::from_millis(1));
    }
}

/// The output of `future`, which is expected to come.
#[track_caller]
pub(super) fn soon<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let what = what.to_owned();
    async move {
        match timeout(BOUND, future).await {
            Ok(output) => output,
            Err(_) => panic!("{what}: nothing happens any more"),
        }
    }
}

/// A runtime with so many receive buffers, which does not wait long at its end.
pub(super) fn runtime(receive_buffers: u16) -> Runtime {
    Runtime::builder()
        .receive_buffers(receive_buffers)
        .shutdown_timeout(Duration::from_millis(200))
        .build()
        .unwrap()
}

/// One end in this runtime, and a blocking one of std's.
pub(super) fn std_pair() -> (TcpStream, StdStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let std = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    std.set_nodelay(true).unwrap();
    let (ours, _) = listener.accept().unwrap();
    ours.set_nodelay(true).unwrap();
    (TcpStream::from_std(ours).unwrap(), std)
}

/// Expects that a peer of std's sees the end of its connection.
#[track_caller]
pub(super) fn sees_the_end(peer: &mut StdStream) {
    peer.set_nonblocking(false).unwrap();
    peer.set_read_timeout(Some(BOUND)).unwrap();
    // A read with a limit of time is not begun again when the kernel interrupts it, which it does
    // to run what a ring on this thread has left over.
    let result = loop {
        match std::io::Read::read(peer, &mut [0]) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            result => break result,
        }
    };
    match &result {
        Ok(0) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        _ => panic!("expected the end of the connection, found {result:?}"),
    }
}

/// Receives `count` bytes.
pub(super) async fn receive(stream: &TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let more = soon("bytes are lost", stream.recv()).await.unwrap();
        assert!(
            !more.is_empty(),
            "the stream ends after {} of {count} bytes",
            bytes.len()
        );
        bytes.extend_from_slice(&more);
    }
    bytes
}

/// Holds `count` buffers of the runtime's at once: none of them may have been lost.
pub(super) async fn has_all_buffers(count: usize) {
    let before = annulus::stats().buffers_exhausted;
    let mut held = Vec::new();
    let mut streams = Vec::new();
    for number in 0..count {
        let (ours, mut std) = std_pair();
        std.write_all(&[number as u8]).unwrap();
        held.push(soon("a buffer is lost", ours.recv()).await.unwrap());
        streams.push((ours, std));
    }
    assert_eq!(
        annulus::stats().buffers_exhausted,
        before,
        "there were {count} buffers"
    );
}
