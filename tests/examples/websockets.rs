//! `ws_client` against `ws_echo`, and against servers of this process.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
};

use annulus::http::{
    Request,
    websocket::{Options, Origins, WebSocket},
};

use crate::{
    HANG, ended, example, fails_plainly, piped,
    support::{
        BOUND,
        server::{serve, serve_by},
    },
};

/// The client with this input, at whose end it closes the connection.
fn client(arguments: &[&str], input: &[u8]) -> Child {
    let mut command = example("ws_client", arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    // A client that has failed reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input);
    child
}

/// The text that it has printed, when it ended well.
fn printed(output: Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap()
}

async fn echo(mut socket: WebSocket) -> annulus::http::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

#[cfg(feature = "compress")]
#[test]
fn lines_go_to_ws_echo_and_come_back() {
    use std::fs::{self, File};

    use crate::{Folder, Server};

    let server = Server::start(example("ws_echo", &["0"]));
    let url = format!("ws://{}/", server.addr);
    let output = ended(client(&[&url], "one\n\ntwo \u{e4}".as_bytes()));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.starts_with("connected; subprotocol: none\n"), "{told}");
    assert!(told.ends_with("closed with 1000\n"), "{told}");
    assert_eq!(printed(output), "one\n\ntwo \u{e4}\n");
    let output = ended(client(&[&url, "--binary"], b"\xff\0a\n"));
    assert_eq!(printed(output), "\\xff\\x00a\n");
    fails_plainly(client(&[&url], b"\xff\n"), "no UTF-8; try --binary");
    // More than all buffers between the two, so that each end waits for room at times.
    let folder = Folder::new("ws-client");
    let lines = "as large as a line may be that is no longer than others\n".repeat(100_000);
    fs::write(folder.path("in"), &lines).unwrap();
    let mut command = example("ws_client", &[&url]);
    command.stdin(File::open(folder.path("in")).unwrap());
    command.stdout(File::create(folder.path("out")).unwrap());
    printed(ended(command.stderr(Stdio::piped()).spawn().unwrap()));
    assert!(fs::read_to_string(folder.path("out")).unwrap() == lines);
}

#[test]
fn options_of_the_client_are_in_its_request_and_its_close_frame() {
    let (tell, told) = mpsc::channel();
    let addr = serve(async move |request: Request| {
        let options = Options::new().origins(Origins::List(vec!["http://a.test".to_owned()]));
        let field = request.field("x-one").unwrap_or_default().to_vec();
        let tell = tell.clone();
        request.websocket_with(
            &options.subprotocols(["v2", "v1"]),
            async move |mut socket: WebSocket| {
                socket.send(socket.protocol().unwrap_or("none")).await?;
                socket.send(field).await?;
                while socket.recv().await?.is_some() {}
                let _ = tell.send(socket.close_info().cloned());
                Ok(())
            },
        )
    });
    let url = format!("http://{addr}/");
    let request = [
        "--protocol",
        "v1",
        "--protocol",
        "v2",
        "--header",
        "X-One: 1",
    ];
    let rest = ["--origin", "http://a.test", "--close", "4001"];
    let output = ended(client(&[&[&*url][..], &request, &rest].concat(), b""));
    assert_eq!(printed(output), "v2\n1\n");
    let info = told.recv_timeout(BOUND).unwrap().unwrap();
    assert_eq!(info.code().map(u16::from), Some(4001));
    let output = ended(piped(example("ws_client", &[&url])));
    assert_eq!(printed(output), "none\n\n");
    let refused = client(&[&url, "--origin", "http://b.test"], b"");
    fails_plainly(refused, "403");
}

#[test]
fn ctrl_c_closes_the_connection_of_the_client() {
    let addr = serve(async |request: Request| request.websocket(echo));
    let mut command = example("ws_client", &[&format!("ws://{addr}/")]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"hello\n").unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n");
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status();
    assert!(killed.unwrap().success());
    printed(ended(child));
    drop(input);
}

#[test]
fn a_server_that_closes_ends_the_client() {
    let addr = serve_by(|server| {
        server.run(async |request: Request| {
            request.websocket(async |socket: WebSocket| {
                socket.send("bye").await?;
                Ok(())
            })
        })
    });
    let mut command = example("ws_client", &[&format!("ws://{addr}/")]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    // The input goes on.
    let input = child.stdin.take().unwrap();
    assert_eq!(printed(ended(child)), "bye\n");
    drop(input);
}

#[test]
fn a_silent_server_is_sent_a_ping_by_the_client() {
    let addr = serve(async |request: Request| request.websocket(echo));
    let between = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", between.local_addr().unwrap());
    let mut command = example("ws_client", &[&url, "--ping", "0.01"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut near = between.accept().unwrap().0;
    near.set_read_timeout(Some(HANG)).unwrap();
    let mut far = TcpStream::connect(addr).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        near.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    far.write_all(&head).unwrap();
    let (mut from, mut to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
    let back = thread::spawn(move || std::io::copy(&mut from, &mut to));
    let mut first = [0];
    near.read_exact(&mut first).unwrap();
    assert_eq!(first, [0x89]); // a ping, which is the last fragment
    let _ = (near.shutdown(Shutdown::Both), far.shutdown(Shutdown::Both));
    let _ = back.join().unwrap();
    drop(child.stdin.take());
    ended(child);
}
