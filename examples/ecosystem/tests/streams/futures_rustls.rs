//! futures-rustls, a TLS server for streams with the traits of `futures-io`, and our own TLS as its
//! client.

use std::sync::Arc;

use annulus::{
    compat::{Compat, FromFutures},
    io::{ByteRead as _, ByteWrite as _},
    net::TcpStream,
    tls,
};
use futures_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use crate::{listen, pattern, run_each};

/// The settings of a server, and its certificate, which is for `localhost`.
pub(crate) fn server_config() -> (ServerConfig, String) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certified.cert.der().clone()],
            PrivateKeyDer::Pkcs8(key),
        )
        .unwrap();
    (config, certified.cert.pem())
}

#[test]
fn a_tls_server_on_our_sockets_is_a_stream_of_ours() {
    run_each(async || {
        let (config, certificate) = server_config();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let addr = listen(move |stream| {
            let accepting = acceptor.accept(Compat::new(stream));
            async move {
                let mut stream = FromFutures::new(accepting.await.unwrap());
                loop {
                    let piece = stream.recv().await.unwrap();
                    if piece.is_empty() {
                        return stream.shutdown().await.unwrap();
                    }
                    stream.write_all(&piece).await.unwrap();
                }
            }
        })
        .await;
        let config = tls::Config::builder()
            .system_roots(false)
            .add_root_certificate(certificate.as_bytes())
            .build()
            .unwrap();
        let stream = TcpStream::connect(&*addr).await.unwrap();
        let mut stream = tls::connect(stream, "localhost", &config).await.unwrap();
        for len in [1, 1000, 100_000] {
            let sent = pattern(len);
            annulus::io::ByteWrite::write_all(&mut stream, &sent)
                .await
                .unwrap();
            let mut received = Vec::new();
            while received.len() < len {
                let piece = annulus::io::ByteRead::recv(&mut stream).await.unwrap();
                assert!(!piece.is_empty());
                received.extend_from_slice(&piece);
            }
            assert!(received == sent);
        }
        annulus::io::ByteWrite::shutdown(&mut stream).await.unwrap();
        assert!(
            annulus::io::ByteRead::recv(&mut stream)
                .await
                .unwrap()
                .is_empty()
        );
    });
}
