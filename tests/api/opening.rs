//! Opening what is no regular file, or what another process holds: no open waits for a peer.

use std::{
    ffi::CString,
    future::Future,
    io,
    os::{fd::AsRawFd as _, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
    pin::pin,
    task::Poll,
};

use annulus::{
    DriverKind, Runtime, blocking,
    fs::{Dir, File, OpenOptions},
};

use crate::support::{Folder, guarded, poll_once, settle, skip::skip};

/// Runs a test on the driver that the environment chooses, and on the poll driver.
fn on_both_drivers<F: Future<Output = ()>>(test: impl Fn(DriverKind) -> F) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        runtime.block_on(guarded(test(runtime.driver_kind())));
    }
}

fn fifo(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.path(name);
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name is a C string that lives through the call.
    let made = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
    assert_eq!(made, 0, "{}", io::Error::last_os_error());
    path
}

/// Whether an open file is in non-blocking mode.
fn is_nonblocking(file: &File) -> bool {
    // SAFETY: the call takes no address.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    assert!(flags >= 0);
    flags & libc::O_NONBLOCK != 0
}

/// Takes a lease on an open file, or gives it back. Breaking it sends a signal.
fn lease(file: &std::fs::File, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: the call takes no address but that of the action, which does nothing.
    unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
    // SAFETY: the call takes no address.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

async fn open_for_writing(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path).await
}

#[test]
fn fifos_are_opened_without_their_peer() {
    on_both_drivers(|_| async {
        let folder = Folder::new("fifos");
        // More than there are threads.
        for number in 0..=blocking::stats().files.threads_max {
            let path = fifo(&folder, &number.to_string());
            let writer = open_for_writing(&path).await.unwrap_err();
            assert_eq!(writer.raw_os_error(), Some(libc::ENXIO));
            let writer = File::create(&path).await.unwrap_err();
            assert_eq!(writer.raw_os_error(), Some(libc::ENXIO));
            let reader = File::open(&path).await.unwrap();
            assert!(!reader.metadata().unwrap().is_file());
            let error = reader.read_at(vec![0; 10], 0).await.unwrap_err();
            assert_eq!(error.error.raw_os_error(), Some(libc::ESPIPE));
            open_for_writing(&path).await.unwrap();
        }
        File::open("/proc/self/exe").await.unwrap();
    });
}

#[test]
fn a_full_fifo_holds_no_helper_thread() {
    on_both_drivers(|kind| async move {
        let folder = Folder::new("full-fifo");
        let path = fifo(&folder, "fifo");
        let _reader = File::open(&path).await.unwrap();
        let writer = OpenOptions::new().append(true).open(&path).await.unwrap();
        // As much as a FIFO takes.
        let mut room = 64 << 10;
        while room > 0 {
            let (count, _) = writer.append(vec![b'x'; room]).await.unwrap();
            room -= count;
        }
        let mut more = Box::pin(writer.append("more"));
        if kind == DriverKind::Poll {
            let error = more.await.unwrap_err();
            assert_eq!(error.error.kind(), io::ErrorKind::WouldBlock);
            assert_eq!(error.buf, "more");
        } else {
            assert!(poll_once(&mut more).await.is_pending());
            settle().await;
            assert!(poll_once(&mut more).await.is_pending());
        }
    });
}

#[test]
fn only_what_may_wait_for_a_peer_stays_in_non_blocking_mode() {
    on_both_drivers(|kind| async move {
        let folder = Folder::new("mode");
        let file = File::create(folder.path("file")).await.unwrap();
        assert!(!is_nonblocking(&file));
        let file = File::open(folder.path("file")).await.unwrap();
        assert!(!is_nonblocking(&file));
        let this = File::open(folder.path(".")).await.unwrap();
        assert!(!is_nonblocking(&this));
        let fifo = File::open(fifo(&folder, "fifo")).await.unwrap();
        assert_eq!(is_nonblocking(&fifo), kind == DriverKind::Poll);
    });
}

#[test]
fn a_socket_is_no_file() {
    on_both_drivers(|_| async {
        let folder = Folder::new("socket");
        let path = folder.path("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let error = File::open(&path).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENXIO));
    });
}

#[test]
fn an_open_waits_for_a_lease_to_end() {
    on_both_drivers(|_| async {
        let folder = Folder::new("lease");
        let path = folder.path("file");
        std::fs::write(&path, "content").unwrap();
        let holder = std::fs::File::open(&path).unwrap();
        if let Err(error) = lease(&holder, libc::F_RDLCK) {
            skip(&format!("files have no leases here: {error}"));
            return;
        }
        let mut open = Box::pin(open_for_writing(&path));
        for _ in 0..3 {
            assert!(poll_once(&mut open).await.is_pending());
            settle().await;
        }
        lease(&holder, libc::F_UNLCK).unwrap();
        open.await.unwrap();
    });
}

/// Whether the kernel opens at once what it has in memory (5.12).
fn opens_cached(path: &CString) -> bool {
    // SAFETY: the struct has integers only, for which all zeros are valid.
    let mut how = unsafe { std::mem::zeroed::<libc::open_how>() };
    how.resolve = libc::RESOLVE_CACHED;
    // SAFETY: the path and the struct live through the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    if fd >= 0 {
        // SAFETY: the call made the descriptor for this test.
        unsafe { libc::close(fd as i32) };
    }
    fd >= 0
}

/// Whether the file system reads at once what it has in memory.
fn reads_cached(file: &std::fs::File) -> bool {
    let mut byte = 0_u8;
    let part = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // SAFETY: the vector and the byte live through the call.
    unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, 0, libc::RWF_NOWAIT) == 1 }
}

#[test]
fn cached_files_need_no_helper_thread() {
    let runtime = Runtime::builder().driver(DriverKind::Poll).build().unwrap();
    runtime.block_on(guarded(async {
        let folder = Folder::new("cached");
        let path = folder.path("file");
        std::fs::write(&path, "content").unwrap();
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        if !opens_cached(&name) {
            // Before 5.12 a helper thread opens it.
            File::open(&path).await.unwrap();
            return;
        }
        let root = Dir::open(folder.path(".")).await.unwrap();
        let mut open = pin!(File::open(&path));
        let Poll::Ready(Ok(file)) = poll_once(&mut open).await else {
            panic!("expected a file at once");
        };
        assert!(!is_nonblocking(&file));
        let mut open = pin!(root.open_file("file"));
        assert!(poll_once(&mut open).await.is_ready());
        // Not every filesystem remembers that there is no such name.
        let error = File::open(folder.path("missing")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let outside = root.open_file("../file").await.unwrap_err();
        assert_eq!(outside.kind(), io::ErrorKind::CrossesDevices);
        if reads_cached(&std::fs::File::open(&path).unwrap()) {
            let mut read = pin!(file.read_at(vec![0; 10], 0));
            assert!(poll_once(&mut read).await.is_ready());
        }
    }));
}
