//! The Unix socket at which a viewer attaches.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    rc::Rc,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{dumps, metrics, on_signal::small_runtime};
use crate::{
    future::race,
    net::{UnixListener, UnixStream},
    sync::{Semaphore, remote::oneshot},
    sys, task,
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
#[must_use = "dropping it closes the socket"]
pub struct Inspector {
    path: PathBuf,
    /// The thread ends when this is dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
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
/// minute is closed.
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
    let path = path.as_ref().to_owned();
    let listener = UnixListener::options()
        .mode(0o600)
        .remove_stale(true)
        .listen(&path)?;
    let (stop, stopped) = oneshot::channel();
    let (tell, told) = mpsc::channel();
    let run = move || {
        let runtime = match small_runtime() {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(Err(error))),
        };
        runtime.block_on(async {
            let listener = match UnixListener::from_std(listener) {
                Ok(listener) => listener,
                Err(error) => return drop(tell.send(Err(error))),
            };
            let _ = tell.send(Ok(()));
            let _ = race(serve(listener), stopped).await;
        });
    };
    let thread = thread::Builder::new()
        .name("annulus-inspect".to_owned())
        .spawn(run)?;
    told.recv()
        .unwrap_or_else(|_| Err(io::Error::other("the thread for inspection has panicked")))?;
    Ok(Inspector {
        path,
        stop: Some(stop),
        thread: Some(thread),
    })
}

impl Inspector {
    /// Returns the path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Inspector {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        drop(self.stop.take());
        // It ends within a turn: what it waits for is dropped.
        let ended = self.thread.take().map(JoinHandle::join);
        drop(ended);
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector")
            .field("path", &self.path)
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
        stream.write_all("error another user's process\n").await?;
        return Ok(());
    }
    let mut received = Vec::new();
    while let Some(request) = next_request(stream, &mut received).await? {
        let text = match &*request {
            b"metrics" => metrics(PATIENCE).await,
            b"dump" => dump_text().await,
            _ => {
                let message = "error expected the request `metrics` or `dump`\n";
                stream.write_all(message).await?;
                continue;
            }
        };
        let text = cut(text);
        let answer = format!("ok {}\n{text}", text.len());
        timeout(TIMEOUT, stream.write_all(answer)).await??;
    }
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
            stream.write_all("error the request is too long\n").await?;
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
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_the_end_of_a_line() {
        let line = "0123456789\n";
        let long = line.repeat(ANSWER_BYTES_MAX / line.len() + 1);
        let text = cut(long);
        assert!(text.len() <= ANSWER_BYTES_MAX && text.len() > ANSWER_BYTES_MAX - 50);
        assert!(text.ends_with("0123456789\n# The rest is cut.\n"));
        assert_eq!(cut("short".to_owned()), "short");
    }
}
