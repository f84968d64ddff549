//! A page `/metrics` for Prometheus: counts of requests by route and status, and the runtimes' own.
//!
//! ```text
//! cargo run --bin metrics          # then, elsewhere: curl http://127.0.0.1:8080/metrics
//! ```
//!
//! A port may be given as the argument. Ctrl-c ends it.

use std::{thread, time::Duration};

use annulus::{
    http::{self, Handler, Request, Response, Router, Server},
    signal, time,
};
use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// A handler that counts its requests and their times.
fn measured(route: &'static str, inner: impl Handler) -> impl Handler {
    async move |request: Request| -> Response {
        let method = request.method().to_string();
        let start = time::now();
        let response = inner.handle(request).await;
        let status = response.status().as_str().to_owned();
        let labels = [
            ("method", method),
            ("route", route.to_owned()),
            ("status", status),
        ];
        counter!("http_requests_total", &labels).increment(1);
        histogram!("http_request_seconds", "route" => route).record(time::now() - start);
        response
    }
}

/// Sets the gauges of this thread's runtime. Each worker has one, by the name of its thread.
fn tell_stats() {
    let stats = annulus::stats();
    let worker = thread::current().name().unwrap_or("main").to_owned();
    for (name, value) in [
        ("annulus_enters", stats.driver.enters),
        ("annulus_completions", stats.driver.completions),
        ("annulus_operations_in_flight", stats.driver.in_flight),
        ("annulus_tasks_spawned", stats.tasks.spawned),
        ("annulus_task_panics", stats.tasks.panicked),
        ("annulus_timers_fired", stats.timers_fired),
        ("annulus_buffers_exhausted", stats.buffers_exhausted),
    ] {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a gauge is a floating-point number"
        )]
        gauge!(name, "worker" => worker.clone()).set(value as f64);
    }
}

/// The exporter's text. It takes no listener of the exporter's own, and so no runtime of tokio.
async fn page(handle: &PrometheusHandle) -> Response {
    tell_stats();
    handle.run_upkeep();
    let text = http::HeaderValue::from_static("text/plain; version=0.0.4");
    Response::bytes(handle.render()).with_field(http::header::CONTENT_TYPE, text)
}

async fn hello(request: Request) -> http::Result<String> {
    Ok(format!("Hello, {}!\n", request.param_str("name")?))
}

fn main() -> std::io::Result<()> {
    let recorder = PrometheusBuilder::new().install_recorder();
    let handle = recorder.map_err(std::io::Error::other)?;
    let port = std::env::args().nth(1).unwrap_or("8080".into());
    Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .on_listening(|addr| println!("listening on {addr}"))
        // Bytes that never reach a handler have a reason and no route.
        .access_log(|access| {
            counter!("http_sent_bytes_total").increment(access.sent);
            if let Some(reason) = access.reason {
                counter!("http_ended_total", "reason" => reason.as_str()).increment(1);
            }
        })
        // `/metrics` is answered by one worker, and reads the gauges that the others have set.
        .background_each(async |job| {
            loop {
                tell_stats();
                if time::timeout(Duration::from_secs(1), job.stopping())
                    .await
                    .is_ok()
                {
                    return;
                }
            }
        })
        .shutdown_on(signal::ctrl_c(), Duration::from_secs(10))
        .run_each(move || {
            let handle = handle.clone();
            Router::new()
                .get("/hello/{name}", measured("/hello/{name}", hello))
                .get("/metrics", async move |_: Request| page(&handle).await)
        })
        .map(drop)
}
