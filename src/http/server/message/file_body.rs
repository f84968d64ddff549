//! The body of an answer that is a file's.
//!
//! A piece is read and sent, one after the other, and the client's pace is that of the reads. While
//! the client takes all at once the pieces grow, and are sent from where they were read; when it
//! does not, a small part of what was read waits, and the rest is read again later. So a slow
//! client costs 32 KiB and no thread, and a fast one a copy within the processor's cache.

use std::{io, ops::Range, rc::Rc};

use bytes::Bytes;

use super::body_writer::BodyWriter;
use crate::{fs::File, http::error::Result, task};

/// The first piece, and what a client that does not read makes its exchange hold.
const PIECE_BYTES_MIN: usize = 32 * 1024;
/// The pieces that a client gets which takes them at once.
const PIECE_BYTES_MAX: usize = 256 * 1024;
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
    while start < end {
        out.flush().await?;
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
