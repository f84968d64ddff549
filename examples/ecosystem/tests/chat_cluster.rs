//! The program `chat_cluster`: several processes, and a real server of Redis between them.

use std::time::Duration;

use annulus::{
    http::{Client, websocket::WebSocket},
    time,
};
use ecosystem::{program::Program, redis_server::RedisServer};

/// How long anything may take.
const BOUND: Duration = Duration::from_secs(60);
const PROGRAM: &str = env!("CARGO_BIN_EXE_chat_cluster");

async fn enter(addr: &str) -> WebSocket {
    let request = Client::new().websocket(format!("ws://{addr}/socket"));
    request.connect().await.unwrap()
}

async fn next(socket: &mut WebSocket) -> String {
    let message = time::timeout(BOUND, socket.recv()).await;
    let message = message.expect("there is one").unwrap().unwrap();
    message.as_text().unwrap().to_owned()
}

/// Says a line until it has come back: the process has no connection to Redis at first.
async fn say_until_heard(socket: &mut WebSocket, line: &str) {
    loop {
        socket.send(line).await.unwrap();
        loop {
            let heard = next(socket).await;
            if heard == line {
                return;
            }
            if heard.starts_with(&format!("not said: {line} ")) {
                time::sleep(Duration::from_millis(10)).await;
                break;
            }
        }
    }
}

/// The lines of all that begin so, which are `count`.
async fn heard(socket: &mut WebSocket, begin: &str, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < count {
        let line = next(socket).await;
        if line.starts_with(begin) {
            lines.push(line);
        }
    }
    lines
}

#[test]
fn a_line_reaches_the_clients_of_all_processes_in_one_order() {
    let Some(mut server) = RedisServer::start() else {
        return;
    };
    let url = format!("redis://127.0.0.1:{}", server.port());
    let processes: Vec<_> = (0..3)
        .map(|_| Program::serve_with(PROGRAM, &[&url]))
        .collect();
    annulus::run(async {
        let mut sockets = Vec::new();
        for (index, (_, addr)) in processes.iter().enumerate() {
            let mut socket = enter(addr).await;
            say_until_heard(&mut socket, &format!("here {index}")).await;
            sockets.push(socket);
        }
        // Two of them at each process.
        for (_, addr) in &processes {
            sockets.push(enter(addr).await);
        }
        for number in 0..20 {
            for (index, socket) in sockets.iter().enumerate() {
                socket
                    .send(format!("say {index} {number:02}"))
                    .await
                    .unwrap();
            }
        }
        let first = heard(&mut sockets[0], "say ", 120).await;
        for socket in &mut sockets[1..] {
            assert_eq!(heard(socket, "say ", 120).await, first);
        }
        for index in 0..sockets.len() {
            let begin = format!("say {index} ");
            let own = first.iter().filter(|line| line.starts_with(&begin));
            assert!(own.is_sorted(), "{first:?}");
        }
        // A newcomer gets the last lines of its process.
        let mut late = enter(&processes[2].1).await;
        assert_eq!(heard(&mut late, "say ", 50).await, first[70..]);
        // Lines are lost while Redis is away, and their authors are told.
        server.stop();
        loop {
            sockets[0].send("lost").await.unwrap();
            if next(&mut sockets[0]).await.starts_with("not said: lost ") {
                break;
            }
        }
        server.resume();
        for (index, socket) in sockets.iter_mut().enumerate() {
            say_until_heard(socket, &format!("back {index}")).await;
        }
        assert_eq!(heard(&mut late, "back 5", 1).await, ["back 5"]);
    });
    for (process, _) in processes {
        let _ = process.interrupt();
    }
}
