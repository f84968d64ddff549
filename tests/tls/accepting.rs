//! The side of a server: streams of other protocols than HTTP, and the settings of both.

use std::{fs, io, path::PathBuf};

use annulus::{
    future::join,
    io::duplex,
    tls::{
        self, Acceptor, Config, ConfigBuilder, ServerConfig, ServerConfigBuilder, TlsStream,
        Version,
        rustls::{self, AlertDescription},
    },
};

use crate::support::{certificates::Certificates, program, run, run_each, tls::trusting};

fn certificates() -> Option<&'static Certificates> {
    Certificates::get()
}

fn secure(certificates: &Certificates) -> ServerConfigBuilder {
    ServerConfig::builder().certificate(
        &certificates.text("server.pem"),
        &certificates.text("server.key"),
    )
}

/// Both ends of a connection in memory, or why there is none.
async fn pair(
    name: &str,
    client: &Config,
    server: &ServerConfig,
) -> (io::Result<TlsStream>, io::Result<TlsStream>) {
    let (near, far) = duplex(1 << 16);
    join(tls::connect(near, name, client), tls::accept(far, server)).await
}

/// The client's certificate, as the server sees it.
async fn seen(client: ConfigBuilder, server: &ServerConfig) -> io::Result<usize> {
    let (client, server) = pair("localhost", &client.build().unwrap(), server).await;
    let (mut client, mut server) = (client?, server?);
    // A refusal of TLS 1.3 comes after the client's part of the handshake.
    let info = server.info();
    server.shutdown().await?;
    client.recv().await?;
    Ok(info.peer_certificates().len())
}

#[test]
fn a_stream_of_any_protocol_is_accepted() {
    let Some(certificates) = certificates() else {
        return;
    };
    run_each(async || {
        let client = trusting(certificates).alpn(["one", "two"]).build().unwrap();
        let server = secure(certificates).alpn(["two"]).build().unwrap();
        let (near, far) = pair("localhost", &client, &server).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        let large = vec![7; 300_000];
        let (sent, received) = join(near.write_all(&large), async {
            let mut total = 0;
            while total < large.len() {
                total += far.recv().await.unwrap().len();
            }
            total
        })
        .await;
        sent.unwrap();
        assert_eq!(received, large.len());
        let info = far.info();
        assert_eq!(info.server_name(), Some("localhost"));
        assert_eq!(info.alpn(), Some(&b"two"[..]));
        assert_eq!(info.version(), Some(Version::Tls13));
        far.shutdown().await.unwrap();
        assert!(near.recv().await.unwrap().is_empty());
        // Nothing that the client offers.
        let client = trusting(certificates).alpn(["one"]).build().unwrap();
        let (near, far) = pair("localhost", &client, &server).await;
        assert!(near.is_err() && far.is_err());
    });
}

#[test]
fn the_configuration_is_chosen_by_what_the_client_asks_for() {
    let Some(certificates) = certificates() else {
        return;
    };
    run(async {
        let client = trusting(certificates).alpn(["a", "b"]).build().unwrap();
        let server = secure(certificates).build().unwrap();
        let (near, far) = duplex(1 << 16);
        let accept = async {
            let mut acceptor = Acceptor::new(far);
            let hello = acceptor.client_hello().await.unwrap();
            assert_eq!(hello.server_name(), Some("other.test"));
            assert!(hello.alpn().eq([b"a", b"b"]));
            assert_eq!(acceptor.client_hello().await.unwrap(), hello);
            acceptor.accept(&server).await
        };
        let (near, far) = join(tls::connect(near, "other.test", &client), accept).await;
        near.and(far).unwrap();
    });
}

#[test]
fn each_name_has_its_certificate() {
    let Some(certificates) = certificates() else {
        return;
    };
    run(async {
        let own = (certificates.path("own.pem"), certificates.path("own.key"));
        let server = secure(certificates)
            .certificate_files_for("LocalHost", own.0, own.1)
            .build()
            .unwrap();
        let client = trusting(certificates).add_root_certificate(&certificates.text("own.pem"));
        let client = client.build().unwrap();
        let mut shown = Vec::new();
        for name in ["localhost", "other.test", "127.0.0.1"] {
            let (near, far) = pair(name, &client, &server).await;
            far.unwrap();
            shown.push(near.unwrap().peer_certificates()[0].clone());
        }
        assert!(shown[0] != shown[1] && shown[1] == shown[2]);
    });
}

