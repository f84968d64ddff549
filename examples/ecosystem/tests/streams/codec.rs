//! tokio-util's codecs.

use annulus::{compat::Compat, net::UnixStream, spawn};
use futures_util::{SinkExt, StreamExt as _};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::codec::{Framed, LengthDelimitedCodec, LinesCodec};

use crate::run_each;

#[test]
fn lines() {
    run_each(async || {
        let (near, far) = UnixStream::pair().unwrap();
        spawn(async move {
            let mut lines = Framed::new(Compat::new(far), LinesCodec::new_with_max_length(100));
            while let Some(line) = lines.next().await {
                lines.send(line.unwrap().to_uppercase()).await.unwrap();
            }
        });
        let mut lines = Framed::new(Compat::new(near), LinesCodec::new());
        for index in 0..1000 {
            lines.send(format!("line {index}")).await.unwrap();
            let answer = lines.next().await.unwrap().unwrap();
            assert_eq!(answer, format!("LINE {index}"));
        }
        SinkExt::<String>::close(&mut lines).await.unwrap();
        assert!(lines.next().await.is_none());
    });
}

#[test]
fn frames_larger_than_any_buffer() {
    run_each(async || {
        let (near, far) = UnixStream::pair().unwrap();
        let frames = |stream| Framed::new(Compat::new(stream), LengthDelimitedCodec::new());
        let (mut near, mut far) = (frames(near), frames(far));
        let sent = bytes::Bytes::from(crate::pattern(3_000_000));
        let copy = sent.clone();
        let sending = spawn(async move { near.send(copy).await.map(|()| near) });
        assert!(far.next().await.unwrap().unwrap() == sent);
        drop(sending.await.unwrap().unwrap());
        assert!(far.next().await.is_none());
    });
}

#[test]
fn the_extension_traits_of_tokio() {
    run_each(async || {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut near, mut far) = (Compat::new(near), Compat::new(far));
        near.write_all(b"one\ntwo\n").await.unwrap();
        near.write_u32(7).await.unwrap();
        near.shutdown().await.unwrap();
        let mut line = String::new();
        far.read_line(&mut line).await.unwrap();
        far.read_line(&mut line).await.unwrap();
        assert_eq!(line, "one\ntwo\n");
        assert_eq!(far.read_u32().await.unwrap(), 7);
        assert_eq!(far.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        // Both directions, by tokio's own loop.
        let (mut left, mut right) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        let (near, far) = (&mut left.0, &mut right.1);
        let (mut inner_near, mut inner_far) = (Compat::new(left.1), Compat::new(right.0));
        spawn(async move { tokio::io::copy_bidirectional(&mut inner_near, &mut inner_far).await });
        near.write_all("through").await.unwrap();
        assert_eq!(&*far.recv().await.unwrap(), b"through");
        far.write_all("and back").await.unwrap();
        assert_eq!(&*near.recv().await.unwrap(), b"and back");
    });
}
