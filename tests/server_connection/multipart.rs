//! Forms with files that arrive in pieces, and handlers that stop in the middle of them.

use std::{cell::Cell, rc::Rc};

use annulus::{
    future::{Either, join, race},
    http::{self, Connection, Request},
    sync::Notify,
    task,
};

use crate::client::Client;

fn form() -> String {
    let head = "--b\r\nContent-Disposition: form-data; name=";
    let file = "-- b is no boundary here\r\n--a\r\n\r\n".repeat(20);
    let parts = [
        format!("{head}one\r\n\r\n1\r\n"),
        format!("{head}file; filename=x\r\n\r\n{file}\r\n"),
        format!("{head}two\r\n\r\n2\r\n--b--\r\n"),
    ];
    parts.concat()
}

fn request(form: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

/// Names and sizes of all parts.
async fn sizes(mut request: Request) -> http::Result<String> {
    let mut form = request.multipart()?;
    let mut answer = String::new();
    while let Some(mut part) = form.next_part().await? {
        let mut len = 0;
        while let Some(piece) = part.next().await? {
            len += piece.len();
        }
        answer += &format!("{}:{len} ", part.name());
    }
    Ok(answer)
}

#[test]
fn a_form_may_come_a_byte_at_a_time() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), sizes);
        for byte in request(&form()).bytes() {
            client.send([byte]).await;
            task::yield_now().await;
        }
        client.until("one:1 file:660 two:1 ").await;
        // The connection goes on.
        client.send(request(&form())).await;
        client.until("one:1 file:660 two:1 ").await;
    });
}

#[test]
fn waits_that_are_dropped_in_the_middle_lose_nothing() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |mut request: Request| {
            let mut form = request.multipart()?;
            let (mut answer, mut dropped) = (String::new(), 0);
            loop {
                // Each wait is polled once and dropped, until one is ready.
                let part = match race(form.next_part(), async {}).await {
                    Either::Left(part) => part?,
                    Either::Right(()) => {
                        dropped += 1;
                        task::yield_now().await;
                        continue;
                    }
                };
                let Some(mut part) = part else { break };
                let mut bytes = Vec::new();
                loop {
                    match race(part.next(), async {}).await {
                        Either::Left(piece) => match piece? {
                            Some(piece) => bytes.extend_from_slice(&piece),
                            None => break,
                        },
                        Either::Right(()) => {
                            dropped += 1;
                            task::yield_now().await;
                        }
                    }
                }
                answer += &format!("{}:{} ", part.name(), String::from_utf8(bytes).unwrap());
            }
            assert!(dropped > 100, "expected waits, found {dropped}");
            Ok::<_, http::Error>(answer)
        });
        let form = form();
        for byte in request(&form).bytes() {
            client.send([byte]).await;
            task::yield_now().await;
        }
        let file = form.split("filename=x\r\n\r\n").nth(1).unwrap();
        let file = file.split("\r\n--b\r\n").next().unwrap();
        client.until(&format!("one:1 file:{file} two:2 ")).await;
    });
}

#[test]
fn parts_that_are_dropped_are_skipped() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |mut request: Request| {
            let mut form = request.multipart()?;
            let mut answer = String::new();
            while let Some(mut part) = form.next_part().await? {
                answer += part.name();
                if part.file_name().is_some() {
                    part.next().await?; // The rest of it is not read.
                }
            }
            Ok::<_, http::Error>(answer)
        });
        client.send(request(&form())).await;
        client.until("onefiletwo").await;
    });
}

#[test]
fn a_form_is_pulled_no_faster_than_its_handler_reads() {
    annulus::run(async {
        let gate = Rc::new(Notify::new());
        let opener = Rc::clone(&gate);
        let mut client = Client::with_room(1000, Connection::new(), async move |mut r: Request| {
            let mut form = r.multipart()?.limit(10 << 20);
            let part = form.next_part().await?.expect("there is one");
            gate.notified().await;
            let len = part.bytes(10 << 20).await?.len();
            Ok::<_, http::Error>(format!("{len} bytes"))
        });
        let head = "--b\r\nContent-Disposition: form-data; name=x\r\n\r\n";
        let form = format!("{head}{}\r\n--b--", "x".repeat(1 << 20));
        let sent = Cell::new(0);
        let send = async {
            for piece in request(&form).as_bytes().chunks(1000) {
                client.stream.write_all(piece).await.unwrap();
                sent.set(sent.get() + piece.len());
            }
        };
        let look = async {
            for _ in 0..1000 {
                task::yield_now().await;
            }
            assert!(sent.get() < 200_000, "{} bytes were sent", sent.get());
            opener.notify_one();
        };
        join(send, look).await;
        client.until("1048576 bytes").await;
    });
}
