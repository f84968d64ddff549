//! Where redirects lead, and what goes along.

use annulus::http::{
    Method,
    client::{Body, Client, ErrorKind, Retry},
};

use crate::{
    script::Script,
    support::{
        http::{field, ok},
        run, run_each,
    },
};

/// A server that redirects `/STATUS` to `location`, and answers everything else.
fn redirecting(location: impl Into<String>) -> Script {
    let location = location.into();
    Script::new(move |conn| {
        while let Some(request) = conn.request() {
            let target = request.split(' ').nth(1).unwrap();
            match target.trim_start_matches('/').parse::<u16>() {
                Ok(status) => conn.send(format!(
                    "HTTP/1.1 {status} Moved\r\nLocation: {location}\r\n\
                     Content-Length: 5\r\n\r\nmoved"
                )),
                Err(_) => conn.send(ok("arrived")),
            }
        }
    })
}

/// The method and the body with which the target of a redirect is asked.
fn follow(method: &Method, status: u16) -> (String, String) {
    let server = redirecting("/target?q#f");
    run(async {
        let client = Client::new();
        let request = client.request(method.clone(), server.url(&format!("/{status}")));
        let request = request.with_field("Content-Type", "text/x").body("body");
        let response = request.send().await.unwrap();
        assert_eq!(response.url().as_str(), server.url("/target?q"));
        assert_eq!(response.status(), 200);
    });
    assert_eq!(server.accepted(), 1, "the connection is used again");
    let requests = server.requests();
    let (head, body) = requests[1].split_once("\r\n\r\n").unwrap();
    let (method, rest) = head.split_once(' ').unwrap();
    assert!(rest.starts_with("/target?q HTTP/1.1"), "{rest}");
    assert_eq!(field(head, "content-type").is_some(), !body.is_empty());
    (method.to_owned(), body.to_owned())
}

#[test]
fn each_status_has_its_rule_for_the_method() {
    for (method, status, expected, keeps_body) in [
        (Method::GET, 301, "GET", true),
        (Method::GET, 302, "GET", true),
        (Method::GET, 303, "GET", true),
        (Method::GET, 307, "GET", true),
        (Method::GET, 308, "GET", true),
        (Method::POST, 301, "GET", false),
        (Method::POST, 302, "GET", false),
        (Method::POST, 303, "GET", false),
        (Method::POST, 307, "POST", true),
        (Method::POST, 308, "POST", true),
        (Method::PUT, 301, "PUT", true),
        (Method::PUT, 303, "GET", false),
        (Method::DELETE, 307, "DELETE", true),
        (Method::DELETE, 303, "GET", false),
    ] {
        let (found, body) = follow(&method, status);
        let expected_body = if keeps_body { "body" } else { "" };
        assert_eq!(
            (&*found, &*body),
            (expected, expected_body),
            "{method} {status}"
        );
    }
}

#[test]
fn head_stays_head() {
    let server = Script::new(|conn| {
        while let Some(request) = conn.request() {
            let answer = match request.starts_with("HEAD /303") {
                true => "HTTP/1.1 303 See\r\nLocation: /x\r\nContent-Length: 9\r\n\r\n",
                false => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            };
            conn.send(answer);
        }
    });
    run(async {
        let response = Client::new().head(server.url("/303")).send().await.unwrap();
        assert_eq!(response.status(), 200);
    });
    assert!(server.requests()[1].starts_with("HEAD /x "));
}

#[test]
fn the_number_of_redirects_is_limited() {
    let server = redirecting("/302");
    run(async {
        let client = Client::new();
        let error = client.get(server.url("/302")).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooManyRedirects(10));
        assert_eq!(server.requests().len(), 11);
        let request = client.get(server.url("/302")).redirects_max(0);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 302);
        assert_eq!(response.text().await.unwrap(), "moved");
    });
}

