//! This crate's HTTP server with TLS.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixListener,
    sync::mpsc,
    thread,
    time::Duration,
};

use annulus::{
    Cores,
    http::{
        Client, Connection, EndReason, Event, EventSender, ProxyHeader, Report, Request, Response,
        Server, ServerHandle,
        websocket::{CloseCode, WebSocket},
    },
    io::Reader,
    net::{self, UnixStream},
    tls::{self, ServerConfig, ServerConfigBuilder, TlsStream, Version},
};

use crate::support::{
    BOUND,
    certificates::Certificates,
    http::{connect, read_answer},
    program, run, run_each,
    tls::trusting,
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The settings of a server with the tests' certificate.
pub(crate) fn secure(certificates: &Certificates) -> ServerConfigBuilder {
    ServerConfig::builder().certificate_files(
        certificates.path("server.pem"),
        certificates.path("server.key"),
    )
}

/// The tests' certificates, and the settings of a server with them; none where a machine lacks the
/// tool that makes them.
fn ready_config() -> Option<(&'static Certificates, ServerConfig)> {
    let certificates = Certificates::get()?;
    Some((certificates, secure(certificates).build().unwrap()))
}

/// A server on a thread of its own, stopped and joined at the end of its test.
struct Running {
    addr: SocketAddr,
    handle: ServerHandle,
    thread: Option<thread::JoinHandle<Report>>,
}

impl Running {
    /// A server with the tests' certificates, and these.
    fn ready() -> Option<(&'static Certificates, Self)> {
        let (certificates, config) = ready_config()?;
        Some((certificates, Self::new(&config)))
    }

    fn new(config: &ServerConfig) -> Self {
        let config = config.clone();
        Self::by(move |server| {
            server
                .listen_tls("127.0.0.1:0", &config)
                .cores(Cores::Count(1))
        })
    }

    fn by(listen: impl FnOnce(Server) -> Server + Send + 'static) -> Self {
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let server = listen(Server::new());
            let handle = server.handle();
            let server = server.on_listening(move |addr| drop(tell.send((addr, handle.clone()))));
            server.run(answer).unwrap()
        });
        let (addr, handle) = told.recv_timeout(BOUND).unwrap();
        Self {
            addr,
            handle,
            thread: Some(thread),
        }
    }

    fn stop(mut self) -> Report {
        self.handle.stop(BOUND);
        self.thread.take().unwrap().join().unwrap()
    }

    fn url(&self, target: &str) -> String {
        format!("https://localhost:{}{target}", self.addr.port())
    }
}

/// Answers with what the handshake has settled, and in other ways by the path.
async fn answer(mut request: Request) -> Response {
    match request.path() {
        "/echo" => {
            let body = request.take_body().bytes().await.unwrap();
            Response::bytes(body)
        }
        "/events" => Response::sse(async |mut events: EventSender| {
            for number in 0..3 {
                events.send(Event::data(number.to_string())).await?;
            }
            Ok(())
        }),
        "/socket" => request.websocket(async |mut socket: WebSocket| {
            while let Some(message) = socket.recv().await? {
                socket.send(message).await?;
            }
            Ok(())
        }),
        _ => Response::text(described(&request)),
    }
}

fn described(request: &Request) -> String {
    let Some(tls) = request.tls() else {
        return "no TLS".to_owned();
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{:?} {:?} {:?} {} {}",
        tls.version().unwrap(),
        tls.alpn().map(text),
        tls.server_name(),
        tls.peer_certificates().len(),
        tls.is_resumed(),
    )
}

/// One request on a stream of its own.
async fn ask(mut stream: TlsStream) -> String {
    stream.write_all(REQUEST).await.unwrap();
    body(&mut Reader::new(stream)).await
}

