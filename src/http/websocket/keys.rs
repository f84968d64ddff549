//! The keys by which a client masks its frames (RFC 6455, section 5.3).

use std::{
    cell::Cell,
    hash::{BuildHasher as _, RandomState},
};

/// Keys that a peer cannot guess: the numbers from zero on, hashed with a random key of the
/// system's.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    state: RandomState,
    count: Cell<u64>,
}

impl Keys {
    fn number(&self) -> u64 {
        let count = self.count.get();
        self.count.set(count + 1);
        self.state.hash_one(count)
    }

    pub(super) fn frame_key(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.number().to_ne_bytes();
        [a, b, c, d]
    }

    /// The random bytes of a handshake.
    pub(crate) fn handshake_key(&self) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.number().to_ne_bytes());
        key[8..].copy_from_slice(&self.number().to_ne_bytes());
        key
    }
}
