//! Servers that break off, break the protocol, or speak another one.

use std::{
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use annulus::{
    future::Either,
    http::client::{Client, Error, ErrorKind, Phase},
    tls::rustls,
};

use crate::{
    server::{TlsConn, TlsServer, dribble, plain, tamper},
    support::{
        BOUND,
        certificates::Certificates,
        http::ok,
        run_each,
        tls::{Kind, each_version, trusting},
    },
    trusting::client,
};

const SHORT: Duration = Duration::from_millis(60);

async fn body(client: &Client, server: &TlsServer) -> Result<String, Error> {
    client.get(server.url("/")).send().await?.text().await
}

fn source(error: &Error) -> &io::Error {
    let source = std::error::Error::source(error).unwrap();
    source.downcast_ref().unwrap()
}

fn is_rustls(error: &Error) -> bool {
    let inner = source(error).get_ref();
    inner.is_some_and(|inner| inner.is::<rustls::Error>())
}

const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello";

#[test]
fn a_body_that_only_the_end_delimits_has_to_end_with_a_word() {
    each_version(|certificates, kind| {
        let cut = TlsServer::new(certificates, &kind, |conn| {
            conn.request()?;
            conn.send(UNTIL_CLOSE)?;
            conn.cut()
        });
        let whole = TlsServer::new(certificates, &kind, |conn| {
            conn.request()?;
            conn.send(UNTIL_CLOSE)?;
            conn.finish()
        });
        run_each(async || {
            let client = client(certificates);
            assert_eq!(body(&client, &whole).await.unwrap(), "hello");
            let error = body(&client, &cut).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io);
            assert_eq!(error.phase(), Some(Phase::Body));
            assert_eq!(source(&error).kind(), io::ErrorKind::UnexpectedEof);
            let text = error.to_string();
            assert!(text.contains("close_notify"), "{text}");
        });
    });
}

#[test]
fn a_body_of_known_length_may_end_without_a_word() {
    each_version(|certificates, kind| {
        for answer in [
            ok("hello"),
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                .to_owned(),
        ] {
            let server = TlsServer::new(certificates, &kind, move |conn| {
                conn.request()?;
                conn.send(&answer)?;
                conn.cut()
            });
            run_each(async || {
                let client = client(certificates);
                for _ in 0..2 {
                    assert_eq!(body(&client, &server).await.unwrap(), "hello");
                }
                // The first connection is over, without an error.
                while client.pool_state().idle() > 0 {
                    annulus::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
    });
}

#[test]
fn a_connection_that_ends_before_its_answer_is_an_error() {
    each_version(|certificates, kind| {
        let server = TlsServer::new(certificates, &kind, |conn| {
            conn.request()?;
            conn.finish()
        });
        run_each(async || {
            let client = client(certificates);
            let error = body(&client, &server).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closed);
        });
        let server = TlsServer::new(certificates, &kind, |conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
            conn.cut()
        });
        run_each(async || {
            let client = client(certificates);
            let error = body(&client, &server).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io);
            assert_eq!(client.pool_state().busy(), 0);
        });
    });
}

/// A server that says half of a body and then something that `say` makes.
fn half_and(
    certificates: &Certificates,
    kind: &Kind,
    say: fn(&mut TlsConn) -> Vec<u8>,
) -> TlsServer {
    TlsServer::new(certificates, kind, move |conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        let bytes = say(conn);
        conn.stream.write_all(&bytes)?;
        conn.wait_close();
        Ok(())
    })
}

#[test]
fn an_alert_in_a_body_is_the_reason_that_is_told() {
    each_version(|certificates, kind| {
        let server = half_and(certificates, &kind, |conn| {
            // It takes this for what the client has sent.
            conn.tls.read_tls(&mut &b"no record at all"[..]).unwrap();
            conn.tls.process_new_packets().unwrap_err();
            conn.records(b"")
        });
        run_each(async || {
            let client = client(certificates);
            let mut response = client.get(server.url("/")).send().await.unwrap();
            assert_eq!(&*response.next().await.unwrap().unwrap(), b"half");
            let error = response.next().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tls);
            assert_eq!(error.phase(), Some(Phase::Body));
            assert!(is_rustls(&error), "{error}");
            // The server has seen the request.
            assert!(!error.is_connect());
            let text = error.to_string();
            assert!(text.contains("alert"), "{text}");
        });
    });
}

