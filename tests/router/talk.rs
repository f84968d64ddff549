//! A server with a router, and how to talk to it.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr},
};

use annulus::http::Router;

use crate::support::{http::connect, server::serve_by};

/// Starts a server on one core, on a thread that ends with the process.
pub(crate) fn serve(router: fn() -> Router) -> SocketAddr {
    serve_by(move |server| server.run_each(router))
}

/// Sends `bytes`, ends the sending direction, and reads to the end.
pub(crate) fn talk(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(addr);
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

pub(crate) fn ask(addr: SocketAddr, method: &str, target: &str) -> String {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    talk(addr, head.as_bytes())
}

pub(crate) fn send(addr: SocketAddr, target: &str, content_type: &str, body: &[u8]) -> String {
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: a\r\n{content_type}Content-Length: {}\r\n\r\n",
        body.len()
    );
    talk(addr, &[head.as_bytes(), body].concat())
}

pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

pub(crate) fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split_once("\r\n\r\n").unwrap().0;
    let mut fields = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    fields
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}
