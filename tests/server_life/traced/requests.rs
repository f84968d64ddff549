//! The spans of connections and requests, on both sides, and the events of a server.

use std::{cell::Cell, future::pending, net::SocketAddr, pin::pin, rc::Rc, time::Duration};

use annulus::{
    future::race,
    http::{self, Client, Connection, HeaderValue, Request, Response, Router, Server, StatusCode},
    io::{Reader, duplex},
    net::{TcpStream, UnixStream},
    spawn,
    sync::oneshot,
    task::{JoinHandle, yield_now},
    time,
};
use tracing::Level;

use super::{Told, reach};
use crate::support::{
    BOUND, closed_port,
    recorder::{SeenSpan, on_each_driver},
};

/// Runs `client` beside a server with `router`, which is cut off when the client is done.
async fn beside(server: Server, router: Router, client: impl AsyncFnOnce(SocketAddr)) {
    let (tell, told) = oneshot::channel();
    let tell = Cell::new(Some(tell));
    let server = server.listen("127.0.0.1:0").on_listening(move |addr| {
        let _ = tell.take().expect("there is one address").send(addr);
    });
    let handle = server.handle();
    let asking = async {
        client(told.await.unwrap()).await;
        handle.stop(Duration::ZERO);
        pending::<()>().await;
    };
    let (serving, asking) = (pin!(server.serve(router)), pin!(asking));
    time::timeout(BOUND, race(serving, asking))
        .await
        .expect("it ends");
}

async fn ask(client: &Client, addr: SocketAddr, path: &str) -> (StatusCode, String) {
    let response = client.get(format!("http://{addr}{path}")).send().await;
    let response = response.unwrap();
    (response.status(), response.text().await.unwrap())
}

async fn user(request: Request) -> http::Result<String> {
    let id: u32 = request.param("id")?;
    reach!("in the handler");
    if id > 9 {
        return Err(StatusCode::NOT_FOUND.into());
    }
    time::sleep(Duration::from_millis(1)).await;
    reach!("after the wait");
    drop(spawn(async { reach!("in a task") }));
    Ok(format!("user {id}"))
}

fn router() -> Router {
    Router::new()
        .get("/users/{id}", user)
        .get("/inline", async |_| {
            reach!("inline");
            "at once"
        })
        .get("/panic", async |_| -> Response { panic!("no {}", "way") })
        .get("/broken", async |_| -> http::Result<&str> {
            Err(http::Error::new(
                StatusCode::BAD_GATEWAY,
                "upstream is down",
            ))
        })
        .get("/pieces", async |_| {
            Response::writer(async |mut body| {
                yield_now().await;
                reach!("in the producer");
                body.write("piece").await
            })
        })
        .get("/never", async |request: Request| -> Response {
            request.stop_on_half_close();
            let _told = Told;
            pending().await
        })
}

#[test]
fn a_request_has_a_span_inside_of_its_connections() {
    on_each_driver(async |seen| {
        beside(Server::new(), router(), async |addr| {
            let client = Client::new();
            assert_eq!(ask(&client, addr, "/users/7?a=b").await.1, "user 7");
            assert_eq!(ask(&client, addr, "/inline").await.1, "at once");
            assert_eq!(ask(&client, addr, "/nothing").await.0, 404);
        })
        .await;
        let connection = seen.span("connection");
        assert_eq!((connection.parent, connection.closes), (None, 1));
        assert_eq!(connection.field("network.peer.address"), "127.0.0.1");
        let [waited, inline, missing] = &seen.spans("request")[..] else {
            panic!("there are three requests");
        };
        for span in [waited, inline, missing] {
            assert_eq!((span.parent, span.closes), (Some(connection.id), 1));
            assert_eq!(*span.metadata.level(), Level::INFO);
            assert_eq!(span.field("http.request.method"), "GET");
            assert_eq!(span.field("network.protocol.version"), "1.1");
            assert_eq!(span.field("otel.kind"), "server");
            let seconds: f64 = span.field("http.server.request.duration").parse().unwrap();
            assert!((0.0..BOUND.as_secs_f64()).contains(&seconds));
        }
        check(waited, "/users/7", "/users/{id}", "200", "6");
        check(inline, "/inline", "/inline", "200", "7");
        check(missing, "/nothing", "", "404", "0");
        assert_eq!(waited.field("otel.name"), "GET");
        for place in ["in the handler", "after the wait"] {
            assert_eq!(seen.event(place).span, Some(waited.id), "{place}");
        }
        assert_eq!(seen.event("inline").span, Some(inline.id));
        let tasks = seen.spans("task");
        let task = seen.event("in a task").span;
        let task = tasks.iter().find(|span| Some(span.id) == task).unwrap();
        assert_eq!((task.parent, &*task.follows), (None, &[waited.id][..]));
    });
}

