//! Compressed messages.

use annulus::http::{Request, websocket::Options};

use super::{
    echo,
    peer::{CONTINUATION, Peer, TEXT, frame},
};
use crate::support::run_each;

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
/// "Hello" and the same bytes again, as RFC 7692 has them in section 7.2.3.1.
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

#[test]
fn messages_are_compressed_when_both_ends_can() {
    run_each(async || {
        let handler = async |request: Request| {
            request.websocket_with(&Options::new().compression(true), echo)
        };
        let mut peer = Peer::open_with(OFFER, handler).await;
        let head = peer.head.to_ascii_lowercase();
        assert!(
            head.contains("sec-websocket-extensions: permessage-deflate"),
            "{head}"
        );
        // A message is as small as not to be compressed in turn.
        peer.send(frame(0xC1, HELLO)).await;
        peer.expect(TEXT, "Hello").await;
        // In fragments, of which only the first is marked.
        peer.send(frame(0x41, &HELLO[..3])).await;
        peer.send(frame(CONTINUATION, "")).await;
        peer.send(frame(0x80, &HELLO[3..])).await;
        peer.expect(TEXT, "Hello").await;
        // A message that is not compressed is one all the same.
        let text = "again and ".repeat(100);
        peer.send(frame(TEXT, &text)).await;
        let (first, payload) = peer.next().await;
        assert_eq!(first, 0xC1);
        assert!(payload.len() < 50, "{}", payload.len());
        // What was sent is inflated by the same end.
        peer.send(frame(0xC1, &payload)).await;
        assert!(peer.next().await == (0xC1, payload));
    });
}

#[test]
fn compression_is_agreed_on_only_when_both_want_it() {
    run_each(async || {
        for (offer, compresses) in [(OFFER, false), ("", true)] {
            let handler = async move |request: Request| {
                request.websocket_with(&Options::new().compression(compresses), echo)
            };
            let mut peer = Peer::open_with(offer, handler).await;
            assert!(!peer.head.to_ascii_lowercase().contains("extensions"));
            peer.send(frame(0xC1, HELLO)).await;
            peer.expect_close(1002).await;
        }
    });
}

#[test]
fn the_limit_is_that_of_the_inflated_message() {
    run_each(async || {
        let handler = async |request: Request| {
            let options = Options::new().compression(true).message_bytes_max(1000);
            request.websocket_with(&options, echo)
        };
        for (message, code) in [(vec![0; 1000], None), (vec![0; 1001], Some(1009))] {
            let mut peer = Peer::open_with(OFFER, handler).await;
            let deflated = deflate(&message);
            assert!(deflated.len() < 50);
            peer.send(frame(0xC2, deflated)).await;
            match code {
                Some(code) => drop(peer.expect_close(code).await),
                None => assert_eq!(peer.next().await.0, 0xC2),
            }
        }
    });
}

/// A message in the format of RFC 7692.
pub(super) fn deflate(message: &[u8]) -> Vec<u8> {
    let mut deflate = flate2::Compress::new(flate2::Compression::fast(), false);
    let mut out = Vec::with_capacity(message.len() + 1000);
    deflate
        .compress_vec(message, &mut out, flate2::FlushCompress::Sync)
        .unwrap();
    out.truncate(out.len() - 4);
    out
}

/// The message that `payload` stands for.
pub(super) fn inflate(payload: &[u8]) -> Vec<u8> {
    let input = [payload, &[0, 0, 0xff, 0xff]].concat();
    let mut inflate = flate2::Decompress::new(false);
    let mut out = Vec::with_capacity(4 * payload.len() + 1000);
    loop {
        let taken = inflate.total_in() as usize;
        let sync = flate2::FlushDecompress::Sync;
        inflate
            .decompress_vec(&input[taken..], &mut out, sync)
            .unwrap();
        if out.len() < out.capacity() && inflate.total_in() as usize == input.len() {
            return out;
        }
        out.reserve(out.len() + 1000);
    }
}
