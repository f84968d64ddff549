//! Keeps notes in memory, and answers in JSON.
//!
//! ```text
//! cargo run --release --features json --example json_api     # a port may follow
//! json='Content-Type: application/json'
//! curl -i -H "$json" -d '{"text":"milk"}' http://127.0.0.1:8080/notes    # 201, Location: /notes/1
//! curl http://127.0.0.1:8080/notes                                       # {"1":{"text":"milk"}}
//! curl -i -X DELETE http://127.0.0.1:8080/notes/1                        # 204
//! curl -i -H "$json" -d '{"text":7}' http://127.0.0.1:8080/notes         # 422
//! ```

use std::{collections::BTreeMap, io, sync::Mutex};

use annulus::http::{self, Request, Response, Router, Server, StatusCode};

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Note {
    text: String,
}

/// The notes by their numbers, for all workers.
static NOTES: Mutex<BTreeMap<u64, Note>> = Mutex::new(BTreeMap::new());

fn notes() -> std::sync::MutexGuard<'static, BTreeMap<u64, Note>> {
    NOTES.lock().expect("nothing panics while it holds them")
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "8080".to_owned());
    let router = || {
        Router::new()
            .get("/notes", async |_| Response::json(&*notes()))
            .post("/notes", add)
            .get("/notes/{number}", find)
            .delete("/notes/{number}", remove)
    };
    Server::bind(format!("127.0.0.1:{port}"))
        .on_listening(|addr| println!("listening on http://{addr}/"))
        .run_each(router)
        .map(drop)
}

async fn add(mut request: Request) -> http::Result<Response> {
    let note: Note = request.json().await?;
    let mut notes = notes();
    let number = notes.last_key_value().map_or(1, |(last, _)| last + 1);
    let answer = Response::json(&note).status(StatusCode::CREATED);
    notes.insert(number, note);
    answer.field_str("Location", &format!("/notes/{number}"))
}

async fn find(request: Request) -> http::Result<Response> {
    let note = notes().get(&request.param("number")?).cloned();
    Ok(Response::json(&note.ok_or(StatusCode::NOT_FOUND)?))
}

async fn remove(request: Request) -> http::Result<()> {
    let removed = notes().remove(&request.param("number")?);
    removed.map(drop).ok_or(StatusCode::NOT_FOUND.into())
}
