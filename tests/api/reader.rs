//! `io::Reader` over a stream.

use std::{io, rc::Rc, time::Duration};

use annulus::{io::Reader, time};

use crate::support::{pair, pattern, run, settle};

#[test]
fn lines_lengths_and_the_rest_are_read_from_a_stream() {
    run(async {
        let (near, far) = pair().await;
        let mut reader = Reader::new(&near);
        for piece in ["POST / HT", "TP/1.1\r", "\nLength: 4\r\n", "\r\nbo"] {
            far.write_all(piece).await.unwrap();
            settle().await;
        }
        let line = reader.read_until(b'\n', 100).await.unwrap();
        assert_eq!(line, b"POST / HTTP/1.1\r\n");
        let line = reader.read_until(b'\n', 100).await.unwrap();
        assert_eq!(line, b"Length: 4\r\n");
        assert_eq!(reader.read_until(b'\n', 100).await.unwrap(), b"\r\n");
        let late = time::timeout(Duration::from_millis(1), reader.read_exact(4)).await;
        assert!(late.is_err());
        far.write_all("dy and more").await.unwrap();
        assert_eq!(reader.read_exact(4).await.unwrap(), b"body");
        drop(far);
        assert_eq!(reader.read_to_end(100).await.unwrap(), b" and more");
        assert!(reader.fill_buf().await.unwrap().is_empty());
        assert!(reader.read_exact(0).await.unwrap().is_empty());
        let error = reader.read_exact(1).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn limits_hold_on_a_stream() {
    run(async {
        let (near, far) = pair().await;
        let near = Rc::new(near);
        let mut reader = Reader::new(Rc::clone(&near));
        far.write_all(pattern(10_000)).await.unwrap();
        let error = reader.read_until(255, 5000).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = reader.read_to_end(9000).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        drop(far);
        let all = reader.read_to_end(10_000).await.unwrap();
        assert_eq!(all, pattern(10_000));
    });
}

#[test]
fn what_was_not_consumed_is_handed_back() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("head:body").await.unwrap();
        let mut reader = Reader::new(near);
        assert_eq!(reader.read_until(b':', 100).await.unwrap(), b"head:");
        assert_eq!(reader.buffer(), b"body");
        reader.consume(1);
        let (near, rest) = reader.into_parts();
        assert_eq!(rest, b"ody");
        far.write_all("next").await.unwrap();
        assert_eq!(&near.recv().await.unwrap()[..], b"next");
    });
}

#[test]
fn a_large_body_is_joined_from_its_pieces() {
    run(async {
        let (near, far) = pair().await;
        let writer = annulus::spawn(async move {
            far.write_all(pattern(3 << 20)).await.unwrap();
        });
        let mut reader = Reader::new(&near);
        assert_eq!(reader.read_exact(1 << 20).await.unwrap(), pattern(1 << 20));
        let rest = reader.read_to_end(4 << 20).await.unwrap();
        assert_eq!(rest.len(), 2 << 20);
        assert!(crate::support::is_pattern(&rest, 1 << 20));
        writer.await.unwrap();
    });
}

#[test]
fn the_streams_error_comes_through() {
    run(async {
        let (near, far) = pair().await;
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        let mut reader = Reader::new(&near);
        let error = reader.read_exact(1).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let error = reader.read_exact(1).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}
