//! Answers requests by their method and path.
//!
//! ```text
//! cargo run --release --example router
//! curl http://127.0.0.1:8080/hello/Ada?times=2      # Hello, Ada! Hello, Ada!
//! curl http://127.0.0.1:8080/hello/Ada?times=x      # 400
//! curl -d 'name=Ada' http://127.0.0.1:8080/hello    # goes to /hello/Ada: add -L
//! curl -i -X DELETE http://127.0.0.1:8080/hello     # 405, Allow: POST, OPTIONS
//! curl http://127.0.0.1:8080/admin/log/a/b          # the log of a/b
//! ```
//!
//! A port may be given as the argument. Ctrl-c finishes what has begun.

use std::time::Duration;

use annulus::{
    http::{self, Request, Response, Router, Server, StatusCode},
    signal,
};

#[path = "shared/plain.rs"]
mod plain;
#[path = "shared/port.rs"]
mod port;

fn main() -> plain::Result {
    let port = port::argument("router", 8080);
    Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .on_listening(|addr| plain::say(format_args!("listening on http://{addr}/")))
        .shutdown_on(signal::ctrl_c(), Duration::from_secs(10))
        .run_each(router)?;
    Ok(())
}

fn router() -> Router {
    Router::new()
        .get("/", async |_| "Hello, World!")
        .get("/hello/{name}", hello)
        .post("/hello", find)
        .nest("/admin", Router::new().get("/log/{*path}", log))
        .fallback(async |_| (StatusCode::NOT_FOUND, "there is nothing here\n"))
}

async fn hello(request: Request) -> http::Result<String> {
    let name: String = request.param("name")?;
    let times: u8 = request.query_param("times")?.unwrap_or(1);
    let greetings = vec![format!("Hello, {name}!"); usize::from(times)];
    Ok(greetings.join(" ") + "\n")
}

async fn find(mut request: Request) -> http::Result<Response> {
    let form = request.form().await?;
    let name: String = form.param("name")?.ok_or(StatusCode::BAD_REQUEST)?;
    Ok(Response::redirect(&format!("/hello/{name}")))
}

async fn log(request: Request) -> http::Result<String> {
    Ok(format!("the log of {}\n", request.param_str("path")?))
}
