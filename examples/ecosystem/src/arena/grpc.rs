//! The gRPC service `benchmark.BenchmarkService`, by tonic on this crate's HTTP/2. The messages are
//! written by hand, so that no compiler of protocols is needed.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, StdError},
    server::{Grpc, ServerStreamingService, UnaryService},
};
use tonic_prost::ProstCodec;
use tower_service::Service;

/// The messages `SumRequest` and `StreamRequest`: the first has no `count`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Summands {
    #[prost(int32, tag = "1")]
    pub a: i32,
    #[prost(int32, tag = "2")]
    pub b: i32,
    #[prost(int32, tag = "3")]
    pub count: i32,
}

/// The answer to each.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct SumReply {
    #[prost(int32, tag = "1")]
    pub result: i32,
}

impl Summands {
    fn sum(self, more: i32) -> SumReply {
        SumReply {
            result: self.a.wrapping_add(self.b).wrapping_add(more),
        }
    }
}

struct GetSum;

impl UnaryService<Summands> for GetSum {
    type Response = SumReply;
    type Future = Ready<Result<Response<SumReply>, Status>>;

    fn call(&mut self, request: Request<Summands>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner().sum(0))))
    }
}

struct StreamSum;

impl ServerStreamingService<Summands> for StreamSum {
    type Response = SumReply;
    type ResponseStream = BoxStream<'static, Result<SumReply, Status>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Summands>) -> Self::Future {
        let summands = request.into_inner();
        let replies = (0..summands.count).map(move |more| Ok(summands.sum(more)));
        ready(Ok(Response::new(stream::iter(replies).boxed())))
    }
}

/// The service, for requests of any body.
#[derive(Clone, Copy, Debug)]
pub struct Benchmark;

impl<B> Service<http::Request<B>> for Benchmark
where
    B: http_body::Body<Error: Into<StdError> + Send> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<SumReply, Summands>::default());
            Ok(match request.uri().path() {
                "/benchmark.BenchmarkService/GetSum" => grpc.unary(GetSum, request).await,
                "/benchmark.BenchmarkService/StreamSum" => {
                    grpc.server_streaming(StreamSum, request).await
                }
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}
