//! Writes bodies to files.

use std::{
    io,
    path::Path,
    pin::{Pin, pin},
};

use super::Response;
use crate::{
    fs::File,
    future::{Either, race},
    http::client::error::{Error, ErrorKind, Result},
    pool::ManagedBuf,
};

/// The bytes of one write. While they are written, as many are received.
const WRITE_BYTES: usize = 256 << 10;
/// A piece of this size is written from where it was received.
const LARGE_PIECE_BYTES: usize = 64 << 10;

/// A write, which gives back the memory of gathered pieces.
type Write<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<u8>>> + 'a>>;

/// Bytes that were received and are not being written yet.
#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// A piece that is written as it is, while nothing else is here.
    large: Option<ManagedBuf>,
}

impl Gathered {
    fn push(&mut self, piece: ManagedBuf) {
        if self.bytes.is_empty() && piece.len() >= LARGE_PIECE_BYTES && piece.is_own() {
            self.large = Some(piece);
        } else {
            self.bytes.extend_from_slice(&piece);
        }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.large.is_none()
    }

    /// Whether it is worth a write.
    fn is_much(&self) -> bool {
        self.bytes.len() >= WRITE_BYTES || self.large.is_some()
    }

    /// Writes it all at `offset`, which it moves on. The next bytes gather in `spare`.
    fn write<'a>(&mut self, file: &'a File, offset: &mut u64, spare: Vec<u8>) -> Write<'a> {
        let start = *offset;
        if let Some(piece) = self.large.take() {
            *offset += piece.len() as u64;
            return Box::pin(async move {
                file.write_all_at(piece, start).await?;
                Ok(spare)
            });
        }
        let bytes = std::mem::replace(&mut self.bytes, spare);
        *offset += bytes.len() as u64;
        Box::pin(async move {
            let mut bytes = file.write_all_at(bytes, start).await?;
            bytes.clear();
            Ok(bytes)
        })
    }
}

impl Response {
    /// Writes the body to a file from `offset` on, and returns how many bytes those were. No more
    /// than half a megabyte is held in memory.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next), and those of the file.
    ///
    /// # Cancel safety
    ///
    /// The bytes that were written stay; those that were received and not written are lost.
    pub async fn copy_to_at(&mut self, file: &File, offset: u64) -> Result<u64> {
        let url = self.url().clone();
        let failed = |error| {
            let text = "the body could not be written to a file";
            Error::with_source(ErrorKind::Decode(text), error).asking(&url)
        };
        let (mut gathered, mut spare) = (Gathered::default(), Vec::new());
        let mut write: Option<Write<'_>> = None;
        let (mut at, mut is_over) = (offset, false);
        loop {
            let is_due = gathered.is_much() || is_over;
            match &mut write {
                Some(running) if is_due => {
                    spare = running.await.map_err(failed)?;
                    write = None;
                    continue;
                }
                None if is_due && gathered.is_empty() => return Ok(at - offset),
                None if is_due => {
                    write = Some(gathered.write(file, &mut at, std::mem::take(&mut spare)));
                    continue;
                }
                _ => {}
            }
            let piece = match &mut write {
                None => self.next().await?,
                Some(running) => match race(pin!(self.next()), running).await {
                    Either::Left(piece) => piece?,
                    Either::Right(written) => {
                        spare = written.map_err(failed)?;
                        write = None;
                        continue;
                    }
                },
            };
            match piece {
                Some(piece) => gathered.push(piece),
                None => is_over = true,
            }
        }
    }

    /// Writes the body to a file, which is made if it is not there and emptied if it is.
    ///
    /// # Errors
    ///
    /// As [`copy_to_at`](Self::copy_to_at).
    ///
    /// # Cancel safety
    ///
    /// The bytes that were written stay.
    pub async fn copy_to(mut self, path: impl AsRef<Path>) -> Result<u64> {
        let url = self.url().clone();
        let failed = |error| {
            let text = "the file for the body could not be opened or closed";
            Error::with_source(ErrorKind::Decode(text), error).asking(&url)
        };
        let file = File::create(path).await.map_err(failed)?;
        let copied = self.copy_to_at(&file, 0).await?;
        file.close().await.map_err(failed)?;
        Ok(copied)
    }
}
