//! Our client behind tower's trait, and its bodies.

use annulus::{
    http::{
        Body, BodyWriter, Client, Request, Response,
        client::{self, ErrorKind},
    },
    task::ThreadBound,
};
use http_body::Body as _;
use tower_service::Service;

use crate::{
    Scripted,
    Step::{Data, Fail, Trailer, Wait},
    collect,
    support::{run_each, server::serve},
};

/// Tells the request, in chunks with a trailer.
async fn told(mut request: Request) -> Response {
    let has_length = request.field("content-length").is_some();
    let head = format!("{} {} {has_length} ", request.method(), request.target());
    let mut body: Body = request.take_body();
    Response::writer(async move |mut out: BodyWriter| {
        out.write(head).await?;
        while let Some(piece) = body.next().await? {
            out.write(piece).await?;
        }
        out.write(format!(" {:?}", body.trailers())).await?;
        out.add_trailer("x-sum".parse().unwrap(), "7".parse().unwrap());
        Ok(())
    })
}

#[test]
fn a_request_of_the_http_crate_is_sent_and_answered() {
    let addr = serve(told);
    run_each(async || {
        let mut client = Client::new();
        let url = format!("http://{addr}/a?b");
        for (steps, len, expected) in [
            (vec![], Some(0), "POST /a?b true  {}"),
            (vec![Data("hello")], Some(5), "POST /a?b true hello {}"),
            (
                vec![Data("he"), Wait, Data("llo")],
                Some(5),
                "POST /a?b true hello {}",
            ),
            (
                vec![Data("he"), Wait, Data("llo"), Trailer("x-a", "1")],
                None,
                "POST /a?b false hello {\"x-a\": \"1\"}",
            ),
            (
                vec![Trailer("x-a", "1"), Data("hello"), Trailer("x-b", "2")],
                None,
                "POST /a?b false hello {\"x-a\": \"1\", \"x-b\": \"2\"}",
            ),
        ] {
            let mut body = Scripted::new(steps);
            body.len = len;
            let request = ::http::Request::post(&*url)
                .header("te", "trailers")
                .body(body);
            let response = client.call(request.unwrap()).await.unwrap();
            assert_eq!(response.status(), 200);
            assert!(response.headers().contains_key("date"));
            assert_eq!(response.body().response().url().as_str(), url);
            assert!(!response.body().is_end_stream());
            let (text, trailers) = collect(response.into_body()).await.unwrap();
            assert_eq!(text, expected);
            assert_eq!(trailers["x-sum"], "7");
        }
        assert_eq!(client.pool_state().idle(), 1);
    });
}

#[test]
fn an_error_of_a_body_fails_the_request() {
    let addr = serve(told);
    run_each(async || {
        for (steps, len) in [
            (vec![Fail("torn")], Some(5)),
            (vec![Data("he"), Wait, Fail("torn")], Some(5)),
            (vec![Data("he"), Wait, Fail("torn")], None),
        ] {
            let mut body = Scripted::new(steps);
            body.len = len;
            let request = ::http::Request::post(format!("http://{addr}/")).body(body);
            let result = Client::new().call(request.unwrap()).await;
            // The answer begins before the end of the request.
            let error: Box<dyn std::error::Error> = match result {
                Err(error) => error.into(),
                Ok(response) => collect(response.into_body()).await.unwrap_err().into(),
            };
            assert!(format!("{error:#?}").contains("torn"), "{error:#?}");
        }
        // One that is shorter than it said is not polled again.
        let body = Scripted::new([]).sized(5);
        let request = ::http::Request::post(format!("http://{addr}/")).body(body);
        let error = Client::new().call(request.unwrap()).await.unwrap_err();
        assert!(format!("{error:#?}").contains("Short"), "{error:#?}");
    });
}

#[test]
fn a_target_without_a_host_is_refused() {
    run_each(async || {
        let request = ::http::Request::new(String::new());
        let error = Client::new().call(request).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Url(_)), "{error:#?}");
    });
}

#[test]
fn the_hint_of_a_response_is_what_is_left() {
    let addr = serve(async |_: Request| "x".repeat(100_000));
    run_each(async || {
        let response = client::Client::new()
            .get(format!("http://{addr}/"))
            .send()
            .await;
        let response: ::http::Response<_> = response.unwrap().into();
        let mut body = response.into_body();
        assert_eq!(body.size_hint().exact(), Some(100_000));
        let first = crate::frame(&mut body).await.unwrap().unwrap();
        let left = 100_000 - first.into_data().unwrap().len() as u64;
        assert_eq!(body.size_hint().exact(), Some(left));
        collect(&mut body).await.unwrap();
        assert!(body.is_end_stream());
    });
}

#[test]
fn a_request_may_ask_for_an_upgrade() {
    let addr = serve(async |_: Request| {
        Response::upgrade("echo".parse().unwrap(), async |upgraded| {
            let bytes = upgraded.recv().await.unwrap();
            upgraded.write_all(bytes).await.unwrap();
        })
    });
    run_each(async || {
        let request = ::http::Request::get(format!("http://{addr}/"))
            .header("connection", "Upgrade")
            .header("upgrade", "echo")
            .body(String::new());
        let response = Client::new()
            .http_request(request.unwrap())
            .send()
            .await
            .unwrap();
        let upgraded = response.upgrade().unwrap();
        upgraded.write_all(&b"bytes"[..]).await.unwrap();
        assert_eq!(&upgraded.recv().await.unwrap()[..], b"bytes");
    });
}

#[test]
fn a_client_in_a_wrapper_is_a_service_that_is_send() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let addr = serve(async |_: Request| "hello");
    run_each(async || {
        let mut client = is_send(ThreadBound::new(Client::new()));
        let request = ::http::Request::get(format!("http://{addr}/")).body(String::new());
        let response = is_send(client.call(request.unwrap())).await.unwrap();
        assert_eq!(collect(response.into_body()).await.unwrap().0, "hello");
    });
}
