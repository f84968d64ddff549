//! Masks of payloads (RFC 6455, section 5.3).

/// Masks `bytes` with `key`, or unmasks them, which is the same. The first byte meets the key's
/// first one.
///
/// Eight bytes are taken at a time, which the compiler turns into the vectors of the machine.
#[inline]
pub(crate) fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let half = u32::from_ne_bytes(key);
    let keys = u64::from(half) << 32 | u64::from(half);
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        let masked = word_of(word) ^ keys;
        word.copy_from_slice(&masked.to_ne_bytes());
    }
    let rest = words.into_remainder();
    let last = match rest.split_first_chunk_mut() {
        Some((four, last)) => {
            *four = (u32::from_ne_bytes(*four) ^ half).to_ne_bytes();
            last
        }
        None => rest,
    };
    for (byte, key) in last.iter_mut().zip(key) {
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
