//! The common part of all opens: paths as the kernel takes them, and tries again.

use std::{
    ffi::CString,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
    rc::Rc,
    time::Duration,
};

use crate::{
    budget,
    driver::Driver,
    op::{InFlight, Op},
    time,
};

/// How long an open waits for another process to give up its lease on the file. The kernel takes
/// the lease away after `fs.lease-break-time`, 45 seconds by default.
const LEASE_TIMEOUT: Duration = Duration::from_secs(60);

/// The time between two tries of an open that waits for a lease.
const LEASE_WAIT: Duration = Duration::from_millis(10);

/// How often an open beneath a folder is tried again at once. A folder that is renamed while `..`
/// is looked up in it gives the same errno as a lease, and is over at once.
const RACE_RETRIES_MAX: u32 = 8;

/// The path as the kernel takes it.
pub(super) fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "expected a path without a zero byte, found one in it",
        )
    })
}

/// Opens by the operation that `op` makes. It is made again after a signal, after a race, and while
/// another process has a lease on the file.
pub(super) async fn open<O: Op<Output = io::Result<OwnedFd>>>(
    driver: &Rc<Driver>,
    op: impl Fn() -> O,
) -> io::Result<OwnedFd> {
    budget::turn().await;
    let mut races = RACE_RETRIES_MAX;
    let mut lease_waits = LEASE_TIMEOUT.as_millis() / LEASE_WAIT.as_millis();
    loop {
        let error = match InFlight::new(Rc::clone(driver), op()).await {
            Ok(fd) => {
                // It may have been awaited to its end in another runtime, where the file is of no
                // use.
                driver.check_current()?;
                return Ok(fd);
            }
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock if races > 0 => races -= 1,
            io::ErrorKind::WouldBlock if lease_waits > 0 => {
                lease_waits -= 1;
                time::sleep(LEASE_WAIT).await;
            }
            _ => return Err(error),
        }
    }
}