async fn body(reader: &mut Reader<TlsStream>) -> String {
    let mut length = 0;
    while let Some(line) = reader.read_line(1024).await.unwrap() {
        let line = line.to_lowercase();
        if let Some(value) = line.trim().strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let body = reader.read_exact(length).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn connected(
    addr: SocketAddr,
    name: &str,
    config: &tls::Config,
) -> std::io::Result<TlsStream> {
    let stream = net::TcpStream::connect(addr).await.unwrap();
    tls::connect(stream, name, config).await
}

#[test]
fn a_handler_sees_what_the_handshake_has_settled() {
    let Some((certificates, server)) = Running::ready() else {
        return;
    };
    run_each(async || {
        let config = trusting(certificates).alpn(["http/1.1"]).build().unwrap();
        let stream = connected(server.addr, "localhost", &config).await.unwrap();
        let expected = r#"Tls13 Some("http/1.1") Some("localhost") 0 false"#;
        assert_eq!(ask(stream).await, expected);
        let stream = connected(server.addr, "localhost", &config).await.unwrap();
        let expected = expected.replace("false", "true");
        assert_eq!(ask(stream).await, expected, "it has a ticket now");
        let config = trusting(certificates).build().unwrap();
        let stream = connected(server.addr, "127.0.0.1", &config).await.unwrap();
        assert_eq!(ask(stream).await, "Tls13 None None 0 false");
    });
    let report = server.stop();
    assert_eq!((report.accepted, report.answered), (6, 6), "{report}");
    assert_eq!(report.refused(), 0, "{report}");
}

#[test]
fn the_rest_of_http_works_over_tls() {
    let Some((certificates, server)) = Running::ready() else {
        return;
    };
    run_each(async || {
        let config = trusting(certificates).build().unwrap();
        let client = Client::builder().tls(config).build();
        let large: Vec<u8> = (0..900_000_u32).map(|at| (at % 251) as u8).collect();
        let sent = client.post(server.url("/echo")).body(large.clone()).send();
        let back = sent.await.unwrap();
        let back = back.bytes().await.unwrap();
        assert!(back == large, "{} bytes", back.len());
        let events = client.get(server.url("/events")).send().await.unwrap();
        let events = events.text().await.unwrap();
        assert_eq!(events, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
        let url = server.url("/socket").replace("https", "wss");
        let mut socket = client.websocket(&url).connect().await.unwrap();
        socket.send("hello").await.unwrap();
        let back = socket.recv().await.unwrap().unwrap();
        assert_eq!(back.as_bytes(), b"hello");
        socket.close(CloseCode::NORMAL, "").await.unwrap();
    });
    server.stop();
}

#[test]
fn requests_of_one_connection_are_answered_in_turn_and_its_end_is_told() {
    let Some((certificates, server)) = Running::ready() else {
        return;
    };
    run_each(async || {
        let config = trusting(certificates).build().unwrap();
        let mut stream = connected(server.addr, "localhost", &config).await.unwrap();
        let connections = server.handle.connections().await;
        assert!(connections.iter().all(|info| info.peer.is_some()));
        stream.write_all(&REQUEST.repeat(20)).await.unwrap();
        let mut reader = Reader::new(stream);
        for _ in 0..20 {
            assert!(body(&mut reader).await.starts_with("Tls13"));
        }
        let last = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        reader.get_mut().write_all(last).await.unwrap();
        assert!(body(&mut reader).await.starts_with("Tls13"));
        // An end without a word of the server's is an error.
        assert!(reader.read_line(1).await.unwrap().is_none());
    });
    server.stop();
}

#[test]
fn a_preface_of_http_2_is_refused_over_tls() {
    let Some((certificates, server)) = Running::ready() else {
        return;
    };
    run_each(async || {
        let config = trusting(certificates).build().unwrap();
        let mut stream = connected(server.addr, "localhost", &config).await.unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut reader = Reader::new(stream);
        let line = reader.read_line(100).await.unwrap().unwrap();
        assert!(line.starts_with("HTTP/1.1 505 "), "{line}");
    });
    server.stop();
}

#[test]
fn a_stop_ends_idle_connections_with_a_word_and_those_that_are_silent() {
    let Some((certificates, server)) = Running::ready() else {
        return;
    };
    let mut silent = connect(server.addr);
    let (addr, handle) = (server.addr, server.handle.clone());
    run(async move {
        let config = trusting(certificates).build().unwrap();
        let mut stream = connected(addr, "localhost", &config).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        let mut reader = Reader::new(stream);
        body(&mut reader).await;
        handle.stop(BOUND);
        assert!(reader.read_line(1).await.unwrap().is_none());
    });
    assert_eq!(silent.read_to_end(&mut Vec::new()).unwrap(), 0);
    server.stop();
}

#[test]
fn plain_http_is_told_that_the_port_speaks_tls() {
    let Some((_, server)) = Running::ready() else {
        return;
    };
    let mut stream = connect(server.addr);
    let mut request = REQUEST.to_vec();
    request.resize(100_000, b'x');
    stream.write_all(&request).unwrap();
    let answer = read_answer(&mut stream);
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{answer}"
    );
    assert!(
        answer.ends_with("the address begins with https://\n"),
        "{answer}"
    );
    drop(stream);
    let report = server.stop();
    assert_eq!(report.refusals(), [(EndReason::PlainHttp, 1)]);
}

#[test]
fn a_broken_handshake_gets_an_alert_and_an_end() {
    let Some((_, server)) = Running::ready() else {
        return;
    };
    // A hello that ends too soon, in a whole record; the same in pieces of one byte; two long ones.
    let broken = [22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3];
    let too_long = [22, 3, 1, 0, 4, 1, 255, 255, 255];
    let in_records: Vec<u8> = broken[5..]
        .iter()
        .flat_map(|byte| [22, 3, 1, 0, 1, *byte])
        .collect();
    for bytes in [&broken[..], &in_records, &too_long] {
        let mut stream = connect(server.addr);
        stream.set_nodelay(true).unwrap();
        for byte in bytes {
            stream.write_all(&[*byte]).unwrap();
        }
        let mut answer = Vec::new();
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut answer).unwrap();
        // A fatal alert in a record of its own.
        assert!(
            matches!(answer[..], [21, 3, _, 0, 2, 2, _]),
            "{bytes:?}: {answer:?}"
        );
    }
    let report = server.stop();
    assert_eq!(report.refusals(), [(EndReason::HandshakeFailed, 3)]);
}

#[test]
fn a_handshake_that_takes_too_long_is_ended() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let config = secure(certificates).handshake_timeout(Duration::ZERO);
    let server = Running::new(&config.build().unwrap());
    let mut silent = connect(server.addr);
    let mut slow = connect(server.addr);
    slow.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    for stream in [&mut silent, &mut slow] {
        assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
    }
    let report = server.stop();
    assert_eq!(report.refusals(), [(EndReason::HandshakeTimeout, 2)]);
}

