//! HTTP on a single connection, without a server.

use std::{
    fmt,
    future::{Future as _, poll_fn},
    rc::Rc,
    sync::Arc,
    task::{Poll, ready},
};

use super::{
    access_log::Access,
    exchange::{Ended, Exchange},
    message::handler::Handler,
    serve::serve_all,
    settings::Settings,
    timeouts::Timeouts,
    trace::ConnectionSpan,
    unserved::end_broken,
    worker_shared::Shared,
};
use crate::{
    budget,
    http::{
        h1::{Leniency, Limits},
        tick::TickAlarm,
        transport::{Transport, closing::close_gently},
    },
    time,
};

/// Serves HTTP on a connection of any kind: a socket that other code accepted, a stream with a
/// protocol of its own below, or one in memory, in tests.
///
/// A [`Server`](crate::http::Server) is what accepts, limits and stops many of them.
///
/// # Examples
///
/// ```
/// use std::io;
/// use annulus::{http::{Connection, Request}, io::{Reader, duplex}, spawn};
///
/// annulus::run(async {
///     let (near, far) = duplex(4096);
///     let served = spawn(Connection::new().serve(far, async |_: Request| "hello"));
///     let request = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
///     near.write_all(request).await?;
///     let answer = Reader::new(near).read_to_end(4096).await?;
///     assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"hello"));
///     served.await?;
///     io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone, Default)]
pub struct Connection {
    pub(super) settings: Settings,
}

impl Connection {
    /// Makes the default settings, those of a [`Server`](crate::http::Server).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the limits on what a client may send.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.rules.limits = limits;
        self
    }

    /// Accepts messages that break the protocol in these ways; none by default.
    #[must_use]
    pub fn leniency(mut self, leniency: Leniency) -> Self {
        self.settings.rules.leniency = leniency.of_server();
        self
    }

    /// Sets how long to wait for the client.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.settings.timeouts = timeouts;
        self
    }

    /// Calls `log` for each request that was answered or refused, and for bytes that were no
    /// request.
    #[must_use]
    pub fn access_log(mut self, log: impl Fn(&Access<'_>) + Send + Sync + 'static) -> Self {
        self.settings.access_log = Some(Arc::new(log));
        self
    }

    /// Serves `stream` until it ends. An error of the connection ends it too, and is not returned.
    ///
    /// # Cancel safety
    ///
    /// The connection is closed, and a handler that runs is dropped.
    pub async fn serve<H: Handler>(self, stream: impl Into<Transport>, handler: H) {
        let idle = self.settings.timeouts.idle;
        let shared = Rc::new(Shared::new(self.settings, Arc::default()));
        let exchange = Exchange::new(Rc::clone(&shared));
        let mut serving = Box::pin(serve_all(Rc::clone(&exchange), Rc::new(handler)));
        let mut transport = stream.into();
        let span = ConnectionSpan::begin(&transport);
        exchange.set_span(span.id());
        loop {
            budget::turn().await;
            let receive = poll_fn(|context| transport.poll_recv(context));
            let bytes = match time::timeout(idle, receive).await {
                Ok(Ok(bytes)) if !bytes.is_empty() => bytes,
                Ok(Err(_)) => {
                    if let Some(end) = end_broken(transport, &shared) {
                        end.await;
                    }
                    return;
                }
                Ok(Ok(_)) | Err(_) => return close_gently(transport, Some(0)).await,
            };
            exchange.give(transport, bytes);
            let ended = poll_fn(|context| {
                shared.look_at_clock();
                // It never ends by itself; what it leaves behind tells.
                let _ = serving.as_mut().poll(context);
                exchange.take_ended().map_or(Poll::Pending, Poll::Ready)
            });
            match ended.await {
                Ended::Idle(idle) => transport = idle,
                Ended::Closed => {
                    let Some(mut tunnel) = exchange.take_tunnel() else {
                        return;
                    };
                    // They are larger than all that is left.
                    drop((serving, exchange));
                    let mut alarm = TickAlarm::default();
                    return poll_fn(|context| {
                        loop {
                            if tunnel.poll(&shared, context).is_ready() {
                                return Poll::Ready(());
                            }
                            ready!(alarm.poll(tunnel.due(), context));
                        }
                    })
                    .await;
                }
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
