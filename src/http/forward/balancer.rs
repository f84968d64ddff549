//! The choice among several servers that can answer the same requests.

use std::{
    cell::Cell,
    fmt,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{
    http::client::{IntoUrl, Result, Url},
    time,
};

/// Failures in a row after which a backend rests.
const FAILURES_MAX: u32 = 3;
/// How long a backend rests.
const REST_TIMEOUT: Duration = Duration::from_secs(10);
/// The backends of a balancer.
const BACKENDS_MAX: usize = 64;

/// Several servers that can answer the same requests: each request goes to the one with the fewest
/// requests under way, for its weight.
///
/// Health is passive. A backend whose connections fail, or that does not answer in time, three
/// times in a row rests for ten seconds. Then one request tries it, while the others still go
/// elsewhere, and by its answer the backend is back or rests again. A status such as 503 is an
/// answer. When all backends rest they are chosen as if none did.
///
/// Each worker has a balancer of its own, as it has connections of its own: nothing is shared, and
/// a choice takes no lock. A worker learns by its own requests that a backend is down; with many
/// workers each has its failures, which [`Forward`](super::Forward) hides from clients by sending
/// requests elsewhere.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use annulus::http::forward::Balancer;
///
/// let balancer = Balancer::new()
///     .backend("http://10.0.0.1:8080")?
///     .weighted("http://10.0.0.2:8080", 3)?
///     .failures_max(5)
///     .rest(Duration::from_secs(30));
/// # Ok::<(), annulus::http::client::Error>(())
/// ```
pub struct Balancer {
    backends: Vec<Rc<Backend>>,
    /// The place at which the next choice begins, so that equals take turns.
    next: Cell<usize>,
    failures_max: u32,
    rest: Duration,
}

/// One of the servers.
pub(super) struct Backend {
    pub(super) url: Url,
    weight: u32,
    under_way: Cell<u32>,
    /// Failures in a row.
    failures: Cell<u32>,
    rests_until: Cell<Option<Instant>>,
    /// Whether a request tries it after its rest.
    is_tried: Cell<bool>,
}

/// A request that is under way to a backend.
pub(super) struct Ticket {
    backend: Rc<Backend>,
    is_trial: bool,
}

/// The backends that a request was sent to.
#[derive(Clone, Copy, Default)]
pub(super) struct Tried(u64);

impl Balancer {
    /// Makes a balancer without backends.
    #[must_use]
    pub fn new() -> Self {
        Self {
            backends: Vec::new(),
            next: Cell::new(0),
            failures_max: FAILURES_MAX,
            rest: REST_TIMEOUT,
        }
    }

    /// Adds a backend, by a URL of which scheme, host and port count.
    ///
    /// # Errors
    ///
    /// When the URL makes no sense.
    pub fn backend(self, url: impl IntoUrl) -> Result<Self> {
        self.weighted(url, 1)
    }

    /// Adds a backend that takes `weight` times as many requests as one with the weight 1.
    ///
    /// # Errors
    ///
    /// As [`backend`](Self::backend).
    ///
    /// # Panics
    ///
    /// When there are 64 backends already.
    pub fn weighted(mut self, url: impl IntoUrl, weight: u32) -> Result<Self> {
        assert!(
            self.backends.len() < BACKENDS_MAX,
            "expected at most {BACKENDS_MAX} backends"
        );
        self.backends.push(Rc::new(Backend {
            url: url.into_url()?,
            weight: weight.max(1),
            under_way: Cell::new(0),
            failures: Cell::new(0),
            rests_until: Cell::new(None),
            is_tried: Cell::new(false),
        }));
        Ok(self)
    }

    /// Sets the number of failures in a row after which a backend rests; 3 by default.
    #[must_use]
    pub fn failures_max(mut self, count: u32) -> Self {
        self.failures_max = count.max(1);
        self
    }

    /// Sets how long a backend rests; 10 seconds by default.
    #[must_use]
    pub fn rest(mut self, rest: Duration) -> Self {
        self.rest = rest;
        self
    }

    /// Chooses a backend that was not tried; none when all were.
    pub(super) fn choose(&self, tried: &mut Tried) -> Option<Ticket> {
        let mut now = None;
        let found = self.least(*tried, |backend| backend.may_be_chosen(&mut now));
        let found = found.or_else(|| self.least(*tried, |_| true))?;
        tried.0 |= 1 << found;
        self.next.set(found + 1);
        let backend = Rc::clone(&self.backends[found]);
        backend.under_way.set(backend.under_way.get() + 1);
        let is_trial = backend.rests_until.get().is_some() && !backend.is_tried.replace(true);
        Some(Ticket { backend, is_trial })
    }

    /// The index of the one with the least under way for its weight, of those that `may` allows.
    fn least(&self, tried: Tried, mut may: impl FnMut(&Backend) -> bool) -> Option<usize> {
        let count = self.backends.len();
        let turn = |step: usize| (self.next.get() + step) % count;
        let open = (0..count)
            .map(turn)
            .filter(|&index| tried.0 & (1 << index) == 0 && may(&self.backends[index]));
        open.reduce(|best, other| {
            let load = |index: usize| {
                let backend = &self.backends[index];
                (
                    u64::from(backend.under_way.get()),
                    u64::from(backend.weight),
                )
            };
            let ((best_load, best_weight), (load, weight)) = (load(best), load(other));
            // With the request that is to come.
            if (load + 1) * best_weight < (best_load + 1) * weight {
                other
            } else {
                best
            }
        })
    }

    /// Notes that the request of `ticket` was answered.
    pub(super) fn succeeded(&self, ticket: &Ticket) {
        ticket.backend.failures.set(0);
        if ticket.backend.rests_until.get().is_some() {
            ticket.backend.rests_until.set(None);
        }
    }

    /// Notes that the request of `ticket` failed by a fault of its backend.
    pub(super) fn failed(&self, ticket: &Ticket) {
        let backend = &ticket.backend;
        backend
            .failures
            .set(backend.failures.get().saturating_add(1));
        if backend.failures.get() >= self.failures_max {
            backend.rests_until.set(time::now().checked_add(self.rest));
        }
    }
}

impl Backend {
    /// Whether it takes requests: it does not rest, or its rest is over and no request tries it.
    fn may_be_chosen(&self, now: &mut Option<Instant>) -> bool {
        match self.rests_until.get() {
            None => true,
            Some(until) => {
                let now = *now.get_or_insert_with(time::now);
                until <= now && !self.is_tried.get()
            }
        }
    }
}

impl Ticket {
    pub(super) fn url(&self) -> &Url {
        &self.backend.url
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let backend = &self.backend;
        backend.under_way.set(backend.under_way.get() - 1);
        if self.is_trial {
            backend.is_tried.set(false);
        }
    }
}

impl Default for Balancer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Balancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls = self.backends.iter().map(|backend| backend.url.as_str());
        f.debug_list().entries(urls).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balancer(weights: &[u32]) -> Balancer {
        let with = |balancer: Balancer, (index, weight): (usize, &u32)| {
            balancer
                .weighted(format!("http://10.0.0.{index}:1"), *weight)
                .unwrap()
        };
        weights.iter().enumerate().fold(Balancer::new(), with)
    }

    fn choose(balancer: &Balancer) -> (Ticket, usize) {
        let ticket = balancer.choose(&mut Tried::default()).unwrap();
        let same = |backend: &Rc<Backend>| Rc::ptr_eq(backend, &ticket.backend);
        let index = balancer.backends.iter().position(same).unwrap();
        (ticket, index)
    }

    #[test]
    fn the_least_loaded_for_its_weight_is_chosen_and_equals_take_turns() {
        let equal = balancer(&[1, 1, 1]);
        let turns: Vec<usize> = (0..6).map(|_| choose(&equal).1).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
        let held: Vec<(Ticket, usize)> = (0..3).map(|_| choose(&equal)).collect();
        drop(held.into_iter().nth(1));
        let weighted = balancer(&[1, 3]);
        let held: Vec<(Ticket, usize)> = (0..8).map(|_| choose(&weighted)).collect();
        assert_eq!(held.iter().filter(|(_, index)| *index == 1).count(), 6);
    }

    #[test]
    fn a_request_tries_each_backend_once() {
        let balancer = balancer(&[1, 1]);
        let mut tried = Tried::default();
        let first = balancer.choose(&mut tried).unwrap();
        let second = balancer.choose(&mut tried).unwrap();
        assert!(first.url() != second.url());
        assert!(balancer.choose(&mut tried).is_none());
        assert!(Balancer::new().choose(&mut Tried::default()).is_none());
    }

    #[test]
    fn a_backend_rests_after_failures_in_a_row_and_one_request_tries_it() {
        crate::run(async {
            time::pause();
            let balancer = balancer(&[1, 1]).failures_max(2);
            let fail = |index: usize, count: u32| {
                for _ in 0..count {
                    let ticket = loop {
                        let (ticket, found) = choose(&balancer);
                        if found == index {
                            break ticket;
                        }
                    };
                    balancer.failed(&ticket);
                }
            };
            fail(0, 1);
            balancer.succeeded(&choose(&balancer).0);
            balancer.succeeded(&choose(&balancer).0);
            fail(0, 2);
            assert!((0..4).all(|_| choose(&balancer).1 == 1));
            time::advance(REST_TIMEOUT).await;
            let held: Vec<(Ticket, usize)> = (0..5).map(|_| choose(&balancer)).collect();
            let trials = held.iter().filter(|(_, index)| *index == 0);
            assert_eq!(trials.clone().count(), 1);
            trials.for_each(|(ticket, _)| balancer.failed(ticket));
            drop(held);
            assert!((0..4).all(|_| choose(&balancer).1 == 1));
            // With all at rest each is chosen.
            fail(1, 2);
            let turns: Vec<usize> = (0..2).map(|_| choose(&balancer).1).collect();
            assert!(turns.contains(&0) && turns.contains(&1), "{turns:?}");
            time::advance(REST_TIMEOUT).await;
            for _ in 0..2 {
                balancer.succeeded(&choose(&balancer).0);
            }
            let turns: Vec<usize> = (0..2).map(|_| choose(&balancer).1).collect();
            assert!(turns.contains(&0) && turns.contains(&1), "{turns:?}");
        });
    }
}
