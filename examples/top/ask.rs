//! Questions to the program.

use std::{io, time::Duration};

use annulus::{net::UnixStream, time};

/// How long the program may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The length of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Sends a request, and returns the text of its answer.
pub(crate) async fn ask(stream: &UnixStream, request: &str) -> io::Result<String> {
    time::timeout(PATIENCE, answer(stream, request)).await?
}

async fn answer(stream: &UnixStream, request: &str) -> io::Result<String> {
    stream.write_all(format!("{request}\n")).await?;
    let mut received = Vec::new();
    loop {
        let line = received.iter().position(|&byte| byte == b'\n');
        if let Some(end) = line {
            let head = String::from_utf8_lossy(&received[..end]).into_owned();
            let len = head.strip_prefix("ok ").and_then(|len| len.parse().ok());
            let len: usize = len.ok_or_else(|| io::Error::other(head))?;
            if len > ANSWER_BYTES_MAX {
                let text = format!("expected up to {ANSWER_BYTES_MAX} bytes, found {len}");
                return Err(io::Error::other(text));
            }
            if let Some(text) = received[end + 1..].get(..len) {
                return Ok(String::from_utf8_lossy(text).into_owned());
            }
        }
        let bytes = stream.recv().await?;
        if bytes.is_empty() {
            return Err(io::Error::other("the program has closed the connection"));
        }
        received.extend_from_slice(&bytes);
    }
}
