//! More connections than there is room for.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
        mpsc,
    },
    time::Duration,
};

use annulus::{
    Cores,
    fs::File,
    http::{BodyWriter, Request, Response, Server, Timeouts},
    sync::Semaphore,
    task,
};

use crate::{
    running::{Child, Gate, NEVER, Running, block, expect_fin, get, waiting},
    support::{
        BOUND,
        http::{connect, read_answer},
    },
};

#[test]
fn the_longest_idle_connection_makes_room() {
    let change = |server: Server| server.connections_max(3);
    let gate = Gate::default();
    let server = Running::start(1, change, waiting(&gate));
    let mut busy = server.send(&get("/wait"));
    gate.wait_for(1);
    let (mut first, mut second) = (server.idle(), server.idle());
    let mut third = server.idle();
    expect_fin(&mut first);
    // The one that was used last stays, although it is older.
    second.write_all(get("/again").as_bytes()).unwrap();
    assert!(read_answer(&mut second).ends_with("/again"));
    let mut fourth = server.idle();
    expect_fin(&mut third);
    gate.open();
    assert!(read_answer(&mut busy).ends_with("/wait"));
    server.handle.stop(NEVER);
    expect_fin(&mut second);
    expect_fin(&mut fourth);
    let report = server.ended().unwrap();
    assert_eq!((report.evicted, report.pauses), (2, 0), "{report}");
}

#[test]
fn an_idle_connection_whose_request_has_just_come_does_not_make_room() {
    let change = |server: Server| server.connections_max(3);
    let (block, held) = block();
    let server = Running::start(1, change, async move |request: Request| {
        if request.path() == "/hold" {
            // The whole worker waits, so that what comes meanwhile is there in its next turn.
            block.hold();
        }
        Response::text(request.path().to_owned())
    });
    let (mut first, mut second) = (server.idle(), server.idle());
    let mut holding = server.send(&get("/hold"));
    held.wait();
    first.write_all(get("/late").as_bytes()).unwrap();
    let mut new = server.send(&get("/new"));
    held.release();
    assert!(read_answer(&mut holding).ends_with("/hold"));
    assert!(read_answer(&mut new).ends_with("/new"));
    assert!(read_answer(&mut first).ends_with("/late"));
    expect_fin(&mut second);
    first.write_all(get("/again").as_bytes()).unwrap();
    assert!(read_answer(&mut first).ends_with("/again"));
    server.handle.stop(NEVER);
    drop((first, holding, new));
    assert_eq!(server.ended().unwrap().evicted, 1);
}

#[test]
fn accepting_pauses_while_all_are_busy() {
    let change = |server: Server| server.connections_max(2);
    let gate = Gate::default();
    let server = Running::start(1, change, waiting(&gate));
    let mut busy = [server.send(&get("/wait")), server.send(&get("/wait"))];
    gate.wait_for(2);
    // These wait in the backlog: the handlers that would answer them run later.
    let mut later: Vec<TcpStream> = (0..40).map(|_| server.send(&get("/later"))).collect();
    gate.open();
    for client in &mut busy {
        assert!(read_answer(client).ends_with("/wait"));
    }
    // Each is idle after its answer, and makes room for the next.
    for client in &mut later {
        assert!(read_answer(client).ends_with("/later"));
    }
    server.handle.stop(NEVER);
    let report = server.ended().unwrap();
    assert!(report.pauses >= 1, "{report}");
    assert_eq!((report.accepted, report.answered), (42, 42), "{report}");
}

#[test]
fn who_finds_no_room_may_be_told_so() {
    let change = |server: Server| server.connections_max(1).refuse_when_full(true);
    let gate = Gate::default();
    let server = Running::start(1, change, waiting(&gate));
    let mut busy = server.send(&get("/wait"));
    gate.wait_for(1);
    for _ in 0..3 {
        let mut client = server.send(&get("/refused"));
        let answer = read_answer(&mut client);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert!(
            answer.ends_with("\r\n\r\nthe server is overloaded\n"),
            "{answer}"
        );
        expect_fin(&mut client);
    }
    gate.open();
    assert!(read_answer(&mut busy).ends_with("/wait"));
    // An idle connection makes room again.
    let mut client = server.idle();
    expect_fin(&mut busy);
    server.handle.stop(NEVER);
    expect_fin(&mut client);
    let report = server.ended().unwrap();
    let refusals: Vec<_> = report
        .refusals()
        .iter()
        .map(|(r, n)| (r.as_str(), *n))
        .collect();
    assert_eq!(refusals, [("overloaded", 3)]);
    assert_eq!((report.accepted, report.pauses), (5, 0), "{report}");
}

