//! The ring's side of the driver: its own few entries, and the way it sleeps.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    DriverError, DriverKind, DriverStats, EntryKinds, Key, PollBackend, Remote, RingSize, silent,
};
use crate::sys::{Completion, Entry, Features, PollEvents, Ring, Timespec, Version, Wait, errno};

pub(super) enum Backend {
    Ring(Box<RingBackend>),
    Poll(PollBackend),
    /// The driver has been shut down.
    Closed,
}

impl Backend {
    /// Whether entries wait to be shown to the kernel.
    pub(super) fn has_staged(&self) -> bool {
        matches!(self, Self::Ring(ring) if ring.ring.has_staged())
    }

    pub(super) fn add_stats(&self, stats: &mut DriverStats) {
        match self {
            Self::Ring(ring) => {
                let counters = ring.ring.counters;
                stats.enters = counters.enters;
                stats.entries = counters.entries;
                stats.completions = counters.completions;
                stats.overflows = counters.overflows;
                stats.kinds = EntryKinds::new(ring.ring.kinds());
            }
            Self::Poll(poll) => poll.add_stats(stats),
            Self::Closed => {}
        }
    }
}

/// Entries of the driver itself have this index, which no slot has.
const INTERNAL_INDEX: u32 = u32::MAX;
/// The completion is not looked at: a cancel, or an entry that was taken back.
const IGNORED: u64 = INTERNAL_INDEX as u64;
/// The wake descriptor is readable.
const WAKE: u64 = 1 << 32 | INTERNAL_INDEX as u64;

/// The period until the next look at silent receives has ended.
const LOOK: u64 = (u32::MAX as u64) << 32 | INTERNAL_INDEX as u64;
/// The period between two looks at silent receives. Static, because the kernel reads it when it
/// takes the entry.
static LOOK_PERIOD: Timespec = Timespec {
    seconds: 0,
    nanoseconds: silent::PERIOD.as_nanos() as i64,
};

/// The user data of the n-th timeout entry.
fn timeout_user_data(number: u32) -> u64 {
    (u64::from(number % (u32::MAX - 2)) + 2) << 32 | u64::from(INTERNAL_INDEX)
}

pub(super) fn is_internal(user_data: u64) -> bool {
    user_data as u32 == INTERNAL_INDEX
}

pub(super) struct RingBackend {
    ring: Ring,
    remote: Arc<Remote>,
    /// Whether a poll of the wake descriptor is in flight.
    wake_armed: bool,
    /// That poll is multishot. It came with 5.13, and was written anew with 5.17. No call tells
    /// which one a kernel has, so this asks for what came soon after.
    wake_stays_armed: bool,
    /// Before 5.11 an enter takes no timeout, and an entry has to wake it: the number and the
    /// deadline of the one in flight.
    timeout: Option<(u32, Instant)>,
    timeout_number: u32,
    /// Invariant: boxed, so that the address in a queued timeout entry stays.
    timespec: Box<Timespec>,
    ext_arg: bool,
    look: Look,
}

/// The period until the next look at silent receives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// No period runs.
    None,
    /// A timeout entry is in flight.
    Later,
    /// The period has ended.
    Due,
}

impl RingBackend {
    #[inline]
    pub(super) fn start_look_period(&mut self) {
        if self.look == Look::None {
            let entry = Entry::timeout(&raw const LOOK_PERIOD);
            // It fails only when the ring is dead.
            if self.ring.push(entry.with_user_data(LOOK)).is_ok() {
                self.look = Look::Later;
            }
        }
    }

    /// Whether the period has ended since this was asked last.
    #[inline]
    pub(super) fn take_look_due(&mut self) -> bool {
        let is_due = self.look == Look::Due;
        if is_due {
            self.look = Look::None;
        }
        is_due
    }

    pub(super) fn push(&mut self, entry: Entry) -> io::Result<u64> {
        self.ring.push(entry)
    }

