//! A server whose process is stopped, or whose thread is blocked, for longer than its times.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use annulus::{
    Cores,
    http::{Request, Response, Server, Timeouts},
};

use crate::{
    running::{Child, NEVER, Running, block, get},
    support::{BOUND, http::read_answer},
};

/// Each of the server's times.
const TIME: Duration = Duration::from_secs(1);
/// How long it is away.
const PAUSE: Duration = Duration::from_millis(2600);
/// More than there are receive buffers, and than epoll tells of at once.
const COUNT: usize = 300;
const LARGE_BYTES: usize = 32 << 20;

fn timeouts() -> Timeouts {
    Timeouts {
        idle: TIME,
        head: TIME,
        body: TIME,
        body_rate_grace: TIME,
        write: TIME,
        ..Timeouts::default()
    }
}

async fn answer(mut request: Request) -> Response {
    match request.path() {
        "/large" => Response::bytes(vec![b'x'; LARGE_BYTES]),
        path => {
            let path = path.to_owned();
            let mut bytes = 0;
            let mut body = request.take_body();
            loop {
                match body.next().await {
                    Ok(Some(piece)) => bytes += piece.len(),
                    Ok(None) => return Response::text(format!("{path} {bytes}")),
                    Err(error) => return Response::text(format!("{path} failed: {error}")),
                }
            }
        }
    }
}

fn serve() {
    let server = Server::new().listen("127.0.0.1:0").cores(Cores::Count(1));
    let handle = server.handle();
    let report = server
        .timeouts(timeouts())
        .on_listening(|addr| println!("listening {addr}"))
        .run(async move |request: Request| {
            if request.path() == "/stop" {
                handle.stop(NEVER);
            }
            answer(request).await
        });
    println!("refusals {:?}", report.unwrap().refusals());
}

#[test]
fn what_arrives_while_the_process_is_stopped_is_in_time() {
    if Child::part().is_some() {
        return serve();
    }
    let name = "paused::what_arrives_while_the_process_is_stopped_is_in_time";
    let mut child = Child::spawn(name, "server", None);
    let addr: SocketAddr = child.find("listening ").parse().unwrap();
    let send = |bytes: &str| {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream
    };
    let mut idle: Vec<TcpStream> = (0..COUNT).map(|_| send(&get("/first"))).collect();
    for stream in &mut idle {
        assert!(read_answer(stream).ends_with("/first 0"));
    }
    let mut large = send(&get("/large"));
    let reader = thread::spawn(move || {
        let answer = read_answer(&mut large);
        answer.bytes().filter(|byte| *byte == b'x').count()
    });
    let mut heads: Vec<TcpStream> = (0..20).map(|_| send("GET /head HT")).collect();
    let upload = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n";
    let mut bodies: Vec<TcpStream> = (0..20).map(|_| send(upload)).collect();
    // What was sent last is with the server when this is answered.
    assert!(read_answer(&mut send(&get("/seen"))).ends_with("/seen 0"));

    child.stop();
    for stream in &mut idle {
        let request = "POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
        stream.write_all(request.as_bytes()).unwrap();
    }
    for stream in &mut heads {
        stream.write_all(b"TP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }
    for stream in &mut bodies {
        stream.write_all(&[b'b'; 1000]).unwrap();
    }
    thread::sleep(PAUSE);
    child.go_on();

    for stream in &mut bodies {
        stream.write_all(&[b'b'; 1000]).unwrap();
    }
    let mut lost = 0;
    for stream in &mut idle {
        // One that was reset has no answer.
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => {}
            Ok(_) | Err(_) => {
                lost += 1;
                continue;
            }
        }
        assert!(read_answer(stream).ends_with("/late 5"));
    }
    assert_eq!(lost, 0, "of {COUNT} requests");
    for stream in &mut heads {
        assert!(read_answer(stream).ends_with("/head 0"));
    }
    for stream in &mut bodies {
        assert!(read_answer(stream).ends_with("/body 2000"));
    }
    assert_eq!(reader.join().unwrap(), LARGE_BYTES);
    assert!(read_answer(&mut send(&get("/stop"))).ends_with("/stop 0"));
    drop((idle, heads, bodies));
    assert_eq!(child.find("refusals "), "[]");
}

#[test]
fn what_arrives_while_a_handler_blocks_its_worker_is_in_time() {
    let (block, held) = block();
    let server = Running::start(
        1,
        |server| server.timeouts(timeouts()),
        async move |request: Request| {
            if request.path() == "/hold" {
                block.hold();
            }
            answer(request).await
        },
    );
    let mut idle: Vec<TcpStream> = (0..COUNT).map(|_| server.send(&get("/first"))).collect();
    for stream in &mut idle {
        assert!(read_answer(stream).ends_with("/first 0"));
    }
    let mut holding = server.send(&get("/hold"));
    held.wait();
    for stream in &mut idle {
        stream.write_all(get("/late").as_bytes()).unwrap();
    }
    thread::sleep(PAUSE);
    held.release();
    assert!(read_answer(&mut holding).ends_with("/hold 0"));
    for stream in &mut idle {
        assert!(read_answer(stream).ends_with("/late 0"));
    }
    server.handle.stop(NEVER);
    let report = server.ended().unwrap();
    assert_eq!(report.answered, 2 * COUNT as u64 + 1, "{report}");
}

/// Asks a server of `addr` twice, with short times.
fn ask(addr: &str) {
    let client = annulus::http::Client::builder()
        .first_byte_timeout(TIME)
        .read_timeout(TIME)
        .build();
    annulus::run(async {
        for path in ["first", "last"] {
            let response = client.get(format!("http://{addr}/{path}")).send().await;
            println!("text {}", response.unwrap().text().await.unwrap());
        }
    });
}

#[test]
fn a_response_that_arrives_while_its_client_is_stopped_is_in_time() {
    if let Some(addr) = Child::part() {
        return ask(&addr);
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let name = "paused::a_response_that_arrives_while_its_client_is_stopped_is_in_time";
    let mut child = Child::spawn(name, &addr, None);
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut read_request = || while !lines.next().unwrap().unwrap().is_empty() {};
    read_request();
    child.stop();
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    stream.write_all(format!("{head}hello").as_bytes()).unwrap();
    thread::sleep(PAUSE);
    child.go_on();
    assert_eq!(child.find("text "), "hello");
    // The second one waits for the rest of its body.
    read_request();
    stream.write_all(format!("{head}he").as_bytes()).unwrap();
    thread::sleep(TIME / 4);
    child.stop();
    stream.write_all(b"llo").unwrap();
    thread::sleep(PAUSE);
    child.go_on();
    assert_eq!(child.find("text "), "hello");
}
