//! A handle is used in its own runtime only; elsewhere it says so.

use std::{io, net::Shutdown};

use annulus::{Runtime, buf::BufResult, net::TcpStream};

use crate::support::{Folder, guarded, listen, pair, run};

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
