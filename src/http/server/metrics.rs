//! The page for Prometheus: its handler, and a server's part of it.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    listening::Listening,
    message::{Request, Response},
    phase::Phase,
    report::Report,
    worker::{control::Control, counts::Counts},
};
use crate::{
    http::{HeaderValue, header},
    inspect::{self, Family, Kind, Source, Telling},
};

/// How long a thread may take to answer before the page goes out without it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers with the counts of all runtimes and servers of the process, as a page for Prometheus in
/// its text format 0.0.4. It is a handler:
///
/// ```no_run
/// use annulus::http::{Response, Router, Server, metrics};
///
/// # fn main() -> std::io::Result<()> {
/// let router = || {
///     Router::new()
///         .get("/", async |_| Response::text("hello"))
///         .get("/metrics", metrics)
/// };
/// Server::new().listen("127.0.0.1:8080").run_each(router)?;
/// # Ok(())
/// # }
/// ```
///
/// Whichever worker answers, the page has all of them: each gives its counts between two polls. One
/// that is stuck is left out after a second, and `annulus_runtime_up` is 0 for it. The label
/// `thread` is the name of the thread, and `server` the first address that the server listens at.
/// `RuntimeBuilder::measure` adds the times of polls and sleeps, and operations by their kind. The
/// page [`observability`](crate::docs::observability) lists the metrics.
///
/// The page tells what the process does to all that may ask for it. So a public server has it on an
/// address of its own, or asks for a password.
pub async fn metrics(_request: Request) -> Response {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    let page = inspect::metrics(PATIENCE).await;
    Response::bytes(page).with_field(header::CONTENT_TYPE, kind)
}

/// Has the pages tell of a server, which listens so, until it has ended.
pub(super) fn announce(control: &Arc<Control>, listening: &[Listening]) {
    static SERVERS: AtomicUsize = AtomicUsize::new(0);
    let number = SERVERS.fetch_add(1, Ordering::Relaxed);
    let address = listening.iter().find_map(Listening::local_addr);
    let label = address.map_or_else(|| format!("server {number}"), |addr| addr.to_string());
    // A server listens once.
    let _ = control.label.set(label);
    let source: Weak<Control> = Arc::downgrade(control);
    inspect::add_source(source);
}

type Count = (&'static str, &'static str, fn(&Report) -> u64);

const COUNTS: &[Count] = &[
    (
        "annulus_http_connections_accepted_total",
        "Connections that were accepted.",
        |report| report.accepted,
    ),
    (
        "annulus_http_requests_total",
        "Requests that were answered.",
        |report| report.answered,
    ),
    (
        "annulus_http_clients_left_total",
        "Requests whose client left before it had its answer.",
        |report| report.left,
    ),
    (
        "annulus_http_connections_evicted_total",
        "Idle connections that were closed to make room for others.",
        |report| report.evicted,
    ),
    (
        "annulus_http_connections_timed_out_total",
        "Idle connections that were closed because nothing came for too long.",
        |report| report.timed_out,
    ),
    (
        "annulus_http_accept_pauses_total",
        "Times that accepting paused because every connection was busy.",
        |report| report.pauses,
    ),
    (
        "annulus_http_accepts_failed_total",
        "Accepts that failed because descriptors or memory had run out.",
        |report| report.exhausted,
    ),
    (
        "annulus_http_jobs_panicked_total",
        "Background jobs that panicked.",
        |report| report.jobs_panicked,
    ),
];

impl Source for Control {
    fn tell(self: Arc<Self>) -> Telling {
        let asked = self.ask_counts();
        Box::pin(async move {
            let label = self.label.get().map_or("", |label| &**label);
            families(label, &asked.await)
        })
    }
}

fn families(server: &str, all: &[Counts]) -> Vec<Family> {
    let labels = |counts: &Counts| {
        vec![
            ("server", server.to_owned()),
            ("thread", counts.thread.clone()),
        ]
    };
    let with = |counts: &Counts, name: &'static str, value: String| {
        let mut labels = labels(counts);
        labels.push((name, value));
        labels
    };
    let mut families: Vec<Family> = Vec::new();
    families.push(Family {
        name: "annulus_http_connections",
        help: "Connections by their phase.",
        kind: Kind::Gauge,
        samples: all
            .iter()
            .flat_map(|counts| {
                let phases = Phase::ALL.iter().zip(counts.connections);
                phases
                    .map(|(phase, count)| (with(counts, "phase", phase.to_string()), count as f64))
            })
            .collect(),
    });
    families.extend(COUNTS.iter().map(|(name, help, count)| {
        Family {
            name,
            help,
            kind: Kind::Counter,
            samples: all
                .iter()
                .map(|counts| (labels(counts), count(&counts.report) as f64))
                .collect(),
        }
    }));
    families.push(Family {
        name: "annulus_http_refusals_total",
        help: "Requests that were refused, and answers that failed, by the reason.",
        kind: Kind::Counter,
        samples: all
            .iter()
            .flat_map(|counts| {
                let refusals = counts.report.refusals().iter();
                refusals.map(|(reason, count)| {
                    let reason = reason.as_str().to_owned();
                    (with(counts, "reason", reason), *count as f64)
                })
            })
            .collect(),
    });
    families
}
