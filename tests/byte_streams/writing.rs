//! The writing direction, and both at once.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    task::{Context, Poll},
};

use annulus::{
    io::{ByteRead as _, ByteWrite},
    spawn, stats,
    task::yield_now,
};

use crate::{
    Near, each, recv_exact, recv_once, recv_to_end,
    support::{counted::Counted, is_pattern, pattern, settle},
};

/// Bytes of one write. The pattern repeats after as many.
const PIECE_BYTES: usize = 251 * 200;

/// Writes until nothing is taken, and returns how many bytes of the pattern were. The kernel may
/// find more room later, although the peer has received nothing.
pub(crate) async fn fill(near: &mut impl ByteWrite, writes: &Counted) -> usize {
    let bytes = pattern(2 * PIECE_BYTES);
    let mut taken = 0;
    loop {
        let before = writes.count();
        while let Poll::Ready(count) = {
            let start = taken % PIECE_BYTES;
            near.poll_write(&mut writes.context(), &bytes[start..start + PIECE_BYTES])
        } {
            taken += count.unwrap();
        }
        // A poll that was put off, and one that waits for the driver alone, are woken by now.
        settle().await;
        if writes.count() == before {
            return taken;
        }
    }
}

/// Receives until `writes` was woken once more, and returns the bytes.
pub(crate) async fn drain(far: &mut Near, writes: &Counted, before: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while writes.count() == before {
        let mut recv = std::pin::pin!(far.recv());
        let polled = poll_fn(|context| Poll::Ready(recv.as_mut().poll(context))).await;
        if let Poll::Ready(piece) = polled {
            bytes.extend_from_slice(&piece.unwrap());
        }
        yield_now().await;
    }
    bytes
}

#[test]
fn reading_and_writing_keep_a_waker_each() {
    each(async |_, mut near, mut far| {
        let (reads, writes, others) = (Counted::new(), Counted::new(), Counted::new());
        assert!(recv_once(&mut near, &mut reads.context()).is_pending());
        fill(&mut near, &writes).await;
        // From here on the kernel may find room at any moment.
        let before = writes.count();
        assert_eq!(reads.count(), 0, "nothing has come");
        far.stream.write_all(b"hello").await.unwrap();
        crate::support::until(|| reads.count() > 0).await;
        assert_eq!(recv_exact(&mut near, 5).await, b"hello");

        // Polls of one direction leave the waker of the other.
        assert!(recv_once(&mut near, &mut others.context()).is_pending());
        assert!(recv_once(&mut near, &mut reads.context()).is_pending());
        drain(&mut far.stream, &writes, before).await;
        let before = reads.count();
        fill(&mut near, &writes).await;
        assert_eq!(reads.count(), before, "nothing has come");
        far.stream.write_all(b"again").await.unwrap();
        crate::support::until(|| reads.count() > before).await;
        assert_eq!(recv_exact(&mut near, 5).await, b"again");
        assert_eq!(others.count(), 0);
    });
}

#[test]
fn the_last_waker_takes_the_place_of_those_before() {
    each(async |_, mut near, mut far| {
        let (first, last) = (Counted::new(), Counted::new());
        fill(&mut near, &first).await;
        let first_count = first.count();
        let before = last.count();
        // The kernel may have room again.
        while near.poll_write(&mut last.context(), &[0; 1000]).is_ready() {}
        drain(&mut far.stream, &last, before).await;
        assert_eq!(first.count(), first_count);
    });
}

#[test]
fn a_write_takes_a_part_and_the_rest_is_left() {
    const LEN: usize = 3 << 20;
    each(async |_, mut near, mut far| {
        let bytes = pattern(LEN);
        let peer = spawn(async move { recv_to_end(&mut far.stream).await });
        let (mut sent, mut round) = (0, 0);
        while sent < LEN {
            round += 1;
            let end = LEN.min(sent + 1 + round * 7919 % 300_000);
            // Each write is polled once, and then forgotten.
            let mut write = std::pin::pin!(poll_fn(|cx| near.poll_write(cx, &bytes[sent..end])));
            match poll_fn(|context| Poll::Ready(write.as_mut().poll(context))).await {
                Poll::Ready(count) => {
                    let count = count.unwrap();
                    assert!(0 < count && count <= end - sent, "{count}");
                    sent += count;
                }
                Poll::Pending => yield_now().await,
            }
        }
        poll_fn(|context| near.poll_flush(context)).await.unwrap();
        poll_fn(|context| near.poll_shutdown(context))
            .await
            .unwrap();
        let received = peer.await.unwrap();
        assert!(received.len() == LEN && is_pattern(&received, 0));
    });
}

#[test]
fn slices_are_taken_one_after_the_other() {
    const LEN: usize = 3 << 20;
    each(async |_, mut near, mut far| {
        let bytes = pattern(LEN);
        let peer = spawn(async move { recv_to_end(&mut far.stream).await });
        let (mut sent, mut round) = (0, 0);
        while sent < LEN {
            round += 1;
            // Up to forty slices of every length, with empty ones between them.
            let (mut slices, mut end) = (Vec::new(), sent);
            for index in 0..=round % 40 {
                let start = end;
                end = LEN.min(start + 1 + round * (index + 1) * 7919 % 20_000);
                slices.extend([IoSlice::new(b""), IoSlice::new(&bytes[start..end])]);
            }
            let polled = poll_fn(|context| Poll::Ready(near.poll_write_vectored(context, &slices)));
            match polled.await {
                Poll::Ready(count) => {
                    let count = count.unwrap();
                    assert!(0 < count && count <= end - sent, "{count}");
                    sent += count;
                }
                Poll::Pending => yield_now().await,
            }
        }
        poll_fn(|context| near.poll_shutdown(context))
            .await
            .unwrap();
        let received = peer.await.unwrap();
        assert!(received.len() == LEN && is_pattern(&received, 0));
    });
}

