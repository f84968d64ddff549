//! `io::Reader` over a stream.

use std::{io, pin::pin, rc::Rc, time::Duration};

use annulus::{io::Reader, time};

use crate::support::{pair, pattern, poll_once, run, settle};

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
        assert!(reader.fill(1).await.unwrap().is_none());
        assert!(reader.read_exact(0).await.unwrap().is_empty());
        let error = reader.read_exact(1).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}

/// A frame behind a length of four bytes.
fn frame_len(bytes: &[u8]) -> io::Result<Option<usize>> {
    let head = bytes.first_chunk::<4>();
    Ok(head.map(|length| 4 + u32::from_be_bytes(*length) as usize))
}

/// Each byte comes alone, and each round gives up where it is.
#[test]
fn a_frame_that_is_timed_out_at_every_byte_arrives_whole() {
    run(async {
        let (near, far) = pair().await;
        let mut reader = Reader::new(&near);
        for frame in [&b"\0\0\0\x05hello"[..], b"\0\0\0\0", b"\0\0\0\x02ab"] {
            for (index, byte) in frame.iter().enumerate() {
                let mut read = pin!(reader.read_frame(100, frame_len));
                assert!(poll_once(&mut read).await.is_pending(), "{index}");
                far.write_all([*byte].to_vec()).await.unwrap();
                settle().await;
            }
            let frame_here = reader.read_frame(100, frame_len).await.unwrap();
            assert_eq!(frame_here.unwrap(), frame);
        }
        far.write_all("\0\0").await.unwrap();
        drop(far);
        let error = reader.read_frame(100, frame_len).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(reader.buffer(), b"\0\0");
        reader.consume(2);
        assert!(reader.read_frame(100, frame_len).await.unwrap().is_none());
    });
}

#[test]
fn a_frame_of_a_hostile_length_is_refused_at_its_head() {
    run(async {
        let (near, far) = pair().await;
        let mut reader = Reader::new(&near);
        far.write_all(&b"\xff\xff\xff\xffx"[..]).await.unwrap();
        let error = reader.read_frame(1 << 20, frame_len).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(
            error.to_string(),
            "expected a frame of at most 1048576 bytes, found one of 4294967299"
        );
        assert_eq!(reader.fill(5).await.unwrap().unwrap(), b"\xff\xff\xff\xffx");
    });
}

/// The task that waits for more leaves its thread to the one that sends it.
#[test]
fn fill_waits_for_more_than_is_here() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("ab").await.unwrap();
        let mut reader = Reader::new(&near);
        assert_eq!(reader.fill(1).await.unwrap().unwrap(), b"ab");
        let writer = annulus::spawn(async move {
            far.write_all("c").await.unwrap();
            settle().await;
            far.write_all("d").await.unwrap();
            settle().await;
        });
        assert_eq!(reader.fill(4).await.unwrap().unwrap(), b"abcd");
        writer.await.unwrap();
        let error = reader.fill(5).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(reader.read_exact(4).await.unwrap(), b"abcd");
        assert!(reader.fill(1).await.unwrap().is_none());
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
