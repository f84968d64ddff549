//! Scenarios that may write late, and one that does.

use std::{
    fs,
    future::{Future, poll_fn},
    io::{Read as _, Write as _},
    net::TcpStream as StdStream,
    os::fd::AsRawFd as _,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    task::Poll,
    time::Duration,
};

use annulus::{Runtime, fs::File, net::TcpStream, spawn, task::yield_now, time::sleep};

use crate::support::quarantine::written_late;

fn std_streams() -> (StdStream, StdStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let left = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    (left, listener.accept().unwrap().0)
}

fn runtime() -> Runtime {
    let builder = Runtime::builder().shutdown_timeout(Duration::from_millis(200));
    builder.build().unwrap()
}

/// Lets the kernel see what is queued, so many times.
async fn turns(count: usize) {
    for _ in 0..count {
        sleep(Duration::from_micros(50)).await;
    }
}

/// Polls `future` once, lets so many turns pass, and drops it.
async fn begin<F: Future>(future: F, turn_count: usize) {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
    turns(turn_count).await;
}

/// A stream whose reads go straight into the caller's memory.
async fn bulk_stream() -> (TcpStream, StdStream) {
    const FLOOD: usize = 256 << 10;
    let (left, mut right) = std_streams();
    let ours = TcpStream::from_std(left).unwrap();
    let writer = annulus::blocking::run(move || {
        right.write_all(&[1; FLOOD]).unwrap();
        right
    });
    let mut count = 0;
    let mut writer = pin!(writer);
    let mut right = None;
    while count < FLOOD || right.is_none() {
        if count < FLOOD {
            count += ours.read(Vec::with_capacity(8192)).await.unwrap().0;
        }
        if right.is_none() {
            let polled = poll_fn(|context| Poll::Ready(writer.as_mut().poll(context))).await;
            if let Poll::Ready(stream) = polled {
                right = Some(stream);
            } else if count == FLOOD {
                yield_now().await;
            }
        }
    }
    (ours, right.unwrap())
}

/// A file whose content is on the device only, as far as that can be asked for.
fn cold_file(path: &std::path::Path) {
    fs::write(path, vec![2; 4 << 20]).unwrap();
    let file = fs::File::open(path).unwrap();
    file.sync_all().unwrap();
    // SAFETY: the call takes a descriptor and numbers.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}

#[test]
fn the_canary_sees_a_late_write() {
    let written = written_late(|| {
        let (left, mut right) = std_streams();
        let mut ring = io_uring::IoUring::new(8).unwrap();
        let mut buffer = vec![0_u8; 1000];
        let fd = io_uring::types::Fd(left.as_raw_fd());
        let entry = io_uring::opcode::Recv::new(fd, buffer.as_mut_ptr(), 1000).build();
        // SAFETY: the entry is broken on purpose: the buffer is freed before it completes. The
        // allocator keeps the block, so that nothing but the block is written.
        unsafe { ring.submission().push(&entry) }.unwrap();
        ring.submit().unwrap();
        drop(buffer);
        right.write_all(&[1]).unwrap();
        ring.submit_and_wait(1).unwrap();
        assert_eq!(ring.completion().next().unwrap().result(), 1);
    });
    assert_eq!(written, 1);
}

#[test]
fn the_canary_is_silent_when_all_is_well() {
    let written = written_late(|| {
        let (mut left, mut right) = std_streams();
        for _ in 0..100 {
            let mut buffer = vec![0; 1000];
            right.write_all(&buffer).unwrap();
            left.read_exact(&mut buffer).unwrap();
        }
    });
    assert_eq!(written, 0);
}

#[test]
fn buffers_of_dropped_reads_are_not_written_late() {
    let written = written_late(|| {
        runtime().block_on(async {
            for round in 0..20 {
                let (ours, mut peer) = bulk_stream().await;
                for _ in 0..10 {
                    begin(ours.read(Vec::with_capacity(64 << 10)), 2).await;
                    peer.write_all(&[3; 5000]).unwrap();
                    turns(round % 4).await;
                    let _ = ours.try_recv();
                }
                begin(ours.read(Vec::with_capacity(64 << 10)), 2).await;
                drop(ours);
                let _ = peer.write_all(&[3; 5000]);
            }
        });
    });
    assert_eq!(written, 0);
}

#[test]
fn buffers_of_dropped_file_reads_are_not_written_late() {
    let path = std::env::temp_dir().join(format!("annulus-late-{}", std::process::id()));
    let written = written_late(|| {
        runtime().block_on(async {
            for round in 0..10 {
                cold_file(&path);
                let file = File::open(&path).await.unwrap();
                for number in 0..32 {
                    let read = file.read_at(Vec::with_capacity(128 << 10), number << 17);
                    begin(read, 2 * (round % 2)).await;
                }
            }
        });
    });
    fs::remove_file(&path).unwrap();
    assert_eq!(written, 0);
}

/// Tasks with reads of sockets and files in flight, and peers that write now and later.
async fn begin_hundreds(path: &std::path::Path) -> Vec<StdStream> {
    let mut peers = Vec::new();
    for _ in 0..40 {
        let (ours, peer) = bulk_stream().await;
        spawn(async move { drop(ours.read(Vec::with_capacity(64 << 10)).await) });
        peers.push(peer);
        let (ours, peer) = std_streams();
        let ours = TcpStream::from_std(ours).unwrap();
        spawn(async move { drop(ours.recv().await) });
        peers.push(peer);
    }
    cold_file(path);
    for number in 0..32 {
        let path = path.to_owned();
        spawn(async move {
            let file = File::open(path).await.unwrap();
            let _ = file
                .read_at(Vec::with_capacity(128 << 10), number << 17)
                .await;
        });
    }
    turns(4).await;
    peers
}

fn writes_after_the_end_of_a_runtime(by_panic: bool) {
    let name = format!("annulus-late-{by_panic}-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let written = written_late(|| {
        let runtime = runtime();
        let mut peers = runtime.block_on(begin_hundreds(&path));
        // Some arrive while it ends, and some when it has ended.
        for peer in peers.iter_mut().step_by(2) {
            peer.write_all(&[4; 5000]).unwrap();
        }
        if by_panic {
            let result = catch_unwind(AssertUnwindSafe(move || {
                runtime.block_on(async { resume_unwind(Box::new("on purpose")) })
            }));
            assert!(result.is_err());
        } else {
            drop(runtime);
        }
        for peer in &mut peers {
            let _ = peer.write_all(&[4; 5000]);
        }
    });
    fs::remove_file(&path).unwrap();
    assert_eq!(written, 0);
}

#[test]
fn nothing_is_written_after_the_end_of_a_runtime() {
    writes_after_the_end_of_a_runtime(false);
}

#[test]
fn nothing_is_written_after_the_end_of_a_runtime_by_a_panic() {
    writes_after_the_end_of_a_runtime(true);
}
