//! Server-sent events of a topic, on one connection.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use annulus::{
    http::{
        Connection, EndReason, Request, Response, Timeouts,
        topics::{Message, Options, Topics},
    },
    task::yield_now,
    time,
};

use crate::{
    client::{Client, GET},
    support::{pair, run_each},
};

fn listen(topics: &Topics) -> impl AsyncFn(Request) -> Response + Clone + 'static {
    let topics = topics.clone();
    async move |request: Request| request.events(&topics, "news")
}

async fn until(topics: &Topics, count: usize) {
    while topics.subscribers("news") != count {
        yield_now().await;
    }
}

/// Opens a stream, and returns the client with its head.
async fn open(topics: &Topics, request: &str) -> (Client, String) {
    let mut client = Client::of(Connection::new(), listen(topics));
    client.send(request).await;
    let head = client.until("\r\n\r\n").await;
    (client, head)
}

/// The data of the next event in a chunk.
async fn next(client: &mut Client) -> String {
    let chunk = client.until("\n\n\r\n").await;
    let (len, event) = chunk.split_once("\r\n").unwrap();
    let event = event.strip_suffix("\r\n").unwrap();
    assert_eq!(usize::from_str_radix(len, 16).unwrap(), event.len());
    event.to_owned()
}

/// As `next`, without the id.
async fn next_data(client: &mut Client) -> String {
    let event = next(client).await;
    let (id, rest) = event.split_once('\n').unwrap();
    assert!(id.starts_with("id: "), "{event}");
    rest.to_owned()
}

#[test]
fn messages_come_as_events_in_chunks() {
    annulus::run(async {
        let topics = Topics::new();
        let (mut client, head) = open(&topics, GET).await;
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
        for field in [
            "content-type: text/event-stream\r\n",
            "transfer-encoding: chunked\r\n",
            "cache-control: no-cache\r\n",
            "connection: close\r\n",
        ] {
            assert!(head.contains(field), "{head}");
        }
        assert_eq!(topics.publish("news", "one"), 1);
        topics.publish("news", "two\nlines");
        topics.publish("news", Message::text("3").with_event("count\r\n"));
        topics.publish("news", vec![0, 255]);
        assert_eq!(next_data(&mut client).await, "data: one\n\n");
        assert_eq!(next_data(&mut client).await, "data: two\ndata: lines\n\n");
        assert_eq!(next_data(&mut client).await, "event: count\ndata: 3\n\n");
        assert_eq!(next_data(&mut client).await, "data: AP8=\n\n");
        client.shut_down().await;
        assert_eq!(client.rest().await, "0\r\n\r\n");
        until(&topics, 0).await;
        client.served.await.unwrap();
        assert_eq!(topics.total_counts().delivered, 4);
    });
}

