//! Kernel operations, one file each, and the future that carries one through its life.
//!
//! An operation can run in up to three ways, all told in its one file: as a ring entry, as a plain
//! system call repeated when its descriptor is ready, or as a call on a helper thread. See [`Op`].
//!
//! # To add an operation
//!
//! `fsync.rs` is the smallest whole example; it touched these places, and no other operation:
//!
//! 1. `src/sys/entry.rs`: a constant in `opcode`, its kernel in `SINCE`, and a constructor of
//!    [`Entry`] that fills the fields (`Entry::fsync`).
//! 2. `src/sys/file.rs` or `socket.rs`: the plain system call, for where there is no ring. It
//!    answers as a completion does, a count or minus the errno (`sys::sync`).
//! 3. `src/op/NAME.rs`: the struct with everything that the kernel addresses in boxes or in an
//!    [`IoBuf`](crate::buf::IoBuf), since the value moves; its `unsafe impl Op`, whose `SAFETY`
//!    comment says what the entry points to. Choose a way without the ring: [`WithoutRing::Ready`]
//!    with [`attempt`](Op::attempt) for sockets, [`WithoutRing::Thread`] for calls that block.
//!    [`complete`](Op::complete) makes the output own what the kernel handed over, so that dropping
//!    it gives everything back. `RETRIES` is false where a second try would do something twice.
//! 4. `src/op.rs`: the `mod` line and the `pub(crate) use` line.
//! 5. The caller (`src/fs/file.rs`): `InFlight::new(driver, Fsync::new(..)).await`, with `# Errors`
//!    and `# Cancel safety` in the method's docs.
//! 6. `docs/kernels.md`: the opcode in the list of those that are used. One that is newer than the
//!    oldest kernel of the ring takes the way without the ring there, too: [`InFlight`] sees to it
//!    where [`OPCODE`](Op::OPCODE) is not supported.
//! 7. Tests: `tests/api` calls it on the driver and kernel that the environment chooses,
//!    `tests/cancel` drops its future at each moment (`files.rs`), `tests/smoke` has one call.

mod abandon;
mod accept;
mod accept_multi;
mod call;
mod close;
mod connect;
mod fd;
mod fsync;
mod held;
mod in_flight;
mod open;
mod open_beneath;
mod read;
mod ready;
mod recv;
mod recv_datagrams;
mod recv_multi;
mod send;
mod send_datagram;
mod send_vectored;
mod unattended;
mod write;

use std::io;

pub(crate) use abandon::wait as abandon_wait;
pub(crate) use accept::accept_now;
pub(crate) use accept_multi::{AbandonedAccept, accept_multi, accepted};
pub(crate) use call::Call;
pub(crate) use close::Close;
pub(crate) use connect::Connect;
pub(crate) use fd::{AnyFd, Descriptor, Owner};
pub(crate) use fsync::Fsync;
pub(crate) use in_flight::InFlight;
pub(crate) use open::Open;
pub(crate) use open_beneath::OpenBeneath;
pub(crate) use read::Read;
pub(crate) use ready::Readiness;
pub(crate) use recv::{Recv, recv_into, recv_now};
pub(crate) use recv_datagrams::{recv_datagrams_now, recvmsg_multi};
pub(crate) use recv_multi::{AbandonedRecv, recv_multi, recv_one};
pub(crate) use send::{SendBytes, send_file_now, send_now, send_vectored_now, sends_at_once};
pub(crate) use send_datagram::{SendDatagram, send_to_now, send_with_header_now};
pub(crate) use send_vectored::SendVectored;
pub(crate) use unattended::{Unattended, submit_unattended};
pub(crate) use write::Write;

use crate::{
    driver::Driver,
    sys::{Entry, PollEvents, errno},
};

/// One kernel operation.
///
/// # Safety
///
/// The memory that [`Op::entry`] and [`WithoutRing::Thread`] point to lives outside the value, so
/// that the value may move. The value owns that memory and leaves it alone until [`Op::complete`].
pub(crate) unsafe trait Op: 'static {
    type Output;

    /// The entry's opcode, which the kernel may lack.
    const OPCODE: u8;

    /// Whether a result that says "interrupted" or "not now" left everything as it was, so that
    /// the operation is asked for again.
    const RETRIES: bool = true;

    /// Whether an attempt may come before a call on a helper thread, too.
    const ATTEMPTS_BEFORE_THREAD: bool = false;

    /// The ring entry. Called again when the operation goes on after a short result.
    fn entry(&mut self) -> Entry;

    /// The result of the entry after which no task has to be woken, because another event that
    /// follows on it wakes the task that waits.
    fn quiet_result(&self) -> Option<i32> {
        None
    }

    /// The way to run it where there is no entry for it.
    fn without_ring(&mut self) -> WithoutRing;

    /// The descriptor that it works on, if there is one.
    fn fd(&self) -> Option<&AnyFd>;

    /// A plain system call that cannot block, answering as a completion does: `EAGAIN` means not
    /// now.
    fn attempt(&mut self) -> i32 {
        -errno::EAGAIN
    }

    /// Whether to attempt before an entry is pushed.
    fn attempts_first(&self, _driver: &Driver) -> bool {
        false
    }

    /// Takes a result that may not be the last word: a short send goes on.
    fn progress(&mut self, result: i32) -> Progress {
        Progress::Done(result)
    }

    /// The output, which owns everything that the kernel handed over.
    fn complete(self, result: io::Result<u32>) -> Self::Output;

    /// The output of an operation that the kernel keeps for good, with all that it holds. There is
    /// none when a buffer would have to come back.
    fn left_behind(_error: io::Error) -> Option<Self::Output> {
        None
    }
}

/// How an operation runs without an entry.
pub(crate) enum WithoutRing {
    /// By attempts, each after the descriptor was found ready.
    Ready(PollEvents),
    /// On a helper thread: a closure over raw arguments, while the operation stays here.
    Thread(Box<dyn FnOnce() -> i32 + Send>),
}

/// The meaning of a result for its operation.
pub(crate) enum Progress {
    Done(i32),
    Again,
}
