//! A server behind proxies: the fields that they write, by raw sockets.
#![cfg(feature = "http")]

#[path = "../support/mod.rs"]
mod support;

mod proxy_protocol;

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    sync::{Arc, Mutex},
};

use annulus::http::{Request, TrustedProxies};

use support::{
    http::{connect, read_answer},
    server::serve_by,
};

/// The client of a request as the handler sees it.
async fn tell(request: Request) -> String {
    let client = request.client_addr().map(|addr| addr.to_string());
    let client = client.as_deref().unwrap_or("-");
    let has_peer = request.peer_addr().is_some();
    let host = request.host().unwrap_or("-");
    format!("{client} {} {host} {has_peer}", request.scheme())
}

fn ask(stream: &mut (impl Read + Write), fields: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: own.test\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let answer = read_answer(stream);
    answer.rsplit("\r\n\r\n").next().unwrap().to_owned()
}

const TOLD: &str = "X-Forwarded-For: 198.51.100.9, 203.0.113.7\r\nX-Forwarded-Proto: https\r\n\
                    X-Forwarded-Host: www.test:444\r\n";
const ALL: &str = "203.0.113.7 https www.test:444 true";
const OWN: &str = "127.0.0.1 http own.test true";

#[test]
fn the_fields_of_a_trusted_proxy_tell_the_client_scheme_and_host() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    let addr = serve_by(move |server| {
        server
            .trusted_proxies("loopback".parse().unwrap())
            .access_log(move |access| {
                let (line, json) = (access.to_string(), access.json().to_string());
                let all = [access.common().to_string(), line, json];
                log.lock().unwrap().push(all);
            })
            .run(tell)
    });
    let mut stream = connect(addr);
    assert_eq!(ask(&mut stream, TOLD), ALL);
    // The fields are those of one request, and not of the connection.
    assert_eq!(ask(&mut stream, ""), OWN);
    assert_eq!(ask(&mut stream, "Forwarded: for=203.0.113.7\r\n"), OWN);
    assert_eq!(ask(&mut stream, "X-Forwarded-For: unknown\r\n"), OWN);
    let lines = lines.lock().unwrap();
    let [common, line, json] = &lines[0];
    assert!(common.starts_with("203.0.113.7 - - ["), "{common}");
    assert!(line.starts_with("203.0.113.7 GET / "), "{line}");
    assert!(json.contains("\"peer\":\"127.0.0.1:"), "{json}");
    assert!(json.contains("\"client\":\"203.0.113.7\""), "{json}");
    let [common, line, json] = &lines[1];
    assert!(common.starts_with("127.0.0.1 - - ["), "{common}");
    assert!(line.starts_with("127.0.0.1:"), "{line}");
    assert!(!json.contains("client"), "{json}");
}

#[test]
fn the_fields_of_another_peer_are_ignored() {
    for trusted in [None, Some("192.0.2.0/24, unix")] {
        let trusted: Option<TrustedProxies> = trusted.map(|list| list.parse().unwrap());
        let addr = serve_by(move |server| {
            let server = match trusted {
                Some(proxies) => server.trusted_proxies(proxies),
                None => server,
            };
            server.run(tell)
        });
        assert_eq!(ask(&mut connect(addr), TOLD), OWN);
    }
}

#[test]
fn forwarded_is_read_in_place_of_the_others_where_that_is_chosen() {
    let addr = serve_by(|server| {
        let proxies = TrustedProxies::new().loopback().forwarded();
        server.trusted_proxies(proxies).run(tell)
    });
    let mut stream = connect(addr);
    let field = "Forwarded: for=\"[2001:db8::7]:5\";proto=https;host=\"www.test\"\r\n";
    let expected = "2001:db8::7 https www.test true";
    assert_eq!(ask(&mut stream, field), expected);
    assert_eq!(ask(&mut stream, TOLD), OWN);
}

#[test]
fn a_proxy_on_a_unix_socket_is_trusted_by_its_name() {
    let folder = std::env::temp_dir().join(format!("annulus-behind-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let at = path.clone();
    let addr = serve_by(move |server| {
        let proxies = "unix".parse().unwrap();
        server.listen_unix(at).trusted_proxies(proxies).run(tell)
    });
    let mut stream = UnixStream::connect(&path).unwrap();
    assert_eq!(
        ask(&mut stream, TOLD),
        "203.0.113.7 https www.test:444 false"
    );
    assert_eq!(ask(&mut stream, ""), "- http own.test false");
    assert_eq!(ask(&mut connect(addr), TOLD), OWN);
    std::fs::remove_dir_all(&folder).unwrap();
}
