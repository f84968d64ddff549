//! Notices that the peer is gone while no task receives, without taking any bytes.
//!
//! While the kernel receives for the socket anyway, its last completion tells, and nothing more is
//! asked of it. Where it does not (stopped by back pressure, out of buffers, no provided buffers,
//! the poll driver), a wait for readiness does. That report is not trusted but checked by poll(2),
//! which takes nothing away: the error stays for the next receive.

use std::{
    future::Future as _,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{Receive, Shared, Started, State, says_go_on};
use crate::{
    driver::{Driver, MultiState},
    op::{AnyFd, Descriptor, Readiness},
    sys::{self, PeerState, PollEvents},
};

/// The ways in which a peer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// It has finished sending, and may still receive.
    Fin,
    /// The connection is gone: nothing can be sent any more.
    Reset,
}

/// The state that `Socket::poll_gone` keeps between its calls. Dropping it gives up what it waits
/// for.
#[derive(Debug, Default)]
pub(crate) struct GoneWait(Stage);

#[derive(Debug, Default)]
enum Stage {
    /// The receive tells, if there is one.
    #[default]
    Receive,
    /// Waits for the end of the stream, and for what is worse.
    Closed(Readiness),
    /// Waits for what is worse than the end of the stream, and for that as well unless `fin` says
    /// that it was seen.
    Broken { wait: Readiness, fin: bool },
}

/// The peer's state, as far as the receive knows it.
enum Known {
    /// The peer was there, and the waker is woken when anything comes.
    Watched,
    Reset,
    /// The stream has ended, or nothing is received: the socket is to be looked at.
    Look,
}

impl Receive {
    /// See `Socket::poll_gone`.
    pub(in crate::net) fn poll_gone(
        &self,
        shared: &Rc<Shared>,
        context: &mut Context<'_>,
        wait: &mut GoneWait,
        fin_counts: bool,
    ) -> Poll<Gone> {
        loop {
            match &mut wait.0 {
                Stage::Receive => {
                    match self.known(shared, context) {
                        Known::Watched => return Poll::Pending,
                        Known::Reset => return Poll::Ready(Gone::Reset),
                        Known::Look => {}
                    }
                    wait.0 = match sys::peer_state(shared.raw()) {
                        PeerState::Gone => return Poll::Ready(Gone::Reset),
                        PeerState::Finished if fin_counts => return Poll::Ready(Gone::Fin),
                        PeerState::Finished => match broken(shared.raw(), shared.driver(), true) {
                            Some(stage) => stage,
                            None => return Poll::Pending,
                        },
                        PeerState::There => {
                            let fd = Rc::clone(shared) as AnyFd;
                            Stage::Closed(Readiness::new(fd, PollEvents::CLOSED))
                        }
                    };
                }
                Stage::Broken { fin: true, .. } if fin_counts => return Poll::Ready(Gone::Fin),
                Stage::Broken { wait, fin: true } => {
                    return match ready!(Pin::new(wait).poll(context)) {
                        Ok(()) => Poll::Ready(Gone::Reset),
                        Err(_) => unknown(shared),
                    };
                }
                Stage::Closed(readiness)
                | Stage::Broken {
                    wait: readiness, ..
                } => {
                    if ready!(Pin::new(readiness).poll(context)).is_err() {
                        return unknown(shared);
                    }
                    let fin = match sys::peer_state(shared.raw()) {
                        PeerState::Gone => return Poll::Ready(Gone::Reset),
                        PeerState::Finished if fin_counts => return Poll::Ready(Gone::Fin),
                        PeerState::Finished => true,
                        // The kernel's report is out of date. To wait for the same again could be
                        // answered at once for ever.
                        PeerState::There => false,
                    };
                    match broken(shared.raw(), shared.driver(), fin) {
                        Some(stage) => wait.0 = stage,
                        None => return Poll::Pending,
                    }
                }
            }
        }
    }

    /// Asks the receive for the peer's state. A receive that was not begun is begun.
    fn known(&self, shared: &Rc<Shared>, context: &Context<'_>) -> Known {
        let driver = shared.driver();
        if driver.check_current().is_err() {
            return Known::Look;
        }
        match self.state.get() {
            State::Idle => match self.start_multi(shared, context) {
                Ok(Started::Now) => Known::Watched,
                Ok(Started::Meanwhile) => self.known(shared, context),
                // Without an entry in the queue the wait for readiness fails in the same way.
                Ok(Started::Not) | Err(_) => Known::Look,
            },
            State::Multi(key) => match driver.watch_multi(key, context) {
                MultiState::InFlight => Known::Watched,
                MultiState::Ended(last) if last.res < 0 && !says_go_on(-last.res) => Known::Reset,
                MultiState::Ended(_) => Known::Look,
            },
            State::Ended if self.error.get().is_some() => Known::Reset,
            State::Ended | State::Ready(_) => Known::Look,
        }
    }
}

