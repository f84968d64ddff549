//! `chat` and `ticker`, by this crate's own clients.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use annulus::{
    http::{Client, client::Response, websocket::WebSocket},
    spawn, time,
};

use crate::{HANG, Server, example};

/// Reads events until there is one with each of these texts, in this order.
async fn expect_events(events: &mut Response, texts: &[&str]) {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read);
        let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
        if text.ends_with("\n\n") && lines.eq(texts.iter().copied()) {
            return;
        }
        let piece = time::timeout(HANG, events.next()).await;
        let piece = piece.expect("all of them come").unwrap();
        read.extend_from_slice(&piece.expect("the events go on"));
    }
}

async fn expect_lines(socket: &mut WebSocket, lines: &[&str]) {
    for line in lines {
        assert_eq!(socket.recv().await.unwrap(), Some((*line).into()));
    }
}

#[test]
fn the_room_of_chat_is_one_by_all_three_ways() {
    let server = Server::start(example("chat", &["0"]));
    annulus::run(async {
        let client = Client::new();
        let get = |path: &str| client.get(format!("{}{path}", server.url()));
        let enter = async || {
            let request = client.websocket(format!("ws://{}/socket", server.addr));
            request.connect().await.unwrap()
        };
        let say = async |line: &'static str| {
            let request = client.post(format!("{}say", server.url()));
            let answer = request.body(line).send().await.unwrap();
            assert_eq!(answer.status(), 204);
        };
        let poll = async |after: u64, next: &str, lines: &str| {
            let answer = get(&format!("poll?after={after}")).send().await.unwrap();
            assert_eq!(answer.field("next"), Some(next.as_bytes()));
            assert_eq!(answer.text().await.unwrap(), lines);
        };
        let mut socket = enter().await;
        let mut events = get("events").send().await.unwrap();
        let waiting = get("poll?after=0").send();
        let waiting = spawn(async move { waiting.await.unwrap().text().await.unwrap() });
        socket.send("one").await.unwrap();
        expect_lines(&mut socket, &["one"]).await;
        expect_events(&mut events, &["one"]).await;
        assert_eq!(waiting.await.unwrap(), "one");
        say("two").await;
        say("three\r\nand more").await;
        expect_lines(&mut socket, &["two", "three  and more"]).await;
        expect_events(&mut events, &["two", "three  and more"]).await;
        poll(1, "3", "two\nthree  and more").await;
        // Newcomers get what was said before, and so do those of the program's last run.
        let all = ["one", "two", "three  and more"];
        expect_lines(&mut enter().await, &all).await;
        expect_events(&mut get("events").send().await.unwrap(), &all).await;
        poll(0, "3", &all.join("\n")).await;
        poll(77, "3", &all.join("\n")).await;
    });
}

#[test]
fn prices_of_ticker_come_to_all_viewers_in_order() {
    let server = Server::start(example("ticker", &["0"]));
    let url = format!("ws://{}/prices", server.addr);
    let mut viewers = example("ticker", &["watch", &url, "50"]);
    let viewers = viewers.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut viewers = viewers.unwrap();
    annulus::run(async {
        let mut socket = Client::new().websocket(url).connect().await.unwrap();
        let mut last = 0;
        loop {
            let message = time::timeout(HANG, socket.recv()).await;
            let message = message.expect("prices come").unwrap().unwrap();
            let fields: Vec<&str> = message.as_text().unwrap().split(' ').collect();
            let number: u64 = fields[0].parse().unwrap();
            assert!(number > last, "{message:?}");
            last = number;
            let price: f64 = fields[1].parse().unwrap();
            assert!((50.0..=150.0).contains(&price), "{message:?}");
            if fields[2] == "51" {
                break;
            }
        }
    });
    let lines = BufReader::new(viewers.stdout.take().unwrap()).lines();
    let told = lines
        .map(Result::unwrap)
        .find(|line| line.starts_with("50 viewers: "));
    assert!(told.is_some(), "it tells of them each second");
    viewers.kill().unwrap();
    viewers.wait().unwrap();
}
