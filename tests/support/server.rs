//! This crate's HTTP server on a thread of its own.

use std::{io, net::SocketAddr, sync::mpsc, thread};

use annulus::{
    Cores,
    http::{Handler, Report, Server},
};

use super::BOUND;

/// Starts a server on one core, on a thread that ends with the process.
pub(crate) fn serve<H: Handler + Clone + Send>(handler: H) -> SocketAddr {
    serve_by(|server| server.run(handler))
}

/// As [`serve`], with a server that `run` sets up and runs.
pub(crate) fn serve_by(
    run: impl FnOnce(Server) -> io::Result<Report> + Send + 'static,
) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let server = Server::new()
            .listen("127.0.0.1:0")
            .cores(Cores::Count(1))
            .on_listening(move |addr| tell.send(addr).unwrap());
        run(server).unwrap();
    });
    told.recv_timeout(BOUND).unwrap()
}
