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

use annulus::http::{self, Request, Response, Router, Server, StatusCode};

#[path = "json_api/notes.rs"]
mod notes;
#[path = "shared/plain.rs"]
mod plain;
#[path = "shared/port.rs"]
mod port;

fn main() -> plain::Result {
    let port = port::argument("json_api", 8080);
    let router = || {
        Router::new()
            .get("/notes", async |_| Response::json(&*notes::all()))
            .post("/notes", add)
            .get("/notes/{number}", find)
            .delete("/notes/{number}", remove)
    };
    Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .on_listening(|addr| plain::say(format_args!("listening on http://{addr}/")))
        .run_each(router)?;
    Ok(())
}

async fn add(mut request: Request) -> http::Result<Response> {
    let note: notes::Note = request.json().await?;
    let mut notes = notes::all();
    let number = notes.last_key_value().map_or(1, |(last, _)| last + 1);
    let answer = Response::json(&note).with_status(StatusCode::CREATED);
    notes.insert(number, note);
    answer.try_with_field("Location", &format!("/notes/{number}"))
}

async fn find(request: Request) -> http::Result<Response> {
    let note = notes::all().get(&request.param("number")?).cloned();
    Ok(Response::json(&note.ok_or(StatusCode::NOT_FOUND)?))
}

async fn remove(request: Request) -> http::Result<()> {
    let removed = notes::all().remove(&request.param("number")?);
    removed.map(drop).ok_or(StatusCode::NOT_FOUND.into())
}
