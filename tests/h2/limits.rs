//! Clients that ask for too much, or are too slow.

use std::{cell::Cell, future::pending, rc::Rc, time::Duration};

use annulus::{
    http::{BodyWriter, Connection, Http2, Limits, Request, Response, StatusCode, Timeouts},
    io::duplex,
    spawn, time,
};

use crate::{frames::*, support::run_each};

async fn waits(_: Request) -> &'static str {
    pending().await
}

fn with(http2: Http2) -> Connection {
    Connection::new().http2(http2)
}

/// The code of the GOAWAY that ends the connection.
async fn farewell(peer: &mut Peer) -> Option<u32> {
    let frames = peer.until(|_| false).await;
    frames
        .iter()
        .rev()
        .find(|frame| frame.kind == GOAWAY)?
        .code()
}

#[test]
fn one_stream_too_many_is_refused() {
    run_each(async || {
        let http2 = Http2 {
            concurrent_streams_max: 2,
            ..Http2::default()
        };
        let mut peer = Peer::greeted(with(http2), &[], waits).await;
        for stream in [1, 3, 5] {
            peer.send(get(stream, "/")).await;
        }
        let refused = peer.until(|frame| frame.kind == RST_STREAM).await;
        let refused = refused.last().unwrap();
        assert_eq!((refused.stream, refused.code()), (5, Some(REFUSED_STREAM)));
    });
}

#[test]
fn rapid_resets_end_the_connection() {
    run_each(async || {
        // Those that the server sees at once, and those whose handlers have begun.
        for slowly in [false, true] {
            let begun = Rc::new(Cell::new(0));
            let count = begun.clone();
            let handler = async move |_: Request| -> &'static str {
                count.set(count.get() + 1);
                pending().await
            };
            let mut peer = Peer::new(handler).await;
            let mut has_ended = false;
            for number in 0..1000 {
                let stream = 2 * number + 1;
                peer.send([get(stream, "/"), reset(stream, CANCEL)].concat())
                    .await;
                if slowly {
                    let frames = peer.ping().await;
                    has_ended = frames.iter().any(|frame| frame.kind == GOAWAY);
                    if has_ended {
                        let code = frames.iter().find_map(Frame::code);
                        assert_eq!(code, Some(ENHANCE_YOUR_CALM));
                        break;
                    }
                }
            }
            if !slowly {
                has_ended = farewell(&mut peer).await == Some(ENHANCE_YOUR_CALM);
            }
            assert!(has_ended, "{slowly}");
            assert!(begun.get() <= 230, "{} handlers have begun", begun.get());
        }
    });
}

#[test]
fn handlers_that_go_on_after_a_reset_count_as_streams() {
    run_each(async || {
        let begun = Rc::new(Cell::new(0));
        let count = begun.clone();
        let handler = async move |request: Request| -> &'static str {
            request.keep_running();
            count.set(count.get() + 1);
            pending().await
        };
        let mut peer = Peer::new(handler).await;
        for number in 0..300 {
            let stream = 2 * number + 1;
            peer.send(get(stream, "/")).await;
            peer.ping().await;
            peer.send(reset(stream, CANCEL)).await;
        }
        assert_eq!(begun.get(), 128);
        peer.send(get(601, "/")).await;
        let refused = peer.until(|frame| frame.stream == 601).await;
        assert_eq!(refused.last().unwrap().code(), Some(REFUSED_STREAM));
    });
}

#[test]
fn a_stream_in_place_of_one_that_was_reset_is_served() {
    run_each(async || {
        let handler = async |request: Request| match request.path() {
            "/" => "hello",
            _ => pending().await,
        };
        let http2 = Http2 {
            concurrent_streams_max: 1,
            ..Http2::default()
        };
        let mut peer = Peer::greeted(with(http2), &[], handler).await;
        for number in 0..20 {
            let stream = 4 * number + 1;
            peer.send(get(stream, "/wait")).await;
            peer.ping().await;
            peer.send([reset(stream, CANCEL), get(stream + 2, "/")].concat())
                .await;
            assert!(peer.body(stream + 2).await.1, "{number}");
        }
    });
}

#[test]
fn answered_requests_make_up_for_resets() {
    run_each(async || {
        let handler = async |request: Request| match request.path() {
            "/" => "hello",
            _ => pending().await,
        };
        let http2 = Http2 {
            resets_max: 3,
            ..Http2::default()
        };
        let mut peer = Peer::greeted(with(http2), &[], handler).await;
        for number in 0..20 {
            let stream = 4 * number + 1;
            peer.send(get(stream, "/wait")).await;
            peer.ping().await;
            peer.send(reset(stream, CANCEL)).await;
            peer.send(get(stream + 2, "/")).await;
            assert!(peer.body(stream + 2).await.1, "{number}");
        }
    });
}

