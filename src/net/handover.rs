//! [`Handover`]: the next version of a program takes the sockets of this one over.
//!
//! # Protocol
//!
//! The process that serves listens at a Unix socket, the *control socket*. The next one connects,
//! and one connection is served at a time:
//!
//! 1. The process that serves sends [`MAGIC`], the length of the names and the names, each with a
//!    line end. The first bytes carry the descriptors: the control socket, and one for each name.
//! 2. The next one makes itself ready, and sends [`READY`].
//! 3. The process that serves closes its descriptors and stops. A connection that ends without
//!    that byte changes nothing.
//!
//! So the control socket itself goes from process to process, and connections wait in its queue
//! meanwhile. Its file is made once, by the first process.

use std::{
    collections::VecDeque,
    fmt,
    fs::{self, File},
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::{
            fs::FileTypeExt as _,
            net::{SocketAddr, UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{InheritedSocket, UnixListenOptions, UnixStream as OurStream};
use crate::{
    io::{AsyncFd, Interest},
    sys::{self, SocketAddress, errno},
    time,
};

/// The first bytes of a process that hands its sockets over, with the version of the protocol.
const MAGIC: &[u8; 8] = b"annulus\x01";
/// The byte by which the next process says that it is ready. No text begins with it.
const READY: u8 = 0x06;
/// The length of a name in bytes.
const NAME_BYTES_MAX: usize = 255;
/// The sockets of one process, besides the control socket.
const SOCKETS_MAX: usize = 252;
/// The length of all names and their line ends.
const NAMES_BYTES_MAX: usize = 252 * 256;
const _: () = assert!(SOCKETS_MAX + 1 == sys::DESCRIPTORS_MAX);
const _: () = assert!(NAMES_BYTES_MAX == SOCKETS_MAX * (NAME_BYTES_MAX + 1));
/// How long the next process waits for the sockets. Another one may be about to take them.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the next process tries again to find the one that serves, where that just ends.
const TRIES_MAX: usize = 50;
/// The pause before the next try.
const TRY_PAUSE: Duration = Duration::from_millis(10);
/// The pause before the next accept when this process is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes the listening sockets of the process that serves now, and gives them to the one that comes
/// next: a restart in which no connection is refused.
///
/// The two meet at the path of a Unix socket. The new process takes the sockets, makes itself
/// ready, and says so; the old one stops then. A new process that fails before costs nothing: the
/// old one goes on serving. Any process of the same user may be the next, so a script or a service
/// manager starts it; for a child that the old process starts itself there is
/// [`spawn_with_sockets`](super::spawn_with_sockets).
///
/// # Life
///
/// 1. [`open`](Self::open) takes the sockets from the process that serves at the path. Where there
///    is none, this is the first.
/// 2. [`socket`](Self::socket) gives each socket by its name, and makes those that are new.
/// 3. The future of [`taken`](Self::taken) tells the old process that this one is ready, and waits
///    for the next one. It is what a server's `shutdown_on` wants.
///
/// Dropping the `Handover`, or that future, leaves the old process as it is, or this one without a
/// successor.
///
/// # Security
///
/// The socket file has the mode 0600, and each process looks at the user of the other
/// (`SO_PEERCRED`): it has to be its own effective user, or root. Connections of others are closed
/// without a word. Give the file a folder in which only that user may write.
///
/// # Limits
///
/// At most 252 sockets, with names of at most 255 bytes. One new process at a time: a second one
/// waits for up to 30 seconds until the first one is ready or has ended.
///
/// # Examples
///
/// A TCP service. The second start of this program takes over from the first:
///
/// ```no_run
/// use annulus::{future::race, net::Handover, spawn};
/// use std::{io, net::TcpListener};
///
/// fn main() -> io::Result<()> {
///     let mut handover = Handover::open("/run/echo/control")?;
///     let listener = handover.socket("0.0.0.0:7000", || TcpListener::bind("0.0.0.0:7000"))?;
///     annulus::run(async {
///         let listener = listener.into_tcp_listener()?;
///         let serve = async {
///             loop {
///                 let (stream, _peer) = listener.accept().await?;
///                 spawn(async move { stream.write_all("hello\n").await });
///             }
///         };
///         race(handover.taken(), serve).await.into_inner()
///     })
/// }
/// ```
///
/// # Source
///
/// unix(7), flock(2).
pub struct Handover {
    path: PathBuf,
    control: UnixListener,
    is_first: bool,
    /// The connection to the process that serves, until this one is ready.
    previous: Option<UnixStream>,
    /// The sockets of that process which were not asked for yet.
    sockets: Vec<InheritedSocket>,
    /// Copies for the next process.
    offers: Vec<(String, OwnedFd)>,
}

impl Handover {
    /// Takes the sockets of the process that serves at `path`. Where there is none this process is
    /// the first, and the socket file is made; a stale one, without a listener, is replaced.
    ///
    /// It blocks, until the other process answers, for up to 30 seconds. No runtime is needed, so
    /// call it first.
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) when the process that serves there
    /// belongs to another user. [`InvalidData`](io::ErrorKind::InvalidData) when it speaks
    /// something else. [`TimedOut`](io::ErrorKind::TimedOut) when another process is taking over
    /// meanwhile, or when the process that serves is stuck. [`AddrInUse`](io::ErrorKind::AddrInUse) when there is a file at the path which is
    /// no socket. `EMFILE` and the like when this process has no room for the descriptors, and the
    /// errors of connect(2) and bind(2). The process that serves is left as it is, and descriptors
    /// that have come are closed.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        open(path).map_err(|error| {
            let text = format!("cannot take over at {}: {error}", path.display());
            io::Error::new(error.kind(), text)
        })
    }

    /// Whether no process was there to take sockets from.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.is_first
    }

    /// Returns the socket of that name from the process before, or the one that `make` makes. A
    /// copy is kept for the process that comes next.
    ///
    /// A name stands for one and the same socket in all versions of the program. The address is a
    /// good one: a version that listens at another address asks for another name then. Sockets that
    /// are not asked for are closed when this process is ready.
    ///
    /// # Errors
    ///
    /// That of `make`. [`InvalidInput`](io::ErrorKind::InvalidInput) for a name that was given
    /// before, is longer than 255 bytes, or has a line break or a zero, and for more than 252
    /// sockets. `EMFILE` when there is no descriptor for the copy.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::TcpListener;
    ///
    /// use annulus::net::Handover;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("annulus-doc-{}", std::process::id()));
    /// let mut handover = Handover::open(&path)?;
    /// let addr = "127.0.0.1:0";
    /// let listener = handover.socket(addr, || TcpListener::bind(addr))?;
    /// println!("{listener:?}");
    /// # std::fs::remove_file(&path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn socket<S: Into<OwnedFd>>(
        &mut self,
        name: &str,
        make: impl FnOnce() -> io::Result<S>,
    ) -> io::Result<InheritedSocket> {
        self.check_name(name)?;
        let found = self
            .sockets
            .iter()
            .position(|socket| socket.name() == Some(name));
        let socket = match found {
            Some(index) => self.sockets.swap_remove(index),
            None => InheritedSocket::new(name.to_owned(), make()?.into()),
        };
        let copy = socket.as_fd().try_clone_to_owned()?;
        self.offers.push((name.to_owned(), copy));
        Ok(socket)
    }

    fn check_name(&self, name: &str) -> io::Result<()> {
        let text = if name.len() > NAME_BYTES_MAX || name.contains(['\n', '\0']) {
            format!(
                "expected a name of up to {NAME_BYTES_MAX} bytes without a line break or zero, \
                 found {name:?}"
            )
        } else if self.offers.iter().any(|(known, _)| known == name) {
            format!("expected a name for each socket, found {name:?} again")
        } else if self.offers.len() == SOCKETS_MAX {
            format!("expected up to {SOCKETS_MAX} sockets, found one more, {name:?}")
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }

    /// Tells the process before that this one is ready, so that it stops. The sockets of it that
    /// were not asked for are closed. [`taken`](Self::taken) does this by itself; a later call does
    /// nothing.
    ///
    /// Where that process has ended meanwhile, this one goes on alone.
    pub fn ready(&mut self) {
        self.sockets.clear();
        if let Some(mut previous) = self.previous.take() {
            // An error says that it has ended, and then there is no one to tell.
            let _ = previous.write_all(&[READY]);
        }
    }

    /// Tells the process before that this one is ready, as [`ready`](Self::ready) does, and waits
    /// until a next process has taken the sockets over and is ready. This process should finish
    /// what it has begun then, and end.
    ///
    /// The sockets are those that [`socket`](Self::socket) has given by now. A next process that
    /// ends before it is ready changes nothing.
    ///
    /// # Errors
    ///
    /// When the control socket fails. Outside of a runtime.
    ///
    /// # Cancel safety
    ///
    /// A dropped future closes the control socket: there is no next process then. A next one that
    /// has the sockets, and is not ready yet, goes on with its copies.
    ///
    /// # Examples
    ///
    /// A service that ends for its next version, and for `SIGTERM`. A server's `shutdown_on` takes
    /// the same future; the page docs/operating.md has such a program.
    ///
    /// ```no_run
    /// use annulus::{future::race, net::Handover, signal};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let handover = Handover::open("/run/service/control")?;
    /// annulus::run(async {
    ///     let stop = race(handover.taken(), signal::terminate());
    ///     // Spawn what serves.
    ///     stop.await.into_inner()
    /// })
    /// # }
    /// ```
    pub async fn taken(mut self) -> io::Result<()> {
        // Another process may accept what this one was woken for.
        self.control.set_nonblocking(true)?;
        let control = AsyncFd::new(self.control.try_clone()?)?;
        self.ready();
        loop {
            let peer = accept(&control).await?;
            // Errors of one connection are no concern of the others.
            if self.offer(peer).await.unwrap_or(false) {
                return Ok(());
            }
        }
    }

    /// Offers the sockets to one process. Whether it has become ready.
    async fn offer(&self, peer: UnixStream) -> io::Result<bool> {
        if !is_trusted(&peer)?.0 {
            return Ok(false);
        }
        let mut bytes = MAGIC.to_vec();
        let names: Vec<&str> = self
            .offers
            .iter()
            .flat_map(|(name, _)| [name, "\n"])
            .collect();
        let names = names.concat();
        bytes.extend(u32::try_from(names.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(names.as_bytes());
        let mut fds: Vec<BorrowedFd<'_>> = vec![self.control.as_fd()];
        fds.extend(self.offers.iter().map(|(_, fd)| fd.as_fd()));
        let sent = sys::send_with_rights(peer.as_raw_fd(), &bytes, &fds)?;
        let peer = OurStream::from_std(peer)?;
        // The next one may be ready and have closed by now, so that a write of nothing would fail.
        if sent < bytes.len() {
            peer.write_all(bytes.split_off(sent)).await?;
        }
        Ok(peer.recv().await?.first() == Some(&READY))
    }
}

async fn accept(control: &AsyncFd<UnixListener>) -> io::Result<UnixStream> {
    loop {
        let accepted = control
            .async_io(Interest::READABLE, UnixListener::accept)
            .await;
        match accepted.map_err(|error| (error.raw_os_error(), error)) {
            Ok((peer, _)) => return Ok(peer),
            Err((Some(errno::EMFILE | errno::ENFILE | errno::ENOBUFS | errno::ENOMEM), _)) => {
                time::sleep(ACCEPT_PAUSE).await;
            }
            Err((Some(errno::ECONNABORTED), _)) => {}
            Err((_, error)) => return Err(error),
        }
    }
}

/// Whether the process at the other end may hand over or take over, and its user.
fn is_trusted(peer: &UnixStream) -> io::Result<(bool, u32)> {
    let (_, user, _) = sys::peer_credentials(peer.as_raw_fd())?;
    Ok((user == 0 || user == sys::effective_user(), user))
}

fn open(path: &Path) -> io::Result<Handover> {
    let mut last = None;
    for _ in 0..TRIES_MAX {
        let error = match connect(path, HANDOVER_TIMEOUT) {
            Ok(previous) => match receive(&previous)? {
                Some((control, sockets)) => {
                    return Ok(Handover::new(path, control, Some(previous), sockets));
                }
                None => {
                    let text = "the process that listens there closes the connection";
                    io::Error::new(io::ErrorKind::ConnectionAborted, text)
                }
            },
            Err(error) if is_absent(&error) => match bind(path) {
                Ok(control) => return Ok(Handover::new(path, control, None, Vec::new())),
                // Another process was faster.
                Err(error) if error.raw_os_error() == Some(errno::EADDRINUSE) => error,
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        };
        last = Some(error);
        thread::sleep(TRY_PAUSE);
    }
    Err(last.expect("it was tried"))
}

/// Connects. Where the queue of the process that listens is full it waits for a place, for at most
/// `timeout`.
fn connect(path: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let address = SocketAddress::from(&SocketAddr::from_pathname(path)?);
    let stream = UnixStream::from(sys::new_socket(address.family(), false)?);
    let start = Instant::now();
    loop {
        // The limit of writes is that of connects, too. It cannot be zero.
        let left = timeout.saturating_sub(start.elapsed());
        stream.set_write_timeout(Some(left.max(Duration::from_millis(1))))?;
        match -sys::connect_now(stream.as_raw_fd(), &address) {
            0 => return Ok(stream),
            errno::EINTR => {}
            errno::EAGAIN => {
                let text = format!(
                    "the queue of the process that listens there was full for {timeout:?}: it may \
                     be stuck"
                );
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// Whether no process listens at a path.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let there = fs::symlink_metadata(path);
    if there.is_ok_and(|there| !there.file_type().is_socket()) {
        let text = "expected a socket or nothing at the path, found another file";
        return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    // Of two processes that replace a stale file at once, one would remove the other's.
    let lock = File::open(folder.unwrap_or(Path::new(".")))?;
    sys::lock_exclusively(lock.as_raw_fd())?;
    let options = UnixListenOptions::default().mode(0o600).remove_stale(true);
    options.listen(path)
}

/// Receives the control socket and the others from the process that serves; none when it has ended.
fn receive(previous: &UnixStream) -> io::Result<Option<(UnixListener, Vec<InheritedSocket>)>> {
    let (is_trusted, user) = is_trusted(previous)?;
    if !is_trusted {
        let text = format!(
            "expected a process of user {} or of root, found one of user {user}",
            sys::effective_user()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    previous.set_read_timeout(Some(HANDOVER_TIMEOUT))?;
    let mut fds = VecDeque::new();
    let mut head = [0; MAGIC.len() + 4];
    if !receive_exact(previous, &mut head, &mut fds)? {
        return Ok(None);
    }
    let (magic, names_bytes) = head.split_at(MAGIC.len());
    let names_bytes = u32::from_le_bytes(names_bytes.try_into().expect("four bytes are left"));
    let names_bytes = usize::try_from(names_bytes).unwrap_or(usize::MAX);
    if magic != MAGIC || names_bytes > NAMES_BYTES_MAX {
        return Err(invalid("the process there speaks another protocol"));
    }
    let mut names = vec![0; names_bytes];
    if !receive_exact(previous, &mut names, &mut fds)? {
        return Err(invalid("the names of the sockets ended too early"));
    }
    let names = String::from_utf8(names).map_err(|_| invalid("a name is no UTF-8"))?;
    let names: Vec<&str> = names.split_terminator('\n').collect();
    let Some(control) = fds.pop_front() else {
        return Err(invalid("no descriptors have come"));
    };
    if names.len() != fds.len() {
        let text = format!("{} sockets have come with {} names", fds.len(), names.len());
        return Err(invalid(&text));
    }
    let sockets = names.into_iter().map(str::to_owned).zip(fds);
    let sockets = sockets.map(|(name, fd)| InheritedSocket::new(name, fd));
    Ok(Some((control.into(), sockets.collect())))
}

/// Fills `bytes`. False when the connection has ended before the first of them.
fn receive_exact(
    stream: &UnixStream,
    bytes: &mut [u8],
    fds: &mut VecDeque<OwnedFd>,
) -> io::Result<bool> {
    let mut filled = 0;
    while filled < bytes.len() {
        let mut new = Vec::new();
        let received = sys::receive_with_rights(stream.as_raw_fd(), &mut bytes[filled..], &mut new);
        fds.extend(new);
        match received {
            Ok((_, true)) => {
                let text = "descriptors were lost, most likely because this process may not open \
                            so many (RLIMIT_NOFILE)";
                return Err(io::Error::other(text));
            }
            Ok((0, _)) if filled == 0 => return Ok(false),
            Ok((0, _)) => return Err(invalid("the connection ended too early")),
            Ok((count, _)) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let text = format!(
                    "no sockets have come for {HANDOVER_TIMEOUT:?}: another process may be taking \
                     them over, or the one that has them is stuck"
                );
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && filled == 0 => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl Handover {
    fn new(
        path: &Path,
        control: UnixListener,
        previous: Option<UnixStream>,
        sockets: Vec<InheritedSocket>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            control,
            is_first: previous.is_none(),
            previous,
            sockets,
            offers: Vec::new(),
        }
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.offers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("Handover")
            .field("path", &self.path)
            .field("is_first", &self.is_first)
            .field("names", &names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Receives what `send` sends with copies of a socket, and checks that none of them is left
    /// when it has failed. Returns the error.
    fn refused(send: impl FnOnce(&UnixStream, BorrowedFd<'_>)) -> io::Error {
        let (near, far) = UnixStream::pair().unwrap();
        let (carried, mut other) = UnixStream::pair().unwrap();
        send(&far, carried.as_fd());
        drop((far, carried));
        let error = receive(&near).unwrap_err();
        drop(near);
        other.set_read_timeout(Some(HANDOVER_TIMEOUT)).unwrap();
        assert_eq!(other.read(&mut [0]).unwrap(), 0, "a copy is left");
        error
    }

    fn message(magic: &[u8], names_bytes: u32, names: &[u8]) -> Vec<u8> {
        [magic, &names_bytes.to_le_bytes(), names].concat()
    }

    #[test]
    fn what_another_process_sends_is_checked_and_closed() {
        let check = |bytes: &[u8], fd_count, expected: &str| {
            let error = refused(|far, fd| {
                let sent = sys::send_with_rights(far.as_raw_fd(), bytes, &vec![fd; fd_count]);
                assert_eq!(sent.unwrap(), bytes.len());
            });
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(b"HTTP/1.1 400 Bad Request\r\n\r\n", 2, "another protocol");
        check(&message(b"annulus\x02", 2, b"a\n"), 2, "another protocol");
        check(&message(MAGIC, u32::MAX, b"a\n"), 2, "another protocol");
        check(b"ann", 2, "ended too early");
        check(&message(MAGIC, 4, b"a\n"), 2, "ended too early");
        check(&message(MAGIC, 4, b""), 2, "names of the sockets ended");
        check(&message(MAGIC, 2, b"\xff\n"), 2, "no UTF-8");
        check(&message(MAGIC, 2, b"a\n"), 0, "no descriptors");
        check(
            &message(MAGIC, 2, b"a\n"),
            1,
            "0 sockets have come with 1 names",
        );
        check(
            &message(MAGIC, 2, b"a\n"),
            3,
            "2 sockets have come with 1 names",
        );
        let max = sys::DESCRIPTORS_MAX;
        check(
            &message(MAGIC, 2, b"a\n"),
            max,
            "252 sockets have come with 1 names",
        );
    }

    #[test]
    fn a_message_may_come_in_pieces() {
        let (near, far) = UnixStream::pair().unwrap();
        let receiving = thread::spawn(move || receive(&near).unwrap());
        let bytes = message(MAGIC, 6, b"a\nb:c\n");
        let fds = [far.as_fd(); 3];
        for (index, byte) in bytes.iter().enumerate() {
            let fds = if index == 0 { &fds[..] } else { &[] };
            sys::send_with_rights(far.as_raw_fd(), &[*byte], fds).unwrap();
        }
        let (_, sockets) = receiving.join().unwrap().expect("it has not ended");
        let names: Vec<_> = sockets.iter().map(InheritedSocket::name).collect();
        assert_eq!(names, [Some("a"), Some("b:c")]);
    }

    #[test]
    fn a_connection_that_ends_without_a_word_is_none() {
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        assert!(receive(&near).unwrap().is_none());
    }

    #[test]
    fn a_full_queue_is_waited_for_and_not_for_ever() {
        let name = format!("annulus-handover-queue-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let options = UnixListenOptions::default().backlog(0).remove_stale(true);
        let listener = options.listen(&path).unwrap();
        let first = connect(&path, HANDOVER_TIMEOUT).unwrap();
        let error = connect(&path, Duration::from_millis(10)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        let waiting = {
            let path = path.clone();
            thread::spawn(move || connect(&path, HANDOVER_TIMEOUT).map(drop))
        };
        drop((listener.accept().unwrap(), first));
        waiting.join().unwrap().unwrap();
        fs::remove_file(path).unwrap();
    }
}
