//! The span of a task.
//!
//! It has no parent. It follows from the span that was current where the task was spawned: a task
//! may go on after the code that spawned it, and a subscriber closes a span when the last of its
//! children has ended. As a child, a task that outlives its request would keep the request's span
//! open, and what a span measures would be wrong.

use std::{any::Any, panic::Location};

use tracing::{Span, debug_span, error};

use super::{header::State, raw::Name};
use crate::{
    trace::{Subject, Traced},
    unwind::message,
};

/// The span of a task, in a box since most programs ask for none.
pub(super) struct TaskSpan(Option<Box<Span>>);

/// The future of a task, with a span around it if a subscriber wants one. The runtime's own tasks
/// have none.
#[inline]
pub(super) fn traced<F>(
    future: F,
    name: Option<&Name>,
    state: State,
    location: &'static Location<'static>,
) -> Traced<TaskSpan, F> {
    let span = if state.has(State::SYSTEM) || state.has(State::HIDDEN) {
        None
    } else {
        new_span(name, location)
    };
    Traced::new(TaskSpan(span), future)
}

fn new_span(name: Option<&Name>, location: &'static Location<'static>) -> Option<Box<Span>> {
    let span = debug_span!(
        target: "annulus::task",
        parent: None,
        "task",
        task.name = name.map(|name| &**name),
        code.file.path = location.file(),
        code.line.number = location.line(),
    );
    if span.is_disabled() {
        return None;
    }
    span.follows_from(Span::current());
    Some(Box::new(span))
}

impl Subject for TaskSpan {
    #[inline]
    fn span(&self) -> Option<&Span> {
        self.0.as_deref()
    }

    fn tell_panic(&self, payload: &(dyn Any + Send)) {
        let location = super::location();
        error!(
            target: "annulus::task",
            {
                task.name = super::name().as_deref(),
                code.file.path = location.map(Location::file),
                code.line.number = location.map(Location::line),
                exception.message = message(payload),
            },
            "a task panicked"
        );
    }
}
