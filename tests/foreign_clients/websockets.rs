//! Python's package `websockets`: its client and its server, with compressed messages and without.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use annulus::{
    Cores,
    http::{
        Client, Request, Server, StatusCode,
        websocket::{CloseCode, Message, Options, WebSocket},
    },
};

use crate::{
    script,
    support::{BOUND, program::Program, run_each},
};

const COMPRESSIONS: [(&str, bool); 2] = [("plain", false), ("deflate", true)];

fn options(compresses: bool) -> Options {
    Options::new().compression(compresses)
}

#[test]
fn the_websockets_of_python_are_served() {
    let Some(python) = Program::python() else {
        return;
    };
    for (name, compresses) in COMPRESSIONS {
        let (tell, told) = mpsc::channel();
        let running = thread::spawn(move || {
            let server = Server::new().listen("127.0.0.1:0").cores(Cores::Count(1));
            let handle = server.handle();
            let options = options(true).subprotocols(["echo"]);
            server
                .on_listening(move |addr| drop(tell.send((addr, handle.clone()))))
                .run(async move |request: Request| {
                    request.websocket_with(&options, async |mut socket: WebSocket| {
                        while let Some(message) = socket.recv().await? {
                            socket.send(message).await?;
                        }
                        Ok(())
                    })
                })
        });
        let (addr, handle) = told.recv_timeout(BOUND).unwrap();
        let url = format!("ws://{addr}/");
        let written = python.output(&[&script("websocket.py"), "client", &url, name]);
        assert_eq!(written.trim(), "served", "{compresses}");
        handle.stop(Duration::ZERO);
        running.join().unwrap().unwrap();
    }
}

/// A server of Python's, which ends with this value.
struct Echo {
    process: Child,
    addr: String,
}

impl Echo {
    fn start(python: &Program, compression: &str) -> Self {
        let mut command: Command = python.command();
        command.args([&script("websocket.py"), "server", compression]);
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        lines.read_line(&mut port).unwrap();
        Self {
            process,
            addr: format!("127.0.0.1:{}", port.trim()),
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

#[test]
fn the_client_speaks_with_the_websockets_of_python() {
    let Some(python) = Program::python() else {
        return;
    };
    for (name, compresses) in COMPRESSIONS {
        let server = Echo::start(&python, name);
        run_each(async || {
            let client = Client::new();
            let request = client.websocket(format!("ws://{}/x", server.addr));
            let options = options(true).subprotocols(["other", "echo"]);
            let mut socket = request.options(&options).connect().await.unwrap();
            assert_eq!(socket.protocol(), Some("echo"));
            for len in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
                let bytes: Vec<u8> = (0..len).map(|at: usize| (at * at % 251) as u8).collect();
                let text = "h\u{e9}llo ".repeat(len / 7);
                for message in [Message::from(text), bytes.into()] {
                    socket.send(message.clone()).await.unwrap();
                    let back = socket.recv().await.unwrap();
                    assert!(back == Some(message), "{len} {compresses}");
                }
            }
            // It sends a ping in between, and waits for its answer.
            socket.send("ping").await.unwrap();
            assert_eq!(socket.recv().await, Ok(Some("ping".into())));
            let code = CloseCode::new(4000).unwrap();
            let info = socket.close(code, "done").await.unwrap();
            assert_eq!(info.code(), Some(code));
            assert!(info.is_answer());

            let refused = client.websocket(format!("ws://{}/refused", server.addr));
            let error = refused.connect().await.unwrap_err();
            let response = error.response().unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(&response.body()[..], b"not you\n");
        });
    }
}
