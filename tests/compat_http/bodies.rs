//! Bodies of `http-body` as answers, and bodies of requests as such.

use std::rc::Rc;

use annulus::{
    http::{Body, Connection, Method, Request, Response},
    io::Reader,
    spawn,
    task::{ThreadBound, yield_now},
};
use http_body::Body as _;

use crate::{
    LATE_POLLS, Scripted,
    Step::{self, Data, Fail, Hang, Trailer, Wait},
    body, collect, frame, get, status,
    support::{http::field, pair, run_each},
    talk,
};

/// Answers by a body that follows `steps`.
async fn answered(steps: fn() -> Vec<Step>, len: Option<u64>, fields: &str) -> String {
    let handler = async move |_: Request| {
        let mut body = Scripted::new(steps());
        body.len = len;
        Response::from_http_body(::http::Response::new(body))
    };
    get(handler, fields).await
}

#[test]
fn an_answer_has_the_framing_that_its_body_allows() {
    run_each(async || {
        // Whole, whole with a wait, in frames, of no length.
        let whole = answered(|| vec![Data("hello")], Some(5), "").await;
        let waits = answered(|| vec![Wait, Data("hello")], Some(5), "").await;
        let frames = answered(|| vec![Data("he"), Wait, Data("llo")], Some(5), "").await;
        for answer in [&whole, &waits, &frames] {
            assert_eq!(field(answer, "content-length"), Some("5"));
            assert_eq!(body(answer), "hello");
        }
        let chunked = answered(|| vec![Data("he"), Wait, Data("llo")], None, "").await;
        assert_eq!(body(&chunked), "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
        let empty = answered(Vec::new, Some(0), "").await;
        assert_eq!(field(&empty, "content-length"), Some("0"));
        let empty = answered(Vec::new, None, "").await;
        assert_eq!(body(&empty), "0\r\n\r\n");
    });
}

#[test]
fn trailers_go_to_clients_that_accept_them() {
    let steps = || vec![Data("x"), Trailer("x-sum", "7")];
    run_each(async || {
        let told = answered(steps, None, "TE: trailers\r\n").await;
        assert_eq!(body(&told), "1\r\nx\r\n0\r\nx-sum: 7\r\n\r\n");
        let untold = answered(steps, None, "").await;
        assert_eq!(body(&untold), "1\r\nx\r\n0\r\n\r\n");
        // Those of several frames are sent together.
        let steps = || {
            vec![
                Trailer("x-a", "1"),
                Data("x"),
                Trailer("x-b", "2"),
                Trailer("x-a", "3"),
            ]
        };
        let several = answered(steps, None, "TE: trailers\r\n").await;
        let expected = "1\r\nx\r\n0\r\nx-a: 1\r\nx-b: 2\r\nx-a: 3\r\n\r\n";
        assert_eq!(body(&several), expected);
        // There is no place for them after a length.
        let sized = answered(steps, Some(1), "TE: trailers\r\n").await;
        assert_eq!(body(&sized), "x");
    });
}

#[test]
fn an_error_of_a_body_is_a_500_or_cuts_the_answer() {
    run_each(async || {
        for len in [None, Some(5)] {
            let answer = answered(|| vec![Fail("no")], len, "").await;
            assert_eq!(status(&answer), 500, "{answer}");
            assert!(!answer.contains("no\r"), "{answer}");
        }
        // The connection ends without the last chunk, or before the length.
        let cut = answered(|| vec![Data("he"), Wait, Wait, Fail("no")], None, "").await;
        assert_eq!((status(&cut), body(&cut)), (200, "2\r\nhe\r\n"));
        let cut = answered(|| vec![Data("he"), Wait, Wait, Fail("no")], Some(5), "").await;
        assert_eq!((status(&cut), body(&cut)), (200, "he"));
        // So does a body that is not as long as it said.
        let short = answered(|| vec![Data("he"), Wait], Some(5), "").await;
        assert_eq!(body(&short), "he");
        let long = answered(|| vec![Data("he"), Wait, Data("llo")], Some(4), "").await;
        assert_eq!(body(&long), "he");
    });
}

#[test]
fn a_body_that_ends_at_the_first_look_is_not_polled_again() {
    run_each(async || {
        let answer = answered(Vec::new, Some(5), "").await;
        assert_eq!(status(&answer), 500, "{answer}");
        assert_eq!(LATE_POLLS.get(), 0);
    });
}

#[test]
fn a_body_is_dropped_when_it_is_not_wanted() {
    run_each(async || {
        // The answer to HEAD leaves it out, and has its length.
        let alive = Rc::new(());
        let held = alive.clone();
        let handler = async move |request: Request| {
            let mut body = Scripted::new([Data("he"), Hang]);
            body.len = (*request.method() == Method::HEAD).then_some(5);
            body.alive = Some(held.clone());
            Response::from_http_body(::http::Response::new(body))
        };
        let head = "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let answer = talk(handler.clone(), head).await;
        assert_eq!(field(&answer, "content-length"), Some("5"));
        assert_eq!(body(&answer), "");

        // A client that leaves.
        let (near, far) = pair().await;
        let served = spawn(Connection::new().serve(far, handler));
        near.write_all(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..])
            .await
            .unwrap();
        let mut reader = Reader::new(near);
        reader.read_until(b'\n', 1 << 10).await.unwrap();
        assert_eq!(Rc::strong_count(&alive), 3);
        drop(reader);
        served.await.unwrap();
        assert_eq!(Rc::strong_count(&alive), 1);
    });
}

