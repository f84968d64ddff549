//! Futures that have a span, and the events of a runtime.

use std::{
    any::Any,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tracing::{Span, debug, info, level_filters::LevelFilter, warn};

use crate::unwind::swallow;

/// The subject of a future's span.
pub(crate) trait Subject {
    /// The span, unless no subscriber wants it.
    fn span(&self) -> Option<&Span>;

    /// Tells that the future has panicked. It is called inside of the span.
    fn tell_panic(&self, payload: &(dyn Any + Send));
}

pin_project! {
    /// A future that is polled and dropped inside of a span.
    pub(crate) struct Traced<S: Subject, F> {
        subject: S,
        // None when it is dropped.
        #[pin]
        future: Option<F>,
    }

    impl<S: Subject, F> PinnedDrop for Traced<S, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            inside(&*this.subject, || this.future.set(None));
        }
    }
}

impl<S: Subject, F> Traced<S, F> {
    pub(crate) fn new(subject: S, future: F) -> Self {
        Self {
            subject,
            future: Some(future),
        }
    }
}

impl<S: Subject, F: Future> Future for Traced<S, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let future = this.future.as_pin_mut();
        let future = future.expect("it is there until this is dropped");
        inside(&*this.subject, || future.poll(context))
    }
}

/// Runs a future's code inside of its span, and tells of its panic, which goes on.
pub(crate) fn inside<T>(subject: &impl Subject, code: impl FnOnce() -> T) -> T {
    let span = subject.span();
    // Where no subscriber takes anything, none hears of a panic either.
    if span.is_none() && LevelFilter::current() == LevelFilter::OFF {
        return code();
    }
    let _entered = span.map(Span::enter);
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(returned) => returned,
        Err(payload) => {
            swallow(|| subject.tell_panic(&*payload));
            resume_unwind(payload)
        }
    }
}

/// Tells that epoll takes the ring's place.
pub(crate) fn note_fallback(reason: &dyn fmt::Display) {
    swallow(|| warn!(target: "annulus::runtime", %reason, "epoll takes the place of io_uring"));
}

/// Tells of a new runtime, and which features of the ring this kernel does not have.
pub(crate) fn note_runtime(uses_ring: bool, missing: impl FnOnce() -> Vec<&'static str>) {
    swallow(|| {
        if uses_ring {
            let missing = missing().join(" ");
            debug!(target: "annulus::runtime", driver = "ring", missing, "a runtime begins");
        } else {
            debug!(target: "annulus::runtime", driver = "poll", "a runtime begins");
        }
    });
}

/// Tells of a thread that is stuck, or that goes on again, and of the task that it is in.
pub(crate) fn note_stall(
    thread: &str,
    duration: Duration,
    is_over: bool,
    (task, location): (Option<&str>, Option<&'static Location<'static>>),
    system_call: Option<&str>,
) {
    let seconds = duration.as_secs_f64();
    swallow(|| {
        if is_over {
            info!(
                target: "annulus::runtime",
                {
                    thread.name = thread,
                    duration = seconds,
                },
                "a thread that was stuck goes on"
            );
            return;
        }
        warn!(
            target: "annulus::runtime",
            {
                thread.name = thread,
                duration = seconds,
                task.name = task,
                code.file.path = location.map(Location::file),
                code.line.number = location.map(Location::line),
                system_call,
            },
            "a thread is stuck"
        );
    });
}
