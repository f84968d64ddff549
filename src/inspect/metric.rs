//! Metrics of other parts of the crate, which tell them when a page is written.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll},
};

use crate::{sys::PerProcess, unwind::lock};

/// The kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

/// A metric with its samples.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    /// The names of labels with their values, and the value.
    pub(crate) samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

/// The families of a source, as soon as it has them.
pub(crate) type Telling = Pin<Box<dyn Future<Output = Vec<Family>> + Send>>;

/// A part of the crate with metrics of its own.
pub(crate) trait Source: Send + Sync {
    /// Asks for them. The future may wait for other threads.
    fn tell(self: Arc<Self>) -> Telling;
}

static SOURCES: PerProcess<Mutex<Vec<Weak<dyn Source>>>> = PerProcess::new(Mutex::new(Vec::new()));

/// Has pages tell of `source`, for as long as that is kept elsewhere.
pub(crate) fn add_source(source: Weak<dyn Source>) {
    let mut sources = lock(SOURCES.of_this_process());
    sources.retain(|source| source.strong_count() > 0);
    sources.push(source);
}

/// The families of all sources. As a future it is ready when all have told theirs.
pub(super) struct Gathering {
    telling: Vec<Telling>,
    families: Vec<Family>,
}

impl Gathering {
    pub(super) fn begin() -> Self {
        let sources = lock(SOURCES.of_this_process()).clone();
        let sources = sources.into_iter().filter_map(|source| source.upgrade());
        Self {
            telling: sources.map(Source::tell).collect(),
            families: Vec::new(),
        }
    }

    /// The families that have come. Those of one name are one, and samples with the same labels are
    /// summed: they are of two servers at one address.
    pub(super) fn families(self) -> Vec<Family> {
        let mut merged: Vec<Family> = Vec::new();
        for mut family in self.families {
            let samples = mem::take(&mut family.samples);
            let place = merged.iter().position(|known| known.name == family.name);
            let place = place.unwrap_or(merged.len());
            if place == merged.len() {
                merged.push(family);
            }
            let known = &mut merged[place].samples;
            for (labels, value) in samples {
                match known.iter_mut().find(|(same, _)| *same == labels) {
                    Some((_, sum)) => *sum += value,
                    None => known.push((labels, value)),
                }
            }
        }
        merged
    }
}

impl Future for Gathering {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        for mut telling in mem::take(&mut self.telling) {
            match telling.as_mut().poll(context) {
                Poll::Ready(families) => self.families.extend(families),
                Poll::Pending => self.telling.push(telling),
            }
        }
        if self.telling.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl fmt::Debug for Gathering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathering").finish_non_exhaustive()
    }
}
