//! Brotli (RFC 7932).

use std::io::{self, Write as _};

use ::brotli::{CompressorWriter, enc::BrotliEncoderParams};

use super::Encode;

/// The window: 256 KiB. A larger one costs memory for each stream, and helps pages little.
const WINDOW_BITS: i32 = 18;
/// The buffer of the library's writer.
const BUFFER_BYTES: usize = 4096;

struct Brotli {
    /// None after the end.
    writer: Option<CompressorWriter<Vec<u8>>>,
}

/// An encoder of `level` 0 to 11.
pub(super) fn brotli(level: u32) -> Box<dyn Encode> {
    let params = BrotliEncoderParams {
        quality: level.min(11) as i32,
        lgwin: WINDOW_BITS,
        ..BrotliEncoderParams::default()
    };
    let writer = CompressorWriter::with_params(Vec::new(), BUFFER_BYTES, &params);
    Box::new(Brotli {
        writer: Some(writer),
    })
}

impl Encode for Brotli {
    fn write(&mut self, data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let writer = self.writer.as_mut().ok_or(io::ErrorKind::WriteZero)?;
        writer.write_all(data)?;
        out.append(writer.get_mut());
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let writer = self.writer.as_mut().ok_or(io::ErrorKind::WriteZero)?;
        writer.flush()?;
        out.append(writer.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if let Some(writer) = self.writer.take() {
            out.append(&mut writer.into_inner());
        }
        Ok(())
    }

    /// The library's encoder is for one content.
    fn reset(&mut self) -> bool {
        false
    }
}
