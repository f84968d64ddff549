//! A small service on axum: JSON, state, extractors, forms, files and server-sent events.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    path::Path as FilePath,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use axum::{
    Form, Json, Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, DefaultBodyLimit, Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{
        Html, IntoResponse, Redirect, Response,
        sse::{Event, Sse},
    },
    routing::{get, post},
};
use futures_util::{Stream, StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tower_http::{
    compression::CompressionLayer, cors::CorsLayer, services::ServeDir, trace::TraceLayer,
};

/// The state that the handlers share.
#[derive(Clone, Default)]
pub struct App {
    notes: Arc<Mutex<BTreeMap<u64, Note>>>,
    /// Requests to `/held` that wait.
    held: Arc<AtomicU64>,
    /// Releases the requests to `/held`.
    pub release: Arc<Notify>,
}

impl App {
    /// Blocks until a request to `/held` waits.
    pub fn wait_for_held(&self) {
        while self.held.load(Relaxed) == 0 {
            thread::yield_now();
        }
    }
}

/// A note, as clients send it and see it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Note {
    title: String,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    from: u64,
    count: Option<usize>,
}

#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
}

/// An error of a handler, as JSON.
struct Refused(StatusCode, &'static str);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(serde_json::json!({ "error": self.1 }))).into_response()
    }
}

/// Makes the router; `files` is the folder of the static files.
pub fn router(app: App, files: &FilePath) -> Router {
    let api = Router::new()
        .route("/notes", get(list).post(create))
        .route("/notes/{id}", get(show).put(replace).delete(remove))
        .layer(CorsLayer::permissive());
    Router::new()
        .route("/", get(|| async { "Hello, World!" }))
        .route("/page", get(|| async { Html("<p>Hello</p>") }))
        .route("/peer", get(peer))
        .route("/login", get(login_form).post(login))
        .route("/moved", get(|| async { Redirect::permanent("/page") }))
        .route("/fields", get(fields))
        .route("/echo", post(echo))
        .route(
            "/upload",
            post(upload).layer(DefaultBodyLimit::max(1 << 20)),
        )
        .route("/stream", get(streamed))
        .route("/large", get(|| async { vec![b'x'; 1 << 20] }))
        .route("/events", get(events))
        .route("/held", get(held))
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
        .route("/panic", get(|| async { panic_in_a_handler() }))
        .nest("/api", api)
        .nest_service("/files", ServeDir::new(files))
        .nest(
            "/compressed",
            Router::new()
                .route("/", get(|| async { "compress me ".repeat(1000) }))
                .layer(CompressionLayer::new()),
        )
        .layer(TraceLayer::new_for_http())
        .with_state(app)
}

fn panic_in_a_handler() {
    panic!("on purpose")
}

async fn list(State(app): State<App>, Query(page): Query<Page>) -> Json<Vec<(u64, Note)>> {
    let notes = app.notes.lock().expect("no handler panics with it");
    let notes = notes.range(page.from..).take(page.count.unwrap_or(10));
    Json(notes.map(|(id, note)| (*id, note.clone())).collect())
}

async fn create(State(app): State<App>, Json(note): Json<Note>) -> impl IntoResponse {
    let mut notes = app.notes.lock().expect("no handler panics with it");
    let id = notes.last_key_value().map_or(1, |(id, _)| id + 1);
    notes.insert(id, note.clone());
    let place = [(header::LOCATION, format!("/api/notes/{id}"))];
    (StatusCode::CREATED, place, Json(note))
}

async fn show(State(app): State<App>, Path(id): Path<u64>) -> Result<Json<Note>, Refused> {
    let notes = app.notes.lock().expect("no handler panics with it");
    let note = notes.get(&id).cloned();
    note.map(Json)
        .ok_or(Refused(StatusCode::NOT_FOUND, "no such note"))
}

async fn replace(
    State(app): State<App>,
    Path(id): Path<u64>,
    Json(note): Json<Note>,
) -> Result<StatusCode, Refused> {
    let mut notes = app.notes.lock().expect("no handler panics with it");
    let place = notes.get_mut(&id);
    *place.ok_or(Refused(StatusCode::NOT_FOUND, "no such note"))? = note;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(State(app): State<App>, Path(id): Path<u64>) -> StatusCode {
    let mut notes = app.notes.lock().expect("no handler panics with it");
    match notes.remove(&id) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

async fn peer(ConnectInfo(addr): ConnectInfo<SocketAddr>) -> String {
    format!("your address is {}", addr.ip())
}

async fn login_form() -> Html<&'static str> {
    Html("<form method=post><input name=name><input name=password></form>")
}

async fn login(Form(login): Form<Login>) -> Result<String, Refused> {
    if login.password != "secret" {
        return Err(Refused(StatusCode::UNAUTHORIZED, "wrong password"));
    }
    Ok(format!("welcome, {}", login.name))
}

async fn fields(fields: HeaderMap) -> String {
    let mut lines: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", value.as_bytes().escape_ascii()))
        .collect();
    lines.sort();
    lines.concat()
}

/// Sends the body back as it comes.
async fn echo(body: Body) -> Response {
    Response::new(body)
}

async fn upload(body: Bytes) -> String {
    let sum = body.iter().fold(0u64, |sum, &byte| sum + u64::from(byte));
    format!("{} bytes, sum {sum}", body.len())
}

async fn streamed() -> Body {
    let lines = (0..10).map(|line| Ok::<_, Infallible>(format!("line {line}\n")));
    Body::from_stream(stream::iter(lines))
}

async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream::iter(0..5).then(|number| async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(Event::default()
            .id(number.to_string())
            .data(format!("event {number}")))
    });
    Sse::new(events).keep_alive(axum::response::sse::KeepAlive::default())
}

/// Answers when the test says so.
async fn held(State(app): State<App>) -> &'static str {
    let released = app.release.notified();
    app.held.fetch_add(1, Relaxed);
    released.await;
    "released"
}
