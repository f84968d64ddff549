//! Takes files of any size by `PUT` and writes them into a folder, piece by piece as they come.
//!
//! ```text
//! cargo run --release --example upload       # then, elsewhere:
//! curl -i -T Cargo.toml http://127.0.0.1:8080/copy.toml
//! ```
//!
//! It answers `201 Created` with the number of bytes, and 507 on a full disk. A file is there whole
//! or not at all. A port may be given as the argument, and a folder as the second one; it is the
//! system's for temporary files otherwise. Ctrl-c finishes the uploads that have begun.

use std::{env, path, time::Duration};

use annulus::{
    http::{self, Method, Request, Response, Server, StatusCode},
    signal,
};

#[path = "shared/partial.rs"]
mod partial;
#[path = "shared/plain.rs"]
mod plain;
#[path = "upload/rules.rs"]
mod rules;

fn main() -> plain::Result {
    let mut arguments = env::args().skip(1);
    let port = arguments.next().map_or(Ok(8080_u16), |port| port.parse());
    let folder = arguments.next().map_or_else(env::temp_dir, Into::into);
    let (Ok(port), None) = (port, arguments.next()) else {
        plain::usage("upload [PORT [FOLDER]]");
    };
    Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .on_listening(|addr| plain::say(format_args!("listening on http://{addr}/")))
        .shutdown_on(signal::ctrl_c(), Duration::from_secs(60))
        .run(async move |request: Request| upload(request, &folder).await)?;
    Ok(())
}

async fn upload(mut request: Request, folder: &path::Path) -> http::Result<Response> {
    if *request.method() != Method::PUT {
        return Err(StatusCode::METHOD_NOT_ALLOWED.into());
    }
    let name = rules::safe_name(request.path()).ok_or(StatusCode::BAD_REQUEST)?;
    let path = folder.join(name);
    let body = request.take_body().limit(rules::FILE_BYTES_MAX);
    let mut body = body.timeout(Duration::from_secs(60));
    let target = partial::Partial::create(&path).await?;
    let mut len = 0;
    // A client that asked by `Expect: 100-continue` sends from here on.
    while let Some(piece) = body.next().await? {
        let count = piece.len() as u64;
        let written = target.file.write_all_at(piece, len).await;
        written.map_err(|error| rules::refusal(error.error))?;
        len += count;
    }
    target.finish().await.map_err(rules::refusal)?;
    Ok(Response::text(format!("{len} bytes\n")).with_status(StatusCode::CREATED))
}
