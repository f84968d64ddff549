//! Opens a connection to the first of a host's addresses that answers (RFC 8305).

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use super::local_addrs::LocalAddrs;
use crate::{net::TcpStream, time};

/// How long an address has before the next one is tried beside it.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Addresses that are tried, of those that a resolver gives.
const ATTEMPTS_MAX: usize = 16;

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

/// Connects to one of `addrs`: the families take turns, each address gets a head start of 250 ms,
/// and one that fails lets the next begin at once. `tried` is told the one that was begun last.
pub(crate) async fn connect(
    addrs: Vec<SocketAddr>,
    local: LocalAddrs,
    tried: &Cell<Option<SocketAddr>>,
) -> io::Result<TcpStream> {
    let addrs = local.reachable(addrs)?;
    if let [addr] = addrs[..] {
        tried.set(Some(addr));
        return local.connect(addr).await;
    }
    let connect = |addr| -> Attempt {
        tried.set(Some(addr));
        Box::pin(local.connect(addr))
    };
    first_of(interleave(addrs), connect).await
}

async fn first_of<T>(
    addrs: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> Pin<Box<dyn Future<Output = io::Result<T>>>>,
) -> io::Result<T> {
    let mut addrs = addrs.into_iter().take(ATTEMPTS_MAX);
    let mut attempts = Vec::new();
    attempts.extend(addrs.next().map(&connect));
    let mut head_start = pin!(time::sleep(ATTEMPT_DELAY));
    let mut failed = None;
    poll_fn(|context| {
        loop {
            let mut index = 0;
            let mut begins_next = false;
            while index < attempts.len() {
                match attempts[index].as_mut().poll(context) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        drop(attempts.swap_remove(index));
                        failed = Some(error);
                        begins_next = true;
                    }
                    Poll::Pending => index += 1,
                }
            }
            begins_next |= head_start.as_mut().poll(context).is_ready();
            if !begins_next {
                return Poll::Pending;
            }
            match addrs.next() {
                Some(addr) => {
                    attempts.push(connect(addr));
                    head_start.set(time::sleep(ATTEMPT_DELAY));
                }
                None if attempts.is_empty() => {
                    let none =
                        || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                    return Poll::Ready(Err(failed.take().unwrap_or_else(none)));
                }
                None => return Poll::Pending,
            }
        }
    })
    .await
}

/// The addresses, families by turns, beginning with that of the first.
fn interleave(addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addrs.first().map(SocketAddr::is_ipv6) else {
        return addrs;
    };
    let count = addrs.len();
    let (a, b): (Vec<_>, Vec<_>) = addrs.into_iter().partition(|addr| addr.is_ipv6() == first);
    let (mut a, mut b) = (a.into_iter(), b.into_iter());
    let mut mixed = Vec::with_capacity(count);
    while mixed.len() < count {
        mixed.extend(a.next());
        mixed.extend(b.next());
    }
    mixed
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc, time::Instant};

    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns() {
        let addrs = ["[::1]:1", "[::2]:1", "1.1.1.1:1", "1.1.1.2:1", "[::3]:1"].map(addr);
        let expected = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"].map(addr);
        assert_eq!(interleave(addrs.to_vec()), expected);
        assert_eq!(interleave(Vec::new()), []);
    }

    /// Plays attempts that end after some time, well or not, and tells which one won and when each
    /// began.
    fn play(plan: &[(u64, bool)]) -> (Option<u16>, Vec<u128>) {
        let runtime = crate::runtime::Runtime::new().unwrap();
        let plan = plan.to_vec();
        runtime.block_on(async {
            time::pause();
            let start: Instant = time::now();
            let began = Rc::new(RefCell::new(Vec::new()));
            let addrs = (0..plan.len() as u16).map(|n| SocketAddr::from(([1, 1, 1, 1], n)));
            let list = Rc::clone(&began);
            let result = first_of(addrs.collect(), move |addr| {
                list.borrow_mut().push((time::now() - start).as_millis());
                let (after, is_good) = plan[usize::from(addr.port())];
                Box::pin(async move {
                    time::sleep(Duration::from_millis(after)).await;
                    if is_good {
                        Ok(addr.port())
                    } else {
                        Err(io::ErrorKind::ConnectionRefused.into())
                    }
                })
            })
            .await;
            let began = began.borrow().clone();
            (result.ok(), began)
        })
    }

    #[test]
    fn a_silent_address_has_a_head_start_and_one_that_fails_has_none() {
        assert_eq!(play(&[(10, true), (10, true)]), (Some(0), vec![0]));
        assert_eq!(play(&[(1000, true), (10, true)]), (Some(1), vec![0, 250]));
        assert_eq!(play(&[(10, false), (10, true)]), (Some(1), vec![0, 10]));
        assert_eq!(play(&[(300, true), (500, true)]), (Some(0), vec![0, 250]));
        assert_eq!(play(&[(10, false), (20, false)]), (None, vec![0, 10]));
        assert_eq!(play(&[]), (None, vec![]));
    }
}
