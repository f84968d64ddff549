//! Readiness, and how it follows the stop.

use std::{
    io::{Read as _, Write as _},
    sync::mpsc::channel,
    time::Duration,
};

use annulus::http::{Handler as _, Request, Router, health, test::TestClient};

use crate::{
    field, run,
    support::{BOUND, http::connect, server::serve_by},
};

#[test]
fn readiness_is_what_the_program_says() {
    run(async {
        let readiness = health::Readiness::new();
        let router = Router::new()
            .get("/livez", health::live)
            .get("/readyz", readiness.handler());
        let client = TestClient::new(router);
        for is_ready in [true, false, true] {
            readiness.set(is_ready);
            let response = client.get("/readyz").send().await?;
            let status = if is_ready { 200 } else { 503 };
            assert_eq!(response.status(), status);
            assert_eq!(field(&response, "cache-control"), Some("no-store"));
            assert_eq!(client.get("/livez").send().await?.status(), 200);
        }
        Ok(())
    });
}

#[test]
fn a_server_that_stops_is_not_ready() {
    let (tell_handle, handles) = channel();
    let (tell_begun, begun) = channel();
    let addr = serve_by(move |server| {
        tell_handle.send(server.handle()).unwrap();
        server.run_each(move || {
            let tell_begun = tell_begun.clone();
            let readiness = health::Readiness::new().handler();
            // The request that asks is there before the stop, and answered after it.
            async move |request: Request| {
                assert!(!request.is_stopping());
                tell_begun.send(()).unwrap();
                request.stopping().await;
                readiness.handle(request).await
            }
        })
    });
    let mut stream = connect(addr);
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    begun.recv_timeout(BOUND).unwrap();
    handles
        .recv_timeout(BOUND)
        .unwrap()
        .stop(Duration::from_secs(60));
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("stopping\n"), "{answer}");
}