#[test]
fn every_worker_has_its_part_of_the_room() {
    let change = |server: Server| server.connections_max(2);
    let server = Running::start(2, change, waiting(&Gate::default()));
    let clients: Vec<TcpStream> = (0..20).map(|_| server.idle()).collect();
    server.handle.stop(NEVER);
    drop(clients);
    let report = server.ended().unwrap();
    assert!(report.evicted >= 18, "{report}");
    assert_eq!(report.answered, 20, "{report}");
}

#[test]
fn a_connection_that_never_says_anything_is_ended() {
    let change = |server: Server| {
        server.timeouts(Timeouts {
            idle: Duration::ZERO,
            ..Timeouts::default()
        })
    };
    let server = Running::start(1, change, waiting(&Gate::default()));
    expect_fin(&mut server.connect());
    server.handle.stop(NEVER);
    assert_eq!(server.ended().unwrap().timed_out, 1);
}

const FEW: usize = 48;

/// The server of the test below, in a process of its own.
fn serve_with_few_descriptors() {
    let server = Server::new()
        .listen("127.0.0.1:0")
        .cores(Cores::Count(1))
        .connections_max(1000);
    let handle = server.handle();
    let report = server
        .on_listening(|addr| println!("listening {addr}"))
        .run(async move |request: Request| {
            if request.path() == "/stop" {
                handle.stop(NEVER);
            }
            Response::text(request.path().to_owned())
        })
        .unwrap();
    println!("exhausted {}", report.exhausted > 0 && report.evicted > 0);
}

#[test]
fn without_descriptors_the_longest_idle_makes_room() {
    if Child::part().is_some() {
        return serve_with_few_descriptors();
    }
    let name = "overload::without_descriptors_the_longest_idle_makes_room";
    let mut child = Child::spawn(name, "server", Some(FEW));
    let addr: SocketAddr = child.find("listening ").parse().unwrap();
    // Each of them is answered, though they are more than there are descriptors.
    let clients: Vec<TcpStream> = (0..FEW * 2)
        .map(|_| {
            let mut client = connect(addr);
            client.write_all(get("/").as_bytes()).unwrap();
            assert!(read_answer(&mut client).ends_with('/'));
            client
        })
        .collect();
    let mut last = connect(addr);
    last.write_all(get("/stop").as_bytes()).unwrap();
    assert!(read_answer(&mut last).ends_with("/stop"));
    drop((clients, last));
    assert_eq!(child.find("exhausted "), "true");
    child.ended();
}

/// A limit whose reserve is 64 descriptors.
const DESCRIPTORS: usize = 160;
/// Files that are open at a time, all workers together: far less than the reserve, since a file is
/// closed after its request.
const FILES_MAX: usize = 8;

/// Answers with files, on `count` workers that listen at several places.
fn serve_files(count: usize) {
    let path = std::env::temp_dir().join(format!("annulus-reserve-{}", std::process::id()));
    let server = Server::new()
        .listen("127.0.0.1:0")
        .listen("127.0.0.2:0")
        .listen_unix(&path)
        .cores(Cores::Count(count));
    let handle = server.handle();
    let report = server
        .on_listening(|addr| println!("listening {addr}"))
        .run_each(move || {
            let files = Rc::new(Semaphore::new(FILES_MAX / count));
            let handle = handle.clone();
            async move |request: Request| {
                if request.path() == "/stop" {
                    handle.stop(NEVER);
                }
                let _permit = files.acquire().await;
                let file = File::open("/proc/self/cmdline").await?;
                // It takes its time, so that others are accepted meanwhile.
                task::yield_now().await;
                drop(file);
                Ok::<_, annulus::http::Error>(Response::text("a file"))
            }
        })
        .unwrap();
    let _ = std::fs::remove_file(path);
    println!("exhausted {}", report.exhausted);
}

