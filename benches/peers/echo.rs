//! What does an echoed message of 64 bytes cost, beside the other runtimes?
//!
//! ```text
//! cargo bench --manifest-path benches/peers/Cargo.toml --bench echo
//! ```
//!
//! How it is measured is told in `benches/echo.rs`, which needs tokio and epoll only.

#[path = "../shared/clock.rs"]
mod clock;
#[path = "../comparison/mod.rs"]
mod comparison;
#[path = "../shared/cores.rs"]
mod cores;
#[path = "../shared/epoll.rs"]
mod epoll;
#[path = "../shared/rounds.rs"]
mod rounds;
#[path = "../shared/echo.rs"]
mod work;

use std::{net::TcpListener, time::Duration};

use criterion::Criterion;

use rounds::Rounds;
use work::{Serve, compare, has_ring, serve_on_poll, serve_on_ring, serve_on_tokio};

fn main() {
    let mut servers: Vec<(&str, Serve)> = Vec::new();
    if has_ring() {
        servers.push(("annulus, ring", serve_on_ring));
        servers.push(("monoio", serve_on_monoio));
        servers.push(("compio", serve_on_compio));
    }
    servers.push(("annulus, poll", serve_on_poll));
    servers.push(("tokio", serve_on_tokio));
    servers.push(("bare epoll", epoll::serve));
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let mut rounds = Rounds::new();
    compare(&mut rounds, &mut criterion, &servers);
    criterion.final_summary();
    rounds.finish("echo_peers");
}

/// monoio on its ring driver.
fn serve_on_monoio(listener: TcpListener, connection_count: usize) {
    use monoio::io::{AsyncReadRent, AsyncWriteRentExt};

    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
        .build()
        .expect("monoio starts");
    runtime.block_on(async {
        let listener = monoio::net::TcpListener::from_std(listener).expect("it is a socket");
        let mut tasks = Vec::new();
        for _ in 0..connection_count {
            let (mut stream, _) = listener.accept().await.expect("a connection comes");
            stream.set_nodelay(true).expect("it is a TCP socket");
            tasks.push(monoio::spawn(async move {
                let mut buf: Vec<u8> = Vec::with_capacity(4096);
                loop {
                    let (count, filled) = stream.read(buf).await;
                    if !matches!(count, Ok(1..)) {
                        return;
                    }
                    let (written, sent) = stream.write_all(filled).await;
                    if written.is_err() {
                        return;
                    }
                    buf = sent;
                    buf.clear();
                }
            }));
        }
        for task in tasks {
            task.await;
        }
    });
}

/// compio on its ring driver.
fn serve_on_compio(listener: TcpListener, connection_count: usize) {
    use compio::{
        BufResult,
        io::{AsyncRead, AsyncWriteExt},
    };

    let runtime = compio::runtime::Runtime::new().expect("compio starts");
    runtime.block_on(async {
        let listener = compio::net::TcpListener::from_std(listener).expect("it is a socket");
        let mut tasks = Vec::new();
        for _ in 0..connection_count {
            let (mut stream, _) = listener.accept().await.expect("a connection comes");
            stream.set_nodelay(true).expect("it is a TCP socket");
            tasks.push(compio::runtime::spawn(async move {
                let mut buf: Vec<u8> = Vec::with_capacity(4096);
                loop {
                    let BufResult(count, filled) = stream.read(buf).await;
                    if !matches!(count, Ok(1..)) {
                        return;
                    }
                    let BufResult(written, sent) = stream.write_all(filled).await;
                    if written.is_err() {
                        return;
                    }
                    buf = sent;
                    buf.clear();
                }
            }));
        }
        for task in tasks {
            task.await.expect("no task panics");
        }
    });
}
