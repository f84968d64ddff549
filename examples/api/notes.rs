//! The notes, and the handlers of their API.

use std::{collections::BTreeMap, sync::Mutex};

use annulus::http::{self, Request, Response, StatusCode};

/// Notes on a page of the list.
const PAGE: usize = 20;

#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Note {
    text: String,
}

/// The query of a list.
#[derive(serde::Deserialize)]
struct Search {
    text: Option<String>,
    page: Option<usize>,
}

/// The notes by their numbers, for all workers.
static NOTES: Mutex<BTreeMap<u64, Note>> = Mutex::new(BTreeMap::new());

fn all() -> std::sync::MutexGuard<'static, BTreeMap<u64, Note>> {
    NOTES.lock().expect("no holder panics")
}

/// Lists a page of the notes that contain a text.
pub(crate) async fn list(request: Request) -> http::Result<Response> {
    let Search { text, page } = request.query_as()?;
    let (text, page) = (text.unwrap_or_default(), page.unwrap_or(1).max(1));
    let notes = all();
    let found = notes.iter().filter(|(_, note)| note.text.contains(&text));
    let found = found.skip((page - 1).saturating_mul(PAGE)).take(PAGE);
    Ok(Response::json(&found.collect::<BTreeMap<_, _>>()))
}

pub(crate) async fn add(mut request: Request) -> http::Result<Response> {
    let note: Note = request.json().await?;
    let answer = Response::json(&note).with_status(StatusCode::CREATED);
    let mut notes = all();
    let number = notes.last_key_value().map_or(1, |(last, _)| last + 1);
    notes.insert(number, note);
    answer.try_with_field("Location", &format!("/api/notes/{number}"))
}

pub(crate) async fn find(request: Request) -> http::Result<Response> {
    let note = all().get(&request.param("number")?).cloned();
    Ok(Response::json(&note.ok_or(StatusCode::NOT_FOUND)?))
}

pub(crate) async fn remove(request: Request) -> http::Result<StatusCode> {
    let removed = all().remove(&request.param("number")?);
    removed.ok_or(StatusCode::NOT_FOUND)?;
    Ok(StatusCode::NO_CONTENT)
}
