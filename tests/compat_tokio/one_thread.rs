//! `run_with_tokio`: both runtimes on one thread.

use std::{future::pending, rc::Rc, sync::Arc, thread, time::Duration};

use annulus::{
    blocking,
    compat::{in_tokio, run_with_tokio},
    net::TcpListener,
    spawn, time,
};
use tokio::{io::Interest, net::TcpStream};

use crate::{
    alone, panic_of,
    support::{guarded, recv_exact},
};

/// Sends `bytes` by a socket of tokio's and receives as many.
async fn round_trip(stream: &TcpStream, bytes: &[u8]) -> Vec<u8> {
    assert_eq!(stream.try_write(bytes).unwrap(), bytes.len());
    let mut received = Vec::new();
    while received.len() < bytes.len() {
        stream.ready(Interest::READABLE).await.unwrap();
        let mut buf = [0; 100];
        if let Ok(count) = stream.try_read(&mut buf) {
            assert!(count > 0, "the connection has not ended");
            received.extend_from_slice(&buf[..count]);
        }
    }
    received
}

#[test]
fn sockets_timers_and_tasks_of_both_run_on_this_thread() {
    let _alone = alone();
    let here = thread::current().id();
    run_with_tokio(guarded(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let echo = spawn(async move {
            let mut connections = Vec::new();
            for _ in 0..16 {
                let (stream, _) = listener.accept().await.unwrap();
                connections.push(spawn(async move {
                    for _ in 0..100 {
                        let bytes = recv_exact(&stream, 10).await;
                        stream.write_all(bytes).await.unwrap();
                    }
                }));
            }
            for connection in connections {
                connection.await.unwrap();
            }
        });
        let clients: Vec<_> = (0..16_u8)
            .map(|client| {
                tokio::spawn(async move {
                    assert_eq!(thread::current().id(), here);
                    let stream = TcpStream::connect(addr).await.unwrap();
                    for round in 0..100 {
                        let bytes = [client.wrapping_add(round); 10];
                        assert_eq!(round_trip(&stream, &bytes).await, bytes);
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        echo.await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        time::sleep(Duration::from_millis(1)).await;
        assert_eq!(blocking::run(|| 5).await, 5);
        assert_eq!(tokio::task::spawn_blocking(|| 6).await.unwrap(), 6);
        // The other way works beside it.
        assert_ne!(
            in_tokio(async { tokio::spawn(async { thread::current().id() }).await })
                .await
                .unwrap(),
            here
        );
    }));
}

#[test]
fn what_has_not_finished_is_dropped_at_the_end() {
    let _alone = alone();
    let (ours, theirs) = (Rc::new(()), Arc::new(()));
    let output = run_with_tokio(guarded(async {
        let (ours, theirs) = (Rc::clone(&ours), Arc::clone(&theirs));
        drop(spawn(async move {
            let _ours = ours;
            pending::<()>().await;
        }));
        drop(tokio::spawn(async move {
            let _theirs = theirs;
            pending::<()>().await;
        }));
        tokio::task::yield_now().await;
        7
    }));
    assert_eq!(output, 7);
    assert_eq!(
        (Rc::strong_count(&ours), Arc::strong_count(&theirs)),
        (1, 1)
    );
}

#[test]
fn inside_another_runtime_it_panics_with_a_sentence() {
    let _alone = alone();
    let nested = || panic_of(|| run_with_tokio(async {}));
    assert!(annulus::run(async { nested() }).contains("already running on this thread"));
    let tokio = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let theirs = "Cannot start a runtime from within a runtime";
    assert!(tokio.block_on(async { nested() }).contains(theirs));
    assert!(run_with_tokio(async { nested() }).contains(theirs));
    assert_eq!(run_with_tokio(async { 1 }), 1);
}

#[test]
fn a_panic_of_its_future_goes_on() {
    let _alone = alone();
    let told = panic_of(|| run_with_tokio(async { panic!("by the future") }));
    assert_eq!(told, "by the future");
}
