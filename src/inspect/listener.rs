//! The Unix socket at which a viewer attaches.

use std::{
    fmt, fs, io, mem,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    rc::Rc,
    thread::JoinHandle,
    time::Duration,
};

use super::{dumps, metrics, own_thread};
use crate::{
    future::race,
    net::{UnixListener, UnixStream},
    sync::{Semaphore, remote::oneshot},
    sys::{self, Process},
    task,
    time::{sleep, timeout},
};

/// How long the threads may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Connections at a time. Others wait.
const CONNECTIONS_MAX: usize = 4;

/// The time in which a request has to come, and in which an answer has to be taken.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of a request with its line end.
const REQUEST_BYTES_MAX: usize = 64;

/// Bytes of an answer. A longer one ends with a line that says so.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// The pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers questions about this process at a Unix socket, until it is dropped. Made by [`listen`].
///
/// Dropping it removes the file, unless another socket has been made at its path since. In a child
/// of fork(2) it does nothing: the socket is the parent's.
#[must_use = "dropping it closes the socket"]
pub struct Inspector {
    file: SocketFile,
    /// The thread ends when this is dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The file of a socket, which goes with this unless another socket has its place by then.
struct SocketFile {
    /// Absolute, since the working directory may change.
    path: PathBuf,
    /// The numbers of the device and of the file there.
    id: Option<(u64, u64)>,
    /// A forked child leaves its parent's file.
    process: Process,
}

impl SocketFile {
    /// The file that was made at `path`.
    fn made(path: PathBuf) -> Self {
        Self {
            id: Self::id(&path),
            path,
            process: Process::current(),
        }
    }

