//! Services as handlers.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    sync::mpsc,
    task::{Context, Poll, Waker},
};

use annulus::{
    compat::tower::TowerToHandler,
    http::{Body, Cause, Connection, Error, StatusCode},
    io::duplex,
    spawn,
    task::{ThreadBound, yield_now},
};
use tower_service::Service;

use crate::{
    body, collect, get, status,
    support::{
        BOUND,
        http::{connect, field, read_answer},
        run_each,
        server::serve_by,
    },
};

type Answer = Pin<Box<dyn Future<Output = Result<::http::Response<String>, Cause>>>>;

/// A service that calls a function.
#[derive(Clone)]
struct Calls<F>(F);

impl<F, R> Service<::http::Request<ThreadBound<Body>>> for Calls<F>
where
    F: Fn(::http::Request<ThreadBound<Body>>) -> R,
    R: Future<Output = Result<::http::Response<String>, Cause>> + 'static,
{
    type Response = ::http::Response<String>;
    type Error = Cause;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ::http::Request<ThreadBound<Body>>) -> Answer {
        Box::pin((self.0)(request))
    }
}

#[test]
fn a_service_gets_the_request_as_it_was_sent() {
    let service = Calls(async |request: ::http::Request<ThreadBound<Body>>| {
        let (parts, body) = request.into_parts();
        let (text, _) = collect(body).await?;
        let told = format!("{} {} {:?}", parts.method, parts.uri, parts.version);
        let field = parts.headers["x-a"].to_str()?.to_owned();
        let mut response = ::http::Response::new(format!("{told} {field} {text}"));
        *response.status_mut() = StatusCode::ACCEPTED;
        response.headers_mut().append("x-b", "1".parse()?);
        response.headers_mut().append("x-b", "2".parse()?);
        Ok(response)
    });
    run_each(async || {
        let fields = "X-A: a\r\nContent-Length: 2\r\n";
        let request =
            format!("PUT /a/b?c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\nhi");
        let answer = crate::talk(TowerToHandler::new(service.clone()), &request).await;
        assert_eq!(status(&answer), 202);
        assert_eq!(body(&answer), "PUT /a/b?c HTTP/1.1 a hi");
        assert_eq!(answer.matches("x-b: ").count(), 2, "{answer}");
    });
}

#[test]
fn a_target_that_no_uri_can_hold_is_refused() {
    let service = Calls(async |_| Ok(::http::Response::new("called".to_owned())));
    run_each(async || {
        let request = "GET /<a> HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let answer = crate::talk(TowerToHandler::new(service.clone()), request).await;
        assert_eq!(status(&answer), 400);
    });
}

#[test]
fn errors_and_panics_of_a_service_are_those_of_a_handler() {
    let service =
        Calls(
            async |request: ::http::Request<ThreadBound<Body>>| match request.uri().path() {
                "/error" => Err("out of order".into()),
                "/conflict" => Err(Error::new(StatusCode::CONFLICT, "taken").into()),
                "/around" => {
                    let error = Error::new(StatusCode::PAYLOAD_TOO_LARGE, "too much");
                    Err(std::io::Error::other(error).into())
                }
                "/panic" => panic!("on purpose"),
                _ => Ok(::http::Response::new("well".to_owned())),
            },
        );
    let (tell, told) = mpsc::channel();
    let addr = serve_by(move |server| {
        let server = server.access_log(move |access| {
            let error = access.error.map(|error| error.to_string());
            tell.send((access.target.to_owned(), access.status, error))
                .unwrap();
        });
        server.run(TowerToHandler::new(service))
    });
    for (target, expected, text) in [
        ("/error", 500, Some("the service failed: out of order")),
        ("/conflict", 409, Some("taken")),
        ("/around", 413, Some("the service failed: too much")),
        ("/panic", 500, None),
        ("/", 200, None),
    ] {
        let mut stream = connect(addr);
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        let answer = read_answer(&mut stream);
        assert_eq!(status(&answer), expected);
        assert!(!answer.contains("order"), "{answer}");
        let (logged, status, error) = told.recv_timeout(BOUND).unwrap();
        assert_eq!(logged, target);
        assert_eq!(status, StatusCode::from_u16(expected).ok());
        assert_eq!(error.as_deref(), text);
    }
}

/// A service that is ready when it is told to be, and counts its clones and calls.
struct Gate(Rc<GateState>, bool);

