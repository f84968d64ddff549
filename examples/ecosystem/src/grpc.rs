//! A gRPC service of tonic's on annulus's sockets, and tonic's client. The messages are written by
//! hand, so that no compiler of protocols is needed.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use annulus::{
    compat::{
        Compat,
        hyper::{Connector, Executor, Timer},
        in_tokio,
    },
    net::TcpListener,
    spawn,
};
use futures_util::{Stream, StreamExt as _, stream};
use hyper_util::service::TowerToHyperService;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::BoxFuture,
    server::{
        ClientStreamingService, Grpc, NamedService, ServerStreamingService, StreamingService,
        UnaryService,
    },
    service::Routes,
    transport::{Channel, Endpoint, Server},
};
use tonic_prost::ProstCodec;
use tower_service::Service;

/// A number, the only message.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Number {
    #[prost(uint64, tag = "1")]
    pub value: u64,
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self { value }
    }
}

/// Serves `numbers.Numbers`: `Double` is unary, `Count` streams to the client, `Sum` from it, and
/// `Squares` both ways.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// Numbers that `Count` has given out.
    pub counted: Arc<AtomicU64>,
    /// Streams of `Count` that have been dropped or ended.
    pub ended: Arc<AtomicU64>,
}

impl NamedService for Numbers {
    const NAME: &'static str = "numbers.Numbers";
}

/// The numbers to the client.
type Counting = Pin<Box<dyn Stream<Item = Result<Number, Status>> + Send>>;

/// Counts when it is dropped.
struct Ending(Arc<AtomicU64>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

struct Double;

impl UnaryService<Number> for Double {
    type Response = Number;
    type Future = Ready<Result<Response<Number>, Status>>;

    fn call(&mut self, request: Request<Number>) -> Self::Future {
        let doubled = request.into_inner().value.checked_mul(2);
        let doubled = doubled.ok_or_else(|| Status::out_of_range("too large"));
        ready(doubled.map(|value| Response::new(value.into())))
    }
}

struct Count(Numbers);

impl ServerStreamingService<Number> for Count {
    type Response = Number;
    type ResponseStream = Counting;
    type Future = Ready<Result<Response<Counting>, Status>>;

    fn call(&mut self, request: Request<Number>) -> Self::Future {
        let counted = Arc::clone(&self.0.counted);
        let ending = Ending(Arc::clone(&self.0.ended));
        let (mut value, end) = (0, request.into_inner().value);
        let mut is_next_batch = false;
        let numbers = stream::poll_fn(move |context| {
            let _ = &ending;
            // They come a hundred at a time, as they would from a database. tonic sends what it has
            // in between.
            if value % 100 == 0 && !is_next_batch {
                is_next_batch = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            is_next_batch = false;
            if value == end {
                return Poll::Ready(None);
            }
            counted.fetch_add(1, Relaxed);
            value += 1;
            Poll::Ready(Some(Ok((value - 1).into())))
        });
        ready(Ok(Response::new(numbers.boxed())))
    }
}

struct Sum;

impl ClientStreamingService<Number> for Sum {
    type Response = Number;
    type Future = BoxFuture<Response<Number>, Status>;

    fn call(&mut self, request: Request<Streaming<Number>>) -> Self::Future {
        Box::pin(async move {
            let mut numbers = request.into_inner();
            let mut sum = 0;
            while let Some(number) = numbers.message().await? {
                sum += number.value;
            }
            Ok(Response::new(sum.into()))
        })
    }
}

struct Squares;

impl StreamingService<Number> for Squares {
    type Response = Number;
    type ResponseStream = Counting;
    type Future = Ready<Result<Response<Counting>, Status>>;

    fn call(&mut self, request: Request<Streaming<Number>>) -> Self::Future {
        let squares = request.into_inner().map(|number| {
            let value = number?.value;
            Ok((value * value).into())
        });
        ready(Ok(Response::new(squares.boxed())))
    }
}

impl<B> Service<http::Request<B>> for Numbers
where
    B: http_body::Body<Error: Into<tonic::codegen::StdError> + Send> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let numbers = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Number, Number>::default());
            Ok(match request.uri().path() {
                "/numbers.Numbers/Double" => grpc.unary(Double, request).await,
                "/numbers.Numbers/Count" => grpc.server_streaming(Count(numbers), request).await,
                "/numbers.Numbers/Sum" => grpc.client_streaming(Sum, request).await,
                "/numbers.Numbers/Squares" => grpc.streaming(Squares, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// Accepts connections, and serves each by HTTP/2. It runs until it is dropped.
pub async fn serve<S>(listener: TcpListener, service: S) -> io::Result<()>
where
    S: Service<http::Request<hyper::body::Incoming>, Response = http::Response<Body>>
        + Clone
        + 'static,
    S::Error: Into<tonic::codegen::StdError>,
{
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        spawn(async move {
            // An error is the client's, which has left.
            let _ = hyper::server::conn::http2::Builder::new(Executor)
                .timer(Timer)
                .serve_connection(Compat::new(stream), service)
                .await;
        });
    }
}

/// Accepts connections for tonic's own server, until `stop` is ready and all of them have ended.
///
/// Each connection is a task that tonic starts by `tokio::spawn`. That task runs on tokio's thread,
/// so the socket goes there as soon as it is accepted. The accepting itself is done here.
pub async fn serve_by_tonic(
    listener: TcpListener,
    routes: Routes,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let incoming = stream::unfold(listener, async |listener| {
        let accepted = accept_for_tokio(&listener).await;
        Some((accepted, listener))
    });
    let served = Server::builder()
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop);
    in_tokio(served).await
}

async fn accept_for_tokio(listener: &TcpListener) -> io::Result<tokio::net::TcpStream> {
    let (stream, _) = listener.accept().await?;
    let (stream, received) = stream.detach().await?.into_std()?;
    assert!(received.is_empty(), "no receive has begun");
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream)
}

/// A channel to `addr` by tonic's own client, whose connection and tasks are on this thread.
///
/// It works without a runtime of tokio's. With a time limit or a keep-alive it needs one, in which
/// the program is by `Tokio::enter`.
pub fn endpoint(addr: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{addr}"))
        .expect("an address is a URL's host")
        .executor(Executor)
}

/// Connects to `addr` by tonic's own client.
pub async fn connect(addr: SocketAddr) -> Result<Channel, tonic::transport::Error> {
    endpoint(addr)
        .connect_with_connector(Connector::new())
        .await
}