    fn id(path: &Path) -> Option<(u64, u64)> {
        let metadata = fs::symlink_metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.process.is_current() && self.id.is_some() && Self::id(&self.path) == self.id {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a Unix socket at `path` at which a viewer, such as the program `top` of this crate's
/// examples, asks what the runtimes of this process do. A thread of its own answers,
/// `annulus-inspect`, so that a program whose threads are all stuck answers as well.
///
/// Only the user of this process, and root, are answered: the file has the mode 0600, and each
/// connection's user is looked at besides. A file of a process that has ended is replaced. Put it
/// into a folder that others cannot write to, such as `/run/user/1000`.
///
/// # Format
///
/// A request is a line of one word. Its answer is a line `ok N`, and N bytes of UTF-8 text, or a
/// line `error` with a sentence. A connection takes any number of requests, one after the other.
///
/// | Request | The text |
/// |---|---|
/// | `metrics` | that of [`metrics`] |
/// | `dump` | those of [`dumps`], with an empty line between two of them |
///
/// A text has at most 4 MiB, four connections are served at a time, and one that is silent for a
/// minute, or does not take its answer for a minute, is closed.
///
/// # Errors
///
/// `EADDRINUSE` when another process listens at the path, or the path is a file of another kind;
/// `EACCES` and others. So it is when the thread or its runtime cannot be made.
///
/// # Examples
///
/// ```
/// use annulus::inspect;
/// use std::{env, io::{BufRead, BufReader, Write}, os::unix::net::UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// let path = env::temp_dir().join(format!("inspect-{}", std::process::id()));
/// let inspector = inspect::listen(&path)?;
/// // The viewer, in another process.
/// let mut stream = UnixStream::connect(&path)?;
/// stream.write_all(b"metrics\n")?;
/// let mut answer = String::new();
/// BufReader::new(stream).read_line(&mut answer)?;
/// assert!(answer.starts_with("ok "), "{answer}");
/// drop(inspector);
/// assert!(!path.exists());
/// # Ok(())
/// # }
/// ```
pub fn listen(path: impl AsRef<Path>) -> io::Result<Inspector> {
    let listener = UnixListener::options()
        .mode(0o600)
        .remove_stale(true)
        .listen(&path)?;
    let file = SocketFile::made(std::path::absolute(path)?);
    let (stop, stopped) = oneshot::channel();
    let thread = own_thread::start("annulus-inspect", move || {
        let listener = UnixListener::from_std(listener)?;
        Ok(async move {
            let _ = race(serve(listener), stopped).await;
        })
    })?;
    Ok(Inspector {
        file,
        stop: Some(stop),
        thread: Some(thread),
    })
}

impl Inspector {
    /// Returns the absolute path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}

impl Drop for Inspector {
    fn drop(&mut self) {
        let (stop, thread) = (self.stop.take(), self.thread.take());
        if !self.file.process.is_current() {
            // The thread is the parent's, and none of this process to wait for.
            return mem::forget((stop, thread));
        }
        drop(stop);
        // It ends within a turn: what it waits for is dropped.
        let ended = thread.map(JoinHandle::join);
        drop(ended);
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector")
            .field("path", &self.file.path)
            .finish_non_exhaustive()
    }
}

async fn serve(listener: UnixListener) {
    let places = Rc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Rc::clone(&places).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = async move {
                    // A client that went away is no concern of this process's.
                    let _gone = answer_all(&stream).await;
                    drop(place);
                };
                drop(task::spawn(connection));
            }
            // The process is out of descriptors.
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Answers the requests of one connection, until it ends.
async fn answer_all(stream: &UnixStream) -> io::Result<()> {
    let user = stream.peer_cred()?.uid();
    if user != 0 && user != sys::effective_user() {
        return send(stream, "error another user's process\n").await;
    }
    let mut received = Vec::new();
    while let Some(request) = next_request(stream, &mut received).await? {
        let text = match &*request {
            b"metrics" => metrics(PATIENCE).await,
            b"dump" => dump_text().await,
            _ => {
                send(stream, "error expected the request `metrics` or `dump`\n").await?;
                continue;
            }
        };
        let text = cut(text);
        send(stream, format!("ok {}\n{text}", text.len())).await?;
    }
    Ok(())
}

/// Sends an answer, unless the client does not take it.
async fn send(stream: &UnixStream, answer: impl Into<String>) -> io::Result<()> {
    let answer: String = answer.into();
    timeout(TIMEOUT, stream.write_all(answer)).await??;
    Ok(())
}

/// The next line; none at the end, and after one that is too long.
async fn next_request(stream: &UnixStream, received: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(end) = received.iter().position(|&byte| byte == b'\n') {
            let mut line: Vec<u8> = received.drain(..=end).collect();
            line.pop();
            return Ok(Some(line));
        }
        if received.len() >= REQUEST_BYTES_MAX {
            send(stream, "error the request is too long\n").await?;
            return Ok(None);
        }
        let bytes = timeout(TIMEOUT, stream.recv()).await??;
        if bytes.is_empty() {
            return Ok(None);
        }
        received.extend_from_slice(&bytes);
    }
}

async fn dump_text() -> String {
    let mut text = String::new();
    for dump in dumps(PATIENCE).await {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{dump}\n"));
    }
    text
}

/// Cuts a text that is too long at the end of a line.
fn cut(mut text: String) -> String {
    if text.len() > ANSWER_BYTES_MAX {
        const NOTE: &str = "# The rest is cut.\n";
        let head = &text.as_bytes()[..ANSWER_BYTES_MAX - NOTE.len()];
        let end = head.iter().rposition(|&byte| byte == b'\n');
        text.truncate(end.map_or(0, |end| end + 1));
        text.push_str(NOTE);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::net};

    use super::*;
    use crate::time;

    #[test]
    fn a_long_text_is_cut_at_the_end_of_a_line() {
        let line = "0123456789\n";
        let long = line.repeat(ANSWER_BYTES_MAX / line.len() + 1);
        let text = cut(long);
        assert!(text.len() <= ANSWER_BYTES_MAX && text.len() > ANSWER_BYTES_MAX - 50);
        assert!(text.ends_with("0123456789\n# The rest is cut.\n"));
        assert_eq!(cut("short".to_owned()), "short");
    }

    #[test]
    fn a_client_that_takes_no_answers_is_given_up() {
        crate::run(async {
            time::pause();
            let (mut far, near) = net::UnixStream::pair().unwrap();
            let near = UnixStream::from_std(near).unwrap();
            far.write_all("x\n".repeat(10_000).as_bytes()).unwrap();
            let answering = timeout(100 * TIMEOUT, answer_all(&near)).await;
            let error = answering.expect("it does not wait for ever").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            // Else the end of the runtime would wait for the answer that is not taken.
            drop(far);
        });
    }
}
