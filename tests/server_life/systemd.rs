//! Messages to a service manager, whose socket the tests have.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process::{self, Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use annulus::{
    Cores,
    http::{Request, Response, Server},
    systemd, time,
};

use crate::{
    running::{NEVER, get},
    support::{
        BOUND,
        http::{connect, read_answer},
    },
};

const CHILD: &str = "HTTP_LIFE_SYSTEMD";

/// This test once more in a process of its own, with these variables.
fn start(test: &str, variables: &[(&str, &str)]) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([&format!("systemd::{test}"), "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    for name in ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    command.spawn().unwrap()
}

/// A manager's socket with an abstract name, and what stands for it in `NOTIFY_SOCKET`.
fn manager(test: &str) -> (UnixDatagram, String) {
    let name = format!("annulus-{test}-{}", process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    (socket, format!("@{name}"))
}

fn receive(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 1024];
    let count = socket.recv(&mut bytes).unwrap();
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

/// The rest of the line that begins with `label`.
fn told(lines: &mut BufReader<ChildStdout>, label: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "no {label}");
        // The test runner may have begun the line.
        if let Some((_, rest)) = line.split_once(label) {
            return rest.trim().to_owned();
        }
    }
}

fn say_all() {
    let said = [
        systemd::ready(),
        systemd::status("two\nlines"),
        systemd::notify("A=1\nB=2"),
        systemd::stopping(),
    ];
    for said in said {
        match said {
            Ok(is_told) => println!("told {is_told}"),
            Err(error) => println!("told {:?}: {error}", error.kind()),
        }
    }
    println!("limit {:?}", systemd::watchdog_limit());
    let ended =
        annulus::run(async { time::timeout(Duration::from_millis(1), systemd::watchdog()).await });
    println!("watchdog {}", matches!(ended, Ok(Ok(()))));
}

