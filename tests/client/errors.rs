//! Errors name the request that has failed.

use std::{error::Error as _, io, time::Duration};

use annulus::http::{
    self,
    client::{Body, Client, Error, ErrorKind, Phase, Proxy},
};

use crate::{
    script::Script,
    support::{closed_port, http::ok, run, run_each},
};

/// All that an error shows of itself, in any form.
fn all_of(error: Error) -> String {
    let own = format!("{error} {error:?}");
    let io = io::Error::from(error);
    let text = format!("{own} {io} {io:?}");
    let error = io.downcast::<Error>().unwrap();
    let of_handler = http::Error::from(error);
    format!("{text} {of_handler} {}", of_handler.source().unwrap())
}

#[test]
fn an_error_begins_with_the_origin_and_tells_no_secrets() {
    let server = Script::new(|conn| {
        let Some(request) = conn.request() else {
            return;
        };
        let answer = match request.split(['/', '?']).nth(1).unwrap() {
            "closed" => String::new(),
            "nonsense" => "nonsense\r\n\r\n".to_owned(),
            "cut" => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_owned(),
            "upgrade" => "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(),
            "large" => "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n".to_owned(),
            "broken" => "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
                .to_owned(),
            "charset" => {
                "HTTP/1.1 200 OK\r\nContent-Type: a/b; charset=koi8-r\r\nContent-Length: 0\r\n\r\n"
                    .to_owned()
            }
            "refused" => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "loop" => "HTTP/1.1 302 Found\r\nLocation: /loop?secret\r\nContent-Length: 0\r\n\r\n"
                .to_owned(),
            "away" => {
                "HTTP/1.1 302 Found\r\nLocation: mailto:secret@a\r\nContent-Length: 0\r\n\r\n"
                    .to_owned()
            }
            "silent" => return conn.wait_close(),
            other => panic!("{other}"),
        };
        conn.send(answer);
        conn.finish();
    });
    let origin = format!("http://{}", server.addr);
    run_each(|| async {
        for path in [
            "closed", "nonsense", "cut", "upgrade", "large", "broken", "charset", "refused",
            "loop", "away", "silent",
        ] {
            if path == "broken" && !cfg!(feature = "compress") {
                continue;
            }
            let client = Client::builder().redirects_max(0).build();
            let client = if matches!(path, "loop" | "away") {
                Client::builder().redirects_max(2).build()
            } else {
                client
            };
            let url = format!("http://secret:secret@{}/{path}?secret", server.addr);
            let request = client.get(&url);
            let request = match path {
                "silent" => request.timeout(Duration::from_millis(50)),
                _ => request,
            };
            let failed = async {
                let response = request.send().await?.error_for_status()?;
                response.text().await
            };
            let error: Error = failed.await.unwrap_err();
            let asked = error.url().unwrap().as_str();
            let expected = format!("{origin}/{path}?secret");
            assert_eq!(asked, expected, "{path}");
            assert!(
                error.to_string().starts_with(&format!("{origin}: ")),
                "{error}"
            );
            let words = all_of(error);
            assert!(!words.contains("secret"), "{words}");
            // Its own text, its debug form, both of an `io::Error`, and a handler's cause.
            assert!(words.matches(&origin).count() >= 5, "{words}");
        }
    });
}

#[test]
fn an_error_of_connecting_names_the_address_and_the_proxy() {
    let (_held, addr) = closed_port();
    let secret = "me:secret";
    let refused = |error: Error, expected: String| {
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
        let source = error.source().unwrap().downcast_ref::<io::Error>();
        assert_eq!(source.unwrap().kind(), io::ErrorKind::ConnectionRefused);
        assert!(!all_of(error).contains("secret"));
    };
    run_each(|| async move {
        let url = format!("http://{secret}@a.test:{}/x?secret", addr.port());
        let words = "no connection could be opened";
        let origin = format!("http://a.test:{}", addr.port());
        let client = Client::builder().resolve("a.test", addr).build();
        let error = client.get(&url).send().await.unwrap_err();
        refused(error, format!("{origin}: {words} ({addr}): "));

        let two = Client::builder()
            .resolve("a.test", addr)
            .resolve("a.test", addr);
        let error = two.build().get(&url).send().await.unwrap_err();
        refused(error, format!("{origin}: {words} ({addr}): "));

        let proxy = Proxy::all(format!("http://{secret}@{addr}/secret")).unwrap();
        let client = Client::builder().proxy(proxy).build();
        let error = client.get(&url).send().await.unwrap_err();
        refused(
            error,
            format!("{origin}: {words} ({addr}, proxy http://{addr}): "),
        );
        let error = client
            .get("https://a.test/?secret")
            .send()
            .await
            .unwrap_err();
        refused(
            error,
            format!("https://a.test: {words} ({addr}, proxy http://{addr}): "),
        );

        let unix = Client::builder().unix("/nowhere/at all").build();
        let error = unix.get(&url).send().await.unwrap_err();
        assert!(error.to_string().contains("(/nowhere/at all)"), "{error}");

        let unknown = |_: &str, _| async { Err(io::Error::other("it is unknown")) };
        let client = Client::builder().resolver(unknown).build();
        let error = client.get("http://b.test/").send().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "http://b.test: the host was not found: it is unknown"
        );
    });
}

#[test]
fn what_was_wrong_with_a_request_names_its_origin_too() {
    run(async {
        let client = Client::new();
        let error = client
            .get("http://a.test/")
            .with_field("a b", "c")
            .send()
            .await;
        let error = error.unwrap_err();
        assert_eq!(
            error.to_string(),
            "http://a.test: expected a token as field name, found another character"
        );
        let error = client.get("http://me:secret@a b/?secret").send().await;
        let error = error.unwrap_err();
        assert!(error.url().is_none());
        assert_eq!(
            error.to_string(),
            "expected an ASCII host with an optional port in a URL, found something else \
             (\"http://..@a b/\")"
        );
        let server = Script::answering(ok(""));
        let broken = futures_util::stream::iter([Err::<&str, _>("the source is broken")]);
        let request = client.post(server.url("/")).body(Body::stream(broken));
        let error = request.send().await.unwrap_err();
        assert_eq!(error.phase(), Some(Phase::Send));
        assert_eq!(
            error.to_string(),
            format!(
                "http://{}: the body of the request could not be sent: the source is broken",
                server.addr
            )
        );
    });
}
