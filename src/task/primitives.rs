//! The primitives that the models replace: atomics, the plain cells that the protocol guards,
//! allocation.
//!
//! Everything that takes part in the protocol of this module (see [`super`]) gets these from here,
//! so that the loom models run the code itself and not a copy of it.

#[cfg(not(loom))]
pub(super) use std::{
    alloc::{alloc, dealloc},
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicPtr, Ordering},
    },
};

#[cfg(loom)]
pub(super) use loom::{
    alloc::{alloc, dealloc},
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicPtr, Ordering},
    },
};

/// Says that no other thread uses this word any more.
#[cfg(not(loom))]
pub(super) fn end_of_sharing(_word: &mut AtomicI64) {}

/// Fails the model if another thread might still use this word.
#[cfg(loom)]
pub(super) fn end_of_sharing(word: &mut AtomicI64) {
    word.with_mut(|_| {});
}
