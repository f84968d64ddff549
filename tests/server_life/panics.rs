//! A handler's waker or value that panics is no other connection's concern.

use std::{
    future::Future,
    io::{Read as _, Write as _},
    panic::resume_unwind,
    pin::pin,
    sync::Arc,
    task::{Context, Wake, Waker},
    time::Duration,
};

use annulus::{
    http::{Request, Response},
    time::sleep,
};
use bytes::Bytes;

use crate::{
    running::{NEVER, Running, get},
    support::http::read_answer,
};

/// Panics when it is woken.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new("a waker's panic"));
    }
}

/// A body that panics when it is dropped.
struct Body(Vec<u8>);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        resume_unwind(Box::new("a body's panic"));
    }
}

async fn answer(request: Request) -> Response {
    match request.path() {
        "/waker" => {
            let mut timer = pin!(sleep(Duration::from_millis(1)));
            let waker = Waker::from(Arc::new(Bomb));
            let poll = timer.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(poll.is_pending());
            // The bomb goes off meanwhile.
            sleep(Duration::from_millis(5)).await;
            Response::text("late")
        }
        "/body" => Response::bytes(Bytes::from_owner(Body(vec![b'x'; 4 << 20]))),
        _ => Response::text("hello"),
    }
}

#[test]
fn a_panic_that_comes_with_a_turn_of_the_runtime_ends_no_worker() {
    let server = Running::start(1, |server| server, answer);
    let mut others: Vec<_> = (0..3).map(|_| server.idle()).collect();
    let mut bombs = Vec::new();
    for path in ["/waker", "/waker", "/body"] {
        bombs.push(server.send(&get(path)));
    }
    for bomb in &mut bombs[..2] {
        assert!(read_answer(bomb).ends_with("late"));
    }
    // This connection has its panic for itself.
    let _ = bombs[2].read_to_end(&mut Vec::new());
    for other in &mut others {
        other.write_all(get("/").as_bytes()).unwrap();
        assert!(read_answer(other).ends_with("hello"));
    }
    assert!(read_answer(&mut server.send(&get("/"))).ends_with("hello"));
    drop((others, bombs));
    server.handle.stop(NEVER);
    server.ended().unwrap();
}
