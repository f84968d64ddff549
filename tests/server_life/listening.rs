//! Where a server listens.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use annulus::{
    Cores,
    http::{Request, Response, Server},
};

use crate::{
    running::{Gate, NEVER, Running, expect_fin, get},
    support::{
        BOUND,
        http::{connect, read_answer},
    },
};

async fn tell_path(request: Request) -> Response {
    Response::text(request.path().to_owned())
}

/// The answer that a server gives to one request on a Unix socket.
fn ask_unix(mut stream: UnixStream) -> String {
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let request = "GET /unix HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn every_address_is_served_and_told() {
    for count in [1, 2] {
        let addrs = Arc::new(Mutex::new(Vec::new()));
        let inner = Arc::clone(&addrs);
        let list: [SocketAddr; 2] = [([127, 0, 0, 1], 0).into(), ([127, 0, 0, 2], 0).into()];
        let server = Server::new()
            .listen(&list[..])
            .listen("127.0.0.3:0")
            .cores(Cores::Count(count));
        let report = server
            .on_listening(move |addr| inner.lock().unwrap().push(addr))
            .shutdown_on(
                async move {
                    let addrs = addrs.lock().unwrap().clone();
                    let ask = move || {
                        assert_eq!(addrs.len(), 3);
                        for addr in addrs {
                            let mut stream = TcpStream::connect(addr).unwrap();
                            stream.set_read_timeout(Some(BOUND)).unwrap();
                            stream.write_all(get("/").as_bytes()).unwrap();
                            assert!(read_answer(&mut stream).ends_with('/'));
                        }
                    };
                    annulus::blocking::run(ask).await;
                },
                NEVER,
            )
            .run(tell_path)
            .unwrap();
        assert_eq!(report.answered, 3, "{report}");
    }
}

#[test]
fn an_address_that_is_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let list = ["127.0.0.1:0".parse().unwrap(), taken.local_addr().unwrap()];
    let error = Server::new().listen(&list[..]).run(tell_path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let text = format!("cannot listen on {}: ", list[1]);
    assert!(error.to_string().starts_with(&text), "{error}");
}

