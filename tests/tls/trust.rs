//! The servers that a client trusts, and its errors for the others.

use std::sync::Arc;

use annulus::{
    http::client::{Client, Error, ErrorKind, Phase},
    net::TcpStream,
    tls::{
        self,
        rustls::{
            self, CertificateError, ClientConfig, RootCertStore,
            pki_types::{CertificateDer, pem::PemObject as _},
        },
    },
};

use crate::{
    server::TlsServer,
    support::{
        certificates::Certificates,
        http::ok,
        run_each,
        tls::{Kind, each_version, trusting},
    },
    trusting::{client, client_of},
};

/// The error of rustls within an error.
fn reason(error: &Error) -> &rustls::Error {
    let source = std::error::Error::source(error).unwrap();
    let source = source.downcast_ref::<std::io::Error>().unwrap();
    source.get_ref().unwrap().downcast_ref().unwrap()
}

async fn refused(client: &Client, url: String) -> Error {
    let error = client.get(url).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert_eq!(client.pool_state().busy(), 0);
    error
}

fn with_certificate(certificate: &'static str) -> Kind {
    Kind {
        certificate,
        ..Kind::default()
    }
}

#[test]
fn a_certificate_of_a_stranger_is_refused_unless_the_danger_is_accepted() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let server = TlsServer::answering(certificates, &Kind::default(), ok("hello"));
    let stranger = tls::Config::builder()
        .system_roots(false)
        .add_root_certificate(&certificates.text("stranger.pem"))
        .build()
        .unwrap();
    run_each(async || {
        let client = Client::builder().tls(stranger.clone()).build();
        let error = refused(&client, server.url("/")).await;
        let expected = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(reason(&error), &expected);
        assert_eq!(error.phase(), Some(Phase::Tls));
        assert!(error.is_connect());
        assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    });
    // A TLS 1.3 server learns of it after its handshake.
    assert!(server.requests().is_empty());
    run_each(async || {
        let builder = tls::Config::builder().danger_accept_invalid_certificates(true);
        let client = client_of(builder);
        let response = client.get(server.url("/")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "hello");
    });
}

#[test]
fn a_certificate_that_a_server_has_signed_itself_can_be_trusted() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let server = TlsServer::answering(certificates, &with_certificate("own"), ok("hello"));
    run_each(async || {
        let own = certificates.text("own.pem");
        let client = client_of(trusting(certificates).add_root_certificate(&own));
        let response = client.get(server.named_url("/")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "hello");
        refused(&self::client(certificates), server.named_url("/")).await;
    });
}

#[test]
fn an_expired_certificate_is_refused() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let server = TlsServer::answering(certificates, &with_certificate("expired"), ok("hello"));
    run_each(async || {
        let error = refused(&client(certificates), server.url("/")).await;
        let text = error.to_string();
        assert!(text.contains("expired"), "{text}");
    });
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let server = TlsServer::answering(certificates, &Kind::default(), ok("hello"));
    let port = server.addr.port();
    run_each(async || {
        let config = trusting(certificates).build().unwrap();
        let client = Client::builder()
            .tls(config)
            .resolve("other.test", server.addr)
            .resolve("wrong.test", server.addr)
            .build();
        let right = format!("https://other.test:{port}/");
        let response = client.get(right).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "hello");
        let error = refused(&client, format!("https://wrong.test:{port}/")).await;
        let text = error.to_string();
        assert!(text.contains("wrong.test"), "{text}");
        // An address is verified as one.
        let config = trusting(certificates).build().unwrap();
        for (name, expected) in [("127.0.0.1", true), ("127.0.0.2", false), ("[::1]", true)] {
            let stream = TcpStream::connect(server.addr).await.unwrap();
            let stream = tls::connect(stream, name, &config).await;
            assert_eq!(stream.is_ok(), expected, "{name}");
        }
    });
}

#[test]
fn a_client_shows_its_certificate_where_one_is_asked_for() {
    each_version(|certificates, kind| {
        let kind = Kind {
            wants_client: true,
            ..kind
        };
        let server = TlsServer::answering(certificates, &kind, ok("hello"));
        run_each(async || {
            let chain = certificates.text("client.pem");
            let key = certificates.text("client.key");
            let client = client_of(trusting(certificates).client_certificate(&chain, &key));
            let response = client.get(server.url("/")).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "hello");
        });
        assert!(server.seen().iter().all(|seen| seen.has_client_certificate));
        // Without one, the server's alert is the reason, whenever it comes and whatever else
        // happens.
        run_each(async || {
            let error = refused(&client(certificates), server.url("/")).await;
            let text = error.to_string();
            assert!(text.contains("alert"), "{text}");
            for _ in 0..20 {
                let client = client(certificates);
                let request = client.post(server.url("/")).body(vec![0; 1 << 20]);
                let error = request.send().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
            }
        });
    });
}

#[test]
fn a_version_that_is_too_old_is_refused() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let kind = Kind::tls12();
    let server = TlsServer::answering(certificates, &kind, ok("hello"));
    run_each(async || {
        let client = client_of(trusting(certificates).version_min(tls::Version::Tls13));
        let error = refused(&client, server.url("/")).await;
        let text = error.to_string();
        assert!(text.contains("ProtocolVersion"), "{text}");
    });
}

#[test]
fn a_configuration_of_rustls_serves() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let server = TlsServer::answering(certificates, &Kind::default(), ok("hello"));
    let mut roots = RootCertStore::empty();
    let authority = certificates.text("authority.pem");
    roots
        .add(CertificateDer::from_pem_slice(&authority).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    run_each(async || {
        let client = Client::builder().tls(Arc::clone(&config)).build();
        let response = client.get(server.url("/")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "hello");
    });
    for seen in server.seen() {
        assert_eq!(seen.alpn.as_deref(), Some("http/1.1"));
    }
}

#[test]
fn what_is_no_certificate_or_no_key_is_told() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let authority = certificates.text("authority.pem");
    let chain = certificates.text("client.pem");
    let key = certificates.text("client.key");
    let der = CertificateDer::from_pem_slice(&authority).unwrap();
    let plain = || tls::Config::builder().system_roots(false);
    let check = |builder: tls::ConfigBuilder, expected: Option<&str>| {
        let text = builder.build().err().map(|error| error.to_string());
        match (&text, expected) {
            (None, None) => {}
            (Some(text), Some(part)) => assert!(text.contains(part), "{text}"),
            _ => panic!("expected {expected:?}, found {text:?}"),
        }
    };
    check(plain().add_root_certificate(&authority), None);
    check(plain().add_root_certificate(&der), None);
    check(
        plain().add_root_certificate(&[authority.clone(), chain.clone()].concat()),
        None,
    );
    check(plain().add_root_certificate(b""), Some("BadEncoding"));
    check(
        plain().add_root_certificate(b"nonsense"),
        Some("BadEncoding"),
    );
    check(
        plain().add_root_certificate(&key),
        Some("expected a certificate in PEM"),
    );
    let trusting = || plain().add_root_certificate(&authority);
    check(trusting().client_certificate(&chain, &key), None);
    check(
        trusting().client_certificate(&chain, &chain),
        Some("no items found"),
    );
    check(
        trusting().client_certificate(&chain, &certificates.text("server.key")),
        Some("keys may not be consistent"),
    );
    // No authority is trusted.
    check(plain(), Some("no root"));
}
