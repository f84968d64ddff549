//! hyper-util's client with its pool, by a connector of ours.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use annulus::{
    compat::{
        Compat,
        hyper::{Executor, Timer},
    },
    net::TcpStream,
    task::ThreadBound,
};
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt as _, Full};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::{
    Client,
    connect::{Connected, Connection},
};

use crate::{listen, run_each};

/// Connects by TCP.
#[derive(Clone)]
struct Connector;

/// A stream with the one trait that hyper-util asks for in addition.
struct Tcp(Compat<TcpStream>);

impl tower_service::Service<Uri> for Connector {
    type Response = Tcp;
    type Error = io::Error;
    type Future = ThreadBound<Pin<Box<dyn Future<Output = io::Result<Tcp>>>>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        ThreadBound::new(Box::pin(async move {
            let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
            let host = uri.host().ok_or_else(invalid)?;
            let addr = (host, uri.port_u16().unwrap_or(80));
            Ok(Tcp(Compat::new(TcpStream::connect(addr).await?)))
        }))
    }
}

impl Connection for Tcp {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Read::poll_read(Pin::new(&mut self.0), context, buf)
    }
}

impl Write for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Write::poll_write(Pin::new(&mut self.0), context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Write::poll_flush(Pin::new(&mut self.0), context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Write::poll_shutdown(Pin::new(&mut self.0), context)
    }
}

#[test]
fn the_client_of_hyper_util_keeps_connections() {
    run_each(async || {
        let accepted = std::rc::Rc::new(std::cell::Cell::new(0));
        let counted = std::rc::Rc::clone(&accepted);
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
        let client: Client<_, Full<Bytes>> =
            Client::builder(Executor).pool_timer(Timer).build(Connector);
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