#[derive(Default)]
struct GateState {
    is_open: Cell<bool>,
    waker: Cell<Option<Waker>>,
    clones: Cell<u32>,
    calls: Cell<u32>,
}

impl Clone for Gate {
    fn clone(&self) -> Self {
        self.0.clones.set(self.0.clones.get() + 1);
        Self(Rc::clone(&self.0), false)
    }
}

impl Service<::http::Request<ThreadBound<Body>>> for Gate {
    type Response = ::http::Response<String>;
    type Error = Cause;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        if !self.0.is_open.get() {
            self.0.waker.set(Some(context.waker().clone()));
            return Poll::Pending;
        }
        self.1 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: ::http::Request<ThreadBound<Body>>) -> Answer {
        assert!(self.1, "it was polled until it was ready");
        self.1 = false;
        self.0.calls.set(self.0.calls.get() + 1);
        Box::pin(async { Ok(::http::Response::new("through".to_owned())) })
    }
}

#[test]
fn a_request_waits_until_its_own_clone_of_the_service_is_ready() {
    run_each(async || {
        let state = Rc::new(GateState::default());
        let handler = TowerToHandler::new(Gate(Rc::clone(&state), false));
        let before = state.clones.get();
        let served = spawn(async move { get(handler, "").await });
        while state.clones.get() == before {
            yield_now().await;
        }
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(state.calls.get(), 0);
        state.is_open.set(true);
        state.waker.take().unwrap().wake();
        let answer = served.await.unwrap();
        assert_eq!((status(&answer), body(&answer)), (200, "through"));
        assert_eq!((state.clones.get(), state.calls.get()), (before + 1, 1));
    });
}

#[test]
fn extensions_come_from_the_request_as_it_was() {
    #[derive(Clone)]
    struct Target(String);
    #[derive(Clone)]
    struct HasPeer(bool);
    let service = Calls(async |request: ::http::Request<ThreadBound<Body>>| {
        let Target(target) = request.extensions().get().unwrap();
        let HasPeer(has_peer) = request.extensions().get().unwrap();
        Ok(::http::Response::new(format!("{target} {has_peer}")))
    });
    let handler = TowerToHandler::new(service)
        .with_extensions(|request, extensions| {
            extensions.insert(Target(request.target().to_owned()));
        })
        .with_extensions(|request, extensions| {
            extensions.insert(HasPeer(request.peer_addr().is_some()));
        });
    let in_memory = handler.clone();
    run_each(async || assert_eq!(body(&get(in_memory.clone(), "").await), "/a/b?c false"));
    let addr = serve_by(move |server| server.run(handler));
    let mut stream = connect(addr);
    std::io::Write::write_all(&mut stream, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(read_answer(&mut stream).ends_with("/x true"));
}

#[test]
fn framing_and_dates_of_a_service_are_the_servers_business() {
    let service = Calls(async |_| {
        let mut response = ::http::Response::new("five!".to_owned());
        for (name, value) in [
            ("content-length", "999"),
            ("transfer-encoding", "chunked"),
            ("connection", "keep-alive"),
        ] {
            response.headers_mut().insert(name, value.parse()?);
        }
        Ok(response)
    });
    run_each(async || {
        let answer = get(TowerToHandler::new(service.clone()), "").await;
        assert_eq!(field(&answer, "content-length"), Some("5"));
        assert_eq!(field(&answer, "transfer-encoding"), None);
        assert_eq!(field(&answer, "connection"), Some("close"));
        assert_eq!(body(&answer), "five!");
    });
}

#[test]
fn a_service_that_waits_is_dropped_with_its_client() {
    let alive = Rc::new(());
    let held = Rc::clone(&alive);
    let service = Calls(move |_| {
        let held = Rc::clone(&held);
        async move {
            poll_fn(|_| {
                let _ = &held;
                Poll::<()>::Pending
            })
            .await;
            Ok(::http::Response::new(String::new()))
        }
    });
    run_each(async || {
        let before = Rc::strong_count(&alive);
        let (near, far) = duplex(1 << 16);
        let handler = TowerToHandler::new(service.clone());
        let served = spawn(Connection::new().serve(far, handler));
        near.write_all(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..])
            .await
            .unwrap();
        // The handler, its clone of the service, and the future of the call.
        while Rc::strong_count(&alive) < before + 3 {
            yield_now().await;
        }
        served.abort();
        assert!(served.await.is_err());
        assert_eq!(Rc::strong_count(&alive), before);
    });
}
