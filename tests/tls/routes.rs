//! Ways to a server: redirects, proxies, socket files, other protocols.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixListener,
    rc::Rc,
    sync::{Arc, Mutex},
    thread,
};

use annulus::{
    http::client::{Client, ClientBuilder, ErrorKind, Proxy},
    task,
    tls::rustls,
};

use crate::{
    server::{TlsServer, pass_on, plain},
    support::{
        certificates::Certificates,
        http::{field, ok},
        run_each,
        tls::{Kind, trusting},
    },
    trusting::client,
};

fn builder(certificates: &Certificates) -> ClientBuilder {
    Client::builder().tls(trusting(certificates).build().unwrap())
}

#[test]
fn a_redirect_leads_to_tls_and_not_back() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let secure = TlsServer::answering(certificates, &Kind::default(), ok("secure"));
    let redirect =
        |to: String| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    let up = redirect(secure.named_url("/"));
    let open = plain(move |mut stream| {
        let mut buf = [0; 4096];
        while stream.read(&mut buf)? > 0 {
            stream.write_all(up.as_bytes())?;
        }
        Ok(())
    });
    let down = redirect(format!("http://{open}/"));
    let down = TlsServer::answering(certificates, &Kind::default(), down);
    run_each(async || {
        let client = client(certificates);
        let response = client.get(format!("http://{open}/")).send().await.unwrap();
        assert_eq!(response.url().as_str(), secure.named_url("/"));
        assert_eq!(response.text().await.unwrap(), "secure");
        let error = client.get(down.url("/")).send().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Redirect(_)), "{error}");
        let client = builder(certificates).allow_downgrade(true).build();
        let response = client.get(down.url("/")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "secure");
    });
}

/// Reads the request for a tunnel, and opens it: to `target`, or where the request says.
pub(crate) fn open_tunnel(
    stream: &mut (impl std::io::Read + std::io::Write),
    heads: &Mutex<Vec<String>>,
    target: Option<SocketAddr>,
) -> std::io::Result<TcpStream> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let named = head.split(' ').nth(1).and_then(|addr| addr.parse().ok());
    heads.lock().unwrap().push(head);
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    stream.flush()?;
    TcpStream::connect(target.or(named).unwrap())
}

#[test]
fn a_proxy_opens_a_tunnel_and_sees_nothing_of_what_goes_through() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let server = TlsServer::answering(certificates, &Kind::default(), ok("hello"));
    let heads = Arc::new(Mutex::new(Vec::new()));
    let (log, target) = (Arc::clone(&heads), server.addr);
    let proxy = plain(move |mut near| {
        let far = open_tunnel(&mut near, &log, Some(target))?;
        let (client, server) = (near.try_clone()?, far.try_clone()?);
        thread::spawn(move || pass_on(client, server, 4096));
        pass_on(far, near, 4096);
        Ok(())
    });
    run_each(async || {
        let through = Proxy::https(format!("http://us:er@{proxy}")).unwrap();
        let client = builder(certificates).proxy(through).build();
        for _ in 0..2 {
            let response = client.get("https://other.test/x").send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "hello");
        }
        assert_eq!(client.pool_state().opened, 1);
        // The server behind the tunnel is verified as any other.
        let error = client.get("https://wrong.test/").send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
    });
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 4);
    assert!(heads[0].starts_with("CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n"));
    assert_eq!(
        field(&heads[0], "proxy-authorization"),
        Some("Basic dXM6ZXI=")
    );
    for seen in server.seen() {
        assert_eq!(seen.name.as_deref(), Some("other.test"));
    }
    for request in server.requests() {
        assert!(
            request.starts_with("GET /x HTTP/1.1\r\nHost: other.test\r\n"),
            "{request}"
        );
        assert_eq!(field(&request, "proxy-authorization"), None);
    }
}

