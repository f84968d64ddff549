//! A small site on loopback, for a crawl without another program.

use std::io;

use annulus::{
    http::{self, Request, Response, Router, Server},
    spawn,
    sync::oneshot,
};

const PAGES: u32 = 100;

/// Serves the site beside the crawl, on the same thread, and returns its address.
pub(crate) async fn serve() -> io::Result<String> {
    let (sender, receiver) = oneshot::channel();
    let mut sender = Some(sender);
    let server = Server::new()
        .listen("127.0.0.1:0")
        .on_listening(move |addr| {
            let _ = sender.take().map(|sender| sender.send(addr));
        });
    let router = Router::new().get("/{number}", page);
    let serving = spawn(server.serve(router));
    match receiver.await {
        Ok(addr) => Ok(format!("http://{addr}/0")),
        Err(_) => Err(serving.await.map_or_else(io::Error::other, |served| {
            served.err().unwrap_or(io::ErrorKind::NotConnected.into())
        })),
    }
}

/// Each page has links to the two below it, and one to the first.
async fn page(request: Request) -> http::Result<Response> {
    let number: u32 = request.param("number")?;
    let below = [number * 2 + 1, number * 2 + 2];
    let links = below.into_iter().filter(|link| *link < PAGES).chain([0]);
    let links = links.map(|link| format!("<a href=\"/{link}\">page {link}</a>\n"));
    Ok(Response::html(links.collect::<String>()))
}
