//! Masks of payloads (RFC 6455, section 5.3).

/// Masks `bytes` with `key`, or unmasks them, which is the same. The first byte meets the key's
/// first one.
///
/// Eight bytes are taken at a time, which the compiler turns into the vectors of the machine.
#[inline]
pub(crate) fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let keys = [a, b, c, d, a, b, c, d];
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        let masked = word_of(word) ^ u64::from_ne_bytes(keys);
        word.copy_from_slice(&masked.to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(keys) {
        *byte ^= key;
    }
}

/// The key for the bytes that follow `count` masked ones.
#[inline]
pub(super) fn key_after(key: [u8; 4], count: usize) -> [u8; 4] {
    let bits = 8 * (count % 4) as u32;
    u32::from_le_bytes(key).rotate_right(bits).to_le_bytes()
}

#[inline]
fn word_of(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes.try_into().expect("a word has eight bytes"))
}
