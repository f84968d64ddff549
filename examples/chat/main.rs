//! A chat room in the browser, by three ways side by side: a WebSocket, server-sent events, and
//! long polling. All of them show the same messages. It takes a port.
//!
//! ```text
//! cargo run --release --example chat       # then open http://127.0.0.1:8080/ in several windows
//! ```

use std::{rc::Rc, time::Duration};

use annulus::{
    Cores,
    http::{self, Request, Response, Router, Server, websocket::WebSocket},
    signal,
};

mod lines;
#[path = "../shared/plain.rs"]
mod plain;
#[path = "../shared/port.rs"]
mod port;
mod room;

fn main() -> plain::Result {
    Server::new()
        .listen(format!("127.0.0.1:{}", port::argument("chat", 8080)))
        // One worker has the whole room, so that it needs no lock.
        .cores(Cores::Count(1))
        .on_listening(|addr| plain::say(format_args!("listening on http://{addr}/")))
        .shutdown_on(signal::ctrl_c(), Duration::from_secs(10))
        .run_each(router)?;
    Ok(())
}

fn router() -> Router {
    let room = Rc::new(room::Room::new());
    let [socket, events, poll, say] = [(); 4].map(|()| Rc::clone(&room));
    Router::new()
        .get("/", async |_| Response::html(include_str!("page.html")))
        .get("/socket", async move |request: Request| {
            let room = Rc::clone(&socket);
            request.websocket(async move |socket| talk(socket, &room).await)
        })
        .get("/events", async move |request| events.events(&request))
        .get("/poll", async move |request| poll.lines.poll(request).await)
        .post("/say", async move |request| say.hear(request).await)
}

/// The life of a WebSocket: what its client says is published, and so comes back to it as well.
async fn talk(mut socket: WebSocket, room: &room::Room) -> http::Result<()> {
    room.enter(&socket);
    while let Some(message) = socket.recv().await? {
        room.say(message.as_text().unwrap_or("bytes are no text"));
    }
    Ok(())
}
