//! The routes of the service and of its operation.

use std::time::Duration;

use annulus::http::{CachePolicy, Compression, Files, Router, health, layers, metrics};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// The routes of the service. The first layer is the outermost.
pub(crate) fn service(settings: &crate::settings::Settings) -> Router {
    let api = Router::new()
        .get("/notes", crate::notes::list)
        .post("/notes", crate::notes::add)
        .get("/notes/{number}", crate::notes::find)
        .delete("/notes/{number}", crate::notes::remove)
        .layer(layers::BodyLimit::new(64 * 1024))
        .layer(layers::BearerAuth::new().token(&settings.token));
    let careful = layers::SecurityFields::new()
        .content_policy("default-src 'self'")
        .https_only(YEAR);
    Router::new()
        .nest("/api", api)
        .files("/", Files::new(&settings.pages).cache(CachePolicy::by_name))
        .layer(layers::RequestIds::new())
        .layer(careful)
        .layer(layers::ErrorBodies::problem())
        .layer(Compression::new())
        .layer(layers::ConcurrencyLimit::new(512).queue(128))
        .layer(layers::Timeout::new(Duration::from_secs(10)))
}

/// The routes of its operation, for an address that is not public.
pub(crate) fn operation() -> Router {
    Router::new()
        .get("/metrics", metrics)
        .get("/livez", health::live)
        .get("/readyz", health::Readiness::new().handler())
}
