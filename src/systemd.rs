//! Tells systemd, or another service manager, how the service is: ready, stopping, alive.
//!
//! A unit with `Type=notify` is up once the service has said that it is [`ready`]. With
//! `WatchdogSec=` the manager ends a service that no longer says that it is alive, which
//! [`watchdog`] does. The messages are those of sd_notify(3), which other managers and containers
//! understand, too.
//!
//! The manager names its socket in the variable `NOTIFY_SOCKET`. Without it each call here does
//! nothing and returns `false`, so a program calls them whether it has a manager or not.
//!
//! # Examples
//!
//! ```
//! use annulus::{net::TcpListener, spawn, systemd};
//!
//! # fn main() -> std::io::Result<()> {
//! annulus::run(async {
//!     let _listener = TcpListener::bind("127.0.0.1:0").await?;
//!     drop(spawn(systemd::watchdog()));
//!     if systemd::ready()? {
//!         println!("a manager knows that connections succeed");
//!     }
//!     // Serve until a signal comes.
//!     systemd::stopping()?;
//!     Ok(())
//! })
//! # }
//! ```

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    process,
    time::Duration,
};

use crate::{
    time,
    workers::{Worker, WorkersHandle},
};

/// Says that the service has started (`READY=1`). Returns whether a manager was told.
///
/// # Errors
///
/// As [`notify`].
pub fn ready() -> io::Result<bool> {
    notify("READY=1")
}

/// Says that the service begins to stop (`STOPPING=1`). Returns whether a manager was told.
///
/// # Errors
///
/// As [`notify`].
pub fn stopping() -> io::Result<bool> {
    notify("STOPPING=1")
}

/// Describes the state of the service in a line for people (`STATUS=`), which `systemctl status`
/// shows. A line break in `text` becomes a space. Returns whether a manager was told.
///
/// # Errors
///
/// As [`notify`].
pub fn status(text: &str) -> io::Result<bool> {
    notify(&format!("STATUS={}", text.replace('\n', " ")))
}

/// Sends `state` to the manager: assignments, one a line, as sd_notify(3) lists them. Returns
/// whether there is a manager.
///
/// The call waits while the manager's socket is full.
///
/// # Errors
///
/// When `NOTIFY_SOCKET` is neither a path nor `@` and a name, and those of sendto(2): `ENOENT` and
/// `ECONNREFUSED` mean that the manager's socket is gone.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// annulus::systemd::notify("EXTEND_TIMEOUT_USEC=30000000\nSTATUS=reading the index")?;
/// # Ok(())
/// # }
/// ```
pub fn notify(state: &str) -> io::Result<bool> {
    send(state, false)
}

/// Returns within which time the manager wants to hear that the service is alive, as
/// sd_watchdog_enabled(3) does: `WATCHDOG_USEC`, unless `WATCHDOG_PID` names another process.
#[must_use]
pub fn watchdog_limit() -> Option<Duration> {
    let number = |name: &str| -> Option<u64> { env::var(name).ok()?.parse().ok() };
    let is_ours = match env::var_os("WATCHDOG_PID") {
        None => true,
        Some(_) => number("WATCHDOG_PID") == Some(process::id().into()),
    };
    let micros = number("WATCHDOG_USEC").filter(|&micros| micros > 0 && is_ours)?;
    Some(Duration::from_micros(micros))
}

/// Says that the service is alive (`WATCHDOG=1`), at once and then at each half of
/// [`watchdog_limit`], for as long as it is polled. It ends at once where there is no manager or no
/// limit.
///
/// As a task it is polled only while its runtime makes progress. On a [`Worker`] it asks all
/// workers of the set before each message, and waits for each that has not ended: one blocked
/// thread is enough for the manager to end the service. So one such task is enough for a process.
/// It ends with its worker, so spawn it on one that ends last.
///
/// # Errors
///
/// As [`notify`]. A socket of the manager that is full is none.
///
/// # Cancel safety
///
/// Nothing is lost: a call after a drop begins anew.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     drop(annulus::spawn(annulus::systemd::watchdog()));
///     Ok(())
/// })
/// # }
/// ```
pub async fn watchdog() -> io::Result<()> {
    say_alive(async || {
        if let Some(worker) = Worker::current() {
            hear_all(&worker.workers()).await;
        }
    })
    .await
}

/// As [`watchdog`], from a thread that is none of the workers.
pub(crate) async fn watchdog_of(workers: WorkersHandle) -> io::Result<()> {
    say_alive(async || hear_all(&workers).await).await
}

/// Waits for `is_alive` before each message.
async fn say_alive(is_alive: impl AsyncFn()) -> io::Result<()> {
    let Some(limit) = watchdog_limit() else {
        return Ok(());
    };
    loop {
        is_alive().await;
        match send("WATCHDOG=1", true) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // It has others to read first.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        time::sleep(limit / 2).await;
    }
}

/// Waits until each worker has run a task, or has ended.
async fn hear_all(workers: &WorkersHandle) {
    let asked: Vec<_> = workers.iter().map(|worker| worker.call(|| ())).collect();
    for answer in asked {
        // An error says that the worker has ended, which is no fault of its own.
        let _ = answer.await;
    }
}

fn send(state: &str, nonblocking: bool) -> io::Result<bool> {
    let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
        return Ok(false);
    };
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(&name)?,
        _ => {
            let text = format!("expected a path or @ and a name in NOTIFY_SOCKET, found {name:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(nonblocking)?;
    loop {
        match socket.send_to_addr(state.as_bytes(), &address) {
            Ok(_) => return Ok(true),
            // A signal came while the manager's socket was full.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
