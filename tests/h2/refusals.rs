//! Requests that are refused, and bodies that an answer asks for.

use annulus::{
    http::{self, BodyWriter, Connection, Request, Response, Server, StatusCode},
    net::TcpStream,
};

use crate::{
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, Peer, frame, get, headers, request},
    life::serve,
    support::run_each,
};

/// The status of the next head on a stream.
async fn next_status(peer: &mut Peer, stream: u32) -> u16 {
    let frames = peer
        .until(|frame| frame.stream == stream && frame.kind == HEADERS)
        .await;
    let head = frames.last().expect("the stream is answered");
    status(&head.payload)
}

/// The status that a block of fields begins with (RFC 7541): one of the table, or three digits in
/// the code of Huffman.
fn status(block: &[u8]) -> u16 {
    const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    if let index @ 0x88..=0x8e = block[0] {
        return STATIC[usize::from(index - 0x88)];
    }
    assert_eq!(block[0], 0x48, "a literal for the table: {block:?}");
    let coded = &block[2..2 + usize::from(block[1] & 0x7f)];
    if block[1] & 0x80 == 0 {
        return std::str::from_utf8(coded).unwrap().parse().unwrap();
    }
    let mut bits = coded
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
    let mut take = |count: usize| bits.by_ref().take(count).fold(0, |all, bit| all << 1 | bit);
    (0..3).fold(0, |status, _| {
        // The digits up to two have five bits, and the others six.
        let start = take(5);
        let digit = if start < 3 {
            start
        } else {
            (start << 1 | take(1)) - 0b01_0110
        };
        10 * status + u16::from(digit)
    })
}

#[test]
fn statuses_are_read_from_their_blocks() {
    for (block, expected) in [
        (&[0x88][..], 200),
        (&[0x8e], 500),
        // RFC 7541, appendix C.6.1.
        (&[0x48, 0x82, 0x64, 0x02], 302),
        (&[0x48, 3, b'1', b'0', b'3'], 103),
    ] {
        assert_eq!(status(block), expected);
    }
}

#[test]
fn a_host_that_is_not_served_is_refused() {
    run_each(async || {
        for (host, status) in [("test", 200), ("other.test", 421)] {
            let server = Server::new().hosts([host]);
            let (handle, addr, serving) = serve(server, async |_: Request| "hello");
            let mut peer = Peer::on(TcpStream::connect(addr).await.unwrap());
            peer.greet(&[]).await;
            peer.send(get(1, "/")).await;
            assert_eq!(next_status(&mut peer, 1).await, status, "{host}");
            handle.stop(std::time::Duration::ZERO);
            drop(peer);
            serving.await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_tunnel_is_refused_even_where_the_handler_grants_it() {
    run_each(async || {
        let mut peer = Peer::new(async |_: Request| StatusCode::OK).await;
        let fields = [(":method", "CONNECT"), (":authority", "test:443")];
        peer.send(headers(END_HEADERS, 1, &fields)).await;
        assert_eq!(next_status(&mut peer, 1).await, 501);
    });
}

#[test]
fn a_body_that_the_answer_reads_is_asked_for() {
    run_each(async || {
        let handler = async |mut request: Request| -> http::Result<Response> {
            let body = request.take_body();
            Ok(Response::writer(async move |mut out: BodyWriter| {
                out.write(body.bytes().await?).await
            }))
        };
        let mut peer = Peer::greeted(Connection::new(), &[], handler).await;
        let fields = [&request("POST", "/")[..], &[("expect", "100-continue")]].concat();
        peer.send(headers(END_HEADERS, 1, &fields)).await;
        assert_eq!(next_status(&mut peer, 1).await, 100);
        peer.send(frame(DATA, END_STREAM, 1, b"hello")).await;
        assert_eq!(peer.body(1).await, (b"hello".to_vec(), true));
    });
}
