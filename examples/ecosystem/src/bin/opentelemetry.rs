//! Traces of requests, exported by OTLP over HTTP from the SDK's own thread.
//!
//! ```text
//! cargo run --bin opentelemetry    # then, elsewhere: curl http://127.0.0.1:8080/users/7
//! ```
//!
//! A port may be given as the argument. `OTEL_EXPORTER_OTLP_ENDPOINT` names the collector; without
//! it the program has a small one of its own, which prints what it gets. Ctrl-c ends it, and sends
//! the spans that are left.

use std::{error::Error, io, net::SocketAddr, sync::mpsc, thread, time::Duration};

use annulus::{
    http::{self, Request, Router, Server, StatusCode, client::synchronous},
    signal, time,
};
use opentelemetry::{propagation::TextMapPropagator as _, trace::TracerProvider as _};
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value,
};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use prost::Message as _;
use tracing::{instrument, level_filters::LevelFilter, subscriber::NoSubscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

/// Sends the exporter's requests by annulus's synchronous client, on the thread of the SDK that
/// calls it. No runtime of tokio is needed, and no other HTTP client.
#[derive(Debug)]
struct Exporting;

#[async_trait::async_trait]
impl HttpClient for Exporting {
    async fn send_bytes(
        &self,
        request: opentelemetry_http::Request<Bytes>,
    ) -> Result<opentelemetry_http::Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string();
        let page = synchronous::send(|client| {
            let request = client.request(parts.method, url).body(body);
            parts
                .headers
                .iter()
                .fold(request, |request, (name, value)| {
                    request.with_field(name.clone(), value.clone())
                })
        })?;
        let response = opentelemetry_http::Response::builder().status(page.status());
        Ok(response.body(page.into_bytes().into())?)
    }
}

async fn user(request: Request) -> http::Result<String> {
    Ok(name_of(request.param("id")?).await)
}

/// A span inside of the request's.
#[instrument]
async fn name_of(id: u32) -> String {
    time::sleep(Duration::from_millis(1)).await;
    format!("user {id}\n")
}

/// A collector that prints one line for each span: a stand-in for a real one.
fn collect() -> io::Result<SocketAddr> {
    let (tell, addr) = mpsc::channel();
    thread::spawn(move || {
        let server = Server::new()
            .listen("127.0.0.1:0")
            .on_listening(move |addr| tell.send(addr).expect("it is awaited below"));
        let serving = server.serve(async |mut request: Request| -> http::Result<StatusCode> {
            let body = request.take_body().bytes().await?;
            let export = ExportTraceServiceRequest::decode(&*body);
            let export = export.map_err(|_| StatusCode::BAD_REQUEST)?;
            let scopes = export
                .resource_spans
                .into_iter()
                .flat_map(|one| one.scope_spans);
            for span in scopes.flat_map(|one| one.spans) {
                let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect();
                let (trace, parent): (String, String) =
                    (hex(&span.trace_id), hex(&span.parent_span_id));
                let mut fields = span.attributes.iter();
                let route = fields.find(|field| field.key == "http.route");
                let route = route.and_then(|field| field.value.as_ref()?.value.as_ref());
                let route = match route {
                    Some(Value::StringValue(route)) => route,
                    _ => "-",
                };
                let name = span.name;
                println!("collected {name:?} route={route} trace={trace} parent={parent}");
            }
            Ok(StatusCode::OK)
        });
        // Its own requests would be exported to it for ever.
        let nothing = NoSubscriber::default();
        tracing::subscriber::with_default(nothing, || annulus::run(serving))
    });
    addr.recv().map_err(io::Error::other)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Exporting);
    if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_none() {
        exporter = exporter.with_endpoint(format!("http://{}/v1/traces", collect()?));
    }
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter.build()?)
        .with_resource(Resource::builder().with_service_name("users").build())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("users"));
    // The spans of connections are debug, and would make one trace of all requests on each.
    let registry = tracing_subscriber::registry().with(LevelFilter::INFO);
    tracing::subscriber::set_global_default(registry.with(layer))?;

    let port = std::env::args().nth(1).unwrap_or("8080".into());
    let propagator = TraceContextPropagator::new();
    Server::new()
        .listen(format!("127.0.0.1:{port}"))
        // The request's span goes under the caller's, where it has sent `traceparent`.
        .on_request_span(move |span, fields| {
            // It fails where no layer of OpenTelemetry is there: then there is nothing to tie.
            let _ = span.set_parent(propagator.extract(&HeaderExtractor(fields)));
        })
        .on_listening(|addr| println!("listening on {addr}"))
        .shutdown_on(signal::ctrl_c(), Duration::from_secs(10))
        .run_each(|| Router::new().get("/users/{id}", user))?;
    // It blocks until the last spans are sent: after the server, and on no thread of its own.
    provider.shutdown()?;
    Ok(())
}
