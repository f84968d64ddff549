//! The PROXY protocol before HTTP, from peers that are trusted and others.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::mpsc,
};

use annulus::http::{EndReason, Request};

use crate::support::{
    BOUND,
    http::{connect, read_answer},
    server::serve_by,
};

const LINE: &[u8] = b"PROXY TCP4 203.0.113.7 198.51.100.1 5123 443\r\n";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async fn tell(request: Request) -> String {
    let peer = request.peer_addr().map(|addr| addr.ip().to_string());
    let header = request.proxy_header();
    let destination = header.as_ref().and_then(|header| header.destination);
    let proxy = header.and_then(|header| header.proxy).map(|addr| addr.ip());
    format!("{} {destination:?} {proxy:?}", peer.unwrap_or_default())
}

/// A server, and the reasons for which it has refused something.
fn serve(trusted: &'static str) -> (SocketAddr, mpsc::Receiver<Option<EndReason>>) {
    let (note, noted) = mpsc::channel();
    let addr = serve_by(move |server| {
        server
            .proxy_protocol(trusted.parse().unwrap())
            .access_log(move |access| {
                let _ = note.send(access.reason);
            })
            .run(tell)
    });
    (addr, noted)
}

fn binary(command: u8, addrs: &[u8]) -> Vec<u8> {
    let len = u16::try_from(addrs.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, 0x11][..], &len, addrs].concat()
}

fn v4() -> Vec<u8> {
    let (from, to) = (5123_u16.to_be_bytes(), 443_u16.to_be_bytes());
    [&[203, 0, 113, 7, 198, 51, 100, 1][..], &from, &to].concat()
}

fn body(stream: &mut TcpStream) -> String {
    let answer = read_answer(stream);
    answer.rsplit("\r\n\r\n").next().unwrap().to_owned()
}

const TOLD: &str = "203.0.113.7 Some(198.51.100.1:443) Some(127.0.0.1)";
const OWN: &str = "127.0.0.1 None Some(127.0.0.1)";

#[test]
fn a_header_names_the_client_of_all_requests_of_its_connection() {
    let (addr, _noted) = serve("loopback");
    let values = [&v4()[..], b"\x02\0\x05a.com\x04\0\x01x"].concat();
    for (header, expected) in [
        (LINE.to_vec(), TOLD),
        (binary(0x21, &v4()), TOLD),
        (binary(0x21, &values), TOLD),
        (binary(0x20, b""), OWN),
        (b"PROXY UNKNOWN\r\n".to_vec(), OWN),
    ] {
        // In one piece, in two at each byte, and with the request apart.
        for end in 0..=header.len() {
            let mut stream = connect(addr);
            stream.set_nodelay(true).unwrap();
            stream.write_all(&header[..end]).unwrap();
            let rest = [&header[end..], REQUEST].concat();
            stream.write_all(&rest).unwrap();
            assert_eq!(body(&mut stream), expected, "{header:?}, split at {end}");
            stream.write_all(REQUEST).unwrap();
            assert_eq!(body(&mut stream), expected);
        }
    }
}

#[test]
fn other_bytes_from_a_trusted_peer_close_the_connection_without_an_answer() {
    let (addr, noted) = serve("loopback");
    for bytes in [REQUEST, b"PROXY TCP4 x y 1 2\r\n", b"\x16\x03\x01"] {
        let mut stream = connect(addr);
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // The end, or a reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{answer:?}");
        let reason = noted.recv_timeout(BOUND).unwrap();
        assert_eq!(reason, Some(EndReason::ProxyHeader));
    }
    // The server goes on, also after peers that leave without a word or in the middle.
    for bytes in [&b""[..], &LINE[..9]] {
        connect(addr).write_all(bytes).unwrap();
    }
    let mut stream = connect(addr);
    stream.write_all(&[LINE, REQUEST].concat()).unwrap();
    assert_eq!(body(&mut stream), TOLD);
}

#[test]
fn a_peer_that_is_not_trusted_is_a_client_without_a_header() {
    let (addr, _noted) = serve("192.0.2.1");
    let mut stream = connect(addr);
    stream.write_all(REQUEST).unwrap();
    assert_eq!(body(&mut stream), "127.0.0.1 None None");
    for header in [LINE, &binary(0x21, &v4())] {
        let mut stream = connect(addr);
        stream.write_all(&[header, REQUEST].concat()).unwrap();
        let answer = read_answer(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

#[test]
fn a_client_that_leaves_is_noticed_behind_the_header() {
    let (note, noted) = mpsc::channel();
    let addr = serve_by(move |server| {
        let server = server.proxy_protocol("loopback".parse().unwrap());
        server.run(async move |_: Request| {
            struct Tell(mpsc::Sender<()>);
            impl Drop for Tell {
                fn drop(&mut self) {
                    let _ = self.0.send(());
                }
            }
            let _tell = Tell(note.clone());
            note.send(()).unwrap();
            std::future::pending::<&str>().await
        })
    });
    let mut stream = connect(addr);
    stream.write_all(&[LINE, REQUEST].concat()).unwrap();
    noted.recv_timeout(BOUND).unwrap();
    // A reset, since its bytes are not read.
    socket_linger(&stream);
    drop(stream);
    noted.recv_timeout(BOUND).unwrap();
}

/// Makes the close of `stream` a reset.
fn socket_linger(stream: &TcpStream) {
    let stream = stream.try_clone().unwrap();
    annulus::run(async {
        let stream = annulus::net::TcpStream::from_std(stream).unwrap();
        stream.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    });
}

#[test]
fn an_address_is_needed_before() {
    let error = annulus::http::Server::new()
        .proxy_protocol("loopback".parse().unwrap())
        .run(tell);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("before `proxy_protocol`"), "{error}");
}

#[test]
fn curl_sends_version_1() {
    let (addr, _noted) = serve("loopback");
    let url = format!("http://{addr}/");
    let curl = Command::new("curl")
        .args(["-s", "--haproxy-protocol", &url])
        .output();
    let Ok(output) = curl else {
        return crate::support::skip::skip("the program `curl` is missing");
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = format!("127.0.0.1 Some({addr}) Some(127.0.0.1)");
    assert_eq!(text, expected);
}
