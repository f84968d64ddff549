//! The facts that a server tells of its connections.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use annulus::http::{ConnectionInfo, Phase, Request, Response, Server, ServerHandle};

use crate::{
    running::{Gate, NEVER, Running, block, get, reset, waiting},
    support::{BOUND, http::read_answer},
};

fn connections(handle: &ServerHandle) -> Vec<ConnectionInfo> {
    annulus::run(handle.connections())
}

/// Waits until `client` is in `phase`, and returns the server's facts about it.
pub(crate) fn info_of(handle: &ServerHandle, client: &TcpStream, phase: Phase) -> ConnectionInfo {
    let addr: SocketAddr = client.local_addr().unwrap();
    let start = Instant::now();
    loop {
        let infos = connections(handle);
        let info = infos.iter().find(|info| info.peer == Some(addr));
        match info {
            Some(info) if info.phase == phase => return info.clone(),
            _ => assert!(start.elapsed() < BOUND, "never {phase}: {infos:?}"),
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn every_connection_is_told_with_its_phase_and_bytes() {
    for count in [1, 2] {
        let gate = Gate::default();
        let server = Running::start(count, |server| server, waiting(&gate));
        let handle = &server.handle;
        let silent = server.connect();
        let head = "GET / HTTP/1.1\r\nHo";
        let slow = server.send(head);
        let mut busy = server.send(&get("/wait"));
        let mut idle = server.send(&get("/idle"));
        let answer = read_answer(&mut idle);
        gate.wait_for(1);

        let info = info_of(handle, &silent, Phase::Idle);
        assert_eq!((info.received, info.sent), (Some(0), Some(0)), "{info}");
        let info = info_of(handle, &slow, Phase::Head);
        let bytes = (Some(head.len() as u64), Some(0));
        assert_eq!((info.received, info.sent), bytes, "{info}");
        let info = info_of(handle, &busy, Phase::Handler);
        let bytes = (Some(get("/wait").len() as u64), Some(0));
        assert_eq!((info.received, info.sent), bytes, "{info}");
        let info = info_of(handle, &idle, Phase::Idle);
        let bytes = (Some(get("/idle").len() as u64), Some(answer.len() as u64));
        assert_eq!((info.received, info.sent), bytes, "{info}");
        assert!(info.age < BOUND, "{info}");
        assert_eq!(connections(handle).len(), 4);

        gate.open();
        assert!(read_answer(&mut busy).ends_with("/wait"));
        info_of(handle, &busy, Phase::Idle);
        handle.stop(Duration::ZERO);
        server.ended().unwrap();
    }
}

#[test]
fn who_does_not_take_its_answer_is_seen_writing() {
    let handler = async |_request: Request| Response::bytes(vec![b'x'; 64 << 20]);
    let server = Running::start(1, |server| server, handler);
    let client = server.send(&get("/"));
    let info = info_of(&server.handle, &client, Phase::Writing);
    assert!(info.sent.unwrap() < 64 << 20, "{info}");
    server.handle.stop(Duration::ZERO);
    server.ended().unwrap();
}

#[test]
fn a_handler_may_ask_for_the_connections() {
    let handle = Arc::new(Mutex::new(None));
    let inner = Arc::clone(&handle);
    let change = move |server: Server| {
        *handle.lock().unwrap() = Some(server.handle());
        server
    };
    let handler = async move |_request: Request| {
        let handle = inner.lock().unwrap().clone().unwrap();
        let phases: Vec<String> = handle
            .connections()
            .await
            .iter()
            .map(|info| info.phase.to_string())
            .collect();
        Response::text(phases.join(" "))
    };
    let server = Running::start(2, change, handler);
    let mut clients: Vec<TcpStream> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.write_all(get("/").as_bytes()).unwrap();
    }
    for client in &mut clients {
        let answer = read_answer(client);
        let (_, phases) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            phases.split(' ').any(|phase| phase == "handler"),
            "{phases}"
        );
    }
    server.handle.stop(NEVER);
    server.ended().unwrap();
}

#[test]
fn a_question_to_a_server_without_workers_has_an_empty_answer() {
    let server = Server::new().listen("127.0.0.1:0");
    let handle = server.handle();
    assert_eq!(connections(&handle), []);
    let again = handle.clone();
    server
        .on_listening(move |_addr| again.stop(NEVER))
        .run(async |_request: Request| Response::text(""))
        .unwrap();
    assert_eq!(connections(&handle), []);
}

#[test]
fn a_question_under_way_ends_with_its_worker() {
    let gate = Gate::default();
    let server = Running::start(2, |server| server, waiting(&gate));
    let askers: Vec<_> = (0..4)
        .map(|_| {
            let handle = server.handle.clone();
            thread::spawn(move || {
                for _ in 0..200 {
                    connections(&handle);
                }
            })
        })
        .collect();
    server.handle.stop(NEVER);
    server.ended().unwrap();
    for asker in askers {
        asker.join().unwrap();
    }
}

#[test]
fn a_client_that_resets_before_it_is_accepted_is_served_and_counted() {
    let (block, held) = block();
    let served = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&served);
    let server = Running::start(
        1,
        |server| server,
        async move |request: Request| {
            if request.path() == "/hold" {
                block.hold();
            } else {
                seen.lock().unwrap().push(request.peer_addr());
            }
            Response::text("answer")
        },
    );
    let mut holding = server.send(&get("/hold"));
    held.wait();
    let mut peers = Vec::new();
    for _ in 0..5 {
        let client = server.send(&get("/gone"));
        peers.push(Some(client.local_addr().unwrap()));
        reset(client);
    }
    held.release();
    assert!(read_answer(&mut holding).ends_with("answer"));
    // It is accepted after those that have gone.
    let mut last = server.send(&get("/last"));
    assert!(read_answer(&mut last).ends_with("answer"));
    server.handle.stop(NEVER);
    let report = server.ended().unwrap();
    assert_eq!(report.accepted, 7, "{report}");
    peers.push(Some(last.local_addr().unwrap()));
    assert_eq!(*served.lock().unwrap(), peers);
}
