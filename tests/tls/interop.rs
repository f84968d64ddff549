//! Servers that others wrote: openssl's and nginx.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::Instant,
};

use annulus::{
    http::client::{Client, ErrorKind},
    tls,
};

use crate::{
    server::plain,
    support::{
        BOUND, certificates::Certificates, http::field, program::Program, run_each, tls::trusting,
    },
    trusting::{client, client_of},
};

/// A running server, which ends with this value.
struct Running {
    child: Child,
    addr: SocketAddr,
}

impl Running {
    /// Starts `openssl s_server`, which sends files and closes behind each.
    fn openssl(certificates: &Certificates, arguments: &[&str]) -> Self {
        let program = Program::find("openssl").expect("it has made the certificates");
        let mut command = program.command();
        command.current_dir(certificates.path(""));
        command.args(["s_server", "-accept", "127.0.0.1:0", "-WWW"]);
        command.args(["-cert", "server.pem", "-key", "server.key"]);
        command.args(arguments);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let addr = lines
            .by_ref()
            .find_map(|line| line.unwrap().strip_prefix("ACCEPT ")?.parse().ok());
        // It would stop at a pipe that is not read.
        thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            addr: addr.expect("it says where it listens"),
        }
    }

    /// Starts an nginx that closes a connection after its hundredth request, and passes what comes
    /// under `/echo` on to `echo`.
    fn nginx(
        program: &Program,
        certificates: &Certificates,
        name: &str,
        settings: &str,
        echo: SocketAddr,
    ) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = port.local_addr().unwrap();
        let work = certificates.path(name);
        fs::create_dir_all(&work).unwrap();
        let configuration = format!(
            "daemon off; master_process off; pid {work}/pid; error_log stderr;
            events {{ worker_connections 512; }}
            http {{
                access_log off; client_max_body_size 100m; keepalive_requests 100;
                client_body_temp_path {work}/body; proxy_temp_path {work}/proxy;
                fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
                ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
                ssl_client_certificate {folder}/authority.pem;
                {settings}
                server {{
                    listen {addr} ssl;
                    location / {{ root {folder}; }}
                    location /tls {{
                        return 200 '$ssl_protocol $ssl_session_reused $ssl_client_verify';
                    }}
                    location /echo {{ proxy_pass http://{echo}; proxy_http_version 1.1; }}
                }}
            }}",
            work = work.display(),
            folder = certificates.path("").display(),
        );
        let path = work.join("nginx.conf");
        fs::write(&path, configuration).unwrap();
        drop(port);
        let mut command = program.command();
        command.arg("-p").arg(&work).arg("-c").arg(&path);
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        let nginx = Self { child, addr };
        let begin = Instant::now();
        while TcpStream::connect(addr).is_err() {
            assert!(begin.elapsed() < BOUND, "nginx does not listen");
            thread::sleep(std::time::Duration::from_millis(20));
        }
        nginx
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.addr.port())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A large file that servers can send.
fn large(certificates: &Certificates) -> (PathBuf, Vec<u8>) {
    let bytes: Vec<u8> = (0..11_000_000_usize)
        .map(|index| (index * 7 + index / 251) as u8)
        .collect();
    let path = certificates.path("large");
    if !path.exists() {
        // Another test may do the same at the same time.
        let part = certificates.path(&format!("large-{:?}", thread::current().id()));
        fs::write(&part, &bytes).unwrap();
        fs::rename(part, &path).unwrap();
    }
    (path, bytes)
}

async fn text(client: &Client, url: String) -> String {
    let response = client.get(url).send().await.unwrap();
    response.text().await.unwrap()
}

#[test]
fn openssl_sends_files_by_each_version() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let (_, bytes) = large(certificates);
    for version in ["-tls1_2", "-tls1_3"] {
        let server = Running::openssl(certificates, &[version]);
        run_each(async || {
            let client = client(certificates);
            for _ in 0..3 {
                let request = client.get(server.url("/large")).body_bytes_max(1 << 30);
                let response = request.send().await.unwrap();
                // Its bodies end with the connection, and it says that they do.
                assert_eq!(response.bytes_left(), None);
                assert!(response.bytes().await.unwrap() == bytes);
            }
            assert_eq!(client.pool_state().opened, 3);
        });
    }
}