#[test]
fn a_server_has_addresses_with_and_without_tls_and_sockets_of_its_callers() {
    let Some((certificates, config)) = ready_config() else {
        return;
    };
    let path = program::folder().join(format!("tls-{}.sock", std::process::id()));
    let _ = fs::remove_file(&path);
    let unix = UnixListener::bind(&path).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp_addr = tcp.local_addr().unwrap();
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain_addr = plain.local_addr().unwrap();
    let server = Running::by(move |server| {
        server
            .listen_tls("127.0.0.1:0", &config)
            .listen_tls_on([unix], &config)
            .listen_tls_on([tcp], &config)
            .listen_on([plain])
            .cores(Cores::Count(2))
    });
    let addr = server.addr;
    run(async move {
        let config = trusting(certificates).build().unwrap();
        for addr in [addr, tcp_addr] {
            let stream = connected(addr, "localhost", &config).await.unwrap();
            assert!(ask(stream).await.starts_with("Tls13"));
        }
        let stream = UnixStream::connect(&path).await.unwrap();
        let stream = tls::connect(stream, "localhost", &config).await.unwrap();
        assert!(ask(stream).await.starts_with("Tls13"));
        let answer = Client::new()
            .get(format!("http://{plain_addr}/"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.text().await.unwrap(), "no TLS");
        fs::remove_file(path).unwrap();
    });
    server.stop();
}

#[test]
fn all_workers_resume_the_sessions_of_each() {
    let Some((certificates, config)) = ready_config() else {
        return;
    };
    let listen = move |server: Server| server.listen_tls("127.0.0.1:0", &config);
    let server = Running::by(move |server| listen(server).cores(Cores::Count(2)));
    let addr = server.addr;
    run(async move {
        let config = trusting(certificates).build().unwrap();
        for number in 0..20 {
            let stream = connected(addr, "localhost", &config).await.unwrap();
            let answer = ask(stream).await;
            assert!(
                answer.ends_with(&format!("{}", number > 0)),
                "{number}: {answer}"
            );
        }
    });
    server.stop();
}

#[test]
fn a_full_server_refuses_over_tls() {
    let Some((certificates, config)) = ready_config() else {
        return;
    };
    let server = Running::by(move |server| {
        server
            .listen_tls("127.0.0.1:0", &config)
            .cores(Cores::Count(1))
            .connections_max(1)
            .refuse_when_full(true)
    });
    let addr = server.addr;
    run(async move {
        let config = trusting(certificates).build().unwrap();
        let first = connected(addr, "localhost", &config).await.unwrap();
        let second = connected(addr, "localhost", &config).await.unwrap();
        let mut reader = Reader::new(second);
        let line = reader.read_line(1024).await.unwrap().unwrap();
        assert!(line.starts_with("HTTP/1.1 503 "), "{}", line);
        drop(first);
    });
    server.stop();
}

#[test]
fn a_connection_of_ones_own_has_tls_too() {
    let Some((certificates, config)) = ready_config() else {
        return;
    };
    run_each(async || {
        let listener = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let config = config.clone();
        let served = annulus::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = tls::accept(stream, &config).await.unwrap();
            Connection::new().serve(stream, answer).await;
        });
        let client = trusting(certificates).build().unwrap();
        let stream = connected(addr, "localhost", &client).await.unwrap();
        assert_eq!(ask(stream).await, r#"Tls13 None Some("localhost") 0 false"#);
        served.await.unwrap();
    });
}

