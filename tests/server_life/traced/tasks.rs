//! The spans of tasks.

use std::{future::pending, time::Duration};

use annulus::{
    future::race,
    spawn,
    task::{self, yield_now},
    time::sleep,
};
use futures_util::FutureExt as _;
use tracing::{Instrument as _, Level, info_span};

use super::{Told, reach};
use crate::support::recorder::on_each_driver;

#[test]
fn a_task_has_a_span_that_is_current_at_each_poll() {
    on_each_driver(async |seen| {
        let line = line!() + 1;
        let named = task::Builder::new().name("walker").spawn(async {
            reach!("first poll");
            yield_now().await;
            reach!("second poll");
        });
        named.await.unwrap();
        reach!("outside");
        let span = seen.span("task");
        assert_eq!((span.parent, span.field("task.name")), (None, "walker"));
        assert!(span.field("code.file.path").ends_with("traced/tasks.rs"));
        assert_eq!(span.field("code.line.number"), line.to_string());
        assert_eq!(*span.metadata.level(), Level::DEBUG);
        for place in ["first poll", "second poll"] {
            assert_eq!(seen.event(place).span, Some(span.id), "{place}");
        }
        assert_eq!(seen.event("outside").span, None);
        // Two polls, and the drop of its future.
        assert_eq!((span.enters, span.closes), (3, 1));
    });
}

#[test]
fn a_task_follows_from_the_span_that_spawned_it_and_keeps_it_not_open() {
    on_each_driver(async |seen| {
        let outer = info_span!(target: "test", "outer");
        let id = outer.id().map(|id| id.into_u64());
        let child = outer.in_scope(|| spawn(pending::<()>()));
        drop(outer);
        yield_now().await;
        assert_eq!(seen.span("outer").closes, 1);
        let span = seen.span("task");
        assert_eq!((span.parent, span.closes), (None, 0));
        assert_eq!(span.follows.first().copied(), id);
        child.abort();
        assert!(child.await.is_err());

        // Which span is the parent of its lines is said by `instrument`, as without the feature.
        let outer = info_span!(target: "test", "instrumented");
        let task = spawn(async { reach!("in both") }.instrument(outer));
        task.await.unwrap();
        let expected = seen.span("instrumented").id;
        assert_eq!(seen.event("in both").span, Some(expected));
    });
}

#[test]
fn each_end_of_a_task_closes_its_span_once() {
    on_each_driver(async |seen| {
        // Before its first poll, and at an await: what is dropped is dropped in the span.
        let hold = async || {
            let _told = Told;
            pending::<()>().await;
        };
        let early = spawn(pending::<()>());
        early.abort();
        assert!(early.await.unwrap_err().is_cancelled());
        let late = spawn(hold());
        yield_now().await;
        late.abort();
        assert!(late.await.unwrap_err().is_cancelled());
        let spans = seen.spans("task");
        assert_eq!(seen.event("dropped").span, Some(spans[1].id));
        assert!(spans.iter().all(|span| span.closes == 1));

        let failed = spawn(async {
            sleep(Duration::from_millis(1)).await;
            panic!("at {}", "last");
        });
        assert!(failed.await.unwrap_err().is_panic());
        let event = seen.event("a task panicked");
        let span = &seen.spans("task")[2];
        assert_eq!((event.level, event.span), (Level::ERROR, Some(span.id)));
        assert_eq!(event.fields["exception.message"], "at last");
        assert_eq!(span.closes, 1);

        // Handles and wakers that outlive a task do not keep its span.
        let handle = spawn(async {}).abort_handle();
        yield_now().await;
        assert_eq!(seen.spans("task")[3].closes, 1);
        drop(handle);
        // The end of the runtime drops this one.
        drop(spawn(hold()));
    });
}

#[test]
fn a_branch_that_is_not_taken_leaves_the_span_as_it_was() {
    on_each_driver(async |seen| {
        let task = spawn(async {
            let slow = async {
                let _told = Told;
                pending::<()>().await;
            };
            futures_util::select! {
                () = slow.fuse() => unreachable!(),
                () = sleep(Duration::from_millis(1)).fuse() => reach!("in select"),
            }
            race(pending::<()>(), yield_now()).await;
            reach!("after race");
        });
        task.await.unwrap();
        let span = seen.span("task");
        for place in ["in select", "dropped", "after race"] {
            assert_eq!(seen.event(place).span, Some(span.id), "{place}");
        }
        assert_eq!(span.closes, 1);
    });
}
