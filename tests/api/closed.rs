//! `closed()`: the peer has finished, whether or not its bytes were taken.

use std::{net::Shutdown, rc::Rc, time::Duration};

use annulus::{spawn, task::JoinSet};

use crate::support::{pair, poll_once, recv_exact, recv_to_end, run, settle};

#[test]
fn it_resolves_when_the_peer_finishes() {
    run(async {
        let (near, far) = pair().await;
        let near = Rc::new(near);
        let waiter = spawn({
            let near = Rc::clone(&near);
            async move { near.closed().await }
        });
        settle().await;
        assert!(!waiter.is_finished());
        far.shutdown(Shutdown::Write).await.unwrap();
        waiter.await.unwrap().unwrap();
        // The other direction is open.
        near.write_all("bye").await.unwrap();
        assert_eq!(recv_exact(&far, 3).await, b"bye");
        near.closed().await.unwrap();
    });
}

#[test]
fn it_resolves_when_the_connection_is_reset() {
    run(async {
        let (near, far) = pair().await;
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        near.closed().await.unwrap();
        assert!(near.recv().await.is_err());
        near.closed().await.unwrap();
    });
}

#[test]
fn bytes_without_a_reader_do_not_make_it_resolve() {
    run(async {
        let (near, far) = pair().await;
        {
            let mut recv = Box::pin(near.recv());
            assert!(poll_once(&mut recv).await.is_pending());
        }
        far.write_all("parked").await.unwrap();
        settle().await;
        let mut closed = Box::pin(near.closed());
        assert!(poll_once(&mut closed).await.is_pending());
        settle().await;
        assert!(poll_once(&mut closed).await.is_pending());
        far.shutdown(Shutdown::Write).await.unwrap();
        closed.await.unwrap();
        assert_eq!(recv_to_end(&near).await, b"parked");
    });
}

#[test]
fn a_receive_that_was_stopped_does_not_make_it_resolve() {
    run(async {
        let (near, far) = pair().await;
        {
            let mut recv = Box::pin(near.recv());
            assert!(poll_once(&mut recv).await.is_pending());
        }
        // Far more pieces than a socket parks.
        for _ in 0..40 {
            far.write_all("piece").await.unwrap();
            settle().await;
        }
        let mut closed = Box::pin(near.closed());
        assert!(poll_once(&mut closed).await.is_pending());
        settle().await;
        assert!(poll_once(&mut closed).await.is_pending());
        drop(far);
        closed.await.unwrap();
        assert_eq!(recv_to_end(&near).await.len(), 40 * 5);
    });
}

#[test]
fn many_may_wait_and_some_may_give_up() {
    run(async {
        let (near, far) = pair().await;
        let near = Rc::new(near);
        let mut waiters = JoinSet::new();
        for _ in 0..10 {
            let near = Rc::clone(&near);
            waiters.spawn(async move { near.closed().await });
        }
        {
            let mut given_up = Box::pin(near.closed());
            assert!(poll_once(&mut given_up).await.is_pending());
        }
        settle().await;
        assert!(waiters.try_join_next().is_none());
        drop(far);
        while let Some(done) = waiters.join_next().await {
            done.unwrap().unwrap();
        }
    });
}