#[test]
fn an_error_of_a_unix_socket_names_its_path() {
    let path = "/proc/nothing/socket";
    let error = Server::new().listen_unix(path).run(tell_path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let text = format!("cannot listen on {path}: ");
    assert!(error.to_string().starts_with(&text), "{error}");
}

#[test]
fn a_second_server_shares_an_address_only_if_it_wants_to() {
    let bind = |addr: SocketAddr, count| {
        let server = Server::new().listen(addr).cores(Cores::Count(count));
        let handle = server.handle();
        server.on_listening(move |_addr| handle.stop(NEVER))
    };
    for count in [1, 2] {
        let alone = Running::start(2, |server| server, tell_path);
        let error = bind(alone.addr, count).run(tell_path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        alone.handle.stop(NEVER);
        alone.ended().unwrap();
        let sharing = Running::start(count, |server| server.reuse_port(true), tell_path);
        let error = bind(sharing.addr, 2).run(tell_path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let second = bind(sharing.addr, 2).reuse_port(true);
        second.run(tell_path).unwrap();
        sharing.handle.stop(NEVER);
        sharing.ended().unwrap();
    }
}

#[test]
fn an_address_that_the_machine_lacks_is_passed_over() {
    let list: [SocketAddr; 2] = [
        // For documentation: no machine has it.
        ([192, 0, 2, 1], 0).into(),
        ([127, 0, 0, 1], 0).into(),
    ];
    let server = Server::new().listen(&list[..]);
    let handle = server.handle();
    server
        .on_listening(move |addr| {
            assert_eq!(addr.ip(), list[1].ip());
            handle.stop(NEVER);
        })
        .run(tell_path)
        .unwrap();
    let error = Server::new().listen(list[0]).run(tell_path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    let error = Server::new().listen(&list[..0]).run(tell_path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_server_listens_at_a_unix_socket_also_where_one_was_left() {
    let name = format!("annulus-http-life-{}.sock", std::process::id());
    let path = env::temp_dir().join(name);
    drop(UnixListener::bind(&path).unwrap());
    for count in [1, 2] {
        let inner = path.clone();
        let server = Running::start(count, move |server| server.listen_unix(inner), tell_path);
        let answer = ask_unix(UnixStream::connect(&path).unwrap());
        assert!(answer.ends_with("/unix"), "{answer}");
        server.handle.stop(NEVER);
        server.ended().unwrap();
        let error = UnixStream::connect(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn places_of_all_kinds_are_served_together() {
    let name = format!("annulus-http-life-mixed-{}.sock", std::process::id());
    let path = env::temp_dir().join(name);
    for count in [1, 2] {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = tcp.local_addr().unwrap();
        let inner = path.clone();
        let change = move |server: Server| server.listen_unix(inner).listen_on([tcp]);
        let server = Running::start(count, change, tell_path);
        for addr in [server.addr, addr] {
            let mut stream = connect(addr);
            stream.write_all(get("/tcp").as_bytes()).unwrap();
            assert!(read_answer(&mut stream).ends_with("/tcp"));
        }
        let answer = ask_unix(UnixStream::connect(&path).unwrap());
        assert!(answer.ends_with("/unix"), "{answer}");
        server.handle.stop(NEVER);
        server.ended().unwrap();
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn sockets_of_others_are_taken_over_with_what_waits_in_them() {
    for count in [1, 2] {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = tcp.local_addr().unwrap();
        let mut early = TcpStream::connect(addr).unwrap();
        early.write_all(get("/early").as_bytes()).unwrap();
        let change = move |_server| Server::new().listen_on([tcp]).cores(Cores::Count(count));
        let server = Running::start(count, change, tell_path);
        assert_eq!(server.addr, addr);
        assert!(read_answer(&mut early).ends_with("/early"));
        server.handle.stop(NEVER);
        server.ended().unwrap();
        assert!(TcpStream::connect(addr).is_err());
    }
}

#[test]
fn a_listener_that_fails_stops_the_server_with_its_error() {
    for count in [1, 2] {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = tcp.try_clone().unwrap();
        let gate = Gate::default();
        let inner = gate.clone();
        let change = move |_server| Server::new().listen_on([tcp]).cores(Cores::Count(count));
        let server = Running::start(count, change, async move |_request: Request| {
            inner.pass().await;
            Response::text("late")
        });
        let mut client = server.send(&get("/"));
        gate.wait_for(1);
        // A listening socket that was shut down accepts no more.
        let other = TcpStream::from(OwnedFd::from(other));
        other.shutdown(Shutdown::Both).unwrap();
        server.wait_refused();
        gate.open();
        let answer = read_answer(&mut client);
        assert!(answer.ends_with("late"), "{answer}");
        drop(client);
        let error = server.ended().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
}

const CHILD: &str = "HTTP_LIFE_INHERITED";

/// The server of the test below, in a process of its own.
fn serve_inherited() {
    let server = Server::new().listen_inherited().cores(Cores::Count(1));
    let handle = server.handle();
    let report = server
        .run(async move |_request: Request| {
            handle.stop(NEVER);
            Response::text("inherited")
        })
        .unwrap();
    assert_eq!(report.answered, 1);
    println!(
        "second {}",
        Server::new().listen_inherited().run(tell_path).is_err()
    );
}

#[test]
fn sockets_are_inherited() {
    if env::var_os(CHILD).is_some() {
        return serve_inherited();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&0"])
        .arg(env::current_exe().unwrap())
        .args(["listening::sockets_are_inherited", "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(BOUND)).unwrap();
    client.write_all(get("/").as_bytes()).unwrap();
    assert!(read_answer(&mut client).ends_with("inherited"));
    expect_fin(&mut client);
    drop(client);
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let second = lines.find(|line| line.contains("second"));
    assert!(second.unwrap().ends_with("second true"));
    assert!(child.wait().unwrap().success());
}
