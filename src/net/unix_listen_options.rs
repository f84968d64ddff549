//! The options of a listening Unix socket.

use std::{
    fs, io,
    os::{
        fd::AsRawFd as _,
        linux::net::SocketAddrExt as _,
        unix::{
            fs::{FileTypeExt as _, PermissionsExt as _},
            net::{self as std_unix, SocketAddr},
        },
    },
    path::Path,
};

use super::{UnixListener, acceptor::BACKLOG_DEFAULT, rebind::bind_again};
use crate::sys::{self, SocketAddress, errno};

/// The options of a listening Unix socket. Made by [`UnixListener::options`].
#[derive(Clone, Debug)]
pub struct UnixListenOptions {
    backlog: u32,
    mode: Option<u32>,
    remove_stale: bool,
}

impl Default for UnixListenOptions {
    fn default() -> Self {
        Self {
            backlog: BACKLOG_DEFAULT,
            mode: None,
            remove_stale: false,
        }
    }
}

impl UnixListenOptions {
    /// Sets how many connections the kernel keeps until they are accepted. 4096 by default, and at
    /// most `net.core.somaxconn`.
    #[must_use]
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = backlog;
        self
    }

    /// Sets the permissions of the socket file, as chmod(2) takes them: a process that may write to
    /// the file may connect. They are set before any process can connect. The process's umask
    /// decides by default.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Removes a stale socket file at the path, one without a listener, before the bind. Off by
    /// default. Anything else at the path stays, and makes the bind fail.
    ///
    /// Of two processes that do this at once, one may remove what the other has just made.
    #[must_use]
    pub fn remove_stale(mut self, remove_stale: bool) -> Self {
        self.remove_stale = remove_stale;
        self
    }

    /// Listens at `path`, where it makes a socket file. It stays when the listener is gone.
    ///
    /// With [`remove_stale`](Self::remove_stale) a listener at the path is waited for, for a
    /// quarter of a second, while this thread sleeps: the kernel ends that of a process that was
    /// killed a little later than the process, when that used a ring.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE` when there is something at the path; `EACCES` and others.
    pub fn bind(&self, path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::from_std(self.listen(path)?)
    }

    /// Listens on `name` in the abstract namespace, which has no files: the name goes with the
    /// listener. One that is in use is waited for as by [`bind`](Self::bind).
    ///
    /// # Errors
    ///
    /// `EADDRINUSE` when another socket has the name.
    pub fn bind_abstract(&self, name: impl AsRef<[u8]>) -> io::Result<UnixListener> {
        let addr = SocketAddr::from_abstract_name(name)?;
        UnixListener::from_std(bind_again(|| self.listen_addr(&addr))?)
    }

    /// Listens at `path` with a socket of std's, outside of any runtime: to be made into a listener
    /// of a worker's by [`UnixListener::from_std`], or of several, by `try_clone`.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn listen(&self, path: impl AsRef<Path>) -> io::Result<std_unix::UnixListener> {
        let path = path.as_ref();
        let addr = SocketAddr::from_pathname(path)?;
        let in_use = |error: &io::Error| error.raw_os_error() == Some(errno::EADDRINUSE);
        match self.listen_addr(&addr) {
            Err(error) if self.remove_stale && in_use(&error) && is_socket(path)? => {
                bind_again(|| self.listen_in_place(path, &addr))
            }
            result => result,
        }
    }

    /// Listens where there was a socket file a moment ago.
    fn listen_in_place(
        &self,
        path: &Path,
        addr: &SocketAddr,
    ) -> io::Result<std_unix::UnixListener> {
        if is_socket(path)? && is_stale(addr)? {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.listen_addr(addr)
    }

    fn listen_addr(&self, addr: &SocketAddr) -> io::Result<std_unix::UnixListener> {
        let address = SocketAddress::from(addr);
        let socket = sys::new_socket(address.family(), false)?;
        sys::bind(socket.as_raw_fd(), &address)?;
        if let (Some(mode), Some(path)) = (self.mode, addr.as_pathname()) {
            // No process can connect before the socket listens.
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        sys::listen(socket.as_raw_fd(), self.backlog)?;
        Ok(socket.into())
    }
}

fn is_socket(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.file_type().is_socket()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a socket file has no listener.
fn is_stale(addr: &SocketAddr) -> io::Result<bool> {
    let address = SocketAddress::from(addr);
    let probe = sys::new_socket(address.family(), true)?;
    let result = sys::connect_now(probe.as_raw_fd(), &address);
    Ok(result == -errno::ECONNREFUSED)
}
