//! `Upgraded` of the server and of the client, over each kind of connection.

use std::{
    cell::Cell,
    future::{Future as _, pending, poll_fn},
    io::{ErrorKind, IoSlice},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use annulus::{
    future::join,
    http::{Client, Connection, HeaderValue, Request, Response, Upgraded},
    io::{ByteRead as _, ByteStream, ByteWrite as _},
    spawn,
    sync::oneshot,
    task::yield_now,
};

use crate::{
    Running,
    kinds::{self, Ends, Far, Kind, kind},
    recv_exact,
    support::{
        counted::Counted,
        listen,
        nosy::{self, nosy},
        run_each,
    },
    writing::{drain, fill},
};

const QUESTION: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\n";
const ANSWER: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\n";

pub(crate) fn kinds() -> Vec<Kind> {
    const RESET: Option<ErrorKind> = Some(ErrorKind::ConnectionReset);
    #[cfg_attr(
        not(feature = "tls"),
        expect(unused_mut, reason = "the feature adds its own")
    )]
    let mut kinds = vec![
        kind!(
            "the server's Upgraded over TCP",
            served(kinds::tcp().await).await,
            RESET
        ),
        kind!(
            "the server's Upgraded over Unix",
            served(kinds::unix()).await,
            RESET
        ),
        kind!(
            "the server's Upgraded over Duplex",
            served(kinds::memory()).await,
            None
        ),
        kind!(
            "the client's Upgraded over TCP",
            asked_by_tcp().await,
            RESET
        ),
    ];
    #[cfg(feature = "tls")]
    kinds.push(kind!(
        "the client's Upgraded over TLS",
        asked_by_tls().await,
        RESET
    ));
    kinds
}

async fn served<S: ByteStream + 'static>(ends: (S, Far)) -> Option<Ends> {
    Some(kinds::plain(taken_over(ends).await))
}

/// A connection that a handler has taken over.
async fn taken_over<S: ByteStream + 'static>((near, mut far): (S, Far)) -> (Upgraded, Far) {
    let (tell, told) = oneshot::channel();
    let tell = Cell::new(Some(tell));
    let handler = async move |_: Request| {
        let tell = tell.take().expect("there is one request");
        Response::upgrade(
            HeaderValue::from_static("chat"),
            async move |peer: Upgraded| {
                drop(tell.send(peer));
                pending().await
            },
        )
    };
    drop(spawn(Connection::new().serve(near, handler)));
    far.stream.write_all(QUESTION).await.unwrap();
    let head = read_head(&mut far.stream).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    (told.await.unwrap(), far)
}

pub(crate) async fn asked_by_tcp() -> Option<Ends> {
    let (listener, addr) = listen().await;
    let near = ask(Client::new(), format!("http://{addr}/"));
    let far = async {
        let mut far = Far::tcp(listener.accept().await.unwrap().0);
        answer(&mut far).await;
        far
    };
    Some(kinds::plain(join(near, far).await))
}

#[cfg(feature = "tls")]
async fn asked_by_tls() -> Option<Ends> {
    use crate::{
        support::{
            certificates::Certificates,
            tls::{Kind as Server, trusting},
        },
        tls::TlsPeer,
    };
    let certificates = Certificates::get()?;
    let (listener, addr) = listen().await;
    let config = trusting(certificates).build().unwrap();
    let client = Client::builder().tls(config).build();
    let near = ask(client, format!("https://{addr}/"));
    let far = async {
        let config = Server::default().config(certificates);
        let far = Far::tcp(listener.accept().await.unwrap().0);
        let mut far = far.map(|stream| TlsPeer::new(stream, config));
        answer(&mut far).await;
        far
    };
    Some(kinds::plain(join(near, far).await))
}

async fn ask(client: Client, url: String) -> Upgraded {
    let response = client.get(url).upgrade("chat").send().await.unwrap();
    response.upgrade().unwrap()
}

async fn answer(far: &mut Far) {
    far.stream.flush().await.unwrap();
    let head = read_head(&mut far.stream).await;
    assert!(head.starts_with("GET / "), "{head}");
    far.stream.write_all(ANSWER).await.unwrap();
}

