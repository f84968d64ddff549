//! Gives back the memory that a burst of requests has used.
//!
//! Ten thousand connections that are active at once need ten thousand exchanges, of which a few are
//! kept. The allocator keeps the memory of the others, since a connection's record or socket that
//! was made in between keeps it from the end of its heap: an idle server would stay as large as it
//! was at its busiest moment. Large bodies leave as much behind, be they of a single connection. So
//! the allocator is asked to give back what is free, a second after the burst.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use crate::{http::alarm::Alarm, time};

/// Exchanges that are kept when few run.
const KEPT_MAX: usize = 4;
/// The allocator is asked when so many exchanges were dropped: it takes a look at all memory.
const DROPPED_MIN: usize = 32;
/// So many bytes of bodies count as one more that was dropped.
const BODY_BYTES: usize = 64 * 1024;
/// After which time to look whether few run.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Looks, once a second at most, whether there are more exchanges than are needed.
#[derive(Debug, Default)]
pub(crate) struct Burst {
    /// Exchanges that were dropped and whose memory was not given back.
    dropped: usize,
    /// Bytes of bodies whose memory was not given back.
    body_bytes: usize,
    look: Alarm,
}

/// The work to do when a burst is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Over {
    /// So many exchanges may be kept.
    pub(crate) kept_max: usize,
    /// Whether it is worth to have the allocator look for what is free.
    pub(crate) gives_back: bool,
}

impl Burst {
    /// Notes that `count` exchanges, or other things that one active connection needs, were
    /// dropped.
    pub(crate) fn note_dropped(&mut self, count: usize) {
        self.dropped += count;
    }

    /// Notes that so many bytes of bodies went through memory of their own.
    pub(crate) fn note_body_bytes(&mut self, bytes: usize) {
        self.body_bytes = self.body_bytes.saturating_add(bytes);
    }

    /// Tells when a burst is over, for a worker that has so many exchanges in use and spare.
    pub(crate) fn poll_over(
        &mut self,
        running: usize,
        spare: usize,
        context: &mut Context<'_>,
    ) -> Poll<Over> {
        let dropped = self.dropped + spare.saturating_sub(KEPT_MAX) + self.body_bytes / BODY_BYTES;
        if dropped == 0 {
            return Poll::Pending;
        }
        let again = || time::now() + LOOK_INTERVAL;
        while self.look.poll_at(again, context).is_ready() {
            if running <= KEPT_MAX {
                let gives_back = dropped >= DROPPED_MIN;
                self.dropped = if gives_back { 0 } else { dropped };
                self.body_bytes = 0;
                return Poll::Ready(Over {
                    kept_max: KEPT_MAX,
                    gives_back,
                });
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[test]
    fn a_burst_is_over_when_few_run_and_is_told_once() {
        crate::run(async {
            time::pause();
            let mut burst = Burst::default();
            let over = async |burst: &mut Burst, running, spare| {
                let look = poll_fn(|context| burst.poll_over(running, spare, context));
                let over = time::timeout(LOOK_INTERVAL * 5, look).await.ok();
                over.map(|over| over.gives_back)
            };
            assert_eq!(
                over(&mut burst, 0, KEPT_MAX).await,
                None,
                "nothing was dropped"
            );
            assert_eq!(over(&mut burst, 0, KEPT_MAX + 1).await, Some(false));
            for _ in 0..DROPPED_MIN {
                burst.note_dropped(1);
            }
            assert_eq!(over(&mut burst, KEPT_MAX + 1, 0).await, None, "it goes on");
            assert_eq!(over(&mut burst, KEPT_MAX, 0).await, Some(true));
            assert_eq!(over(&mut burst, 0, 0).await, None, "it was told already");
            burst.note_body_bytes(BODY_BYTES * DROPPED_MIN);
            assert_eq!(over(&mut burst, 1, 0).await, Some(true));
            assert_eq!(over(&mut burst, 1, 0).await, None, "it was told already");
        });
    }
}