#[test]
fn a_record_that_was_changed_is_refused() {
    each_version(|certificates, kind| {
        for say in [
            |conn: &mut TlsConn| {
                let mut records = conn.records(b"and more");
                let last = records.len() - 1;
                records[last] ^= 1;
                records
            },
            |_: &mut TlsConn| b"no record at all".to_vec(),
            // Longer than any record.
            |_: &mut TlsConn| vec![23, 3, 3, 0xff, 0xff],
        ] {
            let server = half_and(certificates, &kind, say);
            run_each(async || {
                let client = client(certificates);
                let error = body(&client, &server).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Tls);
                assert!(is_rustls(&error), "{error}");
            });
        }
    });
}

#[test]
fn what_comes_byte_by_byte_is_understood() {
    each_version(|certificates, kind| {
        let server = TlsServer::new(certificates, &kind, |conn| {
            while conn.request().is_ok() {
                let records = conn.records(ok("hello").as_bytes());
                conn.stream.write_all(&records)?;
            }
            Ok(())
        });
        let addr = dribble(server.addr, 1);
        run_each(async || {
            let client = client(certificates);
            for _ in 0..3 {
                let response = client.get(format!("https://{addr}/")).send().await.unwrap();
                assert_eq!(response.text().await.unwrap(), "hello");
            }
            assert_eq!(client.pool_state().opened, 1);
        });
    });
}

#[test]
fn large_records_in_odd_pieces_are_understood() {
    each_version(|certificates, kind| {
        let text = "0123456789abcdef".repeat(40_000);
        let server = TlsServer::answering(certificates, &kind, ok(&text));
        for bytes_max in [997, 16_400, 70_001] {
            let addr = dribble(server.addr, bytes_max);
            run_each(async || {
                let client = client(certificates);
                let response = client.get(format!("https://{addr}/")).send().await.unwrap();
                assert!(response.text().await.unwrap() == text);
            });
        }
    });
}

#[test]
fn a_byte_that_was_changed_on_the_way_does_no_harm() {
    each_version(|certificates, kind| {
        let server = TlsServer::new(certificates, &kind, |conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")?;
            conn.finish()
        });
        let place = Arc::new(AtomicUsize::new(0));
        let addr = tamper(server.addr, Arc::clone(&place));
        let mut noticed = 0;
        run_each(async || {
            // A length that was changed lets both sides wait for each other.
            let config = trusting(certificates).build().unwrap();
            let builder = Client::builder()
                .tls(config)
                .timeout(Duration::from_millis(100));
            let client = builder.build();
            // As far as the server says something, and further.
            for index in (0..1500).step_by(29) {
                place.store(index, Ordering::SeqCst);
                match client.get(format!("https://{addr}/")).send().await {
                    Err(_) => noticed += 1,
                    Ok(response) => match response.text().await {
                        Err(_) => noticed += 1,
                        Ok(text) => assert_eq!(text, "hello"),
                    },
                }
            }
        });
        assert!(noticed > 30, "{noticed}");
    });
}

async fn refused(client: &Client, addr: SocketAddr) -> Error {
    let url = format!("https://{addr}/");
    let error = client.get(url).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert_eq!(error.phase(), Some(Phase::Tls), "{error}");
    error
}

#[test]
fn a_server_without_tls_is_told_from_a_broken_one() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    for (answer, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "found plain HTTP"),
        (b"SSH-2.0-OpenSSH\r\n", "found something else"),
        // An alert, handshake_failure.
        (&[21, 3, 3, 0, 2, 2, 40], "HandshakeFailure"),
        // Version 0.0 in a record, and a record that is too long.
        (&[22, 0, 0, 0, 4, 2, 0, 0, 0], "corrupt"),
        (&[22, 3, 3, 0xff, 0xff], "corrupt"),
        (b"", "closed during the handshake"),
    ] {
        let addr = plain(move |mut stream| {
            let mut buf = [0; 4096];
            let _ = stream.read(&mut buf)?;
            stream.write_all(answer)?;
            stream.shutdown(std::net::Shutdown::Write)?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        });
        run_each(async || {
            let error = refused(&client(certificates), addr).await;
            let text = error.to_string();
            assert!(text.contains(expected), "{answer:?}: {text}");
        });
    }
}

