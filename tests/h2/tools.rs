//! Other programs as clients of HTTP/2 over TLS: curl, nghttp and h2load.

use std::{fs, net::SocketAddr, sync::mpsc, thread};

use annulus::{
    Cores,
    http::{Report, Request, Server},
    tls::ServerConfig,
};

use crate::{
    over_tls::secure,
    support::{BOUND, Folder, certificates::Certificates, program::Program},
};

/// Serves on a thread of its own while `play` calls programs. Returns the report.
fn serve_programs(config: &ServerConfig, play: impl FnOnce(SocketAddr)) -> Report {
    let (tell, told) = mpsc::channel();
    let config = config.clone();
    let thread = thread::spawn(move || {
        let server = Server::new()
            .listen_tls("127.0.0.1:0", &config)
            .cores(Cores::Count(2));
        let handle = server.handle();
        let server = server.on_listening(move |addr| drop(tell.send((addr, handle.clone()))));
        let echo = async |mut request: Request| {
            let alpn = request.tls().and_then(|tls| tls.alpn().map(<[u8]>::to_vec));
            let mut text = alpn.unwrap_or_else(|| b"none".to_vec());
            text.push(b' ');
            let body = request.take_body();
            text.extend_from_slice(&body.limit(1 << 30).bytes().await.unwrap());
            text
        };
        server.run(echo).unwrap()
    });
    let (addr, handle) = told.recv_timeout(BOUND).unwrap();
    play(addr);
    handle.stop(BOUND);
    thread.join().unwrap()
}

#[test]
fn curl_speaks_http_2_and_http_1_over_tls() {
    let (Some(certificates), Some(curl)) = (Certificates::get(), Program::find("curl")) else {
        return;
    };
    let config = secure(certificates).build().unwrap();
    let folder = Folder::new("h2-curl");
    let large = folder.path("large");
    fs::write(&large, vec![b'x'; 3_000_000]).unwrap();
    serve_programs(&config, |addr| {
        let url = format!("https://localhost:{}/", addr.port());
        let authority = certificates.path("authority.pem").display().to_string();
        let call = |more: &[&str]| {
            let usual = ["-sS", "--max-time", "60", "--cacert", &authority];
            curl.output(&[&usual, more, &[&url]].concat())
        };
        assert_eq!(call(&["-d", "hi"]), "h2 hi", "by itself");
        assert_eq!(call(&["--http2", "-d", "hi"]), "h2 hi");
        assert_eq!(call(&["--http1.1", "-d", "hi"]), "http/1.1 hi");
        assert_eq!(call(&["--no-alpn", "-d", "hi"]), "none hi");
        let upload = format!("@{}", large.display());
        let back = call(&["--http2", "--data-binary", &upload]);
        assert_eq!(back.len(), 3 + 3_000_000);
    });
}

#[test]
fn nghttp_and_h2load_speak_http_2_over_tls() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let (Some(nghttp), Some(h2load)) = (Program::find("nghttp"), Program::find("h2load")) else {
        return;
    };
    let config = secure(certificates).build().unwrap();
    let report = serve_programs(&config, |addr| {
        let url = format!("https://localhost:{}/", addr.port());
        let said = nghttp.output(&["-v", "--no-verify-peer", "-m", "10", &url]);
        assert!(said.contains("The negotiated protocol: h2"), "{said}");
        assert_eq!(said.matches(":status: 200").count(), 10, "{said}");
        let said = h2load.output(&["-n", "2000", "-c", "8", "-m", "20", &url]);
        assert!(said.contains("Application protocol: h2"), "{said}");
        assert!(said.contains("2000 succeeded, 0 failed"), "{said}");
    });
    assert_eq!((report.answered, report.refused()), (2010, 0), "{report}");
}
