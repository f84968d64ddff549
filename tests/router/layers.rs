//! Layers around a router: their order, what they are around, and how they end.

use std::{
    cell::RefCell,
    future::pending,
    io::Write as _,
    rc::Rc,
    sync::{
        Arc, Mutex,
        mpsc::{Sender, channel},
    },
};

use annulus::http::{
    self, Error, HeaderName, HeaderValue, Layer, Next, Request, Response, Router, StatusCode,
    header, layers::ErrorBodies,
};

use crate::{
    support::{BOUND, http::connect, server::serve_by},
    talk::{ask, body, field, serve, status, talk},
};

/// The names of the layers that a request has passed, in order.
#[derive(Default)]
struct Passed(RefCell<Vec<&'static str>>);

/// A layer that notes its name on the way in, and in a field on the way out.
struct Named(&'static str);

impl Layer for Named {
    async fn handle(&self, request: Request, next: Next<'_>) -> Response {
        let extensions = request.extensions();
        if extensions.get::<Passed>().is_none() {
            extensions.insert(Passed::default());
        }
        let passed = extensions.get::<Passed>().unwrap();
        passed.0.borrow_mut().push(self.0);
        let id = request.param_str("id").unwrap_or_default().into_owned();
        let response = next.run(request).await;
        let value = format!("{}{id}", self.0);
        response.try_with_field("Passed", &value).unwrap()
    }
}

async fn passed(request: Request) -> http::Result<String> {
    let passed = request.extensions().require::<Passed>()?;
    let passed = passed.0.borrow().join(" ");
    Ok(passed)
}

/// The values of the field that the layers add, in order.
fn ways_out(answer: &str) -> Vec<&str> {
    let lines = answer.lines();
    lines
        .filter_map(|line| line.strip_prefix("passed: "))
        .collect()
}

#[test]
fn a_request_passes_the_layers_in_their_order_and_its_answer_the_other_way() {
    let addr = serve(|| {
        Router::new()
            .get("/before", passed)
            .layer(Named("a"))
            .get("/between/{id}", passed)
            .layer(Named("b"))
            .get("/after", passed)
    });
    for (target, outs) in [
        ("/before", ["b", "a"]),
        ("/between/7", ["b7", "a7"]),
        ("/after", ["b", "a"]),
    ] {
        let answer = ask(addr, "GET", target);
        assert_eq!((status(&answer), body(&answer)), (200, "a b"), "{target}");
        assert_eq!(ways_out(&answer), outs, "{target}");
    }
}

#[test]
fn layers_are_around_what_a_router_answers_by_itself() {
    let addr = serve(|| Router::new().get("/a", passed).layer(Named("a")));
    for (method, target, expected) in [
        ("GET", "/none", 404),
        ("POST", "/a", 405),
        ("OPTIONS", "/a", 204),
        ("OPTIONS", "*", 204),
        ("HEAD", "/a", 200),
    ] {
        let answer = ask(addr, method, target);
        assert_eq!(status(&answer), expected, "{method} {target}");
        assert_eq!(ways_out(&answer), ["a"], "{method} {target}");
    }
}

#[test]
fn layers_of_a_nested_router_are_inside_of_the_outer_ones_and_below_the_prefix_only() {
    let addr = serve(|| {
        let inmost = Router::new().get("/x", passed).layer(Named("c"));
        let inner = Router::new()
            .layer(Named("b"))
            .get("/", passed)
            .nest("/deep", inmost);
        let other = Router::new().post("/", passed).layer(Named("d"));
        Router::new()
            .nest("/in", inner)
            .nest("/in", other)
            .layer(Named("a"))
            .get("/out", passed)
            .fallback(async |_| (StatusCode::IM_A_TEAPOT, "tea"))
    });
    for (method, target, expected, ways) in [
        ("GET", "/out", 200, &["a"][..]),
        ("GET", "/in", 200, &["b", "a"]),
        ("POST", "/in", 200, &["d", "a"]),
        ("DELETE", "/in", 405, &["b", "a"]),
        ("GET", "/in/none", 418, &["b", "a"]),
        ("GET", "/in/deep/x", 200, &["c", "b", "a"]),
        ("POST", "/in/deep/x", 405, &["c", "b", "a"]),
        ("GET", "/in/deep/none", 418, &["c", "b", "a"]),
        ("GET", "/none", 418, &["a"]),
    ] {
        let answer = ask(addr, method, target);
        assert_eq!(status(&answer), expected, "{method} {target}");
        assert_eq!(ways_out(&answer), ways, "{method} {target}");
    }
}

#[test]
fn a_layer_that_answers_by_itself_keeps_the_request_from_the_handler() {
    async fn closed(_: Request, _: Next<'_>) -> StatusCode {
        StatusCode::FORBIDDEN
    }
    let addr = serve(|| {
        Router::new()
            .get("/", async |_| -> Response {
                panic!("the handler has the request")
            })
            .layer(Named("a"))
            .layer(closed)
            .layer(Named("b"))
    });
    let answer = ask(addr, "GET", "/");
    assert_eq!(status(&answer), 403);
    assert_eq!(ways_out(&answer), ["a"]);
}

#[test]
fn values_of_a_request_end_with_it() {
    let addr = serve(|| {
        Router::new()
            .get("/first", passed)
            .layer(async |request: Request, next: Next<'_>| {
                if request.path() == "/first" {
                    request.extensions().insert(Passed::default());
                }
                next.run(request).await
            })
            .get("/second", passed)
    });
    let both = "GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n";
    let answers = talk(addr, both.as_bytes());
    assert_eq!(answers.matches("200 OK").count(), 1, "{answers}");
    assert_eq!(answers.matches("500 Internal").count(), 1, "{answers}");
}

/// Says that it was dropped.
struct Told(Sender<&'static str>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

#[test]
fn a_value_is_dropped_when_its_request_is_answered_although_the_connection_stays() {
    let (sender, receiver) = channel();
    let sender = Arc::new(Mutex::new(sender));
    let addr = serve_by(move |server| {
        server.run(async move |request: Request| {
            let told = Told(sender.lock().unwrap().clone());
            request.extensions().insert(told);
            "hello"
        })
    });
    let mut stream = connect(addr);
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(receiver.recv_timeout(BOUND), Ok("dropped"));
    drop(stream);
}

#[test]
fn a_layer_is_dropped_in_mid_flight_when_its_client_leaves() {
    let (sender, receiver) = channel();
    let sender = Mutex::new(sender);
    let addr = serve_by(move |server| {
        server.run_each(move || {
            let sender = sender.lock().unwrap().clone();
            Router::new()
                .get("/", async |_| pending::<Response>().await)
                .layer(async move |request: Request, next: Next<'_>| {
                    request.stop_on_half_close();
                    let _told = Told(sender.clone());
                    sender.send("begun").unwrap();
                    let response = next.run(request).await;
                    sender.send("went on").unwrap();
                    response
                })
        })
    });
    let mut stream = connect(addr);
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(receiver.recv_timeout(BOUND), Ok("begun"));
    drop(stream);
    assert_eq!(receiver.recv_timeout(BOUND), Ok("dropped"));
}

#[test]
fn bodies_are_given_to_errors_that_have_none() {
    async fn answer(request: Request) -> http::Result<Response> {
        let number: u32 = request.query_param("n")?.unwrap_or(0);
        let secret = Error::new(StatusCode::CONFLICT, "a secret");
        match number {
            0 => Ok(Response::text("fine")),
            1 => Err(secret),
            2 => Err(secret.with_text("told").with_field(
                HeaderName::from_static("retry-after"),
                HeaderValue::from_static("7"),
            )),
            3 => Ok(Response::text("own").with_status(StatusCode::GONE)),
            _ => Ok(Response::writer(async |_| Ok(())).with_status(StatusCode::GONE)),
        }
    }
    let text = serve(|| Router::new().get("/", answer).layer(ErrorBodies::text()));
    let json = serve(|| Router::new().get("/", answer).layer(ErrorBodies::problem()));
    let param = "expected `u32` in the parameter `n`, found \"x\": invalid digit found in string";
    let detail = param.replace('"', "\\\"");
    for (target, code, plain, problem) in [
        ("/", 200, "fine".to_owned(), "fine".to_owned()),
        (
            "/?n=1",
            409,
            "409 Conflict\n".to_owned(),
            "{\"status\":409,\"title\":\"Conflict\"}\n".to_owned(),
        ),
        ("/?n=2", 409, "told".to_owned(), "told".to_owned()),
        ("/?n=3", 410, "own".to_owned(), "own".to_owned()),
        ("/?n=4", 410, "0\r\n\r\n".to_owned(), "0\r\n\r\n".to_owned()),
        (
            "/?n=x",
            400,
            format!("{param}\n"),
            format!("{{\"status\":400,\"title\":\"Bad Request\",\"detail\":\"{detail}\"}}\n"),
        ),
        (
            "/none",
            404,
            "404 Not Found\n".to_owned(),
            "{\"status\":404,\"title\":\"Not Found\"}\n".to_owned(),
        ),
    ] {
        for (addr, expected) in [(text, plain), (json, problem)] {
            let answer = ask(addr, "GET", target);
            assert_eq!(status(&answer), code, "{target}");
            assert_eq!(body(&answer), expected, "{target}");
        }
    }
    let answer = ask(json, "POST", "/");
    assert_eq!(
        field(&answer, "content-type"),
        Some("application/problem+json")
    );
    assert_eq!(field(&answer, "allow"), Some("GET, HEAD, OPTIONS"));
    let answer = ask(text, "GET", "/?n=2");
    assert_eq!(field(&answer, "retry-after"), Some("7"));
    assert_eq!(
        field(&answer, "content-type"),
        Some("text/plain; charset=utf-8")
    );
}

#[test]
fn an_error_has_the_body_that_it_asks_for() {
    async fn fail(request: Request) -> http::Result<String> {
        let html = HeaderValue::from_static("text/html");
        let error = Error::from(std::io::Error::from(std::io::ErrorKind::NotFound));
        match request.path() {
            "/io" => Err(error.with_text("no such thing")),
            "/source" => Err(error.with_body(html, "<p>").with_source("the cause")),
            _ => Err(error.with_field(header::CONTENT_TYPE, html)),
        }
    }
    let addr = serve(|| Router::new().fallback(fail));
    for (target, content_type, expected) in [
        ("/io", "text/plain; charset=utf-8", "no such thing"),
        ("/source", "text/html", "<p>"),
        ("/type", "text/html", ""),
    ] {
        let answer = ask(addr, "GET", target);
        assert_eq!(
            (status(&answer), body(&answer)),
            (404, expected),
            "{target}"
        );
        assert_eq!(
            field(&answer, "content-type"),
            Some(content_type),
            "{target}"
        );
    }
}

#[test]
fn the_access_log_sees_the_values_of_a_request() {
    let (sender, receiver) = channel();
    let addr = serve_by(move |server| {
        let server = server.access_log(move |access| {
            let user = access.extension::<String>();
            sender.send(user.as_deref().cloned()).unwrap();
        });
        server.run_each(|| {
            Router::new().get("/", async |_| "hello").layer(
                async |request: Request, next: Next<'_>| {
                    request.extensions().insert("ann".to_owned());
                    next.run(request).await
                },
            )
        })
    });
    let mut stream = connect(addr);
    // The second one is refused before a layer sees it.
    let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    stream.write_all(requests.as_bytes()).unwrap();
    assert_eq!(receiver.recv_timeout(BOUND), Ok(Some("ann".to_owned())));
    assert_eq!(receiver.recv_timeout(BOUND), Ok(None));
}

#[test]
fn a_request_that_a_task_has_kept_keeps_its_values() {
    let addr = serve(|| {
        let kept: Rc<RefCell<Option<Request>>> = Rc::default();
        let again = Rc::clone(&kept);
        Router::new()
            .get("/keep", async move |request: Request| {
                request.extensions().insert("kept");
                kept.replace(Some(request));
            })
            .get("/look", async move |request: Request| {
                let kept = again.borrow();
                let value = kept.as_ref().unwrap().extensions().get::<&str>();
                assert!(request.extensions().get::<&str>().is_none());
                format!("{value:?}")
            })
    });
    let both = "GET /keep HTTP/1.1\r\nHost: a\r\n\r\nGET /look HTTP/1.1\r\nHost: a\r\n\r\n";
    let answers = talk(addr, both.as_bytes());
    assert!(answers.ends_with("Some(\"kept\")"), "{answers}");
}