#[track_caller]
fn check(span: &SeenSpan, path: &str, route: &str, status: &str, sent: &str) {
    assert_eq!(span.field("url.path"), path);
    assert_eq!(span.field("http.route"), route);
    assert_eq!(span.field("http.response.status_code"), status);
    assert_eq!(span.field("http.response.body.size"), sent);
    assert_eq!(span.field("http.request.body.size"), "0");
    assert_eq!(span.field("error.type"), "");
}

#[test]
fn what_goes_wrong_is_told_in_the_requests_span() {
    on_each_driver(async |seen| {
        beside(Server::new(), router(), async |addr| {
            let client = Client::new();
            assert_eq!(ask(&client, addr, "/panic").await.0, 500);
            assert_eq!(ask(&client, addr, "/broken").await.0, 502);
            assert_eq!(ask(&client, addr, "/users/10").await.0, 404);
        })
        .await;
        let [panicked, broken, refused] = &seen.spans("request")[..] else {
            panic!("there are three requests");
        };
        let kinds = [panicked, broken, refused].map(|span| span.field("error.type").to_owned());
        assert_eq!(kinds, ["handler-failed", "502", ""]);
        let states = [panicked, broken, refused].map(|span| span.field("otel.status_code"));
        assert_eq!(states, ["ERROR", "ERROR", ""]);
        for (message, span, level, text) in [
            ("a handler panicked", panicked, Level::ERROR, "no way"),
            ("a handler failed", broken, Level::ERROR, "upstream is down"),
            (
                "a handler refused its request",
                refused,
                Level::DEBUG,
                "404",
            ),
        ] {
            let event = seen.event(message);
            assert_eq!((event.span, event.level), (Some(span.id), level));
            let found = &event.fields["exception.message"];
            assert!(found.contains(text), "{found}");
        }
    });
}

/// Serves a connection by itself, and asks on it.
async fn ask_one(request: &'static [u8]) -> (UnixStream, JoinHandle<()>) {
    let (near, far) = UnixStream::pair().unwrap();
    let serving = spawn(Connection::new().serve(far, router()));
    near.write_all(request).await.unwrap();
    (near, serving)
}

#[test]
fn a_producer_runs_in_the_span_and_what_is_no_request_has_none() {
    on_each_driver(async |seen| {
        let (near, serving) =
            ask_one(b"GET /pieces HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n").await;
        let answer = Reader::new(near).read_to_end(4096).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        serving.await.unwrap();
        let (span, connection) = (seen.span("request"), seen.span("connection"));
        assert_eq!(seen.event("in the producer").span, Some(span.id));
        assert_eq!(span.field("http.response.body.size"), "5");
        let refused = seen.event("a request is refused");
        assert_eq!(
            (refused.level, refused.span),
            (Level::DEBUG, Some(connection.id))
        );
        assert_eq!(refused.fields["http.response.status_code"], "400");
    });
}