#[test]
fn a_name_without_a_certificate_is_refused_if_that_is_asked_for() {
    let Some(certificates) = certificates() else {
        return;
    };
    run(async {
        let client = Config::builder()
            .danger_accept_invalid_certificates(true)
            .build()
            .unwrap();
        for refuses in [false, true] {
            let server = secure(certificates)
                .refuse_unknown_names(refuses)
                .build()
                .unwrap();
            for (name, is_known) in [
                ("localhost", true),
                ("other.test", true),
                ("127.0.0.1", true),
                ("a.test", false),
            ] {
                let (near, far) = pair(name, &client, &server).await;
                assert_eq!(near.is_ok() && far.is_ok(), is_known || !refuses, "{name}");
                if let Err(error) = near {
                    let alert = error.get_ref().and_then(|error| error.downcast_ref());
                    let expected = rustls::Error::AlertReceived(AlertDescription::UnrecognisedName);
                    assert_eq!(alert, Some(&expected), "{error}");
                }
            }
        }
    });
}

#[test]
fn certificates_of_clients_are_required_or_optional() {
    let Some(certificates) = certificates() else {
        return;
    };
    run(async {
        let secure =
            || secure(certificates).client_authorities(&certificates.text("authority.pem"));
        let required = secure().build().unwrap();
        let optional = secure().client_certificates_optional(true).build().unwrap();
        let shows = |name: &str| {
            trusting(certificates).client_certificate(
                &certificates.text(&format!("{name}.pem")),
                &certificates.text(&format!("{name}.key")),
            )
        };
        assert_eq!(seen(shows("client"), &required).await.unwrap(), 1);
        assert_eq!(seen(shows("client"), &optional).await.unwrap(), 1);
        assert!(seen(trusting(certificates), &required).await.is_err());
        assert_eq!(seen(trusting(certificates), &optional).await.unwrap(), 0);
        for invalid in ["own", "expired"] {
            assert!(seen(shows(invalid), &required).await.is_err(), "{invalid}");
            assert!(seen(shows(invalid), &optional).await.is_err(), "{invalid}");
        }
    });
}

/// A folder of the test's own with a certificate that it may change.
fn folder(certificates: &Certificates, name: &str) -> PathBuf {
    let folder = program::folder().join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    put(certificates, "server", &folder);
    folder
}

fn put(certificates: &Certificates, name: &str, folder: &std::path::Path) {
    fs::write(
        folder.join("site.pem"),
        certificates.text(&format!("{name}.pem")),
    )
    .unwrap();
    fs::write(
        folder.join("site.key"),
        certificates.text(&format!("{name}.key")),
    )
    .unwrap();
}