#[test]
fn old_clients_get_no_chunks_and_heads_no_body() {
    annulus::run(async {
        let topics = Topics::new();
        let (mut client, head) = open(&topics, "GET / HTTP/1.0\r\n\r\n").await;
        assert!(
            !head.to_ascii_lowercase().contains("transfer-encoding"),
            "{head}"
        );
        topics.publish("news", "one");
        let event = client.until("\n\n").await;
        assert!(event.starts_with("id: ") && event.ends_with("\ndata: one\n\n"));
        client.shut_down().await;
        assert_eq!(client.rest().await, "");

        let (mut client, head) = open(&topics, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(head.contains("text/event-stream"), "{head}");
        assert_eq!(topics.publish("news", "unheard"), 0);
        client
            .send("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await;
        assert_eq!(
            client.until("\r\n\r\n").await.matches("HTTP/1.1").count(),
            1
        );
        assert_eq!(client.rest().await, "");
    });
}

#[test]
fn a_client_that_comes_again_gets_what_it_has_missed() {
    annulus::run(async {
        let topics = Topics::new();
        topics.configure("news", Options::new().history(3));
        for number in 1..=4 {
            topics.publish("news", number.to_string());
        }
        let (mut client, _) = open(&topics, GET).await;
        let mut ids = Vec::new();
        for number in 2..=4 {
            let event = next(&mut client).await;
            let (id, data) = event.split_once('\n').unwrap();
            assert_eq!(data, format!("data: {number}\n\n"));
            ids.push(id.strip_prefix("id: ").unwrap().to_owned());
        }
        drop(client);
        let check = async |id: &str, expected: &[&str]| {
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {id}\r\n\r\n");
            let (mut client, _) = open(&topics, &request).await;
            for data in expected {
                assert_eq!(next_data(&mut client).await, format!("data: {data}\n\n"));
            }
            topics.publish("news", "5");
            assert_eq!(next_data(&mut client).await, "data: 5\n\n");
            topics.remove("news");
            topics.configure("news", Options::new().history(3));
        };
        check(&ids[1], &["4"]).await;
        // Numbers go on while there are subscribers, and nothing is kept of before.
        check("nonsense", &[]).await;
    });
}

#[test]
fn a_silent_stream_is_sent_comments() {
    annulus::run(async {
        time::pause();
        let topics = Topics::new();
        let (mut client, _) = open(&topics, GET).await;
        let start = time::now();
        assert_eq!(next(&mut client).await, ":\n\n");
        let waited = time::now() - start;
        assert!((15..16).contains(&waited.as_secs()), "{waited:?}");
        time::sleep(Duration::from_secs(10)).await;
        topics.publish("news", "one");
        assert_eq!(next_data(&mut client).await, "data: one\n\n");
        let start = time::now();
        assert_eq!(next(&mut client).await, ":\n\n");
        let waited = time::now() - start;
        assert!((15..16).contains(&waited.as_secs()), "{waited:?}");
        topics.configure("news", Options::new().heartbeat_interval(Duration::MAX));
        let (mut client, _) = open(&topics, GET).await;
        let comment = time::timeout(Duration::from_secs(86_400), next(&mut client));
        assert!(comment.await.is_err());
    });
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    annulus::run(async {
        time::pause();
        let topics = Topics::new();
        let timeouts = Timeouts {
            write: Duration::from_secs(5),
            ..Timeouts::default()
        };
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        let connection = Connection::new()
            .timeouts(timeouts)
            .access_log(move |access| {
                let end = (access.status, access.reason);
                lines.lock().unwrap().push(end);
            });
        let mut client = Client::with_room(512, connection, listen(&topics));
        client.send(GET).await;
        client.until("\r\n\r\n").await;
        topics.publish("news", "x".repeat(2000));
        let start = time::now();
        until_later(&topics).await;
        let waited = time::now() - start;
        assert!((5..6).contains(&waited.as_secs()), "{waited:?}");
        client.served.await.unwrap();
        let end = (None, Some(EndReason::WriteTimeout));
        assert_eq!(*log.lock().unwrap(), [end]);
    });
}

async fn until_later(topics: &Topics) {
    while topics.subscribers("news") > 0 {
        time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_slow_client_is_ended_after_what_it_was_sent_and_can_come_again() {
    annulus::run(async {
        let topics = Topics::new();
        topics.configure("news", Options::new().history(100).pending_bytes_max(3000));
        let mut client = Client::with_room(512, Connection::new(), listen(&topics));
        client.send(GET).await;
        client.until("\r\n\r\n").await;
        for number in 0..8 {
            topics.publish("news", format!("{number} {}", "x".repeat(1000)));
            for _ in 0..20 {
                yield_now().await;
            }
        }
        assert_eq!(topics.counts("news").closed, 1);
        let all = client.rest().await;
        assert!(
            all.contains("data: 0 ") && all.ends_with("\r\n0\r\n\r\n"),
            "{all}"
        );
        let id = all
            .rsplit("id: ")
            .next()
            .unwrap()
            .split('\n')
            .next()
            .unwrap();
        let got = all.matches("data: ").count();
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {id}\r\n\r\n");
        let (mut client, _) = open(&topics, &request).await;
        for number in got..8 {
            let event = next_data(&mut client).await;
            assert!(event.starts_with(&format!("data: {number} ")), "{event}");
        }
    });
}

#[test]
fn a_client_that_goes_on_sending_is_cut() {
    annulus::run(async {
        let topics = Topics::new();
        let (client, _) = open(&topics, GET).await;
        until(&topics, 1).await;
        for _ in 0..100 {
            if client.stream.write_all(&[b'x'; 1024]).await.is_err() {
                break;
            }
            yield_now().await;
        }
        until(&topics, 0).await;
    });
}

#[test]
fn a_client_that_leaves_is_noticed_on_both_drivers() {
    run_each(async || {
        let topics = Topics::new();
        let (near, far) = pair().await;
        let served = annulus::spawn(Connection::new().serve(far, listen(&topics)));
        near.write_all(GET.as_bytes()).await.unwrap();
        until(&topics, 1).await;
        let mut received = Vec::new();
        for number in 0..200 {
            topics.publish("news", number.to_string());
        }
        while !received.ends_with(b"data: 199\n\n\r\n") {
            received.extend_from_slice(&near.recv().await.unwrap());
        }
        drop(near);
        until(&topics, 0).await;
        served.await.unwrap();
    });
}

/// Polls the whole stream once in a while, whatever is published meanwhile.
#[test]
fn a_request_with_a_body_is_answered_after_it() {
    annulus::run(async {
        let topics = Topics::new();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
        let mut client = Client::of(Connection::new(), listen(&topics));
        client.send(head).await;
        for _ in 0..20 {
            yield_now().await;
        }
        let polled = poll_fn(|context| Poll::Ready(client.stream.poll_recv(context).is_ready()));
        assert!(!polled.await);
        client.send("hello").await;
        client.until("\r\n\r\n").await;
        topics.publish("news", "one");
        assert_eq!(next_data(&mut client).await, "data: one\n\n");
    });
}
