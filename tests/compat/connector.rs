//! The connector of hyper's clients.

use std::{future::poll_fn, io::ErrorKind, pin::pin, task::Poll, time::Duration};

use annulus::{compat::hyper::Connector, io::ByteWrite as _};
use hyper::Uri;
use tower_service::Service as _;

use crate::{
    Family, Hyper,
    support::{listen, run_each},
};

fn url(text: impl AsRef<str>) -> Uri {
    text.as_ref().parse().unwrap()
}

#[test]
fn a_connection_of_the_connector_carries_bytes_both_ways() {
    run_each(async || {
        let (listener, addr) = listen().await;
        let mut connector = Connector::new().with_timeout(Duration::from_secs(60));
        poll_fn(|context| connector.poll_ready(context))
            .await
            .unwrap();
        let mut near = connector
            .call(url(format!("http://{addr}/a?b")))
            .await
            .unwrap();
        let (far, peer) = listener.accept().await.unwrap();
        assert_eq!(near.get_ref().peer_addr(), addr);
        assert!(near.get_ref().is_write_vectored() && !near.get_ref().is_http2());
        assert!(peer.ip().is_loopback());
        Hyper::write_all(&mut near, b"question").await;
        assert_eq!(&*far.recv().await.unwrap(), b"question");
        far.write_all("answer").await.unwrap();
        drop(far);
        assert_eq!(Hyper::read_to_end(&mut near).await, b"answer");
    });
}

#[test]
fn a_name_and_an_address_in_brackets_are_connected_to() {
    run_each(async || {
        let (listener, addr) = listen().await;
        let name = url(format!("http://localhost:{}/", addr.port()));
        let near = Connector::new().call(name).await.unwrap();
        assert_eq!(near.get_ref().peer_addr(), addr);
        drop(listener);
        let Ok(listener) = annulus::net::TcpListener::bind("[::1]:0").await else {
            return; // without IPv6
        };
        let addr = listener.local_addr().unwrap();
        let near = Connector::new().call(url(format!("http://{addr}/"))).await;
        assert_eq!(near.unwrap().get_ref().peer_addr(), addr);
    });
}

#[test]
fn a_url_that_is_no_place_to_connect_to_is_refused() {
    run_each(async || {
        for (text, told) in [
            ("ftp://127.0.0.1/", "expected a URL of http or https"),
            ("/only/a/path", "expected a URL of http or https"),
            ("127.0.0.1:80", "expected a URL of http or https"),
        ] {
            let error = Connector::new().call(url(text)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
            assert_eq!(error.to_string(), told, "{text}");
        }
        let refused = Connector::new().call(url("http://127.0.0.1:1/")).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_connection_that_is_not_wanted_any_more_is_closed() {
    run_each(async || {
        let (listener, addr) = listen().await;
        {
            let mut opening = pin!(Connector::new().call(url(format!("http://{addr}/"))));
            // Once: the connection is under way, or it is there already.
            let _ = poll_fn(|context| Poll::Ready(opening.as_mut().poll(context))).await;
        }
        let mut near = Connector::new()
            .call(url(format!("http://{addr}/")))
            .await
            .unwrap();
        Hyper::write_all(&mut near, b"wanted").await;
        loop {
            let (far, _) = listener.accept().await.unwrap();
            match far.recv().await {
                Ok(bytes) if !bytes.is_empty() => break assert_eq!(&*bytes, b"wanted"),
                // The one that was dropped has ended.
                _ => {}
            }
        }
    });
}

#[test]
fn a_connector_may_go_to_any_thread() {
    fn is_shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    let connector = Connector::new();
    is_shared(&connector);
    std::thread::spawn(move || {
        annulus::run(async move {
            let (_listener, addr) = listen().await;
            let mut connector = connector;
            connector
                .call(url(format!("http://{addr}/")))
                .await
                .unwrap();
        });
    })
    .join()
    .unwrap();
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_without_tls_names_the_feature_that_it_needs() {
    run_each(async || {
        let (_listener, addr) = listen().await;
        let error = Connector::new().call(url(format!("https://{addr}/"))).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(
            error.to_string(),
            "https needs the feature `tls` of annulus"
        );
    });
}
