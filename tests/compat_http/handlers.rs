//! Handlers as services, and layers around them.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use annulus::{
    compat::tower::{AnswerBody, HandlerToTower, TowerToHandler, layered},
    http::{
        self, BodyWriter, Error, Handler, HeaderValue, IntoResponse as _, Limits, Request,
        Response, Router, StatusCode, Timeouts,
    },
    task::{ThreadBound, yield_now},
};
use http_body::Body as _;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Scripted,
    Step::{self, Data, Fail, Trailer, Wait},
    body, collect, frame, get, status,
    support::{http::field, run_each},
    talk,
};

/// Calls a handler as a service.
async fn call<B>(handler: impl Handler, request: ::http::Request<B>) -> ::http::Response<AnswerBody>
where
    B: http_body::Body<Error: Into<http::Cause>> + 'static,
{
    let mut service = HandlerToTower::new(handler);
    let service: &mut dyn Service<_, Response = ::http::Response<AnswerBody>, Error = Infallible, Future = _> =
        &mut service;
    service.call(request).await.unwrap()
}

/// Tells all of a request.
async fn told(mut request: Request) -> http::Result<String> {
    let fields: Vec<String> = request
        .fields()
        .map(|(name, value)| format!("{name}={}", value.escape_ascii()))
        .collect();
    let head = format!(
        "{} {} {:?} {} {}",
        request.method(),
        request.target(),
        request.version(),
        request.authority().unwrap_or("-"),
        fields.join(",")
    );
    let mut body = request.take_body();
    let mut text = Vec::new();
    while let Some(piece) = body.next().await? {
        text.extend_from_slice(&piece);
    }
    let text = String::from_utf8_lossy(&text);
    Ok(format!("{head} [{text}] {:?}", body.trailers()))
}

