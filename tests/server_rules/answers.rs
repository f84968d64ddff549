//! The form of answers.

use std::time::Duration;

use crate::{
    client::{Answer, Client},
    support::conformance::Server,
    table::Table,
};

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn ask(server: &Server, request: impl AsRef<[u8]>) -> Answer {
    let mut client = Client::connect(server.addr());
    client.send(request);
    client.answer()
}

#[test]
fn statuses_without_content_have_neither_body_nor_length() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.addr());
    for status in [204, 304] {
        client.send(get(&format!("/status/{status}")));
        let answer = client.answer();
        assert_eq!(answer.status, status);
        assert_eq!(answer.field("transfer-encoding"), None);
        if status == 204 {
            assert_eq!(answer.field("content-length"), None);
        }
    }
    // Nothing came behind them.
    client.send(get("/next"));
    assert_eq!(client.answer().echo(), "GET /next");
}

#[test]
fn every_status_is_passed_on() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.addr());
    for status in [200, 201, 205, 301, 404, 418, 451, 500, 503, 599, 999] {
        client.send(get(&format!("/status/{status}")));
        let answer = client.answer();
        assert_eq!((answer.status, &*answer.body), (status, &b""[..]));
        assert_eq!(answer.field("content-length"), Some("0"));
    }
    // These would not end the exchange, so that the handler has made a mistake.
    for status in [100, 101, 103] {
        assert_eq!(ask(&server, get(&format!("/status/{status}"))).status, 500);
    }
}

#[test]
fn head_has_the_length_of_get_and_no_content() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.addr());
    for path in [
        "/big?n=70000",
        "/noread",
        "/static/hello.txt",
        "/status/404",
        "/status/204",
    ] {
        client.send(get(path));
        let full = client.answer();
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let head = client.answer_to_head();
        assert_eq!(head.status, full.status, "{path}");
        assert_eq!(
            head.field("content-length"),
            full.field("content-length"),
            "{path}"
        );
        assert_eq!(
            head.field("content-type"),
            full.field("content-type"),
            "{path}"
        );
    }
    client.send("HEAD /chunked HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer_to_head().field("content-length"), None);
    client.send(get("/next"));
    assert_eq!(client.answer().echo(), "GET /next");
}

#[test]
fn an_unknown_length_goes_in_chunks_to_1_1_and_until_the_close_to_1_0() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.addr());
    for _ in 0..2 {
        client.send(get("/chunked"));
        let answer = client.answer();
        assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
        assert_eq!(answer.body, b"alpha,beta,gamma");
        assert!(!answer.closes());
    }
    for lines in ["", "Connection: keep-alive\r\n"] {
        let mut client = Client::connect(server.addr());
        client.send(format!("GET /chunked HTTP/1.0\r\n{lines}\r\n"));
        let answer = client.answer();
        assert_eq!(answer.field("transfer-encoding"), None);
        assert_eq!(answer.field("connection"), Some("close"));
        assert_eq!(answer.body, b"alpha,beta,gamma");
    }
}

#[test]
fn answers_are_dated() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.addr());
    for path in ["/", "/chunked", "/status/204", "/status/304", "/status/404"] {
        client.send(get(path));
        let answer = client.answer();
        let date = answer
            .field("date")
            .unwrap_or_else(|| panic!("{path} has no date"));
        let words: Vec<&str> = date.split(' ').collect();
        let [day, number, month, year, time, "GMT"] = words[..] else {
            panic!("{date}");
        };
        assert!(
            day.strip_suffix(',').is_some_and(|day| DAYS.contains(&day)),
            "{date}"
        );
        assert!(MONTHS.contains(&month), "{date}");
        assert!(
            number.len() == 2 && year.len() == 4 && time.len() == 8,
            "{date}"
        );
    }
    let refused = ask(&server, "GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    assert!(refused.field("date").is_some());
}

#[test]
fn pipelined_answers_come_in_order_whatever_they_take() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.addr());
    let mut requests = String::new();
    for round in 0..10 {
        requests.push_str(&get("/slow?ms=20"));
        requests.push_str(&get(&format!("/first{round}")));
        requests.push_str(&get("/chunked"));
        requests.push_str("POST /second HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        requests.push_str("HEAD /big?n=1000 HTTP/1.1\r\nHost: a\r\n\r\n");
        requests.push_str(&get("/big?n=100000"));
        requests.push_str(&get("/status/204"));
    }
    requests.push_str("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    requests.push_str(&get("/never"));
    client.send(requests);
    for round in 0..10 {
        assert_eq!(client.answer().body, b"slow");
        assert_eq!(client.answer().echo(), format!("GET /first{round}"));
        assert_eq!(client.answer().body, b"alpha,beta,gamma");
        assert_eq!(client.answer().echo(), "POST /second abc");
        assert_eq!(
            client.answer_to_head().field("content-length"),
            Some("1000")
        );
        assert_eq!(client.answer().body.len(), 100_000);
        assert_eq!(client.answer().status, 204);
    }
    let last = client.answer();
    assert_eq!((&*last.echo(), last.closes()), ("GET /last", true));
    client.expect_fin();
}

#[test]
fn a_panic_is_a_500_and_the_process_goes_on() {
    let mut table = Table::new();
    for _ in 0..20 {
        let mut client = Client::connect(table.server.addr());
        client.send(get("/boom").repeat(2));
        assert_eq!(client.answer().status, 500);
        // The second is answered likewise, or not at all.
        let rest = client.rest().unwrap();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 500 "));
        table.expect_honest();
    }
    assert!(table.server.is_alive());
}

#[test]
fn events_come_one_by_one() {
    let server = Server::start(&[]);
    let answer = ask(&server, get("/sse"));
    assert_eq!(answer.field("content-type"), Some("text/event-stream"));
    let expected: String = (0..3)
        .map(|number| format!("id: {number}\ndata: tick {number}\n\n"))
        .collect();
    assert_eq!(answer.body, expected.as_bytes());
}

#[test]
fn a_file_is_served_with_its_type() {
    let server = Server::start(&[]);
    let answer = ask(&server, get("/static/hello.txt"));
    assert_eq!(answer.body, b"hello, static world\n");
    let media_type = answer.field("content-type").unwrap();
    assert!(media_type.starts_with("text/plain"), "{media_type}");
    assert_eq!(answer.field("content-length"), Some("20"));
}

#[test]
fn a_large_answer_is_whole_whatever_its_reader_does() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.addr());
    client.send(get("/big?n=30000000"));
    std::thread::sleep(Duration::from_millis(50));
    let answer = client.answer();
    assert_eq!(answer.body.len(), 30_000_000);
    assert!(answer.body.iter().all(|&byte| byte == b'x'));
    client.send(get("/next"));
    assert_eq!(client.answer().echo(), "GET /next");
}

#[test]
fn what_a_request_says_never_splits_an_answer() {
    let server = Server::start(&[]);
    // The echo puts the target and the method into fields.
    for target in ["/%0d%0aX:%20y", "/%00", "/a%0aSet-Cookie:b"] {
        let answer = ask(&server, get(target));
        assert_eq!(answer.echo(), format!("GET {target}"));
        assert_eq!(answer.field("x"), None);
        assert_eq!(answer.field("set-cookie"), None);
    }
}
