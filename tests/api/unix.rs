//! Unix sockets: what they share with TCP is tested there, so here is what a family could change.

use std::{
    fs, io,
    net::Shutdown,
    os::unix::{fs::PermissionsExt as _, net as std_unix},
    rc::Rc,
};

use annulus::{
    io::Reader,
    net::{UnixListener, UnixStream},
    spawn,
};
use futures_util::StreamExt as _;

use crate::support::{Folder, poll_once, run, settle, to_end};

async fn recv_to_end(stream: &UnixStream) -> Vec<u8> {
    to_end(async || stream.recv().await).await
}

#[test]
fn bytes_go_both_ways_through_a_socket_file() {
    run(async {
        let folder = Folder::new("unix-both");
        let path = folder.path("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let near = UnixStream::connect(&path).await.unwrap();
        let (far, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed());
        assert_eq!(near.peer_addr().unwrap().as_pathname(), Some(&*path));
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
        near.write_all("ping").await.unwrap();
        let (count, buf) = far.read(vec![0; 100]).await.unwrap();
        assert_eq!(&buf[..count], b"ping");
        far.write_all_vectored(vec!["po", "ng"]).await.unwrap();
        drop(far);
        assert_eq!(recv_to_end(&near).await, b"pong");
        near.closed().await.unwrap();
    });
}

#[test]
fn an_abstract_name_needs_no_file() {
    run(async {
        let name = format!("annulus-test-{}", std::process::id());
        let listener = UnixListener::bind_abstract(&name).unwrap();
        let taken = UnixListener::bind_abstract(&name).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        let near = UnixStream::connect_abstract(&name).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        near.write_all("hello").await.unwrap();
        drop(near);
        assert_eq!(recv_to_end(&far).await, b"hello");
        drop(listener);
        // The kernel's accept for it ends with the next visit to the kernel.
        settle().await;
        let gone = UnixStream::connect_abstract(&name).await.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn more_than_the_kernel_holds_goes_through_a_pair_in_order() {
    run(async {
        let (near, far) = UnixStream::pair().unwrap();
        let sent: Vec<u8> = (0..3_000_000_u32).map(|index| (index / 7) as u8).collect();
        let writer = spawn({
            let sent = sent.clone();
            async move { near.write_all(sent).await.map(drop) }
        });
        assert!(recv_to_end(&far).await == sent);
        writer.await.unwrap().unwrap();
    });
}

#[test]
fn a_dropped_receive_loses_nothing() {
    run(async {
        let (near, far) = UnixStream::pair().unwrap();
        {
            let mut recv = Box::pin(far.recv());
            assert!(poll_once(&mut recv).await.is_pending());
        }
        near.write_all("kept").await.unwrap();
        settle().await;
        drop(near);
        assert_eq!(recv_to_end(&far).await, b"kept");
    });
}

#[test]
fn an_end_that_comes_together_with_the_last_bytes_is_seen() {
    run(async {
        let (near, far) = UnixStream::pair().unwrap();
        {
            let mut recv = Box::pin(far.recv());
            assert!(poll_once(&mut recv).await.is_pending());
        }
        settle().await;
        near.write_all("last").await.unwrap();
        near.shutdown(Shutdown::Write).await.unwrap();
        assert_eq!(recv_to_end(&far).await, b"last");
    });
}

#[test]
fn a_half_that_is_dropped_ends_its_direction() {
    run(async {
        let (near, far) = UnixStream::pair().unwrap();
        let (reads, writes) = near.into_split();
        writes.write_all("last").await.unwrap();
        drop(writes);
        assert_eq!(recv_to_end(&far).await, b"last");
        far.write_all("answer").await.unwrap();
        assert_eq!(&*reads.recv().await.unwrap(), b"answer");
        assert!(reads.stream().local_addr().unwrap().is_unnamed());
    });
}

#[test]
fn a_reader_joins_the_pieces() {
    run(async {
        let (near, far) = UnixStream::pair().unwrap();
        let mut reader = Reader::new(far);
        near.write_all("one\ntw").await.unwrap();
        near.write_all("o\n").await.unwrap();
        assert_eq!(&*reader.read_until(b'\n', 100).await.unwrap(), b"one\n");
        assert_eq!(&*reader.read_until(b'\n', 100).await.unwrap(), b"two\n");
    });
}

#[test]
fn unread_bytes_reset_the_connection() {
    run(async {
        let (near, far) = UnixStream::pair().unwrap();
        near.write_all("never read").await.unwrap();
        drop(far);
        let error = near.recv().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(near.recv().await.unwrap().is_empty());
        let error = near.write_all("x").await.unwrap_err();
        assert_eq!(error.error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_connect_waits_for_room_in_the_listeners_queue() {
    run(async {
        let folder = Folder::new("unix-queue");
        let path = folder.path("socket");
        let listener = UnixListener::options().backlog(0).bind(&path).unwrap();
        let mut waiting = Vec::new();
        let path = Rc::new(path);
        for _ in 0..3 {
            let path = Rc::clone(&path);
            waiting.push(spawn(async move { UnixStream::connect(&*path).await }));
        }
        settle().await;
        assert!(waiting.iter().any(|task| !task.is_finished()));
        {
            let mut given_up = Box::pin(UnixStream::connect(&*path));
            assert!(poll_once(&mut given_up).await.is_pending());
        }
        let mut incoming = listener.incoming();
        let mut accepted = Vec::new();
        for _ in 0..3 {
            accepted.push(incoming.next().await.unwrap().unwrap());
        }
        for task in waiting {
            task.await.unwrap().unwrap();
        }
    });
}

#[test]
fn the_mode_is_the_files() {
    run(async {
        let folder = Folder::new("unix-mode");
        let path = folder.path("socket");
        let _listener = UnixListener::options().mode(0o620).bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o620);
    });
}

#[test]
fn only_a_socket_file_without_a_listener_is_removed() {
    run(async {
        let folder = Folder::new("unix-stale");
        let path = folder.path("socket");
        drop(std_unix::UnixListener::bind(&path).unwrap());
        let in_the_way = UnixListener::bind(&path).unwrap_err();
        assert_eq!(in_the_way.kind(), io::ErrorKind::AddrInUse);
        let options = UnixListener::options().remove_stale(true);
        let _live = options.bind(&path).unwrap();
        let in_use = options.bind(&path).unwrap_err();
        assert_eq!(in_use.kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(&path).await.unwrap();

        let file = folder.path("file");
        fs::write(&file, "precious").unwrap();
        let no_socket = options.bind(&file).unwrap_err();
        assert_eq!(no_socket.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    });
}

#[test]
fn the_peer_of_a_pair_is_this_process() {
    run(async {
        let (near, _far) = UnixStream::pair().unwrap();
        let cred = near.peer_cred().unwrap();
        assert_eq!(cred.pid(), Some(std::process::id() as i32));
    });
}

#[test]
fn connecting_to_nothing_is_an_error() {
    run(async {
        let folder = Folder::new("unix-nothing");
        let missing = UnixStream::connect(folder.path("missing")).await;
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
        let path = folder.path("stale");
        drop(std_unix::UnixListener::bind(&path).unwrap());
        let refused = UnixStream::connect(path).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let too_long = UnixStream::connect("x".repeat(200)).await.unwrap_err();
        assert_eq!(too_long.kind(), io::ErrorKind::InvalidInput);
    });
}