/// Receives a head, after which nothing comes by itself.
async fn read_head(stream: &mut Box<dyn ByteStream>) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let piece = stream.recv().await.unwrap();
        assert!(!piece.is_empty(), "it ended inside a head");
        head.extend_from_slice(&piece);
    }
    String::from_utf8(head).unwrap()
}

/// A write and polls of another task share the writing direction: each waits for the other.
#[test]
fn a_poll_that_waits_is_woken_although_another_task_writes() {
    run_each(async || {
        for (name, (near, mut far)) in [
            ("TCP", taken_over(kinds::tcp().await).await),
            ("Unix", taken_over(kinds::unix()).await),
            ("Duplex", taken_over(kinds::memory()).await),
        ] {
            let _running = Running(name);
            let mut near = Rc::new(near);
            let (polled, writer) = (Counted::new(), Rc::clone(&near));
            let taken = fill(&mut near, &polled).await;
            let before = polled.count();
            let write = spawn(async move { Upgraded::write_all(&writer, vec![0; 1000]).await });
            yield_now().await;
            let received = drain(&mut far.stream, &polled, before).await.len();
            assert!(received <= taken + 1000);
            recv_exact(&mut far.stream, taken + 1000 - received).await;
            write.await.unwrap().unwrap();
        }
    });
}

#[test]
fn several_buffers_arrive_in_order_over_every_kind() {
    run_each(async || {
        for (name, (near, mut far)) in [
            ("TCP", taken_over(kinds::tcp().await).await),
            ("Unix", taken_over(kinds::unix()).await),
            ("Duplex", taken_over(kinds::memory()).await),
        ] {
            let _running = Running(name);
            assert!(near.is_write_vectored());
            assert!(annulus::io::ByteWrite::is_write_vectored(&&near));
            let large = vec![b'x'; 300_000];
            let write = async {
                let parts = (b"head".to_vec(), "", large.clone());
                let back = near.write_all_vectored(parts).await.unwrap();
                assert_eq!(back.2.len(), large.len());
            };
            let read = recv_exact(&mut far.stream, 4 + large.len());
            let (_, received) = join(write, read).await;
            assert!(received.starts_with(b"headx") && received.ends_with(b"x"));

            let slices = [
                IoSlice::new(b""),
                IoSlice::new(b"one"),
                IoSlice::new(b"two"),
            ];
            let poll = |context: &mut Context<'_>| near.poll_write_vectored(context, &slices);
            let count = poll_fn(poll).await.unwrap();
            assert_eq!(count, 6);
            assert_eq!(recv_exact(&mut far.stream, 6).await, b"onetwo");
        }
    });
}

/// The clone of a waker ends the write that has the turn, so no later wake will come.
#[test]
fn a_write_that_ends_while_a_waker_is_cloned_gives_its_turn_to_the_poll() {
    run_each(async || {
        let (near, far) = taken_over(kinds::memory()).await;
        let (mut near, far) = (Rc::new(near), Rc::new(Cell::new(Some(far))));
        for call in [Upgraded::poll_flush, Upgraded::poll_shutdown] {
            fill(&mut near, &Counted::new()).await;
            let writer = Rc::clone(&near);
            let mut write =
                Box::pin(async move { Upgraded::write_all(&writer, vec![0; 1000]).await });
            let no_waker = &mut Context::from_waker(Waker::noop());
            assert!(write.as_mut().poll(no_waker).is_pending());
            assert!(near.poll_write(no_waker, b"more").is_pending());
            let peer = Rc::clone(&far);
            nosy::at_clone(move || {
                let no_waker = &mut Context::from_waker(Waker::noop());
                let mut far = peer.take().unwrap();
                while far.stream.poll_recv(no_waker).is_ready() {}
                peer.set(Some(far));
                assert!(write.as_mut().poll(no_waker).is_ready());
            });
            let waker = nosy();
            let polled = call(&near, &mut Context::from_waker(&waker));
            assert!(!nosy::is_set());
            let Poll::Ready(result) = polled else {
                panic!("the turn is free, and no wake will come");
            };
            result.unwrap();
        }
    });
}