#[test]
fn a_proxy_that_is_reached_by_tls_opens_a_tunnel_inside() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let server = TlsServer::answering(certificates, &Kind::default(), ok("hello"));
    let heads = Arc::new(Mutex::new(Vec::new()));
    let (log, target) = (Arc::clone(&heads), server.addr);
    let proxy = TlsServer::new(certificates, &Kind::default(), move |conn| {
        let mut stream = rustls::Stream::new(&mut conn.tls, &mut conn.stream);
        let far = open_tunnel(&mut stream, &log, Some(target))?;
        conn.pass_on(far)
    });
    run_each(async || {
        let through = Proxy::https(proxy.named_url("")).unwrap();
        let client = builder(certificates).proxy(through).build();
        for _ in 0..2 {
            let response = client.get("https://other.test/x").send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "hello");
        }
        assert_eq!(client.pool_state().opened, 1);
    });
    assert_eq!(proxy.seen()[0].name.as_deref(), Some("localhost"));
    assert_eq!(server.seen()[0].name.as_deref(), Some("other.test"));
}

#[test]
fn a_server_behind_a_socket_file_speaks_tls() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let server = TlsServer::answering(certificates, &Kind::default(), ok("hello"));
    let path = certificates.path("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let target = server.addr;
    thread::spawn(move || {
        for near in listener.incoming() {
            let mut near = near.unwrap();
            let mut far = TcpStream::connect(target).unwrap();
            let (mut client, mut server) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut client, &mut server));
            thread::spawn(move || std::io::copy(&mut far, &mut near));
        }
    });
    run_each(async || {
        let client = builder(certificates).unix(&path).build();
        for _ in 0..2 {
            let response = client.get("https://other.test/").send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "hello");
        }
        assert_eq!(client.pool_state().opened, 1);
    });
}

#[test]
fn a_connection_can_change_its_protocol() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    // It sends back whatever comes.
    let server = TlsServer::new(certificates, &Kind::default(), |conn| {
        conn.request()?;
        conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nfirst",
        )?;
        let mut buf = [0; 4096];
        loop {
            match rustls::Stream::new(&mut conn.tls, &mut conn.stream).read(&mut buf)? {
                0 => return Ok(()),
                count => conn.send(&buf[..count])?,
            }
        }
    });
    run_each(async || {
        let client = client(certificates);
        let request = client.get(server.url("/")).upgrade("echo");
        let upgraded = request.send().await.unwrap().upgrade().unwrap();
        assert_eq!(&*upgraded.recv().await.unwrap(), b"first");
        for _ in 0..3 {
            upgraded.write_all("hello").await.unwrap();
            assert_eq!(&*upgraded.recv().await.unwrap(), b"hello");
        }
    });
}

#[test]
fn writes_of_several_tasks_on_a_changed_protocol_follow_on_each_other() {
    const LEN: usize = 8 << 20;
    let Some(certificates) = Certificates::get() else {
        return;
    };
    // It answers each run of the same byte by its length.
    let server = TlsServer::new(certificates, &Kind::default(), |conn| {
        conn.request()?;
        conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: runs\r\nConnection: upgrade\r\n\r\n",
        )?;
        // What was begun fills the socket first.
        thread::sleep(std::time::Duration::from_millis(50));
        let mut received = vec![0; 3 * LEN];
        rustls::Stream::new(&mut conn.tls, &mut conn.stream).read_exact(&mut received)?;
        let runs = received.chunk_by(|a, b| a == b).count();
        conn.send(runs.to_string())
    });
    run_each(async || {
        let client = client(certificates);
        let request = client.get(server.url("/")).upgrade("runs");
        let upgraded = Rc::new(request.send().await.unwrap().upgrade().unwrap());
        let writers: Vec<_> = [b'a', b'b', b'c']
            .into_iter()
            .map(|byte| {
                let upgraded = Rc::clone(&upgraded);
                task::spawn(async move { upgraded.write_all(vec![byte; LEN]).await })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        assert_eq!(&*upgraded.recv().await.unwrap(), b"3");
    });
}
