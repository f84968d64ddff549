//! Writes bodies to files.

use std::{
    io,
    path::Path,
    pin::{Pin, pin},
};

use super::{Error, ErrorKind, Response, Result};
use crate::{
    buf::BufError,
    fs::File,
    future::{Either, race},
};

/// How much is written at once. While it is, as much is received.
const WRITE_BYTES: usize = 256 << 10;

/// A write of gathered pieces, which gives their memory back.
type Write<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<u8>>> + 'a>>;

impl Response {
    /// Writes the body to a file from `offset` on, and tells how many bytes that were. No more than
    /// half a megabyte is held in memory.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next), and those of the file.
    ///
    /// # Cancel safety
    ///
    /// What was written stays; what was received and not written is lost.
    pub async fn copy_to_at(&mut self, file: &File, offset: u64) -> Result<u64> {
        let failed = |error| {
            let text = "the body could not be written to a file";
            Error::with_source(ErrorKind::Decode(text), error)
        };
        let (mut gathered, mut spare) = (Vec::new(), Vec::new());
        let mut write: Option<Write<'_>> = None;
        let (mut at, mut is_over) = (offset, false);
        loop {
            let is_due = gathered.len() >= WRITE_BYTES || is_over;
            match &mut write {
                Some(running) if is_due => {
                    spare = running.await.map_err(failed)?;
                    write = None;
                    continue;
                }
                None if is_due && gathered.is_empty() => return Ok(at - offset),
                None if is_due => {
                    let bytes = std::mem::replace(&mut gathered, std::mem::take(&mut spare));
                    gathered.clear();
                    let start = at;
                    at += bytes.len() as u64;
                    write = Some(Box::pin(async move {
                        let write = file.write_all_at(bytes, start).await;
                        write.map_err(|error: BufError<_>| error.into())
                    }));
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
                Some(piece) => gathered.extend_from_slice(&piece),
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
    /// What was written stays.
    pub async fn copy_to(mut self, path: impl AsRef<Path>) -> Result<u64> {
        let failed = |error| {
            let text = "the file for the body could not be opened or closed";
            Error::with_source(ErrorKind::Decode(text), error)
        };
        let file = File::create(path).await.map_err(failed)?;
        let copied = self.copy_to_at(&file, 0).await?;
        file.close().await.map_err(failed)?;
        Ok(copied)
    }
}