/// Over TLS they are one record.
#[test]
fn short_slices_are_taken_together_by_one_system_call() {
    each(async |_, mut near, mut far| {
        if !near.is_write_vectored() {
            return;
        }
        let slices = [&b"head"[..], b"", b" and", b" body"].map(IoSlice::new);
        let before = stats().driver.attempts;
        let count = poll_fn(|context| near.poll_write_vectored(context, &slices)).await;
        assert_eq!(count.unwrap(), 13);
        assert!(stats().driver.attempts <= before + 1);
        poll_fn(|context| near.poll_flush(context)).await.unwrap();
        assert_eq!(recv_exact(&mut far.stream, 13).await, b"head and body");
    });
}

#[test]
fn a_write_of_nothing_is_ready_and_sends_nothing() {
    each(async |_, mut near, mut far| {
        let write = poll_fn(|context| near.poll_write(context, b"")).await;
        assert_eq!(write.unwrap(), 0);
        for slices in [&[][..], &[IoSlice::new(b""), IoSlice::new(b"")]] {
            let write = poll_fn(|context| near.poll_write_vectored(context, slices)).await;
            assert_eq!(write.unwrap(), 0);
        }
        poll_fn(|context| near.poll_flush(context)).await.unwrap();
        near.write_all(b"more").await.unwrap();
        assert_eq!(recv_exact(&mut far.stream, 4).await, b"more");
    });
}

#[test]
fn a_dropped_flush_is_woken_when_the_bytes_are_on_their_way() {
    each(async |_, mut near, mut far| {
        let (writes, flushes) = (Counted::new(), Counted::new());
        let taken = fill(&mut near, &writes).await;
        let mut received = Vec::new();
        loop {
            let before = flushes.count();
            match near.poll_flush(&mut flushes.context()) {
                Poll::Ready(result) => break result.unwrap(),
                Poll::Pending => {}
            }
            received.extend(drain(&mut far.stream, &flushes, before).await);
        }
        near.shutdown().await.unwrap();
        received.extend(recv_to_end(&mut far.stream).await);
        assert_eq!(received.len(), taken);
        assert!(is_pattern(&received, 0));
    });
}

#[test]
fn a_dropped_shutdown_is_woken_and_the_peer_receives_all_and_then_the_end() {
    each(async |_, mut near, mut far| {
        let (writes, ends) = (Counted::new(), Counted::new());
        let taken = fill(&mut near, &writes).await;
        let mut received = Vec::new();
        loop {
            let before = ends.count();
            match near.poll_shutdown(&mut ends.context()) {
                Poll::Ready(result) => break result.unwrap(),
                Poll::Pending => {}
            }
            received.extend(drain(&mut far.stream, &ends, before).await);
        }
        received.extend(recv_to_end(&mut far.stream).await);
        assert_eq!(received.len(), taken);
        assert!(is_pattern(&received, 0));

        // It can be ended again, takes no more, and reads on.
        poll_fn(|context| near.poll_shutdown(context))
            .await
            .unwrap();
        let error = poll_fn(|context| near.poll_write(context, b"more")).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        far.stream.write_all(b"answer").await.unwrap();
        assert_eq!(recv_exact(&mut near, 6).await, b"answer");
    });
}

#[test]
fn bytes_that_were_taken_arrive_although_the_stream_is_read_meanwhile() {
    const LEN: usize = 1 << 20;
    each(async |_, mut near, mut far| {
        let peer = spawn(async move {
            // Sends back each piece.
            loop {
                let piece = far.stream.recv().await.unwrap();
                if piece.is_empty() {
                    return far.stream.shutdown().await.unwrap();
                }
                far.stream.write_all(&piece).await.unwrap();
            }
        });
        let bytes = pattern(LEN);
        let (mut sent, mut received, mut is_shut) = (0, 0, false);
        // One task polls both directions, as an adapter does.
        poll_fn(|context: &mut Context<'_>| {
            while sent < LEN {
                let end = LEN.min(sent + PIECE_BYTES);
                match near.poll_write(context, &bytes[sent..end]) {
                    Poll::Ready(count) => sent += count.unwrap(),
                    Poll::Pending => break,
                }
            }
            if sent == LEN && !is_shut {
                is_shut = near.poll_shutdown(context).is_ready();
            }
            while let Poll::Ready(piece) = near.poll_recv(context) {
                let piece = piece.unwrap();
                if piece.is_empty() {
                    return Poll::Ready(());
                }
                assert!(is_pattern(&piece, received), "after {received} bytes");
                received += piece.len();
            }
            Poll::Pending
        })
        .await;
        assert_eq!((received, is_shut), (LEN, true));
        peer.await.unwrap();
    });
}
