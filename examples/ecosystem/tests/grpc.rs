//! gRPC by tonic on annulus's sockets: unary and streaming calls, and a foreign client's health
//! check.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{atomic::Ordering::Relaxed, mpsc},
    thread,
    time::Duration,
};

use annulus::{
    compat::{Tokio, hyper::Connector},
    net::TcpListener,
    spawn,
    sync::oneshot,
    task::yield_now,
    time::timeout,
};
use ecosystem::grpc::{Number, Numbers, connect, endpoint, serve, serve_by_tonic};
use futures_util::{StreamExt as _, stream};
use http::uri::PathAndQuery;
use tonic::{Code, Request, client::Grpc, service::Routes, transport::Channel};
use tonic_prost::ProstCodec;

/// How long a test waits for what must come.
const BOUND: Duration = Duration::from_secs(60);

/// Runs a test with a server of its own, of each kind.
fn each_server(test: impl AsyncFn(Numbers, SocketAddr)) {
    annulus::run(async {
        let (numbers, routes) = numbers_served();
        let (listener, addr) = listen().await;
        let served = spawn(serve(listener, routes.prepare()));
        bounded(test(numbers, addr)).await;
        served.abort();

        let (numbers, routes) = numbers_served();
        let (listener, addr) = listen().await;
        let (stop, stopped) = oneshot::channel();
        let served = spawn(serve_by_tonic(listener, routes, async move {
            let _ = stopped.await;
        }));
        bounded(test(numbers, addr)).await;
        stop.send(()).unwrap();
        // The connections of the test are closed, so that the server has none to wait for.
        bounded(served).await.unwrap().unwrap();
    });
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

fn numbers_served() -> (Numbers, Routes) {
    let numbers = Numbers::default();
    (numbers.clone(), Routes::new(numbers))
}

async fn bounded<F: Future>(future: F) -> F::Output {
    timeout(BOUND, future)
        .await
        .expect("the test does not hang")
}

/// As [`each_server`], with a client.
fn with_numbers(test: impl AsyncFn(Numbers, Grpc<Channel>)) {
    each_server(async |numbers, addr| {
        let grpc = Grpc::new(connect(addr).await.unwrap());
        test(numbers, grpc).await;
    });
}

fn codec() -> ProstCodec<Number, Number> {
    ProstCodec::default()
}

fn method(name: &str) -> PathAndQuery {
    format!("/numbers.Numbers/{name}").parse().unwrap()
}

#[test]
fn a_unary_call_is_answered_or_refused() {
    with_numbers(async |_, mut grpc| {
        for value in 0..100 {
            grpc.ready().await.unwrap();
            let request = Request::new(Number { value });
            let answer = grpc
                .unary(request, method("Double"), codec())
                .await
                .unwrap();
            assert_eq!(answer.into_inner().value, 2 * value);
        }
        grpc.ready().await.unwrap();
        let request = Request::new(Number { value: u64::MAX });
        let refused = grpc
            .unary(request, method("Double"), codec())
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::OutOfRange, "too large")
        );
        grpc.ready().await.unwrap();
        let request = Request::new(Number { value: 1 });
        let unknown = grpc
            .unary(request, method("Halve"), codec())
            .await
            .unwrap_err();
        assert_eq!(unknown.code(), Code::Unimplemented);
    });
}

#[test]
fn ten_thousand_messages_come_in_order() {
    with_numbers(async |numbers, mut grpc| {
        grpc.ready().await.unwrap();
        let request = Request::new(Number { value: 10_000 });
        let answer = grpc
            .server_streaming(request, method("Count"), codec())
            .await
            .unwrap();
        let mut counted = answer.into_inner();
        for expected in 0..10_000 {
            assert_eq!(counted.message().await.unwrap().unwrap().value, expected);
        }
        assert!(counted.message().await.unwrap().is_none());
        while numbers.ended.load(Relaxed) == 0 {
            yield_now().await;
        }
    });
}

#[test]
fn ten_thousand_messages_cancelled_half_way_end_at_the_server() {
    each_server(async |numbers, addr| {
        // A window so small that the server has to wait for the client to read.
        let endpoint = endpoint(addr).initial_stream_window_size(1024);
        let channel = endpoint.connect_with_connector(Connector::new());
        let mut grpc = Grpc::new(channel.await.unwrap());
        grpc.ready().await.unwrap();
        let request = Request::new(Number { value: 10_000 });
        let answer = grpc
            .server_streaming(request, method("Count"), codec())
            .await
            .unwrap();
        let mut counted = answer.into_inner();
        for expected in 0..5_000 {
            assert_eq!(counted.message().await.unwrap().unwrap().value, expected);
        }
        drop(counted);
        // The reset reaches the server, which drops the stream of numbers.
        while numbers.ended.load(Relaxed) == 0 {
            yield_now().await;
        }
        let given = numbers.counted.load(Relaxed);
        assert!((5_000..10_000).contains(&given), "{given}");
        // The connection goes on.
        grpc.ready().await.unwrap();
        let request = Request::new(Number { value: 4 });
        let answer = grpc
            .unary(request, method("Double"), codec())
            .await
            .unwrap();
        assert_eq!(answer.into_inner().value, 8);
        assert_eq!(numbers.counted.load(Relaxed), given);
    });
}