    #[inline]
    pub(super) fn give_back(&mut self) {
        self.ring.give_back();
    }

    /// Lets go of the parent's ring, in a child.
    pub(super) fn leave(self) {
        self.ring.leave();
    }

    /// As [`Ring::start_kinds`].
    pub(super) fn start_kinds(&mut self) {
        self.ring.start_kinds();
    }

    /// The entries that the kernel has not taken, and never will.
    pub(super) fn into_untaken(self) -> Vec<Entry> {
        self.ring.into_untaken()
    }

    /// Takes an entry back that the kernel has not seen.
    pub(super) fn unpush(&mut self, number: u64) -> bool {
        self.ring.unpush(number, IGNORED)
    }

    /// Pushes an entry that points to no memory and whose completion is ignored.
    pub(super) fn push_ignored(&mut self, entry: Entry) -> io::Result<()> {
        self.ring.push(entry.with_user_data(IGNORED)).map(drop)
    }

    /// Whether the kernel has completions that only an enter brings.
    pub(super) fn wants_enter(&mut self) -> bool {
        self.ring.wants_enter()
    }

    /// As [`Ring::fd`].
    pub(super) fn raw_fd(&self) -> i32 {
        self.ring.fd()
    }

    /// As [`Ring::register_eventfd`].
    pub(super) fn register_eventfd(&mut self, eventfd: i32) -> io::Result<()> {
        self.ring.register_eventfd(eventfd)
    }

    /// Whether there is something to submit or to collect.
    pub(super) fn has_more(&mut self) -> bool {
        self.ring.has_staged() || self.ring.has_completions() || self.ring.wants_enter()
    }

    pub(super) fn cancel(&mut self, key: Key) {
        // It fails only when the ring is dead, and then there is nothing left to cancel.
        let _ = self.push_ignored(Entry::cancel(key.user_data()));
    }

    /// # Safety
    ///
    /// As [`Ring::register_buffer_ring`].
    pub(super) unsafe fn register_buffer_ring(
        &mut self,
        ring_addr: *mut u8,
        entry_count: u16,
        group: u16,
    ) -> io::Result<()> {
        // SAFETY: as the caller promises.
        unsafe {
            self.ring
                .register_buffer_ring(ring_addr, entry_count, group)
        }
    }

    pub(super) fn collect(
        &mut self,
        wait: Wait,
        out: &mut Vec<(u64, Completion)>,
    ) -> io::Result<()> {
        let start = out.len();
        let here = self.ring.has_completions();
        if !here && wait != Wait::No {
            self.sleep(wait)?;
        } else if self.ring.has_staged() || (!here && self.ring.wants_enter()) {
            self.ring.enter(Wait::No, false)?;
        }
        self.ring.take_completions(out);
        for (user_data, completion) in &out[start..] {
            if !is_internal(*user_data) {
                continue;
            }
            if *user_data == WAKE {
                // One that goes on completes at each write, so that the count may stand.
                if !completion.more() {
                    self.wake_armed = false;
                    self.remote.clear_wake();
                }
            } else if *user_data == LOOK {
                self.look = Look::Due;
            } else if self
                .timeout
                .is_some_and(|(number, _)| timeout_user_data(number) == *user_data)
            {
                self.timeout = None;
            }
        }
        Ok(())
    }

    fn sleep(&mut self, wait: Wait) -> io::Result<()> {
        if !self.wake_armed {
            let fd = self.remote.wake_fd();
            let entry = if self.wake_stays_armed {
                Entry::poll_add_multishot(fd, PollEvents::READ)
            } else {
                Entry::poll_add(fd, PollEvents::READ)
            };
            self.ring.push(entry.with_user_data(WAKE))?;
            self.wake_armed = true;
        }
        match wait {
            Wait::Timeout(duration) if !self.ext_arg => {
                self.arm_timeout(duration)?;
                self.ring.enter(Wait::Completion, false)
            }
            wait => self.ring.enter(wait, false),
        }
    }

