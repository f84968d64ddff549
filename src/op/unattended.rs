//! Operations that no future awaits.

use super::Op;
use crate::{
    driver::{Abandoned, Driver},
    sys::Completion,
};

/// Keeps an operation from its submission to its final completion, in a box that may be used again.
pub(crate) trait Unattended: 'static {
    type Op: Op;

    /// The operation, which stays where it is until [`finish`](Self::finish).
    fn op(&mut self) -> &mut Self::Op;

    /// Takes the operation's completion. The driver is not borrowed.
    fn finish(self: Box<Self>, completion: Completion);
}

impl<U: Unattended> Abandoned for U {
    fn part(&mut self, _completion: Completion) {}

    fn finish(self: Box<Self>, completion: Completion) {
        Unattended::finish(self, completion);
    }
}

/// Pushes an operation's entry. Where that fails, the operation is finished with the error.
///
/// It is for the ring only, and for operations that it supports.
#[inline]
pub(crate) fn submit_unattended<U: Unattended>(driver: &Driver, mut unattended: Box<U>) {
    let entry = unattended.op().entry();
    // SAFETY: `Op`'s contract: what the entry points to is the operation's, which the driver keeps
    // with the box, and no code has access to, until `finish`.
    unsafe { driver.submit_unattended(entry, unattended) };
}
