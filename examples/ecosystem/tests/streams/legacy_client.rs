//! hyper-util's client with its pool, by the crate's connector.

use std::{cell::Cell, convert::Infallible, rc::Rc, sync::Arc};

use annulus::{
    compat::{
        Compat, FromFutures,
        hyper::{Connector, Executor, Timer},
    },
    tls,
};
use bytes::Bytes;
use ecosystem::legacy_connector::client;
use futures_rustls::TlsAcceptor;
use http::{Request, Response, Uri, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};

use crate::{futures_rustls::server_config, listen, run_each};

#[test]
fn the_client_of_hyper_util_keeps_connections() {
    run_each(async || {
        let accepted = Rc::new(Cell::new(0));
        let counted = Rc::clone(&accepted);
        let addr = listen(move |stream| {
            counted.set(counted.get() + 1);
            async move {
                let handler = async |request: annulus::http::Request| request.path().to_string();
                annulus::http::Connection::new()
                    .serve(stream, handler)
                    .await;
            }
        })
        .await;
        let client = client::<Full<Bytes>>(Connector::new());
        for index in 0..100 {
            let uri = format!("http://{addr}/{index}").parse().unwrap();
            let response = client.get(uri).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, format!("/{index}"));
            // The connection goes back to the pool in a task.
            annulus::task::yield_now().await;
        }
        assert!(accepted.get() < 100, "{} connections", accepted.get());
        let refused = client.get("http://127.0.0.1:1/".parse().unwrap()).await;
        assert!(refused.unwrap_err().is_connect());
    });
}

/// Answers by the path and the version of the request.
async fn tell(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = format!("{} {:?}", request.uri().path(), request.version());
    Ok(Response::new(Full::from(text)))
}

/// A server with TLS that offers HTTP/2. Returns its port and its certificate.
async fn secure_server(accepted: Rc<Cell<usize>>) -> (String, String) {
    let (mut config, certificate) = server_config();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let addr = listen(move |stream| {
        let accepting = acceptor.accept(Compat::new(stream));
        let accepted = Rc::clone(&accepted);
        async move {
            // A client that does not trust the certificate leaves here.
            let Ok(stream) = accepting.await else { return };
            accepted.set(accepted.get() + 1);
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let stream = Compat::new(FromFutures::new(stream));
            // An error is the client's, which has left.
            let _ = if is_http2 {
                let http2 = http2::Builder::new(Executor)
                    .timer(Timer)
                    .serve_connection(stream, service_fn(tell));
                http2.await
            } else {
                let http1 = http1::Builder::new()
                    .timer(Timer)
                    .serve_connection(stream, service_fn(tell));
                http1.await
            };
        }
    })
    .await;
    let (_, port) = addr.rsplit_once(':').unwrap();
    (port.to_owned(), certificate)
}

fn trusting(certificate: &str) -> tls::ConfigBuilder {
    tls::Config::builder()
        .system_roots(false)
        .add_root_certificate(certificate.as_bytes())
}

#[test]
fn https_is_http_2_where_both_sides_offer_it() {
    run_each(async || {
        let accepted = Rc::new(Cell::new(0));
        let (port, certificate) = secure_server(Rc::clone(&accepted)).await;
        for (protocols, version, connections) in [
            (&["h2", "http/1.1"][..], Version::HTTP_2, Some(1)),
            (&[][..], Version::HTTP_11, None),
        ] {
            accepted.set(0);
            let config = trusting(&certificate).alpn(protocols).build().unwrap();
            let client = client::<Full<Bytes>>(Connector::new().with_tls(&config));
            let mut tasks = annulus::task::JoinSet::new();
            for index in 0..32 {
                let uri: Uri = format!("https://localhost:{port}/{index}").parse().unwrap();
                // The first one finds out which protocol is spoken.
                if index == 1 {
                    tasks.join_next().await.unwrap().unwrap();
                }
                let client = client.clone();
                tasks.spawn(async move {
                    let response = client.get(uri).await.unwrap();
                    assert_eq!(response.version(), version);
                    let body = response.into_body().collect().await.unwrap().to_bytes();
                    assert_eq!(body, format!("/{index} {version:?}"));
                });
            }
            while let Some(joined) = tasks.join_next().await {
                joined.unwrap();
            }
            assert!(connections.is_none_or(|count| count == accepted.get()));
        }
    });
}

#[test]
fn a_server_that_is_not_trusted_is_an_error_of_the_connection() {
    run_each(async || {
        let (port, certificate) = secure_server(Rc::default()).await;
        let (_, other) = server_config();
        for (config, host) in [
            (trusting(&other).build().unwrap(), "localhost"),
            // The certificate has another name.
            (trusting(&certificate).build().unwrap(), "127.0.0.1"),
        ] {
            let client = client::<Full<Bytes>>(Connector::new().with_tls(&config));
            let uri = format!("https://{host}:{port}/").parse().unwrap();
            let error = client.get(uri).await.unwrap_err();
            assert!(error.is_connect(), "{error:?}");
            assert!(
                format!("{error:?}").contains("InvalidCertificate"),
                "{error:?}"
            );
        }
    });
}
