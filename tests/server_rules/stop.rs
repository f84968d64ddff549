//! A server that is told to stop, while it has much to do and while it has nothing.

use std::{
    io::{self, Read as _},
    net::TcpStream,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use crate::{
    client::{Answer, Client},
    support::{BOUND, conformance::Server},
    table::BEHIND,
};

/// Stops of one run.
const ROUNDS: usize = 100;
/// Of which this many go on at the same time.
const AT_ONCE: usize = 4;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// Asks on one connection until the server ends it. Returns how many answers came.
///
/// Each is whole, and none follows on one that says `close`. A request that crosses the server's
/// FIN is not read, so that its connection ends without a byte of an answer.
fn ask_to_the_end(server: &Server, has_begun: &mpsc::Sender<()>) -> usize {
    let mut client = Client::connect(server.addr());
    let mut count = 0;
    loop {
        let requests = [
            (get("/x"), 1),
            (get("/chunked"), 1),
            (get("/big?n=300000"), 1),
            (get("/slow?ms=2").repeat(3), 3),
            (
                "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5\r\nhello\r\n0\r\n\r\n"
                    .to_owned(),
                1,
            ),
        ];
        for (request, answers) in requests {
            if io::Write::write_all(&mut client.stream, request.as_bytes()).is_err() {
                return count;
            }
            for index in 0..answers {
                let answer = match client.next_answer(false) {
                    Ok(answer) => answer,
                    Err(found) if index == 0 && client.has_nothing() => {
                        assert!(!is_timeout(&found), "{found}");
                        return count;
                    }
                    Err(found) => panic!("an answer is cut: {found}"),
                };
                count += 1;
                if count == 3 {
                    has_begun.send(()).unwrap();
                }
                assert_eq!(answer.status, 200);
                if answer.closes() {
                    expect_end(client);
                    return count;
                }
            }
        }
    }
}

fn is_timeout(found: &str) -> bool {
    found.contains("temporarily unavailable") || found.contains("timed out")
}

/// Checks that nothing more comes. Bytes that were sent after the last answer may reset the
/// connection once the server has lingered, but what it has sent is here by then.
fn expect_end(mut client: Client) {
    let rest = client.rest().unwrap_or_default();
    assert!(
        rest.is_empty(),
        "an answer after the last: {}",
        rest.escape_ascii()
    );
}

fn says_close(answer: &Answer) {
    assert!(
        answer.closes(),
        "it does not say that it is the last: {answer:?}"
    );
}

/// One server, stopped while all kinds of clients have something under way.
fn stop_under_load(round: usize) {
    let (mut server, written) = Server::start_heard(&["--stop-deadline", "60"]);
    let answered = AtomicUsize::new(0);
    let client = || Client::connect(server.addr());

    // Their heads are read: it is told to send.
    let mut uploads: Vec<Client> = (0..3).map(|_| client()).collect();
    for upload in &mut uploads {
        upload.send(
            "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        );
        assert_eq!(upload.answer().status, 100);
    }
    // Its answer has begun.
    let mut download = client();
    download.send(get("/big?n=20000000"));
    let head = String::from_utf8(download.take_head().unwrap()).unwrap();
    assert!(head.contains("Content-Length: 20000000"));
    // Half a head, of which the server has the first byte, since it has answered what is before.
    let mut half = client();
    half.send(get("/before") + "GET /half HTTP/1.1\r\nHo");
    assert_eq!(half.answer().echo(), "GET /before");
    let mut idle: Vec<Client> = (0..3).map(|_| client()).collect();
    for idle in &mut idle {
        idle.send(BEHIND);
        assert_eq!(idle.answer().echo(), "GET /behind");
    }
    answered.fetch_add(uploads.len() + 1 + 2 + idle.len(), Ordering::Relaxed);
    // The server waits for the request of a new connection, so that not every round has one.
    let fresh = (round % 10 == 0).then(client);

    let (has_begun, begun) = mpsc::channel();
    thread::scope(|scope| {
        let busy: Vec<_> = (0..3)
            .map(|_| {
                let has_begun = has_begun.clone();
                let server = &server;
                scope.spawn(move || ask_to_the_end(server, &has_begun))
            })
            .collect();
        for _ in &busy {
            begun.recv_timeout(BOUND).expect("the busy clients begin");
        }
        thread::sleep(Duration::from_micros(137 * round as u64 % 5000));
        server.terminate();
        for mut idle in idle {
            idle.expect_fin();
        }
        if let Some(mut fresh) = fresh {
            fresh.expect_fin();
        }
        // By now it is stopping.
        half.send("st: a\r\n\r\n");
        let answer = half.answer();
        says_close(&answer);
        assert_eq!(answer.echo(), "GET /half");
        half.expect_fin();
        // The server waits a while for clients that do not end their side.
        drop(half);
        for mut upload in uploads {
            upload.send("hello");
            let answer = upload.answer();
            says_close(&answer);
            assert_eq!(answer.echo(), "POST /up hello");
            upload.expect_fin();
        }
        let content = download.rest().unwrap();
        assert_eq!(
            content.len(),
            20_000_000,
            "the answer that had begun is whole"
        );
        for busy in busy {
            let count = busy.join().expect("the busy client is well");
            answered.fetch_add(count, Ordering::Relaxed);
        }
    });
    assert!(
        TcpStream::connect(server.addr()).is_err(),
        "the server does not listen any more"
    );
    let (status, report) = server.end(&written);
    assert!(status.success(), "{status} {report}");
    // Each answer that the server counts was received whole.
    let answered = answered.into_inner();
    assert!(
        report.contains(&format!(", {answered} requests answered, 0 refused")),
        "{answered}: {report}"
    );
    assert!(report.ends_with(" 0 cut"), "{report}");
}

#[test]
fn a_stop_under_load_loses_no_request_a_hundred_times() {
    thread::scope(|scope| {
        for lane in 0..AT_ONCE {
            scope.spawn(move || {
                for round in (lane..ROUNDS).step_by(AT_ONCE) {
                    stop_under_load(round);
                }
            });
        }
    });
}

#[test]
fn a_stop_without_anything_to_do_ends_at_once() {
    for _ in 0..5 {
        let (mut server, written) = Server::start_heard(&[]);
        server.terminate();
        let (status, report) = server.end(&written);
        assert!(status.success(), "{status} {report}");
    }
}

#[test]
fn the_deadline_cuts_what_is_left() {
    let (mut server, written) = Server::start_heard(&["--stop-deadline", "0.3"]);
    let mut waiting = Client::connect(server.addr());
    waiting.send(get("/slow?ms=100000000"));
    let mut unread = Client::connect(server.addr());
    unread.send(get("/big?n=200000000"));
    unread.take_head().unwrap();
    // The first has been read by now, or soon is: it is in the same process.
    let mut other = Client::connect(server.addr());
    other.send(BEHIND);
    assert_eq!(other.answer().echo(), "GET /behind");
    server.terminate();
    let (status, report) = server.end(&written);
    assert!(status.success(), "{status} {report}");
    assert!(report.ends_with(" cut"), "{report}");
    assert!(waiting.next_answer(false).is_err());
    let mut total = 0;
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = unread.stream.read(&mut bytes) {
        total += count;
    }
    assert!(total < 200_000_000);
}

#[test]
fn a_second_signal_cuts_at_once() {
    let (mut server, written) = Server::start_heard(&["--stop-deadline", "100000"]);
    let mut client = Client::connect(server.addr());
    client
        .send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer().status, 100);
    let mut idle = Client::connect(server.addr());
    idle.send(BEHIND);
    assert_eq!(idle.answer().echo(), "GET /behind");
    server.terminate();
    // The stop has begun.
    idle.expect_fin();
    assert!(server.is_alive());
    server.terminate();
    let (status, report) = server.end(&written);
    assert!(status.success(), "{status} {report}");
    assert!(report.ends_with(" 1 cut"), "{report}");
}