#[test]
fn a_burst_of_connections_leaves_the_reserve_of_descriptors_alone() {
    if let Some(count) = Child::part() {
        return serve_files(count.parse().unwrap());
    }
    let name = "overload::a_burst_of_connections_leaves_the_reserve_of_descriptors_alone";
    for count in ["1", "2"] {
        let mut child = Child::spawn(name, count, Some(DESCRIPTORS));
        let addrs = [child.find("listening "), child.find("listening ")];
        let addrs = addrs.map(|addr| addr.parse::<SocketAddr>().unwrap());
        // One has been served, so that the server accepts by now.
        let mut first = connect(addrs[0]);
        first.write_all(get("/first").as_bytes()).unwrap();
        assert!(read_answer(&mut first).ends_with("\r\n\r\na file"));
        child.stop();
        let mut clients: Vec<TcpStream> = (0..DESCRIPTORS * 3)
            .map(|number| {
                let mut client = connect(addrs[number % 2]);
                client.write_all(get("/burst").as_bytes()).unwrap();
                client
            })
            .collect();
        child.go_on();
        for client in &mut clients {
            let answer = read_answer(client);
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        let mut last = connect(addrs[0]);
        last.write_all(get("/stop").as_bytes()).unwrap();
        assert!(read_answer(&mut last).starts_with("HTTP/1.1 200 "));
        drop((first, clients, last));
        assert_eq!(child.find("exhausted "), "0");
        child.ended();
    }
}

#[test]
fn an_access_log_that_panics_at_a_refusal_leaves_the_server_alone() {
    let change = |server: Server| {
        server
            .connections_max(1)
            .refuse_when_full(true)
            .access_log(|access| assert!(access.method.is_some(), "the log has panicked"))
    };
    let gate = Gate::default();
    let server = Running::start(1, change, waiting(&gate));
    let mut busy = server.send(&get("/wait"));
    gate.wait_for(1);
    let mut refused = server.connect();
    // Whether it ends or is reset is not said.
    let _ = refused.read(&mut [0; 100]);
    gate.open();
    assert!(read_answer(&mut busy).ends_with("/wait"));
    server.handle.stop(NEVER);
    drop(busy);
    server.ended().unwrap();
}

/// Bytes that the sockets of this port have been given to send and have not got rid of.
fn unsent_bytes(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    let unsent = table.lines().filter_map(|line| {
        let mut cells = line.split_whitespace().skip(1);
        cells.next().filter(|addr| addr.ends_with(&local))?;
        let (unsent, _) = cells.nth(2)?.split_once(':')?;
        usize::from_str_radix(unsent, 16).ok()
    });
    unsent.sum()
}

/// Has many clients ask for much, and then one for little. Returns how much had been sent to the
/// many when the one's turn came; they read nothing.
fn sent_before_a_newcomers_turn(much: fn() -> Response) -> usize {
    const CLIENTS: usize = 64;
    let (arrive, arrived) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let port = Arc::new(AtomicU16::new(0));
    let own_port = Arc::clone(&port);
    let server = Running::start(
        1,
        |server| server,
        async move |request: Request| match request.path() {
            "/hold" => {
                arrive.send(()).unwrap();
                // The worker stands still meanwhile: all requests are there when it goes on.
                let _ = released.lock().unwrap().recv_timeout(BOUND);
                Response::text("held")
            }
            "/much" => much(),
            _ => Response::text(unsent_bytes(own_port.load(Ordering::Relaxed)).to_string()),
        },
    );
    port.store(server.addr.port(), Ordering::Relaxed);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.idle()).collect();
    let (mut hold, mut newcomer) = (server.idle(), server.idle());
    hold.write_all(get("/hold").as_bytes()).unwrap();
    arrived.recv_timeout(BOUND).unwrap();
    for client in &mut clients {
        client.write_all(get("/much").as_bytes()).unwrap();
    }
    newcomer.write_all(get("/").as_bytes()).unwrap();
    release.send(()).unwrap();
    let answer = read_answer(&mut newcomer);
    let (_, bytes) = answer.rsplit_once("\r\n").unwrap();
    bytes.parse().unwrap()
}

#[test]
fn clients_that_ask_for_much_do_not_keep_others_from_their_answers() {
    const MUCH: usize = 4 << 20;
    let whole = || Response::bytes(vec![b'x'; MUCH]);
    let in_pieces = || {
        Response::writer(async |mut out: BodyWriter| {
            for _ in 0..MUCH >> 16 {
                out.write(vec![b'x'; 1 << 16]).await?;
            }
            Ok(())
        })
    };
    for much in [whole as fn() -> Response, in_pieces] {
        let bytes = sent_before_a_newcomers_turn(much);
        // Some have had their first piece, and a few of them another.
        assert!(bytes < 24 << 20, "{bytes}");
    }
}
