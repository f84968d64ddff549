//! A server that is replaced by its next version under load.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd as _, OwnedFd},
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr as UnixAddr, UnixDatagram},
    },
    process::{self, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use annulus::{
    Cores,
    http::{Request, Response, Server, ServerHandle, Timeouts},
    net::{inherited_sockets, spawn_with_sockets},
};

use crate::{
    running::NEVER,
    support::{BOUND, http::connect},
};

/// The number of a process, from 0.
const GENERATION: &str = "HTTP_LIFE_GENERATION";
const TEST: &str = "restart::no_connection_is_refused_and_no_request_is_lost";

fn command(generation: usize) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([TEST, "--exact", "--nocapture"])
        .env(GENERATION, generation.to_string());
    command
}

/// Starts the next version with the listener, and stops this one once that is ready.
#[expect(clippy::zombie_processes, reason = "the next one outlives this one")]
fn replace(generation: usize, listener: &OwnedFd, handle: &ServerHandle) {
    let name = format!("annulus-restart-{}", process::id());
    let ready = UnixDatagram::bind_addr(&UnixAddr::from_abstract_name(&name).unwrap()).unwrap();
    ready.set_read_timeout(Some(BOUND)).unwrap();
    let mut command = command(generation + 1);
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    spawn_with_sockets(command, [("web", listener)]).unwrap();
    let mut message = [0; 64];
    let count = ready.recv(&mut message).unwrap();
    assert_eq!(&message[..count], b"READY=1");
    handle.stop(NEVER);
}

fn serve(generation: usize) {
    let listener: OwnedFd = match inherited_sockets().unwrap().pop() {
        Some(socket) => {
            assert_eq!(socket.name(), Some("web"));
            socket.into()
        }
        None => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            println!("address {}", listener.local_addr().unwrap());
            listener.into()
        }
    };
    let ours = listener.as_fd().try_clone_to_owned().unwrap();
    let timeouts = Timeouts {
        // A client that has connected has all the time that it needs to send its request.
        stop_grace: NEVER,
        ..Timeouts::default()
    };
    let server = Server::new()
        .listen_on([ours])
        .cores(Cores::Count(2))
        .timeouts(timeouts)
        .notify_systemd(true);
    let (handle, listener) = (server.handle(), Arc::new(listener));
    let begun = Arc::new(AtomicBool::new(false));
    let report = server
        .run(async move |request: Request| {
            if request.path() == format!("/replace/{generation}") {
                assert!(!begun.swap(true, Ordering::Relaxed));
                let (listener, handle) = (Arc::clone(&listener), handle.clone());
                thread::spawn(move || replace(generation, &listener, &handle));
            } else if request.path() == format!("/stop/{generation}") {
                handle.stop(NEVER);
            }
            Response::text(format!("generation {generation} ."))
        })
        .unwrap();
    println!("ended {generation} cut {}", report.cut);
}

/// The number of the process that has answered the whole request.
pub(crate) fn ask(addr: SocketAddr, path: &str) -> usize {
    let mut client = connect(addr);
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    let (_, body) = answer.split_once("\r\n\r\ngeneration ").expect(&answer);
    body.strip_suffix(" .").expect(&answer).parse().unwrap()
}

/// Asks until the process of that number answers. One that is about to stop may be the one that
/// answers.
pub(crate) fn until_answered(addr: SocketAddr, path: &str, expected: usize) {
    let start = Instant::now();
    while ask(addr, path) != expected {
        assert!(
            start.elapsed() < BOUND,
            "{path} is not answered by {expected}"
        );
    }
}

/// Ends the load, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does `work` while four clients ask without a pause. Returns how many answers they had.
pub(crate) fn while_asked(addr: SocketAddr, work: impl FnOnce()) -> usize {
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let over = Over(&is_over);
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    ask(addr, "/");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        work();
        drop(over);
    });
    answered.into_inner()
}

#[test]
fn no_connection_is_refused_and_no_request_is_lost() {
    if let Ok(generation) = env::var(GENERATION) {
        return serve(generation.parse().unwrap());
    }
    let restarts = env::var("ANNULUS_RESTARTS").map_or(20, |count| count.parse().unwrap());
    let mut first = command(0)
        .env_remove("NOTIFY_SOCKET")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(first.stdout.take().unwrap()).lines();
    let mut lines = lines.by_ref().map_while(Result::ok);
    let addr = lines.find_map(|line| Some(line.split_once("address ")?.1.parse().unwrap()));
    let addr: SocketAddr = addr.unwrap();
    let answered = while_asked(addr, || {
        for generation in 0..restarts {
            until_answered(addr, &format!("/replace/{generation}"), generation);
            until_answered(addr, "/", generation + 1);
        }
    });
    while ask(addr, &format!("/stop/{restarts}")) != restarts {}
    let ended = lines
        .filter(|line| line.contains("ended "))
        .collect::<Vec<_>>();
    assert!(
        ended.iter().all(|line| line.ends_with(" cut 0")),
        "{ended:?}"
    );
    assert_eq!(ended.len(), restarts + 1, "{ended:?}");
    assert!(first.wait().unwrap().success());
    assert!(answered >= restarts, "{answered} requests were answered");
    println!("{restarts} restarts, {answered} requests answered, none refused or cut");
}