/// The answer when the wait itself has failed: outside of the socket's runtime nothing can be sent
/// any more, and otherwise the wait goes on for ever.
fn unknown(shared: &Shared) -> Poll<Gone> {
    if shared.driver().is_current() {
        Poll::Pending
    } else {
        Poll::Ready(Gone::Reset)
    }
}

/// A wait for errors and hang-ups, and for the end of the stream unless `fin` says that it was
/// seen: a poll entry would tell that at once and again each time, so an epoll of its own stands
/// between. `None` when no descriptor is left for it; then the wait goes on for ever.
fn broken(fd: i32, driver: &Rc<Driver>, fin: bool) -> Option<Stage> {
    let epoll = sys::watch_broken(fd, !fin).ok()?;
    let epoll = Descriptor::new(epoll, Rc::clone(driver), ()) as AnyFd;
    let wait = Readiness::new(epoll, PollEvents::READ);
    Some(Stage::Broken { wait, fin })
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        net::Shutdown,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Poll, Wake, Waker},
        time::Duration,
    };

    use super::{
        super::tests::{pair, run},
        Gone, GoneWait, broken,
    };
    use crate::{
        driver,
        net::{UnixStream, socket::Socket},
    };
    use Gone::{Fin, Reset};

    async fn gone(near: &Socket, wait: &mut GoneWait, fin_counts: bool) -> Gone {
        poll_fn(|context| near.poll_gone(context, wait, fin_counts)).await
    }

    async fn is_there(near: &Socket, wait: &mut GoneWait, fin_counts: bool) -> bool {
        poll_fn(|context| Poll::Ready(near.poll_gone(context, wait, fin_counts).is_pending())).await
    }

    /// Waits until the runtime has seen what the kernel had to tell up to now.
    async fn settle() {
        let (near, far) = pair().await;
        for _ in 0..3 {
            far.write_all("ping").await.unwrap();
            near.recv().await.unwrap();
        }
    }

    async fn recv_to_end(near: &Socket) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            let piece = near.recv().await?;
            if piece.is_empty() {
                return Ok(bytes);
            }
            bytes.extend_from_slice(&piece);
        }
    }

    #[test]
    fn a_peer_that_has_finished_is_gone_if_that_counts() {
        run(|| async {
            let (near, far) = pair().await;
            let mut wait = GoneWait::default();
            assert!(is_there(&near, &mut wait, true).await);
            far.write_all("kept").await.unwrap();
            settle().await;
            assert!(is_there(&near, &mut wait, true).await);
            far.shutdown(Shutdown::Write).await.unwrap();
            assert_eq!(gone(&near, &mut wait, true).await, Fin);
            assert_eq!(gone(&near, &mut GoneWait::default(), true).await, Fin);
            assert_eq!(recv_to_end(&near).await.unwrap(), b"kept");
            assert_eq!(gone(&near, &mut GoneWait::default(), true).await, Fin);
        });
    }

    #[test]
    fn a_peer_that_has_finished_and_then_resets_is_gone_at_the_reset() {
        run(|| async {
            let (near, far) = pair().await;
            let mut wait = GoneWait::default();
            assert!(is_there(&near, &mut wait, false).await);
            far.write_all("kept").await.unwrap();
            far.shutdown(Shutdown::Write).await.unwrap();
            settle().await;
            assert!(is_there(&near, &mut wait, false).await);
            settle().await;
            assert!(is_there(&near, &mut wait, false).await);
            // It would count for a wait that asks for it.
            assert_eq!(gone(&near, &mut GoneWait::default(), true).await, Fin);
            assert_eq!(&*near.recv().await.unwrap(), b"kept");
            far.set_linger(Some(Duration::ZERO)).unwrap();
            drop(far);
            assert_eq!(gone(&near, &mut wait, false).await, Reset);
        });
    }

    #[test]
    fn a_peer_that_finishes_after_a_false_alarm_is_gone_if_that_counts() {
        run(|| async {
            for fin_counts in [true, false] {
                let (near, far) = pair().await;
                let driver = driver::current().unwrap();
                let mut wait = GoneWait(broken(near.raw(), &driver, false).unwrap());
                assert!(is_there(&near, &mut wait, fin_counts).await);
                far.write_all("kept").await.unwrap();
                settle().await;
                assert!(is_there(&near, &mut wait, fin_counts).await);
                far.shutdown(Shutdown::Write).await.unwrap();
                settle().await;
                if !fin_counts {
                    assert!(is_there(&near, &mut wait, false).await);
                    settle().await;
                    assert!(is_there(&near, &mut wait, false).await);
                }
                assert_eq!(gone(&near, &mut wait, true).await, Fin);
                far.set_linger(Some(Duration::ZERO)).unwrap();
                drop(far);
                assert_eq!(gone(&near, &mut wait, false).await, Reset);
            }
        });
    }

    #[test]
    fn a_reset_is_told_and_left_to_the_next_receive() {
        run(|| async {
            let (near, far) = pair().await;
            let mut wait = GoneWait::default();
            assert!(is_there(&near, &mut wait, false).await);
            far.set_linger(Some(Duration::ZERO)).unwrap();
            drop(far);
            assert_eq!(gone(&near, &mut wait, false).await, Reset);
            assert_eq!(gone(&near, &mut GoneWait::default(), true).await, Reset);
            let error = recv_to_end(&near).await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            assert_eq!(gone(&near, &mut GoneWait::default(), true).await, Reset);
        });
    }

    #[test]
    fn it_is_told_behind_more_than_the_socket_parks() {
        run(|| async {
            let (near, far) = pair().await;
            let mut wait = GoneWait::default();
            for _ in 0..40 {
                assert!(is_there(&near, &mut wait, true).await);
                far.write_all("piece").await.unwrap();
                settle().await;
            }
            assert!(is_there(&near, &mut wait, true).await);
            drop(far);
            assert_eq!(gone(&near, &mut wait, true).await, Fin);
            assert_eq!(recv_to_end(&near).await.unwrap().len(), 40 * 5);
        });
    }

    #[test]
    fn a_finished_peer_that_does_not_count_does_not_wake() {
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        run(|| async {
            let (near, far) = pair().await;
            let count = Arc::new(Count(AtomicUsize::new(0)));
            let waker = Waker::from(Arc::clone(&count));
            let mut wait = GoneWait::default();
            let mut poll = || {
                let mut context = std::task::Context::from_waker(&waker);
                near.poll_gone(&mut context, &mut wait, false).is_pending()
            };
            assert!(poll());
            far.shutdown(Shutdown::Write).await.unwrap();
            settle().await;
            assert!(poll());
            settle().await;
            assert!(poll());
            let before = count.0.load(Ordering::Relaxed);
            for _ in 0..10 {
                settle().await;
                assert!(poll());
            }
            assert_eq!(count.0.load(Ordering::Relaxed), before);
        });
    }

    #[test]
    fn a_unix_peer_that_closes_is_gone_in_both_directions() {
        run(|| async {
            let (near, far) = UnixStream::pair().unwrap();
            let near = near.into_socket();
            let mut wait = GoneWait::default();
            far.write_all("kept").await.unwrap();
            assert!(is_there(&near, &mut wait, true).await);
            settle().await;
            assert!(is_there(&near, &mut wait, true).await);
            drop(far);
            assert_eq!(gone(&near, &mut wait, false).await, Reset);
            assert_eq!(recv_to_end(&near).await.unwrap(), b"kept");

            let (near, far) = UnixStream::pair().unwrap();
            let near = near.into_socket();
            far.shutdown(Shutdown::Write).await.unwrap();
            assert_eq!(gone(&near, &mut GoneWait::default(), true).await, Fin);
        });
    }

    #[test]
    fn a_wait_that_is_dropped_keeps_nothing() {
        run(|| async {
            let (near, far) = pair().await;
            for _ in 0..3 {
                let mut wait = GoneWait::default();
                assert!(is_there(&near, &mut wait, true).await);
                far.write_all("piece").await.unwrap();
                settle().await;
                assert!(is_there(&near, &mut wait, true).await);
            }
            drop(near);
            settle().await;
            // The descriptor is closed, so its peer is told.
            far.closed().await.unwrap();
        });
    }
}
