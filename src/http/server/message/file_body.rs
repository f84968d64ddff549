//! The body of an answer that is a file's.
//!
//! A piece goes after the other, and the client's pace is that of the pieces. As long as the page
//! cache has the file and the connection is a socket, the kernel sends it without a copy, as much
//! as the socket takes at once (sendfile(2)). Other pieces are read, and sent from where they were
//! read; they grow while the client takes all at once. When it does not, a small piece waits. So a
//! slow client costs 32 KiB and no thread.
//!
//! The device of the file would hold the thread, so the page cache is asked first, by reads of
//! single bytes that do not wait. A page between those that has left the cache holds the thread for
//! one read of the device. `IORING_OP_SPLICE` would hold a thread of the kernel's for each piece.

use std::{io, ops::Range, os::fd::AsRawFd as _, rc::Rc};

use bytes::Bytes;

use super::body_writer::BodyWriter;
use crate::{fs::File, http::error::Result, sys, task};

/// The first piece, and what a client that does not read makes its exchange hold.
const PIECE_BYTES_MIN: usize = 32 * 1024;
/// The pieces that a client gets which takes them at once.
const PIECE_BYTES_MAX: usize = 256 * 1024;
/// The page cache is asked for a byte in each so many: the usual window of the reads ahead.
const PROBE_BYTES: usize = 128 * 1024;
/// The bytes that are sent at once before other connections have their turn.
const TURN_BYTES_MAX: usize = 1024 * 1024;

/// Where the bytes of a body are.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Bytes(Bytes),
    File(Rc<File>),
}

impl Content {
    /// Writes `range` of it.
    pub(crate) async fn write(&self, out: &mut BodyWriter, range: Range<u64>) -> Result<()> {
        match self {
            Self::Bytes(bytes) => {
                let range = range.start as usize..range.end as usize;
                out.write(bytes.slice(range)).await
            }
            Self::File(file) => write_file(out, file, range).await,
        }
    }
}

/// Writes `range` of `file`, which fails when the file is shorter.
async fn write_file(out: &mut BodyWriter, file: &File, range: Range<u64>) -> Result<()> {
    let Range { mut start, end } = range;
    let mut piece_max = PIECE_BYTES_MIN;
    // The first leaves with the head.
    let first = read(file, Vec::new(), start..end, piece_max).await?;
    start += first.len() as u64;
    out.write(first).await?;
    let (mut buf, mut turn_bytes) = (Vec::new(), 0);
    let mut is_direct = true;
    while start < end {
        out.flush().await?;
        if let Some(sent) = send_directly(out, file, start..end, &mut is_direct)? {
            start += sent as u64;
            if sent > 0 {
                task::yield_now().await;
                continue;
            }
            // The next piece waits for the client.
            piece_max = PIECE_BYTES_MIN;
        }
        buf = read(file, buf, start..end, piece_max).await?;
        let sent = out.send_at_once(&buf)?;
        start += sent as u64;
        if sent == buf.len() {
            piece_max = (2 * piece_max).min(PIECE_BYTES_MAX);
            turn_bytes += sent;
            if turn_bytes >= TURN_BYTES_MAX {
                turn_bytes = 0;
                task::yield_now().await;
            }
            continue;
        }
        turn_bytes = 0;
        piece_max = sent
            .next_power_of_two()
            .clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX);
        let rest = &buf[sent..];
        let rest = Bytes::copy_from_slice(&rest[..rest.len().min(PIECE_BYTES_MIN)]);
        buf = Vec::new();
        start += rest.len() as u64;
        out.write(rest).await?;
    }
    Ok(())
}

/// Lets the kernel send the start of `range`, if the page cache has it, and returns how much went.
/// Once the kernel cannot, it is not asked again.
fn send_directly(
    out: &mut BodyWriter,
    file: &File,
    range: Range<u64>,
    is_direct: &mut bool,
) -> io::Result<Option<usize>> {
    let left = range.end - range.start;
    let len = usize::try_from(left).map_or(TURN_BYTES_MAX, |left| left.min(TURN_BYTES_MAX));
    let fd = file.as_raw_fd();
    let mut probes = (0..len).step_by(PROBE_BYTES).chain([len - 1]);
    if !*is_direct || !probes.all(|at| sys::is_in_memory(fd, range.start + at as u64)) {
        return Ok(None);
    }
    match out.send_file_at_once(fd, range.start, len) {
        Ok(sent) => Ok(Some(sent)),
        Err(error) => match error.kind() {
            io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput => {
                *is_direct = false;
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

/// Reads the start of `range` into `buf`, at most `bytes_max` of it and at least a byte.
async fn read(
    file: &File,
    buf: Vec<u8>,
    range: Range<u64>,
    bytes_max: usize,
) -> io::Result<Vec<u8>> {
    let left = range.end - range.start;
    let size = usize::try_from(left).map_or(bytes_max, |left| left.min(bytes_max));
    if size == 0 {
        return Ok(buf);
    }
    let mut buf = if buf.capacity() == size {
        buf
    } else {
        Vec::with_capacity(size)
    };
    buf.clear();
    let (count, mut buf) = file.read_at(buf, range.start).await?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    // A vector may have more room than it was asked for.
    buf.truncate(size);
    Ok(buf)
}