#[test]
fn a_flood_of_continuations_ends_the_connection() {
    run_each(async || {
        let mut peer = Peer::new(waits).await;
        let first = block(&request("GET", "/"));
        peer.send(frame(HEADERS, END_STREAM, 1, &first)).await;
        for number in 0..1000 {
            let more = block(&[("x-a", &number.to_string())]);
            peer.send(frame(CONTINUATION, 0, 1, &more)).await;
        }
        assert!(farewell(&mut peer).await.is_some());
    });
}

#[test]
fn a_list_of_fields_that_is_too_large_is_answered_431() {
    run_each(async || {
        let limits = Limits {
            head_bytes_max: 1000,
            ..Limits::default()
        };
        let mut peer = Peer::greeted(Connection::new().limits(limits), &[], waits).await;
        let value = "a".repeat(900);
        let all = [&request("GET", "/")[..], &[("x-a", &value)]].concat();
        peer.send(headers(END_STREAM | END_HEADERS, 1, &all)).await;
        let frames = peer.until(|frame| frame.stream == 1).await;
        let head = frames.last().unwrap();
        // `:status` with an index of the static table, and the value as a literal.
        assert_eq!(head.kind, HEADERS, "{head:?}");
        assert!(head.is_end());
    });
}

#[test]
fn floods_of_empty_frames_end_the_connection() {
    run_each(async || {
        let mut peer = Peer::new(waits).await;
        peer.send(post(1, "/")).await;
        for _ in 0..20_000 {
            peer.send(frame(DATA, 0, 1, b"")).await;
        }
        assert_eq!(farewell(&mut peer).await, Some(ENHANCE_YOUR_CALM));
    });
}

#[test]
fn a_client_that_does_not_greet_is_closed_in_time() {
    stopped_each(async || {
        let mut peer = Peer::silent(Connection::new(), waits);
        peer.send(&PREFACE[..20]).await;
        let begun = time::now();
        assert_eq!(peer.frame().await.map(|frame| frame.kind), Some(SETTINGS));
        assert_eq!(peer.until(|_| false).await, []);
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(60), "{waited:?}");
    });
}

#[test]
fn an_idle_connection_is_told_to_go() {
    stopped_each(async || {
        let timeouts = Timeouts {
            idle: Duration::from_secs(3),
            ..Timeouts::default()
        };
        let connection = Connection::new().timeouts(timeouts);
        let mut peer = Peer::greeted(connection, &[], async |_: Request| "hi").await;
        peer.send(get(1, "/")).await;
        assert!(peer.body(1).await.1);
        // It answers no ping, and is closed nevertheless.
        assert_eq!(farewell(&mut peer).await, Some(NO_ERROR));
    });
}

