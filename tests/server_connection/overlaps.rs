//! Handlers that act at odd times and from other tasks.

use std::{
    cell::{Cell, RefCell},
    future::{Future as _, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use annulus::{
    http::{self, BodyWriter, Connection, HeaderValue, Request, Response, Timeouts, Upgraded},
    spawn,
    sync::{Notify, oneshot},
    task, time,
};

use crate::client::{Client, GET};

/// Lets everything that can run do so.
async fn settle() {
    for _ in 0..20 {
        task::yield_now().await;
    }
}

/// Everything that has come to the client by now.
async fn so_far(client: &mut Client) -> String {
    settle().await;
    while client.served_output().await {
        settle().await;
    }
    String::from_utf8(client.received.clone()).unwrap()
}

#[test]
fn a_continue_never_stands_inside_an_answer() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |mut request: Request| {
            let mut body = request.take_body();
            Response::writer(async move |mut out: BodyWriter| {
                while let Some(piece) = body.next().await? {
                    out.write(piece.to_vec()).await?;
                }
                Ok(())
            })
        });
        client
            .send("POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            .await;
        let begun = so_far(&mut client).await;
        client.send("abc").await;
        client.until("0\r\n\r\n").await;
        let head = begun.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n");
        let head = head.unwrap_or(&begun);
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
            "{begun:?}"
        );
        assert!(!head.contains("100 Continue"), "{begun:?}");
    });
}

#[test]
fn early_hints_never_stand_inside_an_answer() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |request: Request| {
            Response::writer(async move |mut out: BodyWriter| {
                request.early_hints(&[]);
                out.write("late").await?;
                Ok(())
            })
        });
        client.send(GET).await;
        let answer = client.until("0\r\n\r\n").await;
        let answer = answer.strip_prefix("HTTP/1.1 103 Early Hints\r\n\r\n");
        assert!(answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 200 OK\r\n")));
        client.send(GET).await;
        client.until("0\r\n\r\n").await;
    });
}

#[test]
fn early_hints_behind_the_head_of_an_answer_are_not_sent() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |request: Request| {
            Response::writer(async move |mut out: BodyWriter| {
                task::yield_now().await;
                request.early_hints(&[]);
                out.write("late").await
            })
        });
        client.send(GET).await;
        let answer = client.until("0\r\n\r\n").await;
        assert!(
            answer.ends_with("\r\n\r\n4\r\nlate\r\n0\r\n\r\n"),
            "{answer:?}"
        );
        assert!(!answer.contains("103"), "{answer:?}");
    });
}

#[test]
fn a_continue_that_another_task_asks_for_is_sent() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |mut request: Request| {
            let body = request.take_body();
            let read = spawn(async move { body.bytes().await.unwrap().len() });
            read.await.unwrap().to_string()
        });
        client
            .send("POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            .await;
        let begun = so_far(&mut client).await;
        assert_eq!(begun, "HTTP/1.1 100 Continue\r\n\r\n");
    });
}

#[test]
fn a_tunnel_begins_behind_the_body_of_its_request() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |_: Request| {
            Response::upgrade(HeaderValue::from_static("chat"), async |peer: Upgraded| {
                let bytes = peer.recv().await.unwrap();
                peer.write_all(bytes.to_ascii_uppercase()).await.unwrap();
            })
        });
        client
            .send(
                "POST / HTTP/1.1\r\nHost: t\r\nUpgrade: chat\r\nConnection: upgrade\r\n\
                 Content-Length: 4\r\n\r\nbodyahead",
            )
            .await;
        let answer = client.rest().await;
        assert!(answer.ends_with("\r\n\r\nAHEAD"), "{answer:?}");
    });
}

#[test]
fn time_in_which_the_handler_does_not_wait_for_a_body_does_not_count() {
    annulus::run(async {
        time::pause();
        let mut client = Client::of(Connection::new(), async |mut request: Request| {
            let mut body = request.take_body();
            assert!(
                time::timeout(Duration::from_secs(1), body.next())
                    .await
                    .is_err()
            );
            time::sleep(Duration::from_secs(3600)).await;
            body.next()
                .await
                .map(|piece| piece.map_or(0, |piece| piece.len()).to_string())
        });
        client
            .send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\n")
            .await;
        settle().await;
        time::advance(Duration::from_secs(1)).await;
        settle().await;
        time::advance(Duration::from_secs(3600)).await;
        let early = so_far(&mut client).await;
        assert_eq!(early, "");
        client.send("abc").await;
        client.until("\r\n\r\n3").await;
    });
}

