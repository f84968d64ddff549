//! Connections that are idle, and sessions that are resumed.

use std::{
    net::Shutdown,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use annulus::{http::client::Client, task};

use crate::{
    server::TlsServer,
    support::{
        certificates::Certificates,
        http::ok,
        run_each,
        tls::{Kind, each_version, trusting},
    },
    trusting::client,
};

/// A signal from a test to its server.
#[derive(Clone, Default)]
struct Bell(Arc<(Mutex<u32>, Condvar)>);

impl Bell {
    fn ring(&self) {
        *self.0.0.lock().unwrap() += 1;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let mut count = self.0.0.lock().unwrap();
        while *count == 0 {
            count = self.0.1.wait(count).unwrap();
        }
        *count -= 1;
    }
}

async fn get(client: &Client, url: String) {
    let response = client.get(url).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "hello");
}

#[test]
fn a_session_is_resumed_by_the_next_connection_of_the_client() {
    each_version(|certificates, kind| {
        let server = TlsServer::answering(certificates, &kind, ok("hello"));
        let config = trusting(certificates).build().unwrap();
        run_each(async || {
            let count = server.seen().len();
            let other = client(certificates);
            for _ in 0..2 {
                get(&other, server.named_url("/")).await;
                other.close_idle();
            }
            get(&client(certificates), server.named_url("/")).await;
            let resumed: Vec<bool> = server.seen()[count..]
                .iter()
                .map(|seen| seen.is_resumed)
                .collect();
            assert_eq!(resumed, [false, true, false]);
        });
        // A clone of the configuration shares the sessions, on another driver, too.
        let count = server.seen().len();
        run_each(async || {
            let client = Client::builder().tls(config.clone()).build();
            get(&client, server.named_url("/")).await;
        });
        let seen = server.seen().split_off(count);
        assert_eq!((seen[0].is_resumed, seen[1].is_resumed), (false, true));
    });
}

#[test]
fn what_tls_says_to_an_idle_connection_leaves_it_alone() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    // Only 1.3 has new keys, and tickets after the handshake.
    let kind = Kind::tls13();
    let (bell, echo) = (Bell::default(), Bell::default());
    let (heard, said) = (bell.clone(), echo.clone());
    let server = TlsServer::new(certificates, &kind, move |conn| {
        conn.request()?;
        conn.send(ok("hello"))?;
        for _ in 0..3 {
            heard.wait();
            conn.tls.refresh_traffic_keys().unwrap();
            conn.send(b"")?;
            said.ring();
        }
        conn.request()?;
        conn.send(ok("hello"))?;
        conn.request().map(drop)
    });
    run_each(async || {
        let client = client(certificates);
        get(&client, server.url("/")).await;
        for _ in 0..3 {
            bell.ring();
            let echo = echo.clone();
            annulus::blocking::run(move || echo.wait()).await;
            // The keeper looks at what came.
            for _ in 0..100 {
                task::yield_now().await;
            }
            assert_eq!(client.pool_state().idle(), 1);
        }
        get(&client, server.url("/")).await;
        let state = client.pool_state();
        assert_eq!((state.opened, state.died), (1, 0));
    });
}

#[test]
fn an_idle_connection_that_ends_leaves_the_pool() {
    each_version(|certificates, kind| {
        // It says that it has finished and closes; says so and stays; closes without a word; sends
        // bytes without a request; sends bytes that are no record.
        for how in 0..5 {
            let bell = Bell::default();
            let heard = bell.clone();
            let server = TlsServer::new(certificates, &kind, move |conn| {
                conn.request()?;
                conn.send(ok("hello"))?;
                heard.wait();
                match how {
                    0 => conn.finish()?,
                    1 => {
                        conn.tls.send_close_notify();
                        conn.send(b"")?;
                    }
                    2 => conn.cut()?,
                    3 => conn.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")?,
                    _ => std::io::Write::write_all(&mut conn.stream, b"nonsense")?,
                }
                conn.wait_close();
                Ok(())
            });
            run_each(async || {
                let client = client(certificates);
                get(&client, server.url("/")).await;
                assert_eq!(client.pool_state().idle(), 1);
                bell.ring();
                while client.pool_state().idle() > 0 {
                    annulus::time::sleep(std::time::Duration::from_millis(1)).await;
                }
                assert_eq!(client.pool_state().died, 1);
            });
        }
    });
}

#[test]
fn what_came_to_an_idle_connection_while_the_thread_worked_answers_nothing() {
    each_version(|certificates, kind| {
        for how in 0..3 {
            run_each(async || {
                let (bell, echo) = (Bell::default(), Bell::default());
                let (heard, said) = (bell.clone(), echo.clone());
                let is_first = AtomicBool::new(true);
                let server = TlsServer::new(certificates, &kind, move |conn| {
                    conn.request()?;
                    conn.send(ok("hello"))?;
                    if is_first.swap(false, Ordering::SeqCst) {
                        heard.wait();
                        match how {
                            0 => conn.send(ok("evil"))?,
                            1 => {
                                conn.tls.send_close_notify();
                                conn.send(b"")?;
                            }
                            _ => conn.stream.shutdown(Shutdown::Write)?,
                        }
                        said.ring();
                    }
                    conn.wait_close();
                    Ok(())
                });
                let client = client(certificates);
                for _ in 0..2 {
                    let request = client.post(server.url("/")).body("x");
                    let response = request.send().await.unwrap();
                    assert_eq!(response.text().await.unwrap(), "hello");
                    if client.pool_state().opened == 1 {
                        bell.ring();
                        echo.wait();
                        // It is on its way through the kernel.
                        thread::sleep(Duration::from_millis(10));
                    }
                }
                let state = client.pool_state();
                assert_eq!((state.opened, state.reused, state.died), (2, 0, 1));
            });
        }
    });
}

#[test]
fn a_connection_that_the_client_closes_ends_with_a_word() {
    each_version(|certificates, kind| {
        let (send, told) = std::sync::mpsc::channel();
        let send = Mutex::new(send);
        let server = TlsServer::new(certificates, &kind, move |conn| {
            conn.request()?;
            conn.send(ok("hello"))?;
            let _ = send.lock().unwrap().send(conn.wait_close());
            Ok(())
        });
        run_each(async || {
            let client = client(certificates);
            get(&client, server.url("/")).await;
            client.close_idle();
        });
        assert_eq!(told.iter().take(2).collect::<Vec<bool>>(), [true, true]);
    });
}
