//! A gRPC service of tonic's on annulus's sockets, by hyper's HTTP/2. Its messages are written by
//! hand, so that no compiler of protocols is needed.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use annulus::{
    compat::{
        Compat,
        hyper::{Executor, Timer},
    },
    net::{TcpListener, TcpStream},
    spawn,
    task::{AbortHandle, ThreadBound},
};
use futures_util::{Stream, StreamExt as _, stream};
use hyper::client::conn::http2::SendRequest;
use hyper_util::service::TowerToHyperService;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::BoxFuture,
    server::{
        ClientStreamingService, Grpc, NamedService, ServerStreamingService, StreamingService,
        UnaryService,
    },
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
        let numbers = stream::iter(0..request.into_inner().value).map(move |value| {
            let _ = &ending;
            counted.fetch_add(1, Relaxed);
            Ok(value.into())
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

/// A connection to a gRPC server, for tonic's clients.
#[derive(Clone)]
pub struct Channel {
    sender: SendRequest<Body>,
    origin: http::uri::Authority,
    _connection: Rc<Connection>,
}

/// Ends the connection's task with the last channel.
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Channel {
    /// Connects to `addr`.
    pub async fn connect(addr: std::net::SocketAddr) -> io::Result<Self> {
        let stream = Compat::new(TcpStream::connect(addr).await?);
        let connected = hyper::client::conn::http2::Builder::new(Executor)
            .timer(Timer)
            .handshake(stream)
            .await;
        let (sender, connection) = connected.map_err(io::Error::other)?;
        let task = spawn(connection);
        let origin = addr.to_string().parse().map_err(io::Error::other)?;
        Ok(Self {
            sender,
            origin,
            _connection: Rc::new(Connection(task.abort_handle())),
        })
    }
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = ThreadBound<Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>>>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let mut uri = parts.uri.into_parts();
        uri.scheme = Some(http::uri::Scheme::HTTP);
        uri.authority = Some(self.origin.clone());
        match http::Uri::from_parts(uri) {
            Ok(uri) => {
                parts.uri = uri;
                let request = http::Request::from_parts(parts, body);
                ThreadBound::new(Box::pin(self.sender.send_request(request)))
            }
            Err(_) => unreachable!("a method of gRPC is a path"),
        }
    }
}
