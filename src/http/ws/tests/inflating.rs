//! Properties of every compressed payload, for tests with random ones and for the fuzzer, which
//! includes this file.

use flate2::{Decompress, FlushDecompress, Status};

use crate::http::ws::{Deflate, Deflater, FrameError, Inflater, Limits};

/// Checks everything that holds for a payload of a peer.
pub(super) fn check_inflated(payload: &[u8], limits: &Limits) {
    let mut inflater = Inflater::new();
    let inflated = inflater.inflate(payload, limits);
    assert_eq!(inflater.inflate(payload, limits), inflated, "a second time");
    if let Some(expected) = in_one_call(payload, limits) {
        assert_eq!(inflated.as_ref(), Ok(&expected), "by one call");
    }
    let bytes = match inflated {
        Ok(bytes) => bytes,
        Err(FrameError::DeflateInvalid | FrameError::MessageTooLarge) => return,
        Err(error) => panic!("{error} is no error of a compressed message"),
    };
    assert!(bytes.len() as u64 <= limits.message_bytes_max);
    let mut deflater = Deflater::new(payload.len() as u32 % 10);
    for window_bits in [8, 15] {
        if let Some(deflated) = deflater.deflate(&bytes, Deflate { window_bits }) {
            assert!(deflated.len() < bytes.len());
            let again = inflater.inflate(&deflated, limits);
            assert!(again.as_ref() == Ok(&bytes), "by a window of {window_bits}");
        }
    }
}

/// The payload for `message`, or the message where that is not larger. `number` chooses how it is
/// made.
pub(super) fn deflated(message: Vec<u8>, number: u64) -> Vec<u8> {
    let window_bits = 8 + (number % 8) as u8;
    let mut deflater = Deflater::new((number / 8 % 10) as u32);
    let deflated = deflater.deflate(&message, Deflate { window_bits });
    deflated.unwrap_or(message)
}

/// The bytes of a payload that has no last block, as a single call with all the room inflates them.
fn in_one_call(payload: &[u8], limits: &Limits) -> Option<Vec<u8>> {
    let input = [payload, &[0, 0, 0xff, 0xff]].concat();
    // One byte more shows whether there was enough.
    let mut bytes = Vec::with_capacity(usize::try_from(limits.message_bytes_max).ok()? + 1);
    let mut state = Decompress::new(false);
    let status = state.decompress_vec(&input, &mut bytes, FlushDecompress::Sync);
    let is_whole = state.total_in() == input.len() as u64 && bytes.len() < bytes.capacity();
    (matches!(status, Ok(Status::Ok)) && is_whole).then_some(bytes)
}
