//! Calls on helper threads.

use std::io;

use crate::{
    budget, driver,
    op::{AnyFd, Call, InFlight},
};

/// Makes a call on a helper thread. Dropped in flight, the call goes on to its end.
pub(super) async fn call<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let driver = driver::current()?;
    budget::turn().await;
    InFlight::new(driver, Call::new(Vec::new(), work)).await
}

/// As [`call`], of a call that uses the number of an open descriptor.
pub(super) async fn call_on<T: Send + 'static>(
    fd: AnyFd,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let driver = fd.driver().clone();
    budget::turn().await;
    InFlight::new(driver, Call::new(vec![fd], work)).await
}
