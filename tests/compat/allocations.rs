//! Reads and writes allocate nothing once the stream is there, unless the kernel takes nothing.

use std::{future::poll_fn, io::Write as _, net, thread};

use annulus::{
    DriverKind, Runtime,
    compat::{Compat, hyper::Connector},
    io::ByteStream,
    net::TcpStream,
    spawn,
    task::yield_now,
};
use tower_service::Service as _;

use crate::{
    Family, Futures, Hyper, Tokio,
    support::{counting, echo, guarded, pair, std_pair},
};

/// How many allocations `act` makes, after it was done once to warm up. It is done again while it
/// allocates, up to ten times: lists grow to what the fullest turn brings.
async fn allocations(mut act: impl AsyncFnMut()) -> usize {
    let mut count = 0;
    for _ in 0..=10 {
        let before = counting::allocations();
        act().await;
        count = counting::allocations() - before;
        if count == 0 {
            break;
        }
    }
    count
}

/// A message that goes and comes back: a write and a flush, and a read that waits.
async fn exchange<F: Family<Compat<TcpStream>>>(near: &mut Compat<TcpStream>) {
    let mut buf = [0; 10];
    F::write_all(near, b"0123456789").await;
    // The last one leaves a part unread, which the next one finds.
    F::read_exact(near, &mut buf[..7]).await;
    F::read_exact(near, &mut buf[7..]).await;
    assert_eq!(&buf, b"0123456789");
}

#[test]
fn a_message_by_any_traits_allocates_nothing() {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        runtime.block_on(guarded(async {
            let (near, far) = pair().await;
            spawn(echo(far));
            let mut near = Compat::new(near);
            let count = allocations(async || {
                for _ in 0..1_000 {
                    exchange::<Tokio>(&mut near).await;
                    exchange::<Futures>(&mut near).await;
                    exchange::<Hyper>(&mut near).await;
                }
            });
            assert_eq!(count.await, 0, "{kind:?}");
        }));
    }
}

#[test]
fn a_vectored_write_allocates_nothing() {
    use std::io::IoSlice;
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        runtime.block_on(guarded(async {
            let (near, far) = pair().await;
            spawn(echo(far));
            let mut near = Compat::new(near);
            let slices = [IoSlice::new(b"01234"), IoSlice::new(b"56789")];
            let mut buf = [0; 10];
            let count = allocations(async || {
                for _ in 0..1_000 {
                    let near = &mut near;
                    let sent =
                        poll_fn(|context| Hyper::poll_write_vectored(near, context, &slices));
                    assert_eq!(sent.await.unwrap(), 10);
                    Hyper::read_exact(near, &mut buf).await;
                    assert_eq!(&buf, b"0123456789");
                }
            });
            assert_eq!(count.await, 0, "{kind:?}");
        }));
    }
}

#[test]
fn peeking_allocates_nothing() {
    use std::pin::Pin;
    use tokio::io::AsyncBufRead;
    annulus::run(guarded(async {
        let (near, far) = pair().await;
        let mut near = Compat::new(near);
        let count = allocations(async || {
            for _ in 0..1_000 {
                far.write_all(b"hello".as_slice()).await.unwrap();
                let mut left = 5;
                while left > 0 {
                    let near = &mut near;
                    left -= poll_fn(|context| {
                        let mut near = Pin::new(&mut *near);
                        let peeked = near.as_mut().poll_fill_buf(context);
                        let len = peeked.map_ok(<[u8]>::len)?;
                        if let std::task::Poll::Ready(len) = len {
                            near.consume(len);
                        }
                        len.map(Ok::<_, std::io::Error>)
                    })
                    .await
                    .unwrap();
                }
            }
        });
        assert_eq!(count.await, 0);
    }));
}

#[test]
fn an_adapter_adds_a_few_words_to_its_stream() {
    let words = (size_of::<Compat<TcpStream>>() - size_of::<TcpStream>()) / size_of::<usize>();
    assert!(words <= 7, "found {words}");
}

/// Reads so many bytes into `buf`, again and again.
async fn read_flood<F: Family<Compat<S>>, S: 'static>(
    near: &mut Compat<S>,
    buf: &mut [u8],
    mut left: usize,
) {
    while left > 0 {
        let len = left.min(buf.len());
        let read = poll_fn(|context| F::poll_read(near, context, &mut buf[..len]));
        left -= read.await.unwrap();
    }
}

/// Receives a flood from `far` by the traits of each family, and returns the allocations of that.
async fn flood_allocations<S: ByteStream + 'static>(
    mut near: Compat<S>,
    mut far: net::TcpStream,
) -> usize {
    const BYTES: usize = 3 << 20;
    let mut buf = vec![0; 64 << 10];
    let peer = thread::spawn(move || while far.write_all(&[1; 100_000]).is_ok() {});
    let count = allocations(async || {
        read_flood::<Tokio, _>(&mut near, &mut buf, BYTES).await;
        read_flood::<Futures, _>(&mut near, &mut buf, BYTES).await;
        read_flood::<Hyper, _>(&mut near, &mut buf, BYTES).await;
    });
    let count = count.await;
    drop(near);
    while !peer.is_finished() {
        yield_now().await;
    }
    peer.join().unwrap();
    count
}

#[test]
fn large_reads_of_a_flood_allocate_nothing() {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        runtime.block_on(guarded(async {
            let (near, far) = std_pair().await;
            let count = flood_allocations(Compat::new(near), far).await;
            assert_eq!(count, 0, "{kind:?}");
            // The connector's stream is a socket behind a box.
            let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/", listener.local_addr().unwrap());
            let near = Connector::new().call(url.parse().unwrap()).await.unwrap();
            let (far, _) = listener.accept().unwrap();
            let count = flood_allocations(near, far).await;
            assert_eq!(count, 0, "of the connector, {kind:?}");
        }));
    }
}