#[test]
fn a_request_of_any_kind_reaches_the_handler() {
    let steps = || vec![Data("he"), Wait, Data("llo"), Trailer("x-sum", "7")];
    run_each(async || {
        for (target, fields, body, expected) in [
            (
                "/a?b",
                vec![("host", "c"), ("x-a", "\u{e9}")],
                Scripted::new([]).sized(0),
                "POST /a?b HTTP/1.1 c host=c,x-a=\\xc3\\xa9,transfer-encoding=chunked [] {}",
            ),
            (
                "https://u@c:8/a?b",
                vec![("expect", "100-continue"), ("content-length", "99")],
                Scripted::new([Data("he"), Data("llo")]).sized(5),
                "POST /a?b HTTP/1.1 c:8 host=c:8,content-length=5 [hello] {}",
            ),
            (
                "http://c",
                vec![("host", "d")],
                Scripted::new(steps()),
                "POST http://c/ HTTP/1.1 c host=d,transfer-encoding=chunked [hello] \
                 {\"x-sum\": \"7\"}",
            ),
            (
                "/",
                vec![],
                Scripted::new(steps()),
                "POST / HTTP/1.1 localhost host=localhost,transfer-encoding=chunked [hello] \
                 {\"x-sum\": \"7\"}",
            ),
        ] {
            let mut request = ::http::Request::post(target);
            for (name, value) in fields {
                request = request.header(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let response = call(told, request.body(body).unwrap()).await;
            assert_eq!(response.status(), 200);
            let (text, _) = collect(response.into_body()).await.unwrap();
            assert_eq!(text, expected);
        }
        let response = call(told, ::http::Request::new(String::new())).await;
        let (text, _) = collect(response.into_body()).await.unwrap();
        assert_eq!(text, "GET / HTTP/1.1 localhost host=localhost [] {}");
    });
}

#[test]
fn a_request_that_is_none_of_http_1_is_refused() {
    run_each(async || {
        let request = ::http::Request::get("/")
            .header("host", "a b")
            .body(String::new());
        let response = call(told, request.unwrap()).await;
        assert_eq!(response.status(), 400);
        assert!(response.body().is_end_stream());
    });
}

#[test]
fn limits_and_errors_of_a_foreign_body_reach_the_handler() {
    run_each(async || {
        let limits = Limits {
            body_bytes_max: 3,
            ..Limits::default()
        };
        let mut service = HandlerToTower::with(told, limits, Timeouts::default());
        let request = ::http::Request::post("/").body("four".to_owned()).unwrap();
        let response = service.call(request).await.unwrap();
        assert_eq!(response.status(), 413);
        let steps: [Step; 2] = [Data("he"), Fail("torn")];
        let response = call(
            told,
            ::http::Request::post("/")
                .body(Scripted::new(steps))
                .unwrap(),
        )
        .await;
        assert_eq!(response.status(), 500);
        // One that has failed is not polled again.
        let twice = async |mut request: Request| {
            let mut body = request.take_body();
            let first = body.next().await.is_err();
            format!("{first} {}", body.next().await.is_err())
        };
        let request = ::http::Request::post("/").body(Scripted::new([Fail("torn")]));
        let response = call(twice, request.unwrap()).await;
        let (text, _) = collect(response.into_body()).await.unwrap();
        assert_eq!(text, "true true");
    });
}

#[test]
fn a_body_of_http_1_0_needs_no_length() {
    run_each(async || {
        let body = || Scripted::new([Data("he"), Wait, Data("llo")]);
        for (body, expected) in [
            (
                body().sized(5),
                "POST / HTTP/1.0 - content-length=5 [hello] {}",
            ),
            // It has to be one of HTTP/1.1 for the handler.
            (
                body(),
                "POST / HTTP/1.1 localhost host=localhost,transfer-encoding=chunked [hello] {}",
            ),
        ] {
            let request = ::http::Request::post("/").version(::http::Version::HTTP_10);
            let response = call(told, request.body(body).unwrap()).await;
            assert_eq!(response.status(), 200);
            let (text, _) = collect(response.into_body()).await.unwrap();
            assert_eq!(text, expected);
        }
    });
}

#[test]
fn an_answer_is_written_as_its_body_is_polled() {
    let written = Rc::new(std::cell::Cell::new(0));
    let count = Rc::clone(&written);
    let handler = async move |_: Request| {
        let count = Rc::clone(&count);
        Response::writer(async move |mut out: BodyWriter| {
            for piece in 0..100 {
                out.write(vec![b'a'; 10_000]).await?;
                count.set(piece + 1);
            }
            out.write("end").await?;
            out.flush().await?;
            out.add_trailer("x-sum".parse().unwrap(), HeaderValue::from_static("7"));
            Ok(())
        })
    };
    run_each(async || {
        written.set(0);
        let response = call(handler.clone(), ::http::Request::new(String::new())).await;
        assert_eq!(written.get(), 0);
        let mut body = response.into_body();
        assert_eq!(
            (body.is_end_stream(), body.size_hint().exact()),
            (false, None)
        );
        frame(&mut body).await.unwrap().unwrap();
        // What is not polled is not written.
        assert!(written.get() < 10, "{}", written.get());
        let (text, trailers) = collect(&mut body).await.unwrap();
        assert_eq!(text.len(), 99 * 10_000 + 3);
        assert!(text.ends_with("aend"));
        assert_eq!(trailers["x-sum"], "7");
        assert!(body.is_end_stream());
        assert!(frame(&mut body).await.is_none());
    });
}

#[test]
fn an_answer_keeps_its_promise_or_fails() {
    let handler = async |request: Request| {
        let count: usize = request.query().unwrap().parse().unwrap();
        Response::writer(async move |mut out: BodyWriter| out.write(vec![b'a'; count]).await)
            .try_with_field("content-length", "5")
    };
    run_each(async || {
        for (count, succeeds) in [(5, true), (4, false), (6, false)] {
            let request = ::http::Request::get(format!("/?{count}")).body(String::new());
            let response = call(handler, request.unwrap()).await;
            assert_eq!(response.headers()["content-length"], "5");
            let body = response.into_body();
            assert_eq!(body.size_hint().exact(), Some(5));
            assert_eq!(collect(body).await.is_ok(), succeeds, "{count}");
        }
    });
}

#[test]
fn a_length_with_a_sign_promises_nothing() {
    let handler = async |_request: Request| {
        Response::writer(async |mut out: BodyWriter| out.write(vec![b'a'; 4]).await)
            .try_with_field("content-length", "+5")
    };
    run_each(async || {
        let request = ::http::Request::get("/").body(String::new());
        let body = call(handler, request.unwrap()).await.into_body();
        assert_eq!(body.size_hint().exact(), None);
        assert_eq!(collect(body).await.unwrap().0.len(), 4);
    });
}

#[test]
fn a_dropped_call_or_body_drops_the_handler() {
    let alive = Rc::new(());
    let held = Rc::clone(&alive);
    let handler = async move |request: Request| {
        let held = Rc::clone(&held);
        if request.path() == "/waits" {
            poll_fn(|_| {
                let _ = &held;
                Poll::<()>::Pending
            })
            .await;
        }
        Response::writer(async move |mut out: BodyWriter| {
            let _ = &held;
            out.write("a").await?;
            poll_fn(|_| Poll::<http::Result<()>>::Pending).await
        })
    };
    run_each(async || {
        let before = Rc::strong_count(&alive);
        let mut service = HandlerToTower::new(handler.clone());
        let waits = ::http::Request::get("/waits").body(String::new()).unwrap();
        let mut call = service.call(waits);
        let polled = poll_fn(|context| Poll::Ready(Pin::new(&mut call).poll(context))).await;
        assert!(polled.is_pending());
        assert_eq!(Rc::strong_count(&alive), before + 2);
        drop(call);
        assert_eq!(Rc::strong_count(&alive), before + 1);
        let response = service
            .call(::http::Request::new(String::new()))
            .await
            .unwrap();
        let mut body = response.into_body();
        frame(&mut body).await.unwrap().unwrap();
        assert_eq!(Rc::strong_count(&alive), before + 2);
        drop(body);
        assert_eq!(Rc::strong_count(&alive), before + 1);
        drop(service);
        yield_now().await;
    });
}

#[test]
fn an_echo_reads_the_request_while_it_answers() {
    let echo = async |mut request: Request| {
        let mut body = request.take_body();
        Response::writer(async move |mut out: BodyWriter| {
            while let Some(piece) = body.next().await? {
                out.write(piece).await?;
            }
            Ok(())
        })
    };
    run_each(async || {
        let steps = [Wait, Data("one"), Wait, Data("two")];
        let request = ::http::Request::post("/")
            .body(Scripted::new(steps))
            .unwrap();
        let response = call(echo, request).await;
        assert_eq!(collect(response.into_body()).await.unwrap().0, "onetwo");
    });
}

/// A layer that calls a function with the request and one with the answer's body.
#[derive(Clone)]
struct Around<F, G>(F, G);

#[derive(Clone)]
struct AroundService<F, G, S>(F, G, S);

impl<F: Clone, G: Clone, S> Layer<S> for Around<F, G> {
    type Service = AroundService<F, G, S>;

    fn layer(&self, inner: S) -> Self::Service {
        AroundService(self.0.clone(), self.1.clone(), inner)
    }
}

type Called<B, E> = Pin<Box<dyn Future<Output = Result<::http::Response<B>, E>>>>;

impl<F, G, S, A, B, C, D> Service<::http::Request<A>> for AroundService<F, G, S>
where
    F: Fn(::http::Request<A>) -> ::http::Request<B>,
    S: Service<::http::Request<B>, Response = ::http::Response<C>>,
    S::Future: 'static,
    G: Fn(C) -> D + Clone + 'static,
{
    type Response = ::http::Response<D>;
    type Error = S::Error;
    type Future = Called<D, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.2.poll_ready(context)
    }

    fn call(&mut self, request: ::http::Request<A>) -> Self::Future {
        let called = self.2.call((self.0)(request));
        let map = self.1.clone();
        Box::pin(async move { Ok(called.await?.map(map)) })
    }
}

/// A body of the same frames, which is another type.
struct Wrapped<B>(B);

impl<B: http_body::Body + Unpin> http_body::Body for Wrapped<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

/// Routes of every kind of answer.
fn router() -> Router {
    Router::new()
        .get(
            "/users/{id}",
            async |request: Request| -> http::Result<String> {
                let id: u32 = request.param("id")?;
                let is_marked = request.field("x-mark").is_some();
                Ok(format!("user {id} {is_marked}"))
            },
        )
        .post("/echo", async |mut request: Request| {
            let mut body = request.take_body();
            Response::writer(async move |mut out: BodyWriter| {
                while let Some(piece) = body.next().await? {
                    out.write(piece).await?;
                }
                for (name, value) in &body.trailers() {
                    out.add_trailer(name.clone(), value.clone());
                }
                Ok(())
            })
        })
        .get("/fails", async |_| {
            Error::new(StatusCode::CONFLICT, "taken").into_response()
        })
        .get("/upgrade", async |_| {
            Response::upgrade(HeaderValue::from_static("echo"), async |upgraded| {
                let bytes = upgraded.recv().await.unwrap();
                upgraded.write_all(bytes).await.unwrap();
            })
        })
}

/// Checks that `handler` answers as the router in it does.
async fn check_router<H: Handler + Clone>(handler: H) {
    let ask = async |method: &str, target: &str, rest: &str| {
        let head = "HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close";
        talk(handler.clone(), &format!("{method} {target} {head}{rest}")).await
    };
    let user = ask("GET", "/users/7", "\r\n\r\n").await;
    assert_eq!(body(&user), "user 7 true");
    assert_eq!(field(&user, "content-length"), Some("11"));
    assert_eq!(status(&ask("GET", "/users/x", "\r\n\r\n").await), 400);
    assert_eq!(status(&ask("GET", "/nowhere", "\r\n\r\n").await), 404);
    let refused = ask("PUT", "/fails", "\r\n\r\n").await;
    assert_eq!(status(&refused), 405);
    assert_eq!(field(&refused, "allow"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(status(&ask("GET", "/fails", "\r\n\r\n").await), 409);
    let chunked = "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nX-Sum: 7\r\n\r\n";
    let echoed = ask("POST", "/echo", chunked).await;
    assert_eq!(body(&echoed), "3\r\none\r\n0\r\nx-sum: 7\r\n\r\n");
    let upgrade = ", upgrade\r\nUpgrade: echo\r\n\r\nbytes";
    let upgraded = ask("GET", "/upgrade", upgrade).await;
    assert_eq!((status(&upgraded), body(&upgraded)), (101, "bytes"));
    assert_eq!(status(&ask("GET", "/upgrade", "\r\n\r\n").await), 426);
}

/// Marks a request.
fn marked<B>(mut request: ::http::Request<B>) -> ::http::Request<B> {
    let value = HeaderValue::from_static("1");
    request.headers_mut().insert("x-mark", value);
    request
}

/// The handler in two adapters, which a worker may clone.
fn around<F, G>(layer: Around<F, G>) -> TowerToHandler<AroundService<F, G, HandlerToTower<Router>>>
where
    F: Clone,
    G: Clone,
{
    layered(layer, router())
}

#[test]
fn a_router_in_a_layer_answers_as_it_does_alone() {
    run_each(async || {
        check_router(around(Around(marked, |body| body))).await;
        // The same where the layer wraps the body of the answer, of the request, or both.
        check_router(around(Around(marked, Wrapped::<AnswerBody>))).await;
        let wraps =
            |request: ::http::Request<ThreadBound<http::Body>>| marked(request).map(Wrapped);
        check_router(around(Around(wraps, |body: AnswerBody| body))).await;
        check_router(around(Around(wraps, Wrapped::<AnswerBody>))).await;
        // And in two of them.
        let twice = layered(
            Around(marked, |body| body),
            around(Around(marked, |body| body)),
        );
        check_router(twice).await;
    });
}

#[test]
fn parameters_of_a_router_outside_reach_a_handler_in_a_layer() {
    let user = async |request: Request| -> http::Result<String> {
        Ok(request.param_str("id")?.into_owned())
    };
    run_each(async || {
        let inside = layered(Around(|request| request, |body| body), user);
        let router = Router::new().get("/{id}/b", inside);
        assert_eq!(body(&get(router, "").await), "a");
    });
}

#[test]
fn a_layer_that_refuses_keeps_the_handler_from_the_request() {
    let layer = Around(
        |request: ::http::Request<ThreadBound<http::Body>>| request,
        |_: AnswerBody| "replaced".to_owned(),
    );
    run_each(async || {
        let answer = get(router().tower_layer(layer.clone()), "").await;
        // The body is the layer's, and the status the router's.
        assert_eq!((status(&answer), body(&answer)), (404, "replaced"));
    });
}

#[test]
fn a_handler_that_takes_the_connection_needs_our_server_outside() {
    run_each(async || {
        let request = ::http::Request::get("/upgrade")
            .header("connection", "upgrade")
            .header("upgrade", "echo")
            .body(String::new());
        let response = call(router(), request.unwrap()).await;
        assert_eq!(response.status(), 501);
    });
}

#[test]
fn what_a_service_of_ours_is_made_of_is_send() {
    fn is_send<T: Send + Sync>(_: &T) {}
    run_each(async || {
        let mut service = HandlerToTower::new(router());
        is_send(&service);
        let answering = service.call(::http::Request::new(String::new()));
        is_send(&answering);
        is_send(&answering.await.unwrap());
    });
}