/// The lines of a child that calls everything once.
fn all_said(test: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let mut child = start(test, variables);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut said: Vec<_> = (0..4).map(|_| told(&mut lines, "told ")).collect();
    said.push(told(&mut lines, "limit "));
    said.push(told(&mut lines, "watchdog "));
    io::copy(&mut lines, &mut io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
    said
}

#[test]
fn a_manager_hears_what_is_said() {
    if env::var_os(CHILD).is_some() {
        return say_all();
    }
    let test = "a_manager_hears_what_is_said";
    let path = env::temp_dir().join(format!("annulus-notify-{}.sock", process::id()));
    let _ = std::fs::remove_file(&path);
    let by_path = UnixDatagram::bind(&path).unwrap();
    by_path.set_read_timeout(Some(BOUND)).unwrap();
    let (by_name, name) = manager(test);
    for (socket, name) in [(by_path, path.to_str().unwrap()), (by_name, &*name)] {
        let said = all_said(
            test,
            &[("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", "3000000")],
        );
        assert_eq!(said, ["true", "true", "true", "true", "Some(3s)", "false"]);
        for expected in [
            "READY=1",
            "STATUS=two lines",
            "A=1\nB=2",
            "STOPPING=1",
            "WATCHDOG=1",
        ] {
            assert_eq!(receive(&socket), expected);
        }
    }
    std::fs::remove_file(&path).unwrap();
    // It is gone.
    let said = all_said(test, &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    assert!(said[0].starts_with("NotFound: "), "{said:?}");
}

#[test]
fn without_a_manager_nothing_is_said() {
    if env::var_os(CHILD).is_some() {
        return say_all();
    }
    let test = "without_a_manager_nothing_is_said";
    let nothing = ["false", "false", "false", "false", "None", "true"];
    assert_eq!(all_said(test, &[]), nothing);
    assert_eq!(all_said(test, &[("NOTIFY_SOCKET", "")]), nothing);
    // The limit is another process's.
    let variables = [("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")];
    assert_eq!(all_said(test, &variables), nothing);
    let said = all_said(test, &[("NOTIFY_SOCKET", "vsock:2:1234")]);
    assert!(said[0].starts_with("InvalidInput: expected a path or @ and a name"));
}

/// A server whose handler blocks its worker until a line comes on standard input.
fn serve() {
    let cores = env::var("HTTP_LIFE_CORES").unwrap().parse().unwrap();
    let server = Server::new()
        .listen("127.0.0.1:0")
        .cores(Cores::Count(cores))
        .notify_systemd(true);
    let handle = server.handle();
    server
        .on_listening(|addr| println!("address {addr}"))
        .run(async move |request: Request| {
            if request.path() == "/stop" {
                handle.stop(NEVER);
            } else {
                println!("blocked");
                io::stdin().read_line(&mut String::new()).unwrap();
            }
            Response::text("done")
        })
        .unwrap();
}

#[test]
fn a_server_is_ready_and_alive_and_stops() {
    if env::var_os(CHILD).is_some() {
        return serve();
    }
    let test = "a_server_is_ready_and_alive_and_stops";
    for cores in ["1", "2"] {
        let (socket, name) = manager(&format!("{test}-{cores}"));
        let mut child = start(
            test,
            &[
                ("NOTIFY_SOCKET", &name),
                ("WATCHDOG_USEC", "100000"),
                ("HTTP_LIFE_CORES", cores),
            ],
        );
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let addr = told(&mut lines, "address ").parse().unwrap();
        assert_eq!(receive(&socket), "READY=1");
        for _ in 0..3 {
            assert_eq!(receive(&socket), "WATCHDOG=1");
        }
        let mut client = connect(addr);
        client.write_all(get("/block").as_bytes()).unwrap();
        told(&mut lines, "blocked");
        // A message that was under way may still come; then there is silence.
        socket
            .set_read_timeout(Some(Duration::from_millis(400)))
            .unwrap();
        let mut late = 0;
        while socket.recv(&mut [0; 64]).is_ok() {
            late += 1;
            assert!(late < 50, "it is said to be alive while a worker blocks");
        }
        socket.set_read_timeout(Some(BOUND)).unwrap();
        child.stdin.as_ref().unwrap().write_all(b"\n").unwrap();
        assert!(read_answer(&mut client).ends_with("done"));
        assert_eq!(receive(&socket), "WATCHDOG=1");
        client.write_all(get("/stop").as_bytes()).unwrap();
        assert!(read_answer(&mut client).ends_with("done"));
        while receive(&socket) != "STOPPING=1" {}
        io::copy(&mut lines, &mut io::sink()).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

/// A server of two workers, each of which waits for a line before it has its handler.
fn serve_late() {
    let server = Server::new()
        .listen("127.0.0.1:0")
        .cores(Cores::Count(2))
        .notify_systemd(true);
    let handle = server.handle();
    server
        .on_listening(|addr| println!("address {addr}"))
        .run_each(move || {
            println!("waits");
            io::stdin().read_line(&mut String::new()).unwrap();
            println!("made");
            let handle = handle.clone();
            async move |_: Request| {
                handle.stop(NEVER);
                "done"
            }
        })
        .unwrap();
}

#[test]
fn a_server_is_ready_when_all_workers_serve() {
    if env::var_os(CHILD).is_some() {
        return serve_late();
    }
    let test = "a_server_is_ready_when_all_workers_serve";
    let (socket, name) = manager(test);
    let mut child = start(test, &[("NOTIFY_SOCKET", &name)]);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let addr = told(&mut lines, "address ").parse().unwrap();
    let is_silent = || {
        socket.set_nonblocking(true).unwrap();
        let received = socket.recv(&mut [0; 64]);
        socket.set_nonblocking(false).unwrap();
        received.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    };
    told(&mut lines, "waits");
    told(&mut lines, "waits");
    assert!(is_silent(), "no worker serves");
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"\n").unwrap();
    told(&mut lines, "made");
    assert!(is_silent(), "one worker does not serve");
    input.write_all(b"\n").unwrap();
    told(&mut lines, "made");
    assert_eq!(receive(&socket), "READY=1");
    let mut client = connect(addr);
    client.write_all(get("/").as_bytes()).unwrap();
    assert!(read_answer(&mut client).ends_with("done"));
    assert_eq!(receive(&socket), "STOPPING=1");
    io::copy(&mut lines, &mut io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_server_whose_manager_is_gone_does_not_start() {
    if env::var_os(CHILD).is_some() {
        let server = Server::new().listen("127.0.0.1:0").notify_systemd(true);
        let error = server.run(async |_| "never").unwrap_err();
        println!("error {error}");
        return;
    }
    let test = "a_server_whose_manager_is_gone_does_not_start";
    let mut child = start(test, &[("NOTIFY_SOCKET", "/proc/nothing/notify")]);
    let mut output = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut output)
        .unwrap();
    assert!(child.wait().unwrap().success());
    let text = "error cannot tell the service manager (NOTIFY_SOCKET): ";
    assert!(output.contains(text), "{output}");
}