#[test]
fn a_client_that_leaves_at_any_moment_of_its_handshake_harms_no_other() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let server = Running::new(
        &secure(certificates)
            .version_min(Version::Tls12)
            .build()
            .unwrap(),
    );
    let addr = server.addr;
    run(async move {
        let config = trusting(certificates).build().unwrap();
        // The first flight of a client, recorded.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = net::TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let pending = annulus::spawn({
            let config = config.clone();
            async move { tls::connect(stream, "localhost", &config).await.map(drop) }
        });
        annulus::task::yield_now().await;
        let mut hello = vec![0; 4096];
        let count = far.read(&mut hello).unwrap();
        hello.truncate(count);
        drop((far, pending));
        for end in [1, 5, 6, 100, count - 1, count] {
            let mut stream = TcpStream::connect(addr).unwrap();
            stream.write_all(&hello[..end]).unwrap();
        }
        let stream = connected(addr, "localhost", &config).await.unwrap();
        assert!(ask(stream).await.starts_with("Tls13"));
    });
    let report = server.stop();
    assert_eq!((report.answered, report.refused()), (1, 0), "{report}");
}

#[test]
fn a_header_of_the_proxy_protocol_stands_before_tls() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let config = secure(certificates).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (note, noted) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let served = thread::spawn(move || {
        let server = Server::new()
            .listen_tls_on([listener], &config)
            .proxy_protocol("loopback".parse().unwrap())
            .access_log(move |access| note.send(access.reason).unwrap())
            .cores(Cores::Count(1));
        tell.send(server.handle()).unwrap();
        server.run(async |request: Request| format!("{:?}", request.peer_addr()))
    });
    let handle: ServerHandle = told.recv_timeout(BOUND).unwrap();
    run(async {
        for apart in [false, true] {
            let client = Client::builder()
                .tls(trusting(certificates).build().unwrap())
                .connect_by(move |_| async move {
                    let header = ProxyHeader::new(
                        "203.0.113.7:5123".parse().unwrap(),
                        "198.51.100.1:443".parse().unwrap(),
                    );
                    let stream = net::TcpStream::connect(addr).await?;
                    stream.set_nodelay(true)?;
                    let header = header.to_bytes();
                    let end = if apart { 5 } else { header.len() };
                    stream.write_all(header[..end].to_vec()).await?;
                    stream.write_all(header[end..].to_vec()).await?;
                    Ok(stream)
                })
                .build();
            let response = client.get("https://localhost/").send().await.unwrap();
            let text = response.text().await.unwrap();
            assert_eq!(text, "Some(203.0.113.7:5123)");
            assert_eq!(noted.recv_timeout(BOUND).unwrap(), None);
        }
    });
    // Plain HTTP after the header is answered with 400. TLS without the header gets no answer.
    for (bytes, expected) in [
        (
            &b"PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n\r\n"[..],
            EndReason::PlainHttp,
        ),
        (b"\x16\x03\x01", EndReason::ProxyHeader),
    ] {
        let mut stream = connect(addr);
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let is_told = answer.starts_with(b"HTTP/1.1 400 ");
        assert_eq!(is_told, expected == EndReason::PlainHttp);
        assert_eq!(noted.recv_timeout(BOUND).unwrap(), Some(expected));
    }
    handle.stop(Duration::from_secs(9));
    served.join().unwrap().unwrap();
}
