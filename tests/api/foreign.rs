//! A handle is used in its own runtime only; elsewhere it says so.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io,
    net::Shutdown,
    os::unix::net as std_unix,
    pin::pin,
    rc::Rc,
    task::Poll,
};

use annulus::{
    Runtime,
    buf::BufResult,
    net::{TcpStream, UnixStream},
};

use crate::support::{Folder, guarded, listen, pair, recv_exact, run};

fn says_so(error: &io::Error) {
    assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    let text = error.to_string();
    assert!(
        text.contains("belongs to another annulus runtime"),
        "{text}"
    );
}

fn buf_says_so<T: std::fmt::Debug>(result: BufResult<T, Vec<u8>>) {
    let error = result.unwrap_err();
    says_so(&error.error);
    assert_eq!(error.buf, b"mine", "the buffer comes back");
}

async fn every_call_is_refused(stream: &TcpStream) {
    let mine = || b"mine".to_vec();
    says_so(&stream.recv().await.unwrap_err());
    says_so(&stream.try_recv().unwrap_err());
    buf_says_so(stream.read(mine()).await);
    buf_says_so(stream.peek(mine()).await);
    let mut buf = Vec::with_capacity(8);
    buf.extend_from_slice(b"mine");
    buf_says_so(stream.read_append(buf).await);
    buf_says_so(stream.write(mine()).await);
    buf_says_so(stream.write_all(mine()).await.map(|buf| ((), buf)));
    let error = stream.write_all_vectored(vec![mine()]).await.unwrap_err();
    says_so(&error.error);
    assert_eq!(error.buf, [b"mine"]);
    says_so(&stream.write_vectored(vec![mine()]).await.unwrap_err().error);
    says_so(&stream.flush().await.unwrap_err());
    says_so(&stream.shutdown(Shutdown::Both).await.unwrap_err());
    says_so(&stream.closed().await.unwrap_err());
    says_so(&poll_fn(|cx| stream.poll_recv(cx)).await.unwrap_err());
    says_so(
        &poll_fn(|cx| stream.poll_write(cx, b"mine"))
            .await
            .unwrap_err(),
    );
    says_so(&poll_fn(|cx| stream.poll_flush(cx)).await.unwrap_err());
    says_so(&poll_fn(|cx| stream.poll_shutdown(cx)).await.unwrap_err());
}

#[test]
fn a_stream_in_another_runtime() {
    let runtime = Runtime::new().unwrap();
    let (near, far) = runtime.block_on(guarded(pair()));
    run(async {
        every_call_is_refused(&near).await;
        // What asks nothing of the runtime works anywhere.
        assert_eq!(near.local_addr().unwrap(), far.peer_addr().unwrap());
        near.set_nodelay(true).unwrap();
    });
    // The refusals have changed nothing.
    runtime.block_on(guarded(async {
        near.write_all("here").await.unwrap();
        assert_eq!(crate::support::recv_exact(&far, 4).await, b"here");
    }));
    run(async {
        says_so(&near.detach().await.unwrap_err());
    });
    runtime.block_on(guarded(async {
        assert!(far.recv().await.unwrap().is_empty(), "detach took it");
    }));
}

#[test]
fn a_stream_whose_runtime_is_gone() {
    let (near, _far) = run(pair());
    run(every_call_is_refused(&near));
}

#[test]
fn a_listener_in_another_runtime() {
    let runtime = Runtime::new().unwrap();
    let (listener, addr) = runtime.block_on(guarded(listen()));
    run(async {
        says_so(&listener.accept().await.unwrap_err());
        let mut incoming = listener.incoming();
        let next = futures_util::StreamExt::next(&mut incoming).await;
        says_so(&next.unwrap().unwrap_err());
    });
    runtime.block_on(guarded(async {
        let _near = TcpStream::connect(addr).await.unwrap();
        listener.accept().await.unwrap();
    }));
}

#[test]
fn a_file_in_another_runtime() {
    let folder = Folder::new("foreign");
    let path = folder.path("file");
    let runtime = Runtime::new().unwrap();
    let file = runtime.block_on(guarded(async {
        let file = annulus::fs::File::create(&path).await.unwrap();
        file.write_all_at("content", 0).await.unwrap();
        file
    }));
    run(async {
        buf_says_so(file.read_at(b"mine".to_vec(), 0).await);
        buf_says_so(file.write_at(b"mine".to_vec(), 0).await);
        buf_says_so(file.append(b"mine".to_vec()).await);
        says_so(&file.sync_all().await.unwrap_err());
        says_so(&file.sync_data().await.unwrap_err());
        says_so(&file.close().await.unwrap_err());
    });
    drop(runtime);
    assert_eq!(std::fs::read(&path).unwrap(), b"content");
}

/// Polls a future once under `runtime`, where it has to wait.
fn begin<F: Future + Unpin>(runtime: &Runtime, future: &mut F) {
    runtime.block_on(poll_fn(|context| {
        let poll = pin!(&mut *future).poll(context);
        assert!(poll.is_pending(), "it has to wait");
        Poll::Ready(())
    }));
}

#[test]
fn a_unix_stream_whose_connect_goes_on_in_another_runtime() {
    let folder = Folder::new("foreign-connect");
    let path = folder.path("socket");
    let listener = annulus::net::UnixListener::options();
    let listener = listener.backlog(0).listen(&path).unwrap();
    // It fills the backlog.
    let _first = std_unix::UnixStream::connect(&path).unwrap();
    let here = Runtime::new().unwrap();
    let mut connecting = Box::pin(UnixStream::connect(&path));
    begin(&here, &mut connecting);
    let _ = listener.accept().unwrap();
    says_so(&run(connecting).unwrap_err());
}

/// Calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A destructor runs while a small runtime ends inside a task of a large one, and meets sockets of
/// both: those of the small one are at home, with its own buffers.
#[test]
fn destructors_of_a_runtime_that_ends_inside_another() {
    let large = Runtime::new().unwrap();
    let small = Runtime::builder()
        .receive_buffers(1)
        .receive_buffer_bytes(64)
        .build()
        .unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (near, far) = large.block_on(guarded(pair()));
    let near = Rc::new(near);
    let on_drop = {
        let (near, seen) = (Rc::clone(&near), Rc::clone(&seen));
        OnDrop(move || {
            seen.borrow_mut().push(near.try_recv().unwrap_err());
            let (ours, theirs) = UnixStream::pair().unwrap();
            assert_eq!(theirs.try_write(b"of the small one").unwrap(), 16);
            assert_eq!(&*ours.try_recv().unwrap(), b"of the small one");
        })
    };
    small.block_on(async {
        let detached = annulus::spawn(async move {
            let _on_drop = on_drop;
            std::future::pending::<()>().await;
        });
        drop(detached);
        annulus::task::yield_now().await;
    });
    large.block_on(guarded(async {
        // So many buffers are taken that the next one's number means nothing in a small pool.
        let mut held = Vec::new();
        for _ in 0..20 {
            far.write_all(vec![b'x'; 100]).await.unwrap();
            held.push(near.recv().await.unwrap());
        }
        far.write_all("of the large one").await.unwrap();
        drop(small);
        assert_eq!(recv_exact(&near, 16).await, b"of the large one");
    }));
    assert_eq!(seen.borrow().len(), 1);
    says_so(&seen.borrow()[0]);
}