#[test]
fn a_request_whose_client_or_server_leaves_closes_its_span_once() {
    on_each_driver(async |seen| {
        let ask = b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n";
        let (near, serving) = ask_one(ask).await;
        while seen.spans("request").is_empty() {
            yield_now().await;
        }
        drop(near);
        serving.await.unwrap();
        let left = seen.span("request");
        assert_eq!((left.field("error.type"), left.closes), ("client-gone", 1));
        assert_eq!(seen.event("dropped").span, Some(left.id));

        let (near, serving) = ask_one(ask).await;
        while seen.spans("request").len() < 2 {
            yield_now().await;
        }
        serving.abort();
        assert!(serving.await.is_err());
        let cut = &seen.spans("request")[1];
        assert_eq!((cut.field("error.type"), cut.closes), ("cancelled", 1));
        assert_eq!(seen.count("dropped"), 2);
        drop(near);

        beside(Server::new(), router(), async |addr| {
            let stream = TcpStream::connect(addr).await.unwrap();
            stream.write_all(&ask[..]).await.unwrap();
            while seen.spans("request").len() < 3 {
                time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        let stopped = &seen.spans("request")[2];
        assert_eq!(
            (stopped.field("error.type"), stopped.closes),
            ("cancelled", 1)
        );
    });
}

#[test]
fn a_hook_that_panics_costs_its_connection_alone() {
    on_each_driver(async |_seen| {
        let server = Server::new().on_request_span(|_span, fields| {
            assert!(!fields.contains_key("x-panic"), "planned");
        });
        beside(server, router(), async |addr| {
            let stream = TcpStream::connect(addr).await.unwrap();
            let request = "GET /inline HTTP/1.1\r\nHost: a\r\nX-Panic: 1\r\n\r\n";
            stream.write_all(request).await.unwrap();
            let error = stream.recv().await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            let client = Client::new();
            assert_eq!(ask(&client, addr, "/inline").await.1, "at once");
        })
        .await;
    });
}

#[test]
fn a_request_that_is_kept_keeps_no_span_open() {
    on_each_driver(async |seen| {
        let kept: Rc<Cell<Option<Request>>> = Rc::default();
        let keep = Rc::clone(&kept);
        let (near, far) = duplex(4096);
        let handler = async move |request: Request| {
            keep.set(Some(request));
            "kept"
        };
        let serving = spawn(Connection::new().serve(far, handler));
        let ask = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        near.write_all(&ask[..]).await.unwrap();
        let answer = Reader::new(near).read_to_end(4096).await.unwrap();
        assert!(answer.ends_with(b"kept"));
        serving.await.unwrap();
        assert_eq!(seen.span("request").closes, 1);
        assert!(kept.take().is_some());
    });
}

#[test]
fn a_full_server_tells_of_refusals_and_pauses() {
    on_each_driver(async |seen| {
        let full = Server::new().connections_max(1).refuse_when_full(true);
        beside(full, router(), async |addr| {
            let first = TcpStream::connect(addr).await.unwrap();
            first
                .write_all(&b"GET /never HTTP/1.1\r\n"[..])
                .await
                .unwrap();
            wait_for(|| seen.spans("connection").len() == 1).await;
            let second = TcpStream::connect(addr).await.unwrap();
            let answer = Reader::new(second).read_to_end(4096).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 503 "));
        })
        .await;
        let event = seen.event("a connection is refused, since the server is full");
        assert_eq!((event.level, event.span), (Level::WARN, None));

        let full = Server::new().connections_max(1);
        beside(full, router(), async |addr| {
            let first = TcpStream::connect(addr).await.unwrap();
            first
                .write_all(&b"GET /never HTTP/1.1\r\n"[..])
                .await
                .unwrap();
            let pause = "accepting pauses, since the server is full";
            wait_for(|| seen.count(pause) == 1).await;
            drop(first);
            wait_for(|| seen.count("accepting goes on") == 1).await;
        })
        .await;
    });
}

async fn wait_for(is_there: impl Fn() -> bool) {
    let waiting = async {
        while !is_there() {
            time::sleep(Duration::from_millis(1)).await;
        }
    };
    time::timeout(BOUND, waiting).await.expect("it comes");
}

#[test]
fn a_clients_request_has_a_span_and_carries_what_its_hook_adds() {
    on_each_driver(async |seen| {
        let server = Server::new().on_request_span(|span, fields| {
            let parent = fields.get("x-parent").unwrap().to_str().unwrap();
            span.follows_from(tracing::Id::from_u64(parent.parse().unwrap()));
        });
        let (_held, addr_of_nothing) = closed_port();
        let client = Client::builder().on_request_span(|span, fields| {
            let id = span.id().expect("the test records it").into_u64();
            fields.insert("x-parent", HeaderValue::from(id));
        });
        let client = client.build();
        beside(server, router(), async |addr| {
            assert_eq!(ask(&client, addr, "/inline?secret=1").await.1, "at once");
            assert_eq!(ask(&client, addr, "/nothing").await.0, 404);
            let refused = client
                .get(format!("http://{addr_of_nothing}/"))
                .send()
                .await;
            assert!(refused.is_err());
            let never = client.get(format!("http://{addr}/never")).send();
            let limit = Duration::from_millis(1);
            assert!(time::timeout(limit, never).await.is_err());
        })
        .await;
        let [fine, missing, refused, dropped] = &seen.spans("client_request")[..] else {
            panic!("there are four requests");
        };
        assert_eq!(fine.field("server.address"), "127.0.0.1");
        assert!(fine.field("url.full").ends_with("/inline"));
        assert_eq!(fine.field("http.response.status_code"), "200");
        assert_eq!(fine.field("otel.kind"), "client");
        let kinds = [fine, missing, refused, dropped].map(|span| span.field("error.type"));
        assert_eq!(kinds, ["", "404", "connect", "cancelled"]);
        let requests = seen.spans("request");
        assert_eq!(requests[0].follows, [fine.id]);
        assert_eq!(requests[1].follows, [missing.id]);
    });
}
