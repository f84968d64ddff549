//! Bytes with larger pieces between them, as one write.

use bytes::Bytes;

use super::IoVectored;

/// Bytes in one place, and larger pieces that stay where they are, each in front of one of them.
#[derive(Debug, Default)]
pub(crate) struct Interleaved {
    pub(crate) bytes: Vec<u8>,
    /// Each with how many of the bytes stand before it, in order.
    pub(crate) segments: Vec<(usize, Bytes)>,
}

impl Interleaved {
    /// The parts, in order; some may be empty.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        let pairs = self.segments.iter().flat_map(move |(at, segment)| {
            let before = &self.bytes[start..*at];
            start = *at;
            [before, &segment[..]]
        });
        let last = self.segments.last().map_or(0, |(at, _)| *at);
        pairs.chain([&self.bytes[last..]])
    }
}

// SAFETY: the parts are the vector's bytes and those of `Bytes`, none of which move with the value.
unsafe impl IoVectored for Interleaved {
    fn for_each(&self, each: &mut dyn FnMut(*const u8, usize)) {
        self.parts()
            .for_each(|part| each(part.as_ptr(), part.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_stand_where_they_were_put() {
        let segment = |at, text: &'static str| (at, Bytes::from_static(text.as_bytes()));
        let parts = Interleaved {
            bytes: b"abc".to_vec(),
            segments: vec![
                segment(0, "1"),
                segment(2, "2"),
                segment(2, "3"),
                segment(3, "4"),
            ],
        };
        assert_eq!(parts.parts().collect::<Vec<_>>().concat(), b"1ab23c4");
        assert_eq!(parts.total_len(), 7);
        assert_eq!(Interleaved::default().total_len(), 0);
    }
}
