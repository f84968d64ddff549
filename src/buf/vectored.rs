//! Several buffers as one write.

use super::IoBuf;

/// Several buffers that one call writes one after the other.
///
/// Implemented for vectors of buffers, and for pairs and triples of different kinds.
///
/// # Safety
///
/// Each part obeys the contract of [`IoBuf`]: its address and length stay when the value moves.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a group of buffers that the kernel can read from",
    note = "give a `Vec` of owned buffers, or a pair or triple of them: `(head, body)`"
)]
pub unsafe trait IoVectored: 'static {
    /// Calls `each` with the address and length of every part, in order.
    fn for_each(&self, each: &mut dyn FnMut(*const u8, usize));

    /// The number of bytes of all parts.
    fn total_len(&self) -> usize {
        let mut total = 0;
        self.for_each(&mut |_, len| total += len);
        total
    }
}

// SAFETY: each part is an `IoBuf`, and moving the vector does not move where its parts point.
unsafe impl<B: IoBuf> IoVectored for Vec<B> {
    fn for_each(&self, each: &mut dyn FnMut(*const u8, usize)) {
        self.iter().for_each(|part| each(part.as_ptr(), part.len()));
    }
}

// SAFETY: each part is an `IoBuf`.
unsafe impl<A: IoBuf, B: IoBuf> IoVectored for (A, B) {
    fn for_each(&self, each: &mut dyn FnMut(*const u8, usize)) {
        each(self.0.as_ptr(), self.0.len());
        each(self.1.as_ptr(), self.1.len());
    }
}

// SAFETY: each part is an `IoBuf`.
unsafe impl<A: IoBuf, B: IoBuf, C: IoBuf> IoVectored for (A, B, C) {
    fn for_each(&self, each: &mut dyn FnMut(*const u8, usize)) {
        each(self.0.as_ptr(), self.0.len());
        each(self.1.as_ptr(), self.1.len());
        each(self.2.as_ptr(), self.2.len());
    }
}

/// The parts of buffers that no operation uses at the moment, without those that are empty.
pub(crate) fn slices_of<B: IoVectored>(bufs: &B) -> Vec<&[u8]> {
    let mut slices = Vec::new();
    bufs.for_each(&mut |start, len| {
        if len > 0 {
            // SAFETY: the trait's contract: `len` readable bytes at `start`, which stay as they are
            // while the buffers are borrowed.
            slices.push(unsafe { std::slice::from_raw_parts(start, len) });
        }
    });
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slices_are_the_parts_that_have_bytes() {
        let bufs = (b"head".to_vec(), "", "body");
        assert_eq!(slices_of(&bufs), [&b"head"[..], b"body"]);
    }

    #[test]
    fn the_parts_come_in_order() {
        let parts = ("head", vec![1_u8, 2], b"xyz");
        assert_eq!(parts.total_len(), 9);
        let mut lens = Vec::new();
        parts.for_each(&mut |_, len| lens.push(len));
        assert_eq!(lens, [4, 2, 3]);
    }
}