/// Tells what a request's body is, as one of `http-body`.
async fn told(mut request: Request) -> String {
    let body = request.take_body();
    let (hint, is_end) = (body.size_hint().exact(), body.is_end_stream());
    match collect(body).await {
        Ok((text, trailers)) => format!("{hint:?} {is_end} {text} {trailers:?}"),
        Err(error) => format!("{hint:?} {is_end} error {}", error.status()),
    }
}

#[test]
fn the_body_of_a_request_has_frames_and_a_hint() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    run_each(async || {
        for (rest, expected) in [
            ("\r\n", "Some(0) true  {}"),
            ("Content-Length: 5\r\n\r\nhello", "Some(5) false hello {}"),
            (
                "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
                "None false one {}",
            ),
            (
                "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nX-Sum: 7\r\n\r\n",
                "None false one {\"x-sum\": \"7\"}",
            ),
            (
                "Transfer-Encoding: chunked\r\n\r\n3\r\none;\r\n",
                "None false error 400 Bad Request",
            ),
        ] {
            let answer = talk(told, &format!("{head}{rest}")).await;
            assert_eq!(body(&answer), expected);
        }
    });
}

#[test]
fn trailers_come_once_and_the_end_is_known_after_them() {
    let handler = async |mut request: Request| {
        let mut body = ThreadBound::new(request.take_body());
        let first = frame(&mut body).await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "one");
        assert!(!body.is_end_stream());
        let last = frame(&mut body).await.unwrap().unwrap();
        assert_eq!(last.into_trailers().unwrap()["x-sum"], "7");
        assert!(body.is_end_stream());
        assert!(frame(&mut body).await.is_none());
        "done"
    };
    let request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
                   Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nX-Sum: 7\r\n\r\n";
    run_each(async || assert_eq!(body(&talk(handler, request).await), "done"));
}

#[test]
fn a_body_that_is_read_too_late_is_an_error() {
    let kept: Rc<std::cell::RefCell<Option<Body>>> = Rc::default();
    let inside = kept.clone();
    let handler = async move |mut request: Request| {
        *inside.borrow_mut() = Some(request.take_body());
        "done"
    };
    run_each(async || {
        let request =
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(body(&talk(handler.clone(), request).await), "done");
        let mut body = kept.take().unwrap();
        assert!(!body.is_end_stream());
        assert!(frame(&mut body).await.unwrap().is_err());
        yield_now().await;
    });
}

#[test]
fn a_request_is_echoed_as_it_comes_with_its_trailers() {
    let echo = async |mut request: Request| {
        Response::from_http_body(::http::Response::new(request.take_body()))
    };
    let request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTE: trailers\r\n\
                   Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nX-Sum: 7\r\n\r\n";
    run_each(async || {
        let answer = talk(echo, request).await;
        assert_eq!(body(&answer), "3\r\none\r\n0\r\nx-sum: 7\r\n\r\n");
    });
}
