//! How a server's connections are given to its workers.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

use annulus::{
    Cores, Worker, Workers,
    http::{Report, Request, Server},
    pin_to_core,
    workers::AcceptPolicy,
};

use crate::{
    running::{NEVER, Running, get},
    support::{BOUND, Folder, http::read_answer},
};

const WORKERS: usize = 4;

/// A server with four workers on one processor.
fn four(policy: AcceptPolicy, change: impl FnOnce(Server) -> Server + Send + 'static) -> Running {
    let core = Cores::All.list()[0];
    let set_up = move |server: Server| {
        let server = server.cores(Cores::List(vec![core; WORKERS]));
        change(server.accept_policy(policy))
    };
    Running::start(1, set_up, tell_worker)
}

async fn tell_worker(_request: Request) -> String {
    let worker = Worker::current().expect("several workers are those of a set");
    format!("{} {}", worker.index(), worker.core())
}

/// Asks for the worker of a connection, which stays open: its number, and its processor.
fn ask(stream: &mut TcpStream) -> (usize, usize) {
    stream.write_all(get("/").as_bytes()).unwrap();
    let answer = read_answer(stream);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let (index, core) = body.split_once(' ').unwrap();
    (index.parse().unwrap(), core.parse().unwrap())
}

#[test]
fn each_worker_has_as_many_connections_as_the_others() {
    let server = four(AcceptPolicy::LeastConnections, |server| server);
    // Half of them have asked when the others come.
    let mut early: Vec<_> = (0..8).map(|_| server.connect()).collect();
    let mut counts = [0; WORKERS];
    for stream in &mut early {
        counts[ask(stream).0] += 1;
    }
    assert_eq!(counts, [2; WORKERS]);
    let mut late: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for stream in &mut late {
        counts[ask(stream).0] += 1;
    }
    assert_eq!(counts, [4; WORKERS]);
    drop((early, late));
    server.handle.stop(NEVER);
    let report = server.ended().unwrap();
    assert_eq!((report.accepted, report.answered), (16, 16), "{report}");
}

#[test]
fn the_programs_own_figure_decides() {
    let loads: Arc<[AtomicU64; WORKERS]> = Arc::new([2, 1, 0, 2].map(AtomicU64::new));
    let figures = Arc::clone(&loads);
    let policy = AcceptPolicy::least_load(move |index| figures[index].load(Relaxed));
    let server = four(policy, |server| server);
    let mut first = server.connect();
    assert_eq!(ask(&mut first).0, 2);
    loads[3].store(0, Relaxed);
    loads[2].store(9, Relaxed);
    assert_eq!(ask(&mut server.connect()).0, 3);
    // A connection stays where it is.
    assert_eq!(ask(&mut first).0, 2);
    server.handle.stop(NEVER);
    server.ended().unwrap();
}

#[test]
fn a_unix_socket_is_balanced_with_the_rest() {
    let folder = Folder::new("policies");
    let path = folder.path("socket");
    let to = path.clone();
    let server = four(AcceptPolicy::LeastConnections, move |server| {
        server.listen_unix(to)
    });
    let ask_unix = |stream: &mut UnixStream| {
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.write_all(get("/").as_bytes()).unwrap();
        let mut answer = String::new();
        while !answer.contains("\r\n\r\n") || answer.ends_with("\r\n\r\n") {
            let mut bytes = [0; 1024];
            let count = stream.read(&mut bytes).unwrap();
            answer.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        body.split_once(' ').unwrap().0.parse::<usize>().unwrap()
    };
    let mut counts = [0; WORKERS];
    let mut unix: Vec<_> = (0..4)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    for stream in &mut unix {
        counts[ask_unix(stream)] += 1;
    }
    let mut tcp: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for stream in &mut tcp {
        counts[ask(stream).0] += 1;
    }
    assert_eq!(counts, [2; WORKERS]);
    server.handle.stop(NEVER);
    server.ended().unwrap();
}

#[test]
fn a_connection_goes_to_the_worker_of_its_processor() {
    let cores = Cores::All.list();
    let list = cores.clone();
    let set_up = move |server: Server| {
        let cores = Cores::List([list.clone(), list].concat());
        server.cores(cores).accept_policy(AcceptPolicy::IncomingCpu)
    };
    let server = Running::start(1, set_up, tell_worker);
    for core in cores {
        let addr = server.addr;
        let client = thread::spawn(move || {
            pin_to_core(core).unwrap();
            let connect = |_| crate::support::http::connect(addr);
            let mut streams: Vec<_> = (0..4).map(connect).collect();
            streams.iter_mut().all(|stream| ask(stream).1 == core)
        });
        assert!(client.join().unwrap());
    }
    server.handle.stop(NEVER);
    server.ended().unwrap();
}

#[test]
fn a_stop_serves_the_connections_that_were_handed_over() {
    for _ in 0..5 {
        let server = four(AcceptPolicy::LeastConnections, |server| server);
        let clients: Vec<_> = (0..40)
            .map(|_| {
                let mut stream = server.connect();
                stream.write_all(get("/").as_bytes()).unwrap();
                stream
            })
            .collect();
        server.handle.stop(NEVER);
        for mut stream in clients {
            assert!(read_answer(&mut stream).starts_with("HTTP/1.1 200 "));
        }
        let report = server.ended().unwrap();
        assert_eq!(report.answered, 40, "{report}");
    }
}

#[test]
fn one_worker_has_everything_by_any_policy() {
    for policy in [
        AcceptPolicy::LeastConnections,
        AcceptPolicy::IncomingCpu,
        AcceptPolicy::ReusePort,
    ] {
        let set_up = |server: Server| server.accept_policy(policy);
        let server = Running::start(1, set_up, async |_: Request| "alone");
        let mut stream = server.connect();
        stream.write_all(get("/").as_bytes()).unwrap();
        assert!(read_answer(&mut stream).ends_with("alone"));
        server.handle.stop(NEVER);
        server.ended().unwrap();
    }
}

#[test]
fn the_parts_of_a_shared_server_balance_as_well() {
    for policy in [AcceptPolicy::LeastConnections, AcceptPolicy::IncomingCpu] {
        let (tell, told) = mpsc::channel();
        let server = Server::new()
            .listen("127.0.0.1:0")
            .accept_policy(policy.clone())
            .on_listening(move |addr| tell.send(addr).unwrap());
        let server = server.share(WORKERS).unwrap();
        let addr = told.recv_timeout(BOUND).unwrap();
        let workers = Workers::builder().count(WORKERS);
        let workers = workers.start(async move |_worker| server.serve(tell_worker).await);
        let workers = workers.unwrap();
        // Each has taken its part when it has answered, since it does so before it waits.
        for call in workers.broadcast(|_worker| ()) {
            call.join().unwrap();
        }
        let client = thread::spawn(move || {
            let core = Cores::All.list()[0];
            pin_to_core(core).unwrap();
            let mut counts = [0; WORKERS];
            let connect = |_| crate::support::http::connect(addr);
            let mut streams: Vec<_> = (0..8).map(connect).collect();
            for stream in &mut streams {
                let (index, of) = ask(stream);
                counts[index] += 1;
                if matches!(policy, AcceptPolicy::IncomingCpu) {
                    assert_eq!(of, core);
                }
            }
            (policy, counts)
        });
        let (policy, counts) = client.join().unwrap();
        if matches!(policy, AcceptPolicy::LeastConnections) {
            assert_eq!(counts, [2; WORKERS]);
        }
        workers.stop(NEVER);
        let reports = workers.join().unwrap();
        let sum: Report = reports.into_iter().flatten().sum();
        assert_eq!(sum.answered, 8);
    }
}