#[test]
fn a_redirect_that_is_not_wanted_is_the_response() {
    let server = redirecting("/target");
    run(async {
        let client = Client::builder()
            .redirects_if(|from, to| from.path() == "/302" && to.path() == "/target")
            .build();
        for (path, text) in [("/302", "arrived"), ("/303", "moved")] {
            let response = client.get(server.url(path)).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), text);
        }
    });
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn credentials_stay_on_their_origin() {
    let other = Script::answering(ok("other"));
    let url = format!("http://evil:word@{}/", other.addr);
    let server = redirecting(url);
    let same = redirecting("/x");
    let ask = async |server: &Script| {
        let request = Client::new().get(server.url("/302"));
        let request = request.bearer_auth("secret").with_field("Cookie", "a=b");
        let request = request
            .with_field("Proxy-Authorization", "c")
            .with_field("X-Own", "d");
        request.send().await.unwrap();
    };
    run(async {
        ask(&server).await;
        ask(&same).await;
    });
    let request = &other.requests()[0];
    for name in ["authorization", "cookie", "proxy-authorization"] {
        assert_eq!(field(request, name), None, "{request}");
        assert!(field(&same.requests()[1], name).is_some());
    }
    assert_eq!(field(request, "x-own"), Some("d"));
    assert_eq!(field(request, "host").unwrap(), other.addr.to_string());
}

#[test]
fn a_stream_is_not_sent_twice() {
    let server = redirecting("/x");
    run(async {
        let client = Client::new();
        let body = || Body::stream(futures_util::stream::iter([std::io::Result::Ok("body")]));
        let response = client
            .post(server.url("/307"))
            .body(body())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 307);
        let response = client
            .post(server.url("/302"))
            .body(body())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
    });
}

#[test]
fn what_leads_nowhere_is_an_error_or_the_answer() {
    for location in ["ftp://a/", "http://", "http://a b/", "javascript:x"] {
        let server = redirecting(location);
        run(async {
            let error = annulus::http::fetch(server.url("/302")).await.unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::Url(_)),
                "{location}: {error:?}"
            );
        });
    }
    let server = Script::answering("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
    run(async {
        let response = annulus::http::fetch(server.url("/")).await.unwrap();
        assert_eq!(response.status(), 302);
    });
}

/// A server that redirects and retries with a head and the beginning of a body that does not go on.
fn stalling(head: &'static str) -> Script {
    Script::new(move |conn| {
        while let Some(request) = conn.request() {
            if request.starts_with("GET /end") || (head.contains("503") && conn.index > 0) {
                conn.send(ok("end"));
            } else {
                conn.send(format!("HTTP/1.1 {head}\r\nLocation: /end\r\n\r\n"));
            }
        }
    })
}

#[test]
fn the_body_of_an_answer_that_is_not_the_last_is_not_waited_for() {
    for head in [
        "302 Found",
        "302 Found\r\nConnection: close\r\nContent-Length: 5",
        "302 Found\r\nContent-Length: 1000000",
        "302 Found\r\nContent-Length: 5",
        "302 Found\r\nTransfer-Encoding: chunked",
        "503 Busy",
        "503 Busy\r\nConnection: keep-alive, close\r\nTransfer-Encoding: chunked",
        "503 Busy\r\nContent-Length: 5",
    ] {
        run_each(|| async move {
            let server = stalling(head);
            // No limit of the request passes before the test's own does.
            let client = Client::builder().retry(Retry::new(1)).build();
            let response = client.get(server.url("/")).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "end", "{head}");
            let state = client.pool_state();
            assert_eq!((state.opened, state.busy()), (2, 0), "{head}");
        });
    }
}

#[test]
fn a_small_body_that_comes_keeps_its_connection() {
    let server = Script::new(|conn| {
        while let Some(request) = conn.request() {
            if request.starts_with("GET /end") {
                conn.send(ok("end"));
                continue;
            }
            let head = "HTTP/1.1 302 Found\r\nLocation: /end\r\nContent-Length: 60000\r\n\r\n";
            conn.send([head.as_bytes(), &[b'x'; 60_000]].concat());
        }
    });
    run(async {
        let client = Client::new();
        let response = client.get(server.url("/")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "end");
        assert_eq!(client.pool_state().opened, 1);
    });
}
