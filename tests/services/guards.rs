//! Limits around handlers: of bodies, of time, of requests at once; and fields for browsers.

use std::{rc::Rc, time::Duration};

use annulus::{
    http::{
        BodyWriter, HeaderValue, Request, Response, Router, client, header,
        layers::{BodyLimit, ConcurrencyLimit, SecurityFields, Timeout},
        test::TestClient,
    },
    spawn,
    sync::Notify,
    task::JoinHandle,
    time,
};

use crate::{field, fields, hello, run};

async fn read(mut request: Request) -> annulus::http::Result<String> {
    Ok(request.take_body().bytes().await?.len().to_string())
}

#[test]
fn a_body_above_the_limit_of_its_route_is_413() {
    run(async {
        let router = Router::new()
            .post("/", read)
            .post("/unread", hello)
            .layer(BodyLimit::new(3))
            .nest(
                "/more",
                Router::new().post("/", read).layer(BodyLimit::new(2)),
            );
        let client = TestClient::new(router);
        for (target, body, status) in [
            ("/", "", 200),
            ("/", "abc", 200),
            ("/", "abcd", 413),
            ("/unread", "abcd", 413),
            ("/more", "ab", 200),
            ("/more", "abc", 413),
        ] {
            let response = client.post(target).body(body).send().await?;
            assert_eq!(response.status(), status, "{target} {body}");
            let chunked = client::Body::chunked(body);
            let response = client.post(target).body(chunked).send().await?;
            let is_unread = target == "/unread";
            let status = if is_unread { 200 } else { status };
            assert_eq!(response.status(), status, "{target} {body} in chunks");
        }
        Ok(())
    });
}

#[test]
fn a_larger_limit_of_a_route_takes_the_place_of_the_servers() {
    run(async {
        let router = Router::new().post("/", read).layer(BodyLimit::new(2 << 20));
        let client = TestClient::new(router);
        let body = vec![b'x'; (1 << 20) + 1];
        let response = client.post("/").body(body).send().await?;
        assert_eq!(response.text().await?, "1048577");
        Ok(())
    });
}

/// Tells when it is dropped.
struct Dropped(Rc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[test]
fn a_handler_that_is_late_is_dropped_and_answered_503() {
    run(async {
        time::pause();
        let dropped = Rc::new(Notify::new());
        let note = Rc::clone(&dropped);
        let router = Router::new()
            .get("/", async move |_: Request| -> Response {
                let _guard = Dropped(Rc::clone(&note));
                std::future::pending().await
            })
            .get("/in-time", async |_| {
                time::sleep(Duration::from_secs(4)).await;
                "in time"
            })
            .get("/body", async |_| {
                Response::writer(async |mut out: BodyWriter| {
                    time::sleep(Duration::from_secs(7)).await;
                    out.write("a slow body").await
                })
            })
            .layer(Timeout::new(Duration::from_secs(5)));
        let client = TestClient::new(router);
        assert_eq!(client.get("/").send().await?.status(), 503);
        dropped.notified().await;
        for (target, text) in [("/in-time", "in time"), ("/body", "a slow body")] {
            assert_eq!(client.get(target).send().await?.text().await?, text);
        }
        Ok(())
    });
}

/// A service whose handlers wait until they are told to answer.
struct Held {
    client: Rc<TestClient>,
    begun: Rc<Notify>,
    release: Rc<Notify>,
}

impl Held {
    fn new(limit: ConcurrencyLimit) -> Self {
        let (begun, release) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let notes = (Rc::clone(&begun), Rc::clone(&release));
        let router = Router::new()
            .get("/", async move |_: Request| {
                notes.0.notify_one();
                notes.1.notified().await;
                "released"
            })
            .get("/panic", async |_| -> Response { panic!("on purpose") })
            .layer(Timeout::new(Duration::from_secs(5)))
            .layer(limit);
        Self {
            client: Rc::new(TestClient::new(router)),
            begun,
            release,
        }
    }

    fn ask(&self) -> JoinHandle<client::Result<client::Response>> {
        spawn(self.client.get("/").send())
    }
}

#[test]
fn requests_above_the_limit_and_its_queue_are_503() {
    run(async {
        let held = Held::new(ConcurrencyLimit::new(1).queue(1).retry_after(7));
        let first = held.ask();
        held.begun.notified().await;
        let second = held.ask();
        // The third is sent after the second has come to the queue.
        annulus::task::yield_now().await;
        let third = loop {
            let response = held.client.get("/panic").send();
            let response = response.await?;
            if response.status() == 503 {
                break response;
            }
        };
        assert_eq!(field(&third, "retry-after"), Some("7"));
        held.release.notify_one();
        assert_eq!(first.await.unwrap()?.text().await?, "released");
        held.begun.notified().await;
        held.release.notify_one();
        assert_eq!(second.await.unwrap()?.text().await?, "released");
        Ok(())
    });
}

#[test]
fn places_come_back_from_requests_that_are_dropped_at_work_and_in_the_queue() {
    run(async {
        time::pause();
        let held = Held::new(ConcurrencyLimit::new(1).queue(1));
        for _ in 0..3 {
            // Both are late: one in the handler, one in the queue.
            let (first, second) = (held.ask(), held.ask());
            held.begun.notified().await;
            assert_eq!(first.await.unwrap()?.status(), 503);
            let second = second.await.unwrap()?;
            assert_eq!(second.status(), 503);
            assert_eq!(field(&second, "retry-after"), None);
        }
        let last = held.ask();
        held.begun.notified().await;
        held.release.notify_one();
        assert_eq!(last.await.unwrap()?.text().await?, "released");
        Ok(())
    });
}

#[test]
fn a_place_comes_back_after_a_panic() {
    run(async {
        let held = Held::new(ConcurrencyLimit::new(1));
        for _ in 0..3 {
            let response = held.client.get("/panic").send().await?;
            assert_eq!(response.status(), 500);
        }
        Ok(())
    });
}

#[test]
fn browsers_are_told_to_be_careful_unless_the_handler_says_otherwise() {
    run(async {
        let layer = SecurityFields::new()
            .content_policy("default-src 'self'")
            .https_only(Duration::from_secs(60));
        let router = Router::new()
            .get("/", hello)
            .get("/framed", async |_| {
                let value = HeaderValue::from_static("SAMEORIGIN");
                Response::text("a frame").with_field(header::X_FRAME_OPTIONS, value)
            })
            .layer(layer);
        let client = TestClient::new(router);
        for (target, frames) in [("/", "DENY"), ("/framed", "SAMEORIGIN"), ("/none", "DENY")] {
            let response = client.get(target).send().await?;
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", frames),
                ("referrer-policy", "no-referrer"),
                ("content-security-policy", "default-src 'self'"),
                ("strict-transport-security", "max-age=60"),
            ] {
                assert_eq!(fields(&response, name), [value], "{target}");
            }
        }
        Ok(())
    });
}
