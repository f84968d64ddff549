//! The encoders of a thread, which are used again.

use std::{
    cell::{Cell, RefCell},
    fmt, io,
};

use super::{Encode, brotli::brotli, gzip::gzip, zstd};
use crate::http::representation::Coding;

/// Encoders that a thread keeps while they are not used.
const SPARES_MAX: usize = 4;

/// The kind of an encoder: its coding and its level.
type Kind = (Coding, u32);

thread_local! {
    static SPARES: RefCell<Vec<(Kind, Box<dyn Encode>)>> = const { RefCell::new(Vec::new()) };
    /// Encoders of this thread that are lent.
    static LENT: Cell<usize> = const { Cell::new(0) };
}

/// An encoder of this thread's, which goes back when it is dropped.
pub(crate) struct Lent {
    kind: Kind,
    /// None while it goes back.
    encoder: Option<Box<dyn Encode>>,
    /// Whether it was dropped after its end, or may have half a content.
    is_used: bool,
}

impl Lent {
    /// An encoder of a coding at a level; none when there is no such coding, or `lent_max` are lent
    /// already.
    pub(crate) fn new(coding: Coding, level: u32, lent_max: usize) -> Option<Self> {
        if LENT.get() >= lent_max {
            return None;
        }
        let kind = (coding, level);
        let spare = SPARES.with_borrow_mut(|spares| {
            let index = spares.iter().position(|(known, _)| *known == kind)?;
            Some(spares.swap_remove(index).1)
        });
        let encoder = match spare {
            Some(encoder) => encoder,
            None => match coding {
                Coding::Gzip => gzip(level),
                Coding::Brotli => brotli(level),
                Coding::Zstd => zstd(level)?,
            },
        };
        LENT.set(LENT.get() + 1);
        Some(Self {
            kind,
            encoder: Some(encoder),
            is_used: false,
        })
    }

    fn encoder(&mut self) -> &mut dyn Encode {
        self.is_used = true;
        &mut **self
            .encoder
            .as_mut()
            .expect("it goes back by its drop alone")
    }

    /// Takes `data`, and appends what is ready to `out`.
    pub(crate) fn write(&mut self, data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.encoder().write(data, out)
    }

    /// Appends all that was taken, so that a client can decode it.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.encoder().flush(out)
    }

    /// Appends the rest and the end.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.encoder().finish(out)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A thread that ends may have dropped its values.
        let _ = LENT.try_with(|lent| lent.set(lent.get() - 1));
        let Some(mut encoder) = self.encoder.take() else {
            return;
        };
        if !self.is_used || encoder.reset() {
            let _ = SPARES.try_with(|spares| {
                let mut spares = spares.borrow_mut();
                if spares.len() < SPARES_MAX {
                    spares.push((self.kind, encoder));
                }
            });
        }
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