#[test]
fn a_body_that_is_waited_for_in_short_turns_still_times_out() {
    annulus::run(async {
        time::pause();
        let timeouts = Timeouts {
            body_rate_min: 0,
            ..Timeouts::default()
        };
        let turns = Rc::new(Cell::new(0));
        let count = Rc::clone(&turns);
        let handler = async move |mut request: Request| {
            let mut body = request.take_body();
            loop {
                count.set(count.get() + 1);
                if let Ok(next) = time::timeout(Duration::from_secs(1), body.next()).await {
                    return next.map(drop).map(|()| "");
                }
            }
        };
        let mut client = Client::of(Connection::new().timeouts(timeouts), handler);
        client
            .send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\n")
            .await;
        for _ in 0..40 {
            settle().await;
            time::advance(Duration::from_secs(1)).await;
        }
        let answer = so_far(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
        assert!((29..=32).contains(&turns.get()), "{}", turns.get());
    });
}

#[test]
fn a_writer_that_waits_is_woken_when_its_answer_has_ended() {
    annulus::run(async {
        let writers = Rc::new(Cell::new(0));
        let (tell, told) = oneshot::channel::<()>();
        let tell = Rc::new(RefCell::new(Some(tell)));
        let (count, hold) = (Rc::clone(&writers), Rc::new(Notify::new()));
        let keep = Rc::clone(&hold);
        let mut client = Client::of(Connection::new(), async move |request: Request| {
            let (tell, count, hold) = (tell.take(), Rc::clone(&count), Rc::clone(&hold));
            let is_first = request.path() == "/first";
            Response::writer(async move |mut out: BodyWriter| {
                if !is_first {
                    out.write("x").await?;
                    hold.notified().await;
                    return Ok(());
                }
                let (ready, go) = oneshot::channel::<()>();
                drop(spawn(async move {
                    let _tell = tell;
                    let mut ready = Some(ready);
                    while out.write(vec![b'x'; 7000]).await.is_ok() {
                        count.set(count.get() + 1);
                        if count.get() == 3 {
                            let _ = ready.take().unwrap().send(());
                        }
                    }
                }));
                let _ = go.await;
                Ok(())
            })
        });
        client
            .send("GET /first HTTP/1.1\r\nHost: t\r\n\r\nGET /second HTTP/1.1\r\nHost: t\r\n\r\n")
            .await;
        let mut told = pin!(told);
        for _ in 0..20 {
            so_far(&mut client).await;
        }
        let is_told = poll_fn(|context| Poll::Ready(told.as_mut().poll(context).is_ready())).await;
        assert!(is_told, "{}", writers.get());
        keep.notify_one();
    });
}

#[test]
fn a_client_that_takes_a_large_answer_slowly_is_not_cut() {
    annulus::run(async {
        time::pause();
        let mut client = Client::with_room(100, Connection::new(), async |_: Request| {
            Response::bytes(vec![b'x'; 10_000])
        });
        client.send(GET).await;
        for _ in 0..150 {
            settle().await;
            time::advance(Duration::from_secs(1)).await;
            settle().await;
            client.served_output().await;
        }
        assert!(client.received.len() > 10_000, "{}", client.received.len());
    });
}

#[test]
fn a_flush_from_another_task_waits_for_the_client() {
    annulus::run(async {
        let flushed = Rc::new(Cell::new(false));
        let tell = Rc::clone(&flushed);
        let mut client = Client::with_room(100, Connection::new(), async move |_: Request| {
            let tell = Rc::clone(&tell);
            Response::writer(async move |mut out: BodyWriter| {
                spawn(async move {
                    out.write(vec![b'x'; 5000]).await.unwrap();
                    task::yield_now().await;
                    task::yield_now().await;
                    task::yield_now().await;
                    out.flush().await.unwrap();
                    tell.set(true);
                })
                .await
                .unwrap();
                Ok(())
            })
        });
        client.send(GET).await;
        settle().await;
        assert!(!flushed.get());
        client.until("\r\n0\r\n\r\n").await;
        assert!(flushed.get());
    });
}

#[test]
fn timeouts_may_be_longer_than_any_clock() {
    for long in [
        Duration::MAX,
        Duration::from_secs(u64::MAX / 4),
        Duration::from_secs(1 << 40),
    ] {
        annulus::run(async {
            let timeouts = Timeouts {
                idle: long,
                head: long,
                body: long,
                body_rate_grace: long,
                write: long,
                stop_grace: long,
                ..Timeouts::default()
            };
            let mut client = Client::with_room(
                100,
                Connection::new().timeouts(timeouts),
                async |mut request: Request| -> http::Result<Response> {
                    Ok(Response::bytes(request.take_body().bytes().await?))
                },
            );
            settle().await;
            client.send("POST / HTTP/1.1\r\n").await;
            settle().await;
            client.send("Host: t\r\nContent-Length: 1000\r\n\r\n").await;
            settle().await;
            client.send([b'x'; 1000]).await;
            settle().await;
            client.until(&"x".repeat(1000)).await;
        });
    }
}