    /// Sees to it that a timeout entry completes within `duration`. One that comes earlier is left
    /// as it is: it wakes the thread for nothing, once.
    fn arm_timeout(&mut self, duration: Duration) -> io::Result<()> {
        let now = Instant::now();
        let Some(deadline) = now.checked_add(duration) else {
            return Ok(());
        };
        if let Some((number, armed)) = self.timeout {
            if armed <= deadline {
                return Ok(());
            }
            let entry = Entry::timeout_remove(timeout_user_data(number));
            self.ring.push(entry.with_user_data(IGNORED))?;
        }
        self.timeout_number = self.timeout_number.wrapping_add(1);
        // The kernel copies the time when it sees the entry, which is at the enter that follows:
        // no other timeout entry is pushed in between.
        *self.timespec = Timespec::from(duration);
        let entry = Entry::timeout(&raw const *self.timespec);
        self.ring
            .push(entry.with_user_data(timeout_user_data(self.timeout_number)))?;
        self.timeout = Some((self.timeout_number, deadline));
        Ok(())
    }
}

/// A backend that was chosen.
pub(super) struct Chosen {
    pub(super) backend: Backend,
    pub(super) features: Features,
    /// Why it is not the ring that was tried first.
    pub(super) refusal: Option<DriverError>,
}

/// Makes the backend that `kind`, the environment and the kernel agree on.
pub(super) fn choose(
    kind: DriverKind,
    size: RingSize,
    remote: &Arc<Remote>,
) -> Result<Chosen, DriverError> {
    let mask = Version::from_environment().map_err(DriverError::Environment)?;
    let kind = if kind == DriverKind::Auto {
        kind_from_environment()?
    } else {
        kind
    };
    let poll = |refusal| -> Result<Chosen, DriverError> {
        let backend = PollBackend::new(remote).map_err(DriverError::Other)?;
        Ok(Chosen {
            backend: Backend::Poll(backend),
            features: Features::none(),
            refusal,
        })
    };
    if kind == DriverKind::Poll {
        return poll(None);
    }
    match ring(size, mask, remote) {
        Ok((backend, features)) => Ok(Chosen {
            backend,
            features,
            refusal: None,
        }),
        Err(error) if kind == DriverKind::Auto && error.is_forbidden() => poll(Some(error)),
        Err(error) => Err(error),
    }
}

/// Makes a ring, as that of the kernel `mask` if there is one.
pub(super) fn ring(
    size: RingSize,
    mask: Option<Version>,
    remote: &Arc<Remote>,
) -> Result<(Backend, Features), DriverError> {
    let mut features = Features::probe().map_err(DriverError::ring)?;
    if let Some(version) = mask {
        features = features.masked(version);
    }
    let ring = Ring::new(features, size.entry_count, size.completion_count)
        .map_err(|error| DriverError::ring(error.raw_os_error().unwrap_or(errno::EINVAL)))?;
    let backend = RingBackend {
        ring,
        remote: Arc::clone(remote),
        wake_armed: false,
        wake_stays_armed: features.multishot_accept,
        timeout: None,
        timeout_number: 0,
        timespec: Box::default(),
        ext_arg: features.ext_arg,
        look: Look::None,
    };
    Ok((Backend::Ring(Box::new(backend)), features))
}

fn kind_from_environment() -> Result<DriverKind, DriverError> {
    let Some(value) = std::env::var_os("ANNULUS_DRIVER") else {
        return Ok(DriverKind::Auto);
    };
    match value.to_str() {
        Some("") => Ok(DriverKind::Auto),
        Some("ring") => Ok(DriverKind::Ring),
        Some("poll") => Ok(DriverKind::Poll),
        _ => Err(DriverError::Environment(format!(
            "expected ANNULUS_DRIVER to be ring or poll, found {value:?}"
        ))),
    }
}