#[test]
fn a_time_limit_of_a_channel_needs_a_context_of_tokio() {
    let tokio = Tokio::shared().unwrap();
    // Its tasks are in the context as well.
    let _guard = tokio.enter();
    each_server(async |_, addr| {
        let endpoint = endpoint(addr).timeout(BOUND);
        let channel = endpoint.connect_with_connector(Connector::new());
        let mut grpc = Grpc::new(channel.await.unwrap());
        grpc.ready().await.unwrap();
        let request = Request::new(Number { value: 4 });
        let answer = grpc.unary(request, method("Double"), codec());
        assert_eq!(answer.await.unwrap().into_inner().value, 8);
    });
}

#[test]
fn a_server_that_is_away_is_an_error_and_found_again_when_it_is_back() {
    annulus::run(async {
        let (listener, addr) = listen().await;
        drop(listener);
        assert!(connect(addr).await.is_err());
        let mut grpc = Grpc::new(endpoint(addr).connect_with_connector_lazy(Connector::new()));
        let mut double = async || {
            grpc.ready().await.unwrap();
            let request = Request::new(Number { value: 4 });
            grpc.unary(request, method("Double"), codec()).await
        };
        let away = bounded(double()).await.unwrap_err();
        assert_eq!(away.code(), Code::Unavailable);
        let listener = TcpListener::bind(addr).await.unwrap();
        let served = spawn(serve(listener, numbers_served().1.prepare()));
        let answer = bounded(double()).await.unwrap();
        assert_eq!(answer.into_inner().value, 8);
        served.abort();
    });
}

#[test]
fn a_client_streams_and_both_stream() {
    with_numbers(async |_, mut grpc| {
        grpc.ready().await.unwrap();
        let numbers = stream::iter((0..10_000).map(Number::from));
        let answer = grpc.client_streaming(Request::new(numbers), method("Sum"), codec());
        assert_eq!(answer.await.unwrap().into_inner().value, 9_999 * 5_000);
        grpc.ready().await.unwrap();
        let numbers = stream::iter((0..10_000).map(Number::from));
        let answer = grpc.streaming(Request::new(numbers), method("Squares"), codec());
        let squares = answer.await.unwrap().into_inner();
        let squares: Vec<_> = squares.map(|number| number.unwrap().value).collect().await;
        assert!(
            squares
                .into_iter()
                .eq((0..10_000).map(|value| value * value))
        );
    });
}

/// The client of Python's `grpcio`.
const HEALTH_CLIENT: &str = "
import sys, grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
with grpc.insecure_channel(sys.argv[1]) as channel:
    stub = health_pb2_grpc.HealthStub(channel)
    def ask(name):
        request = health_pb2.HealthCheckRequest(service=name)
        try:
            return stub.Check(request, timeout=60).status
        except grpc.RpcError as error:
            return error.code().name
    print(ask(''), ask('numbers.Numbers'), ask('other'))
    watch = stub.Watch(health_pb2.HealthCheckRequest(service='numbers.Numbers'), timeout=60)
    print(next(watch).status)
    watch.cancel()
";

/// A Python that has `grpcio` and `grpcio-health-checking`: that of `GRPC_PYTHON`, or the system's.
fn python() -> Option<String> {
    let python = std::env::var("GRPC_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let import = Command::new(&python)
        .args(["-c", "import grpc, grpc_health"])
        .output();
    import
        .is_ok_and(|output| output.status.success())
        .then_some(python)
}

#[test]
fn pythons_grpc_checks_the_health_of_a_service() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with grpcio; `GRPC_PYTHON` names one");
        return;
    };
    let (tell, told) = mpsc::channel();
    let (done, is_done) = mpsc::channel::<()>();
    let serving = thread::spawn(move || {
        annulus::run(async {
            let (reporter, health) = tonic_health::server::health_reporter();
            reporter.set_serving::<Numbers>().await;
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let routes = Routes::new(Numbers::default())
                .add_service(health)
                .prepare();
            let served = spawn(serve(listener, routes));
            annulus::blocking::run(move || is_done.recv().unwrap()).await;
            served.abort();
        });
    });
    let addr = told.recv_timeout(BOUND).unwrap();
    let output = Command::new(python)
        .args(["-c", HEALTH_CLIENT, &addr.to_string()])
        .output()
        .unwrap();
    done.send(()).unwrap();
    serving.join().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "1 1 NOT_FOUND\n1\n",
        "{errors}"
    );
}