#[test]
fn a_request_that_meets_the_farewell_is_served() {
    stopped_each(async || {
        let timeouts = Timeouts {
            idle: Duration::from_secs(3),
            ..Timeouts::default()
        };
        let handler = async |_: Request| {
            time::sleep(Duration::from_secs(20)).await;
            "hi"
        };
        let connection = Connection::new().timeouts(timeouts);
        let mut peer = Peer::greeted(connection, &[], handler).await;
        let told = peer.until(|frame| frame.kind == PING).await;
        assert!(told.iter().any(|frame| frame.kind == GOAWAY));
        // It was on its way when the connection was told to go.
        peer.send(get(1, "/")).await;
        let ping = told.last().unwrap().payload.clone();
        peer.send(frame(PING, ACK, 0, &ping)).await;
        assert_eq!(peer.body(1).await, (b"hi".to_vec(), true));
        let begun = time::now();
        assert_eq!(farewell(&mut peer).await, None);
        assert!(begun.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn the_last_bytes_of_an_answer_wait_for_a_slow_client() {
    stopped_each(async || {
        let timeouts = Timeouts {
            idle: Duration::from_secs(3),
            write: Duration::from_secs(30),
            ..Timeouts::default()
        };
        let (near, far) = duplex(1000);
        let connection = Connection::new().timeouts(timeouts);
        let served = spawn(connection.serve(far, async |_: Request| vec![b'x'; 30_000]));
        let greeting = [PREFACE, &settings(&[])].concat();
        near.write_all(&[greeting, get(1, "/")].concat())
            .await
            .unwrap();
        let mut got = 0;
        while got < 30_000 {
            time::sleep(Duration::from_secs(1)).await;
            let more = near.recv().await.unwrap();
            assert!(!more.is_empty(), "{got}");
            got += more.iter().filter(|&&byte| byte == b'x').count();
        }
        // It waits no longer than a write may for one that takes nothing.
        near.write_all(&get(3, "/")).await.unwrap();
        let begun = time::now();
        served.await.unwrap();
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(60), "{waited:?}");
    });
}

#[test]
fn a_client_that_is_silent_while_it_waits_is_pinged_and_then_cut() {
    stopped_each(async || {
        let mut peer = Peer::new(waits).await;
        peer.send(get(1, "/")).await;
        for _ in 0..3 {
            let frames = peer.until(|frame| frame.kind == PING).await;
            let ping = frames.last().unwrap().clone();
            assert_eq!((ping.kind, ping.flags), (PING, 0));
            peer.send(frame(PING, ACK, 0, &ping.payload)).await;
        }
        let frames = peer.until(|_| false).await;
        assert_eq!(
            frames.last().map(|frame| frame.kind),
            Some(PING),
            "{frames:?}"
        );
    });
}

#[test]
fn an_answer_waits_for_the_clients_window_and_not_for_ever() {
    stopped_each(async || {
        let written = Rc::new(Cell::new(0));
        let count = written.clone();
        let handler = async move |_: Request| {
            let count = count.clone();
            Response::writer(async move |mut out: BodyWriter| {
                for _ in 0..1000 {
                    out.write(vec![b'x'; 1000]).await?;
                    count.set(count.get() + 1000);
                }
                Ok(())
            })
        };
        // A window of 5000 bytes for each stream.
        let mut peer = Peer::greeted(Connection::new(), &[(4, 5000)], handler).await;
        peer.send(get(1, "/")).await;
        let mut got = 0;
        while got < 5000 {
            let frame = peer.frame().await.unwrap();
            got += if frame.kind == DATA {
                frame.payload.len()
            } else {
                0
            };
        }
        assert_eq!(got, 5000);
        peer.ping().await;
        assert!(written.get() <= 5000 + 64 * 1024, "{}", written.get());
        peer.send(window_update(1, 700)).await;
        while got < 5700 {
            let frame = peer.frame().await.unwrap();
            got += if frame.kind == DATA {
                frame.payload.len()
            } else {
                0
            };
        }
        let ended = peer.until(|frame| frame.kind == RST_STREAM).await;
        assert_eq!(ended.last().unwrap().code(), Some(CANCEL));
    });
}

#[test]
fn a_body_is_sent_no_faster_than_its_handler_reads() {
    run_each(async || {
        let mut peer = Peer::new(async |request: Request| {
            let _kept = request;
            pending::<&'static str>().await
        })
        .await;
        peer.send(post(1, "/")).await;
        for _ in 0..4 {
            peer.send(frame(DATA, 0, 1, &[b'x'; 16_384])).await;
        }
        let frames = peer.ping().await;
        assert!(
            !frames
                .iter()
                .any(|frame| frame.kind == WINDOW_UPDATE && frame.stream == 1)
        );
        peer.send(frame(DATA, 0, 1, b"one more")).await;
        let ended = peer
            .until(|frame| frame.kind == RST_STREAM || frame.kind == GOAWAY)
            .await;
        assert_eq!(ended.last().unwrap().code(), Some(FLOW_CONTROL_ERROR));
    });
}

#[test]
fn an_answer_before_the_end_of_a_body_arrives_and_the_connection_stays() {
    run_each(async || {
        let limits = Limits {
            body_bytes_max: 1000,
            ..Limits::default()
        };
        let handler = async |mut request: Request| -> annulus::http::Result<&'static str> {
            if request.path() == "/secret" {
                return Err(StatusCode::UNAUTHORIZED.into());
            }
            request.take_body().bytes().await?;
            Ok("read")
        };
        let connection = Connection::new().limits(limits);
        let mut peer = Peer::greeted(connection, &[], handler).await;
        let mut late_errors = 0;
        // More than the window of the connection, of which nothing is read.
        for number in 0..100 {
            let stream = 2 * number + 1;
            let path = ["/secret", "/large"][number as usize % 2];
            peer.send(post(stream, path)).await;
            peer.send(frame(DATA, 0, stream, &[0; 16_000])).await;
            let frames = peer
                .until(|frame| {
                    frame.kind == RST_STREAM && frame.stream == stream || frame.kind == GOAWAY
                })
                .await;
            let is_late = |frame: &&Frame| frame.code() == Some(STREAM_CLOSED);
            late_errors += frames.iter().filter(is_late).count();
            // RFC 9113, section 8.1: the whole answer, and then a reset without an error.
            let reset = frames.last().unwrap();
            assert_eq!(
                (reset.stream, reset.code()),
                (stream, Some(NO_ERROR)),
                "{number}"
            );
            let is_answer = |frame: &Frame| frame.stream == stream && frame.is_end();
            assert!(frames.iter().any(is_answer), "{number}: {frames:?}");
            // What was under way by then is no error, as long as the stream is remembered.
            peer.send(frame(DATA, END_STREAM, stream, b"late")).await;
        }
        assert!(late_errors < 40, "{late_errors}");
        peer.send(post(201, "/small")).await;
        peer.send(frame(DATA, END_STREAM, 201, b"small")).await;
        assert_eq!(peer.body(201).await, (b"read".to_vec(), true));
    });
}