#[test]
fn a_reload_reads_the_files_again_and_keeps_the_old_ones_when_they_are_broken() {
    let Some(certificates) = certificates() else {
        return;
    };
    let folder = folder(certificates, "reload");
    run(async {
        let files = (folder.join("site.pem"), folder.join("site.key"));
        let server = ServerConfig::builder().certificate_files(files.0, files.1);
        let server = server.build().unwrap();
        let other = server.clone();
        let client = trusting(certificates).add_root_certificate(&certificates.text("own.pem"));
        let client = client.build().unwrap();
        let shown = async || {
            // A resumed session shows the certificates that it began with.
            let fresh = trusting(certificates)
                .add_root_certificate(&certificates.text("own.pem"))
                .build()
                .unwrap();
            let (near, far) = pair("localhost", &fresh, &server).await;
            far.unwrap();
            near.unwrap().peer_certificates()[0].clone()
        };
        let (old, _far) = pair("localhost", &client, &server).await;
        let first = shown().await;
        put(certificates, "own", &folder);
        assert!(shown().await == first);
        other.reload().unwrap();
        let second = shown().await;
        assert!(second != first);
        assert!(old.unwrap().peer_certificates()[0] == first);
        fs::write(folder.join("site.pem"), certificates.text("server.pem")).unwrap();
        let error = other.reload().unwrap_err().to_string();
        assert!(error.contains("site.key"), "{error}");
        fs::remove_file(folder.join("site.pem")).unwrap();
        let error = other.reload().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("site.pem"), "{error}");
        assert!(shown().await == second);
        server.replace(&secure(certificates).build().unwrap());
        assert!(shown().await == first);
    });
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn no_session_of_a_clients_certificate_outlives_a_reload() {
    let Some(certificates) = certificates() else {
        return;
    };
    run(async {
        let server = secure(certificates).client_authorities(&certificates.text("authority.pem"));
        let server = server.build().unwrap();
        let client = trusting(certificates).client_certificate(
            &certificates.text("client.pem"),
            &certificates.text("client.key"),
        );
        let client = client.build().unwrap();
        // The certificate may have been revoked before the reload.
        for (reloads, is_resumed) in [(false, false), (false, true), (true, false), (false, true)] {
            if reloads {
                server.reload().unwrap();
            }
            let (near, far) = pair("localhost", &client, &server).await;
            let (mut near, mut far) = (near.unwrap(), far.unwrap());
            assert_eq!(far.info().is_resumed(), is_resumed, "{reloads}");
            assert_eq!(far.info().peer_certificates().len(), 1);
            // The ticket comes with the first bytes that are read.
            far.shutdown().await.unwrap();
            assert!(near.recv().await.unwrap().is_empty());
        }
    });
}

#[test]
fn what_is_wrong_with_the_settings_is_told() {
    let Some(certificates) = certificates() else {
        return;
    };
    let text = |name: &str| certificates.text(name);
    let builder = ServerConfig::builder;
    let cases = [
        (builder(), "expected a certificate, found none"),
        (
            builder().certificate(b"none", &text("server.key")),
            "certificate: expected a certificate in PEM, found none",
        ),
        (
            builder().certificate(&text("server.pem"), b"none"),
            "key of the certificate: expected a private key in PEM",
        ),
        (
            builder().certificate(&text("server.pem"), &text("client.key")),
            "key of the certificate: ",
        ),
        (
            builder().certificate_for("a.test", &text("server.pem"), &text("server.key")),
            "certificate for a.test: expected a certificate for this name, found one for others",
        ),
        (
            builder().certificate_for("*.test", &text("own.pem"), &text("own.key")),
            "certificate for *.test: expected a certificate for this name, found one for others",
        ),
        (
            builder().certificate_for("127.0.0.1", &text("server.pem"), &text("server.key")),
            "certificate for 127.0.0.1: expected a host name, found something else",
        ),
        (
            secure(certificates).client_certificates_optional(true),
            "expected authorities of the clients' certificates, found none",
        ),
        (
            secure(certificates)
                .client_authorities(&text("authority.pem"))
                .client_revocations(b"none"),
            "revocations of clients: expected a list (CRL) in PEM, found none",
        ),
    ];
    for (builder, expected) in cases {
        let error = builder.build().unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    let missing = builder().certificate_files("/no/such.pem", "/no/such.key");
    let error = missing.build().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(
        error.to_string().starts_with("certificate, /no/such.pem: "),
        "{error}"
    );
}

#[test]
fn a_client_that_speaks_no_tls_or_leaves_is_told_apart() {
    let Some(certificates) = certificates() else {
        return;
    };
    run(async {
        let server = secure(certificates).build().unwrap();
        let (near, far) = duplex(1 << 16);
        near.write_all(b"HELO example.test\r\n").await.unwrap();
        let error = tls::accept(far, &server).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let (near, far) = duplex(1 << 16);
        near.write_all(&[22, 3, 1]).await.unwrap();
        drop(near);
        let error = tls::accept(far, &server).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let slow = secure(certificates).handshake_timeout(std::time::Duration::ZERO);
        let (_near, far) = duplex(1 << 16);
        let error = tls::accept(far, &slow.build().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    });
}
