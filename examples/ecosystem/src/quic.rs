//! quinn on annulus: its trait `Runtime`, over readiness, timers and tasks of this thread.
//!
//! quinn reads and writes the socket itself, by recvmmsg(2) and sendmsg(2) with segmentation
//! offload, and needs to be told when it can. Its traits ask for `Send` although an endpoint that
//! is made here stays here: [`ThreadBound`] keeps what must not leave the thread. Connections and
//! streams of quinn may be used from other threads, as long as the runtime runs. Each connection
//! has a task, which is spawned when it begins: so `Endpoint::connect` and `Incoming::accept` are
//! called on this thread.

use std::{
    fmt,
    future::Future,
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use annulus::{
    io::AsyncFd,
    task::ThreadBound,
    time::{self, Sleep},
};
use quinn::{
    AsyncTimer, AsyncUdpSocket, Runtime, UdpPoller,
    udp::{RecvMeta, Transmit, UdpSocketState},
};

/// The annulus runtime that runs on this thread, for `quinn::Endpoint::new`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Annulus;

impl Runtime for Annulus {
    fn new_timer(&self, deadline: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer(ThreadBound::new(time::sleep_until(deadline))))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(annulus::spawn(future));
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        // It puts the socket into non-blocking mode.
        let state = UdpSocketState::new((&socket).into())?;
        let socket = Arc::new(socket);
        let readiness = Arc::new(ThreadBound::new(AsyncFd::new(Arc::clone(&socket))?));
        Ok(Arc::new(Socket {
            state,
            socket,
            readiness,
        }))
    }

    fn now(&self) -> Instant {
        time::now()
    }
}

struct Timer(ThreadBound<Sleep>);

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.0.get_mut().reset(deadline);
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}

type Readiness = Arc<ThreadBound<AsyncFd<Arc<UdpSocket>>>>;

#[derive(Debug)]
struct Socket {
    state: UdpSocketState,
    socket: Arc<UdpSocket>,
    readiness: Readiness,
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller {
            readiness: Arc::clone(&self.readiness),
            wait: None,
        })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.state.send((&*self.socket).into(), transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.state.recv((&*self.socket).into(), bufs, meta) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
            ready!(self.readiness.get().poll_readable(context))?;
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

type Wait = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// One connection's wait for room to send. Each has its own, since all of them share the socket.
struct Poller {
    readiness: Readiness,
    wait: Option<ThreadBound<Wait>>,
}

impl UdpPoller for Poller {
    fn poll_writable(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let wait = this.wait.get_or_insert_with(|| {
            let readiness = Arc::clone(&this.readiness);
            ThreadBound::new(Box::pin(async move { readiness.get().writable().await }))
        });
        let result = ready!(Pin::new(wait).poll(context));
        this.wait = None;
        Poll::Ready(result)
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").finish_non_exhaustive()
    }
}
