//! A protocol that is written once runs over every stream, also in memory.

use std::{
    io,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use annulus::{
    io::{ByteRead, ByteStream, ByteWrite, Duplex, Reader, duplex},
    net::{TcpStream, UnixStream},
    spawn,
};

use crate::support::{
    nosy::{at_clone, nosy},
    pair, run,
};

/// Answers each line by its length, until the peer has finished.
async fn serve(stream: impl ByteStream) -> io::Result<()> {
    let mut reader = Reader::new(stream);
    while let Some(line) = reader.read_line(1024).await? {
        let answer = format!("{}\n", line.len());
        reader.get_mut().write_all(answer.as_bytes()).await?;
    }
    reader.get_mut().shutdown().await
}

/// Asks, and checks the answers.
async fn ask(read: impl ByteRead, mut write: impl ByteWrite) {
    let mut answers = Reader::new(read);
    for line in ["hello", "", "you"] {
        write.write_all(line.as_bytes()).await.unwrap();
        write.flush().await.unwrap();
        write.write_all(b"\r\n").await.unwrap();
        let answer = answers.read_line(16).await.unwrap();
        assert_eq!(answer, Some(line.len().to_string()));
    }
    write.shutdown().await.unwrap();
    assert_eq!(answers.read_line(16).await.unwrap(), None);
}

#[test]
fn one_function_serves_sockets_and_memory() {
    run(async {
        let (near, far) = pair().await;
        let served = spawn(serve(far));
        ask(&near, &near).await;
        served.await.unwrap().unwrap();

        let (near, far) = UnixStream::pair().unwrap();
        let served = spawn(serve(far));
        let (read, write) = near.into_split();
        ask(&read, &write).await;
        served.await.unwrap().unwrap();

        for bytes_max in [1, 3, 1000] {
            let (near, far) = duplex(bytes_max);
            let served = spawn(serve(far));
            ask(&near, &near).await;
            served.await.unwrap().unwrap();
        }
    });
}

#[test]
fn handles_of_streams_are_streams() {
    run(async {
        let (near, far) = pair().await;
        let boxed: Box<dyn ByteStream> = Box::new(far);
        let served = spawn(serve(boxed));
        let near = Rc::new(near);
        ask(Rc::clone(&near), near).await;
        served.await.unwrap().unwrap();

        let (mut near, far) = pair().await;
        let served = spawn(async move { serve(&far).await });
        let (mut read, mut write) = split(&mut near);
        ask(&mut read, &mut write).await;
        served.await.unwrap().unwrap();

        let (near, far) = pair().await;
        let served = spawn(serve(Rc::new(far)));
        let (read, write) = near.into_split();
        ask(read, write).await;
        served.await.unwrap().unwrap();
    });
}

/// Both directions, borrowed.
fn split(stream: &mut TcpStream) -> (&TcpStream, &TcpStream) {
    (stream, stream)
}

#[test]
fn lines_are_read_from_an_owned_half() {
    run(async {
        let (near, far) = pair().await;
        let (half, _write) = near.into_split();
        far.write_all("one\ntwo\nthr").await.unwrap();
        drop(far);
        let mut reader = Reader::new(half);
        let mut lines = reader.lines(100);
        assert_eq!(lines.next().await.unwrap().unwrap(), "one");
        assert_eq!(lines.next().await.unwrap().unwrap(), "two");
        let error = lines.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(lines.next().await.is_none());
        assert_eq!(reader.buffer(), b"thr", "it stays to be read");
    });
}

#[test]
fn what_happens_to_a_pipe_while_a_waker_is_cloned_is_seen() {
    let poll_read = |end: &Duplex, waker: &Waker| {
        let polled = end.poll_recv(&mut Context::from_waker(waker));
        polled.map(|bytes| bytes.unwrap().to_vec())
    };
    let poll_write = |end: &Duplex, waker: &Waker| {
        let polled = end.poll_write(&mut Context::from_waker(waker), b"some");
        polled.map_err(|error| error.kind())
    };
    let waker = nosy();
    let pipe = || {
        let (near, far) = duplex(4);
        (Rc::new(near), far)
    };

    let (near, far) = pipe();
    let writer = Rc::clone(&near);
    at_clone(move || {
        assert!(poll_write(&writer, Waker::noop()).is_ready());
    });
    assert_eq!(poll_read(&far, &waker), Poll::Ready(b"some".to_vec()));

    let writer = Rc::clone(&near);
    at_clone(move || {
        let _ = Duplex::poll_shutdown(&writer, &mut Context::from_waker(Waker::noop()));
    });
    assert_eq!(poll_read(&far, &waker), Poll::Ready(Vec::new()));

    let (near, far) = pipe();
    assert_eq!(poll_write(&near, &waker), Poll::Ready(Ok(4)));
    at_clone(move || {
        assert!(poll_read(&far, Waker::noop()).is_ready());
        drop(far);
    });
    let broken = Poll::Ready(Err(io::ErrorKind::BrokenPipe));
    assert_eq!(poll_write(&near, &waker), broken);
}