#[test]
fn a_message_without_end_is_refused() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let addr = plain(|mut stream| {
        // A ServerHello of 16 MiB, in records of 16 KiB.
        let mut record = vec![0; 5 + 16384];
        record[..9].copy_from_slice(&[22, 3, 3, 0x40, 0, 2, 0xff, 0xff, 0xff]);
        for _ in 0..2000 {
            stream.write_all(&record)?;
            record[5..9].fill(0);
        }
        Ok(())
    });
    run_each(async || {
        refused(&client(certificates), addr).await;
    });
}

#[test]
fn tickets_without_end_are_refused() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let kind = Kind::tls13();
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"] {
        let server = TlsServer::new(certificates, &kind, move |conn| {
            conn.request()?;
            conn.send(answer)?;
            let tickets = conn.tickets(20_000);
            conn.stream.write_all(&tickets)?;
            conn.wait_close();
            Ok(())
        });
        run_each(async || {
            let client = client(certificates);
            if answer.is_empty() {
                let error = body(&client, &server).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
                return;
            }
            assert_eq!(body(&client, &server).await.unwrap(), "hello");
            // Idle connections are not kept busy either.
            while client.pool_state().idle() > 0 {
                annulus::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(client.pool_state().died, 1);
        });
    }
}

#[test]
fn a_server_that_speaks_another_protocol_only_is_refused() {
    each_version(|certificates, kind| {
        let kind = Kind {
            alpn: &["h2"],
            ..kind
        };
        let server = TlsServer::answering(certificates, &kind, ok("hello"));
        run_each(async || {
            let error = refused(&client(certificates), server.addr).await;
            let text = error.to_string();
            assert!(text.contains("NoApplicationProtocol"), "{text}");
        });
        let kind = Kind { alpn: &[], ..kind };
        let server = TlsServer::answering(certificates, &kind, ok("hello"));
        run_each(async || {
            let client = client(certificates);
            assert_eq!(body(&client, &server).await.unwrap(), "hello");
        });
    });
}

#[test]
fn a_handshake_without_end_runs_into_its_limit() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    // It says nothing, or a beginning.
    for begin in [&b""[..], &[22, 3, 3]] {
        let addr = plain(move |mut stream| {
            stream.write_all(begin)?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        });
        run_each(async || {
            let config = trusting(certificates).build().unwrap();
            let url = format!("https://{addr}/");
            let client = Client::builder().tls(config.clone()).connect_timeout(SHORT);
            let error = client.build().get(&*url).send().await.unwrap_err();
            let (phase, after) = (Phase::Tls, SHORT);
            assert_eq!(error.kind(), ErrorKind::Timeout { phase, after });
            let client = Client::builder().tls(config).timeout(SHORT);
            let error = client.build().get(&*url).send().await.unwrap_err();
            let phase = Phase::Total;
            assert_eq!(error.kind(), ErrorKind::Timeout { phase, after });
            assert_eq!(error.phase(), Some(Phase::Tls));
        });
    }
}

#[test]
fn a_request_dropped_in_the_handshake_or_in_a_body_closes_its_connection() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let (begun, has_begun) = mpsc::channel();
    let (closed, has_closed) = mpsc::channel();
    let addr = plain(move |mut stream| {
        let mut buf = [0; 16];
        stream.read_exact(&mut buf)?;
        begun.send(()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
        closed.send(()).unwrap();
        Ok(())
    });
    let has_begun = Arc::new(std::sync::Mutex::new(has_begun));
    run_each(async || {
        let client = client(certificates);
        let request = pin!(client.get(format!("https://{addr}/")).send());
        let has_begun = has_begun.clone();
        let signal = annulus::blocking::run(move || has_begun.lock().unwrap().recv().unwrap());
        let Either::Right(()) = annulus::future::race(request, signal).await else {
            panic!("the handshake has no end");
        };
        // It was dropped, and the server sees it.
    });
    for _ in 0..2 {
        has_closed.recv_timeout(BOUND).unwrap();
    }
    let (closed, has_closed) = mpsc::channel();
    let server = TlsServer::new(certificates, &Kind::default(), move |conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        conn.wait_close();
        closed.send(()).unwrap();
        Ok(())
    });
    run_each(async || {
        let client = client(certificates);
        let mut response = client.get(server.url("/")).send().await.unwrap();
        assert_eq!(&*response.next().await.unwrap().unwrap(), b"half");
        drop(response);
        assert_eq!(client.pool_state().busy() + client.pool_state().idle(), 0);
    });
    for _ in 0..2 {
        has_closed.recv_timeout(BOUND).unwrap();
    }
}