#[test]
fn openssl_verifies_a_client() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let arguments = [
            "-Verify",
            "1",
            "-verify_return_error",
            "-CAfile",
            "authority.pem",
        ];
        let server = Running::openssl(certificates, &[&arguments[..], &[version]].concat());
        run_each(async || {
            let error = client(certificates).get(server.url("/serial")).send().await;
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
            let chain = certificates.text("client.pem");
            let key = certificates.text("client.key");
            let client = client_of(trusting(certificates).client_certificate(&chain, &key));
            let text = text(&client, server.url("/serial")).await;
            assert_eq!(text.as_bytes(), certificates.text("serial"));
        });
    }
}

#[test]
fn openssl_refuses_a_version_that_is_too_old() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let server = Running::openssl(certificates, &["-tls1_2"]);
    run_each(async || {
        let client = client_of(trusting(certificates).version_min(tls::Version::Tls13));
        let error = client.get(server.url("/serial")).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        let text = error.to_string();
        assert!(text.contains("ProtocolVersion"), "{text}");
    });
}

/// Sends back what comes with a length.
fn echo() -> SocketAddr {
    plain(|stream| {
        let mut input = BufReader::new(stream.try_clone()?);
        let mut output = stream;
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if input.read_line(&mut head)? == 0 {
                    return Ok(());
                }
            }
            let length = field(&head, "content-length").map_or(0, |text| text.parse().unwrap());
            let mut body = vec![0; length];
            input.read_exact(&mut body)?;
            write!(
                output,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
            )?;
            output.write_all(&body)?;
        }
    })
}

#[test]
fn nginx_is_asked_in_every_way() {
    let (Some(program), Some(certificates)) = (Program::find("nginx"), Certificates::get()) else {
        return;
    };
    let (_, bytes) = large(certificates);
    let echo = echo();
    for (version, settings) in [
        (
            "TLSv1.2",
            "ssl_session_cache shared:a:1m; ssl_session_tickets off;",
        ),
        ("TLSv1.2", "ssl_session_tickets on;"),
        ("TLSv1.3", "ssl_session_tickets on;"),
        ("TLSv1.3", "ssl_verify_client optional; ssl_buffer_size 1k;"),
    ] {
        let settings = format!("ssl_protocols {version}; {settings}");
        let nginx = Running::nginx(&program, certificates, "nginx", &settings, echo);
        run_each(async || {
            let client = client(certificates);
            // It resumes a session on the next connection.
            let expected = [format!("{version} . NONE"), format!("{version} r NONE")];
            for expected in &expected {
                assert_eq!(&text(&client, nginx.url("/tls")).await, expected);
                client.close_idle();
            }
            for _ in 0..2 {
                let request = client.get(nginx.url("/large")).body_bytes_max(1 << 30);
                let response = request.send().await.unwrap();
                assert_eq!(response.bytes_left(), Some(bytes.len() as u64));
                assert!(response.bytes().await.unwrap() == bytes);
                let request = client.post(nginx.url("/echo")).body_bytes_max(1 << 30);
                let response = request.body(bytes.clone()).send().await.unwrap();
                assert!(response.bytes().await.unwrap() == bytes);
            }
            assert_eq!(client.pool_state().opened, 3);
            // It closes connections, and no request fails.
            for _ in 0..250 {
                text(&client, nginx.url("/tls")).await;
            }
            let state = client.pool_state();
            assert_eq!((state.opened, state.busy()), (5, 0));
            let requests = (0..50).map(|_| text(&client, nginx.url("/serial")));
            let texts = futures_util::future::join_all(requests).await;
            let serial = certificates.text("serial");
            assert!(texts.iter().all(|text| text.as_bytes() == serial));
        });
    }
}

#[test]
fn nginx_knows_a_client_by_its_certificate() {
    let (Some(program), Some(certificates)) = (Program::find("nginx"), Certificates::get()) else {
        return;
    };
    let settings = "ssl_verify_client on; ssl_protocols TLSv1.2 TLSv1.3;";
    let nginx = Running::nginx(&program, certificates, "nginx-known", settings, echo());
    run_each(async || {
        let chain = certificates.text("client.pem");
        let key = certificates.text("client.key");
        let known = client_of(trusting(certificates).client_certificate(&chain, &key));
        assert_eq!(text(&known, nginx.url("/tls")).await, "TLSv1.3 . SUCCESS");
        // nginx says it by HTTP.
        let unknown = client(certificates);
        let response = unknown.get(nginx.url("/tls")).send().await.unwrap();
        assert_eq!(response.status(), 400);
        // And to one who speaks no TLS.
        let url = nginx.url("/tls").replace("https:", "http:");
        assert_eq!(unknown.get(url).send().await.unwrap().status(), 400);
    });
}
