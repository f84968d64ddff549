//! Descriptors of each kind.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    net::Shutdown,
    process::{Command, Stdio},
};

use annulus::{
    future::join,
    io::{AsyncFd, Interest},
};

use super::{fill, is_ready, tcp_pair};
use crate::support::{
    Folder,
    descriptors::{
        add, eventfd, inotify, no_descriptor, pidfd, pipe, send_urgent, signal_self, signalfd,
        take, timer,
    },
    run_each, settle,
};

#[test]
fn a_pipe() {
    run_each(async || {
        let (reader, writer) = pipe();
        let (reader, writer) = (AsyncFd::new(reader).unwrap(), AsyncFd::new(writer).unwrap());
        assert!(!is_ready(&reader, Interest::READABLE).await);
        fill(writer.get_ref());
        assert!(is_ready(&reader, Interest::READABLE).await);
        assert!(!is_ready(&writer, Interest::WRITABLE).await);
        let drain = async {
            settle().await;
            while reader.get_ref().read(&mut [0; 65536]).is_ok() {}
        };
        let (writable, ()) = join(writer.writable(), drain).await;
        writable.unwrap();
        assert_eq!(writer.get_ref().write(b"x").unwrap(), 1);
        drop(reader);
        // Errors are told to every wait.
        let ready = writer.ready(Interest::PRIORITY).await.unwrap();
        assert!(ready.is_error() && !ready.is_writable(), "{ready:?}");
        let error = writer.get_ref().write(b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_pipe_whose_writer_is_gone() {
    run_each(async || {
        let (reader, mut writer) = pipe();
        let reader = AsyncFd::new(reader).unwrap();
        writer.write_all(b"last").unwrap();
        drop(writer);
        let ready = reader.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_readable() && ready.is_hung_up(), "{ready:?}");
        assert_eq!(reader.get_ref().read(&mut [0; 8]).unwrap(), 4);
        reader.readable().await.unwrap();
        assert_eq!(reader.get_ref().read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn an_eventfd() {
    run_each(async || {
        let counter = AsyncFd::new(eventfd()).unwrap();
        add(counter.get_ref(), u64::MAX - 2);
        assert!(is_ready(&counter, Interest::WRITABLE).await);
        add(counter.get_ref(), 1);
        assert!(!is_ready(&counter, Interest::WRITABLE).await, "it is full");
        counter.readable().await.unwrap();
        assert_eq!(take(counter.get_ref()).unwrap(), u64::MAX - 1);
        assert!(!is_ready(&counter, Interest::READABLE).await);
    });
}

#[test]
fn a_timerfd() {
    run_each(async || {
        for nanoseconds in [1, 2_000_000] {
            let timer = AsyncFd::new(timer(nanoseconds)).unwrap();
            timer.readable().await.unwrap();
            assert_eq!(take(timer.get_ref()).unwrap(), 1);
            assert!(!is_ready(&timer, Interest::READABLE).await);
        }
    });
}

#[test]
fn an_inotify() {
    run_each(async || {
        let folder = Folder::new("inotify");
        let watch = AsyncFd::new(inotify(&folder.path(""))).unwrap();
        for name in ["one", "two"] {
            assert!(!is_ready(&watch, Interest::READABLE).await);
            let path = folder.path(name);
            let make = async {
                settle().await;
                File::create(path).unwrap();
            };
            let mut bytes = [0; 1024];
            let read = watch.async_io(Interest::READABLE, |mut watch| watch.read(&mut bytes));
            let (count, ()) = join(read, make).await;
            let told = &bytes[..count.unwrap()];
            let is_named = told.windows(3).any(|part| part == name.as_bytes());
            assert!(is_named, "{told:?}");
        }
    });
}

#[test]
fn a_signalfd() {
    run_each(async || {
        let signals = AsyncFd::new(signalfd()).unwrap();
        for _ in 0..2 {
            assert!(!is_ready(&signals, Interest::READABLE).await);
            let send = async {
                settle().await;
                signal_self();
            };
            let (readable, ()) = join(signals.readable(), send).await;
            readable.unwrap();
            assert_eq!(signals.get_ref().read(&mut [0; 128]).unwrap(), 128);
        }
    });
}

#[test]
fn a_pidfd() {
    run_each(async || {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let ended = AsyncFd::new(pidfd(child.id())).unwrap();
        assert!(!is_ready(&ended, Interest::READABLE).await);
        drop(child.stdin.take());
        ended.readable().await.unwrap();
        let status = child.try_wait().unwrap();
        assert!(status.expect("it has ended").success());
    });
}

#[test]
fn a_socket_with_urgent_data() {
    run_each(async || {
        let (near, far) = tcp_pair();
        let near = AsyncFd::new(near).unwrap();
        let urgent = Interest::PRIORITY;
        assert!(!is_ready(&near, urgent).await);
        (&far).write_all(b"usual").unwrap();
        assert!(!is_ready(&near, urgent).await);
        let send = async {
            settle().await;
            send_urgent(&far);
        };
        let (ready, ()) = join(near.ready(urgent), send).await;
        let ready = ready.unwrap();
        assert!(ready.is_priority() && !ready.is_readable(), "{ready:?}");
        let ready = near.ready(urgent | Interest::READABLE).await.unwrap();
        assert!(ready.is_priority() && ready.is_readable(), "{ready:?}");
    });
}

#[test]
fn urgent_data_after_the_end_of_the_usual_data_of_the_other_direction() {
    run_each(async || {
        let (near, far) = tcp_pair();
        near.shutdown(Shutdown::Write).unwrap();
        let far = AsyncFd::new(far).unwrap();
        // Of the peer's end, a wait that did not ask for it is not told.
        assert!(!is_ready(&far, Interest::PRIORITY).await);
        assert!(is_ready(&far, Interest::READABLE).await);
        drop(near);
        far.get_ref().shutdown(Shutdown::Write).unwrap();
        let ready = far.ready(Interest::ERROR).await.unwrap();
        assert!(ready.is_hung_up(), "{ready:?}");
    });
}

#[test]
fn files_and_folders_are_always_ready() {
    run_each(async || {
        let folder = Folder::new("always-ready");
        std::fs::write(folder.path("file"), "content").unwrap();
        for path in [folder.path("file"), folder.path("")] {
            let file = AsyncFd::new(File::open(path).unwrap()).unwrap();
            for _ in 0..2 {
                let ready = file.ready(Interest::READABLE | Interest::WRITABLE).await;
                let ready = ready.unwrap();
                assert!(ready.is_readable() && ready.is_writable(), "{ready:?}");
            }
            let error = file.ready(Interest::PRIORITY).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        }
    });
}

#[test]
fn a_number_without_a_descriptor() {
    run_each(async || {
        let none = AsyncFd::new(no_descriptor()).unwrap();
        let is_bad = |result: io::Result<()>| {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
        };
        is_bad(none.readable().await);
        is_bad(none.writable().await);
        is_bad(none.try_io(Interest::READABLE, |_| Ok(())));
    });
}
