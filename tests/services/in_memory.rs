//! Requests without a socket: the client for tests, requests by hand, and the state of routers.

use std::{cell::Cell, rc::Rc, time::Duration};

use annulus::{
    http::{
        self, BodyWriter, Client, Connection, Handler, Limits, Method, Next, Request, Response,
        Router, StatusCode, client::ErrorKind, test::TestClient,
    },
    sync::Notify,
    time,
};

use crate::{field, run};

fn service() -> Router {
    Router::new()
        .get("/", async |request: Request| {
            request.query().unwrap_or("-").to_owned()
        })
        .post("/echo", async |mut request: Request| {
            request.take_body().bytes().await
        })
        .get("/away", async |_| Response::redirect("/"))
        .get("/panic", async |_| -> Response { panic!("on purpose") })
        .get("/long", async |_| {
            time::sleep(Duration::from_secs(20)).await;
            "late"
        })
}

#[test]
fn a_test_client_speaks_to_a_handler_as_a_client_does() {
    run(async {
        let client = TestClient::new(service());
        let response = client.get("/?a=1").send().await?;
        assert_eq!(field(&response, "content-length"), Some("3"));
        assert_eq!(response.text().await?, "a=1");
        for (method, target, status) in [
            (Method::GET, "/none", 404),
            (Method::POST, "/", 405),
            (Method::HEAD, "/", 200),
            (Method::OPTIONS, "/", 204),
            (Method::GET, "/away", 303),
            (Method::GET, "/panic", 500),
            (Method::GET, "/", 200),
        ] {
            let response = client.request(method, target).send().await?;
            assert_eq!(response.status().as_u16(), status, "{target}");
        }
        let body = "x".repeat(200_000);
        let response = client.post("/echo").body(body.clone()).send().await?;
        assert_eq!(response.text().await?, body);
        let error = client.get("no slash").send().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Url(_)), "{error}");
        Ok(())
    });
}

#[test]
#[expect(clippy::field_reassign_with_default, reason = "more fields may come")]
fn a_test_client_has_the_limits_of_its_connection() {
    run(async {
        let mut limits = Limits::default();
        limits.body_bytes_max = 3;
        let connection = Connection::new().limits(limits);
        let client = TestClient::with_connection(connection, service());
        for (body, status) in [("abc", 200), ("abcd", 413)] {
            let response = client.post("/echo").body(body).send().await?;
            assert_eq!(response.status().as_u16(), status, "{body}");
        }
        Ok(())
    });
}

#[test]
fn a_wait_of_a_handler_costs_a_test_with_a_paused_clock_no_time() {
    run(async {
        time::pause();
        let client = TestClient::new(service());
        let begun = std::time::Instant::now();
        assert_eq!(client.get("/long").send().await?.text().await?, "late");
        assert!(begun.elapsed() < Duration::from_secs(20));
        Ok(())
    });
}

#[test]
fn a_body_arrives_piece_by_piece_in_memory() {
    run(async {
        let go_on = Rc::new(Notify::new());
        let heard = Rc::clone(&go_on);
        let client = TestClient::new(async move |_: Request| {
            let heard = Rc::clone(&heard);
            Response::writer(async move |mut out: BodyWriter| {
                out.write("one").await?;
                heard.notified().await;
                out.write("two").await
            })
        });
        let mut response = client.get("/").send().await?;
        assert_eq!(&*response.next().await?.unwrap(), b"one");
        go_on.notify_one();
        assert_eq!(&*response.next().await?.unwrap(), b"two");
        assert!(response.next().await?.is_none());
        Ok(())
    });
}

#[test]
fn a_connection_that_the_program_cannot_open_is_an_error_of_the_request() {
    run(async {
        let client = Client::builder()
            .connect_by(|url| {
                let text = format!("no way to {}", url.host());
                async { Err::<annulus::io::Duplex, _>(std::io::Error::other(text)) }
            })
            .build();
        let error = client.get("http://nowhere/").send().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Connect), "{error}");
        assert!(error.to_string().contains("no way to nowhere"), "{error}");
        Ok(())
    });
}

#[test]
fn a_request_made_by_hand_is_answered_by_a_handler() {
    run(async {
        let router = Router::new().post(
            "/{name}",
            async |mut request: Request| -> http::Result<String> {
                let name: String = request.param("name")?;
                let host = request.authority().unwrap_or("-").to_owned();
                let body = request.take_body().bytes().await?;
                let body = String::from_utf8_lossy(&body).into_owned();
                Ok(format!("{name} {host} {body}"))
            },
        );
        for (uri, body, expected) in [
            ("/a", "", "a localhost "),
            ("/b?c", "body", "b localhost body"),
            ("http://example:81/d", "1", "d example:81 1"),
        ] {
            let request = ::http::Request::post(uri).body(body).unwrap();
            let response = router.handle(Request::try_from(request).unwrap()).await;
            let response = ::http::Response::try_from(response).unwrap();
            assert_eq!(response.body(), expected);
        }
        let body = vec![b'x'; 2 << 20];
        let request = ::http::Request::post("/large").body(body).unwrap();
        let response = router.handle(Request::try_from(request).unwrap()).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let long = format!("/{}", "x".repeat(20_000));
        let request = ::http::Request::get(long).body("").unwrap();
        let error = Request::try_from(request).unwrap_err();
        assert_eq!(error.status(), StatusCode::URI_TOO_LONG);
        Ok(())
    });
}

#[test]
fn handlers_have_the_state_of_the_innermost_router() {
    struct Name(&'static str);
    struct Count(Cell<u32>);
    async fn tell(request: Request) -> http::Result<String> {
        let count = request.state::<Count>()?;
        count.0.set(count.0.get() + 1);
        Ok(format!("{} {}", request.state::<Name>()?.0, count.0.get()))
    }
    async fn outer(request: Request, next: Next<'_>) -> Response {
        assert!(request.state::<Name>().is_ok());
        next.run(request).await
    }
    run(async {
        let inner = Router::new().state(Name("inner")).get("/", tell);
        let router = Router::new()
            .get("/", tell)
            .state(Name("outer"))
            .state(Count(Cell::new(0)))
            .layer(outer)
            .nest("/inner", inner);
        let client = TestClient::new(router);
        for (target, expected) in [("/", "outer 1"), ("/inner", "inner 2"), ("/", "outer 3")] {
            let response = client.get(target).send().await?;
            assert_eq!(response.text().await?, expected);
        }
        Ok(())
    });
}

#[test]
fn a_state_that_no_router_has_is_named_in_an_error_of_500() {
    run(async {
        let router = Router::new()
            .state(7_u8)
            .get("/", async |request: Request| {
                // A value of the same type is no state.
                request.extensions().insert(8_u16);
                let error = request.state::<u16>().unwrap_err();
                assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
                assert!(request.extensions().get::<u8>().is_none());
                error.to_string()
            });
        let response = TestClient::new(router).get("/").send().await?;
        let expected =
            "expected a router's state of the type `u16`, by `Router::state`, found none";
        assert_eq!(response.text().await?, expected);
        Ok(())
    });
}
