//! A buffer while the kernel may use it.

use std::mem::MaybeUninit;

/// A value that is moved around without being looked at.
///
/// A `Box` or `&mut` in a plain field asserts to the compiler, whenever it moves, that no other
/// code writes to its memory, but the kernel may. `MaybeUninit` makes no such assertion.
pub(super) struct Held<B> {
    /// Invariant: always initialized, until `drop` or `into_inner`.
    value: MaybeUninit<B>,
}

impl<B> Held<B> {
    #[inline]
    pub(super) fn new(value: B) -> Self {
        Self {
            value: MaybeUninit::new(value),
        }
    }

    #[inline]
    pub(super) fn get(&self) -> &B {
        // SAFETY: the value is initialized.
        unsafe { self.value.assume_init_ref() }
    }

    #[inline]
    pub(super) fn get_mut(&mut self) -> &mut B {
        // SAFETY: the value is initialized.
        unsafe { self.value.assume_init_mut() }
    }

    #[inline]
    pub(super) fn into_inner(self) -> B {
        let held = std::mem::ManuallyDrop::new(self);
        // SAFETY: the value is initialized, and is not dropped where it is read from.
        unsafe { held.value.assume_init_read() }
    }
}

impl<B> Drop for Held<B> {
    fn drop(&mut self) {
        // SAFETY: the value is initialized, and this is the last use of it.
        unsafe { self.value.assume_init_drop() }
    }
}
