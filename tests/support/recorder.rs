//! A subscriber that remembers everything, and checks that spans are entered, left and closed in
//! order.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use annulus::{DriverKind, Runtime};
use tracing::{
    Event, Id, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Record},
};
use tracing_core::{Interest, span::Current};

type Fields = BTreeMap<String, String>;

/// The facts about a span that were seen.
#[derive(Clone)]
pub(crate) struct SeenSpan {
    pub(crate) id: u64,
    pub(crate) metadata: &'static Metadata<'static>,
    pub(crate) parent: Option<u64>,
    pub(crate) follows: Vec<u64>,
    pub(crate) fields: Fields,
    pub(crate) enters: usize,
    references: usize,
    pub(crate) closes: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct SeenEvent {
    pub(crate) level: Level,
    pub(crate) message: String,
    pub(crate) span: Option<u64>,
    pub(crate) fields: Fields,
}

#[derive(Default)]
struct Seen {
    spans: Vec<SeenSpan>,
    events: Vec<SeenEvent>,
    /// The spans that are entered, innermost last.
    stack: Vec<u64>,
}

/// Remembers what the code inside of `on` tells.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Seen>>);

impl Recorder {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(|error| error.into_inner())
    }

    /// The spans with this name, in the order in which they began.
    pub(crate) fn spans(&self, name: &str) -> Vec<SeenSpan> {
        let seen = self.seen();
        let spans = seen.spans.iter();
        spans
            .filter(|span| span.metadata.name() == name)
            .cloned()
            .collect()
    }

    /// The only span with this name.
    #[track_caller]
    pub(crate) fn span(&self, name: &str) -> SeenSpan {
        let mut spans = self.spans(name);
        let fields: Vec<_> = spans.iter().map(|span| &span.fields).collect();
        assert_eq!(spans.len(), 1, "{name}: {fields:?}");
        spans.remove(0)
    }

    /// The only event with this message.
    #[track_caller]
    pub(crate) fn event(&self, message: &str) -> SeenEvent {
        let seen = self.seen();
        let events = seen.events.iter();
        let found: Vec<_> = events.filter(|event| event.message == message).collect();
        assert_eq!(found.len(), 1, "{message}: {:?}", seen.events);
        found[0].clone()
    }

    /// How many events have this message.
    pub(crate) fn count(&self, message: &str) -> usize {
        let seen = self.seen();
        let events = seen.events.iter();
        events.filter(|event| event.message == message).count()
    }

    /// Each span was closed once, and none is entered.
    fn check_closed(&self) {
        let seen = self.seen();
        assert!(seen.stack.is_empty(), "{:?}", seen.stack);
        for span in &seen.spans {
            assert_eq!(span.closes, 1, "{} {:?}", span.metadata.name(), span.fields);
        }
    }
}

impl SeenSpan {
    /// The text of a field, or nothing.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// The subscriber of all tests that have none of their own: it wants nothing, now.
///
/// A call site that is met for the first time while no subscriber is there is noted as wanted by
/// none, also when another thread sets one at that moment.
struct NothingNow;

impl Subscriber for NothingNow {
    fn register_callsite(&self, _metadata: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _attributes: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, _event: &Event<'_>) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// Runs `test` on the ring, where there is one, and on epoll. Its spans are all closed in the end.
pub(crate) fn on_each_driver(test: impl AsyncFn(&Recorder)) {
    // The first test sets it.
    let _ = tracing::subscriber::set_global_default(NothingNow);
    tracing_core::callsite::rebuild_interest_cache();
    for driver in [DriverKind::Auto, DriverKind::Poll] {
        let recorder = Recorder::default();
        tracing::subscriber::with_default(recorder.clone(), || {
            let runtime = Runtime::builder().driver(driver).build().unwrap();
            runtime.block_on(test(&recorder));
        });
        recorder.check_closed();
    }
}

struct Reader<'a>(&'a mut Fields);

impl Visit for Reader<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.0.insert(field.name().to_owned(), text);
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("annulus") || metadata.target() == "test"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut seen = self.seen();
        let parent = match attributes.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if attributes.is_contextual() => seen.stack.last().copied(),
            None => None,
        };
        let id = seen.spans.len() as u64 + 1;
        let mut fields = Fields::new();
        attributes.record(&mut Reader(&mut fields));
        seen.spans.push(SeenSpan {
            id,
            metadata: attributes.metadata(),
            parent,
            follows: Vec::new(),
            fields,
            enters: 0,
            references: 1,
            closes: 0,
        });
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let span = &mut self.seen().spans[span.into_u64() as usize - 1];
        assert_eq!(span.closes, 0, "a closed span is recorded");
        values.record(&mut Reader(&mut span.fields));
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        let span = &mut self.seen().spans[span.into_u64() as usize - 1];
        span.follows.push(follows.into_u64());
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Reader(&mut fields));
        let mut seen = self.seen();
        let span = match event.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if event.is_contextual() => seen.stack.last().copied(),
            None => None,
        };
        seen.events.push(SeenEvent {
            level: *event.metadata().level(),
            message: fields.remove("message").unwrap_or_default(),
            span,
            fields,
        });
    }

    fn enter(&self, span: &Id) {
        let mut seen = self.seen();
        let id = span.into_u64();
        let entered = &mut seen.spans[id as usize - 1];
        assert_eq!(entered.closes, 0, "a closed span is entered");
        entered.enters += 1;
        seen.stack.push(id);
    }

    fn exit(&self, span: &Id) {
        let last = self.seen().stack.pop();
        assert_eq!(last, Some(span.into_u64()), "the innermost span is left");
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.seen().spans[span.into_u64() as usize - 1].references += 1;
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let span = &mut self.seen().spans[span.into_u64() as usize - 1];
        span.references -= 1;
        let is_last = span.references == 0;
        span.closes += usize::from(is_last);
        is_last
    }

    fn current_span(&self) -> Current {
        let seen = self.seen();
        match seen.stack.last() {
            Some(id) => {
                let metadata = seen.spans[*id as usize - 1].metadata;
                Current::new(Id::from_u64(*id), metadata)
            }
            None => Current::none(),
        }
    }
}
