//! Few receive buffers, and many who want them.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream as StdStream,
    rc::Rc,
    time::Duration,
};

use annulus::{
    net::{TcpListener, TcpStream},
    spawn,
    time::sleep,
};

use super::{
    census::{Census, alone, has_all_buffers, receive, runtime, soon, std_pair},
    moment::{impatient, turns},
};
use crate::support::echo;

/// A client that reads all answers to what it sends has them.
async fn an_honest_client_is_served() {
    let (ours, mut std) = std_pair();
    let server = spawn(echo(ours));
    let client = annulus::blocking::run(move || {
        for number in 0..200_u8 {
            std.write_all(&[number; 5000]).unwrap();
            let mut answer = [0; 5000];
            std.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [number; 5000]);
        }
    });
    soon("the honest client", client).await;
    soon("the honest client's server", server).await.unwrap();
}

#[test]
fn clients_whose_buffers_are_held_do_not_stop_the_others() {
    alone(|| {
        runtime(2).block_on(async {
            let census = Census::take();
            let mut holders = Vec::new();
            let mut clients = Vec::new();
            for _ in 0..50 {
                let (ours, mut std) = std_pair();
                std.write_all(&[1; 3000]).unwrap();
                clients.push(std);
                holders.push(spawn(async move {
                    let held = ours.recv().await.unwrap();
                    std::future::pending::<()>().await;
                    drop((held, ours));
                }));
            }
            turns(20).await;
            an_honest_client_is_served().await;
            holders.iter().for_each(|holder| holder.abort());
            drop(clients);
            census.settled("fifty holders").await;
            has_all_buffers(2).await;
        });
    });
}

#[test]
fn sockets_without_a_reader_do_not_stop_the_others() {
    alone(|| {
        runtime(2).block_on(async {
            let census = Census::take();
            let mut idle = Vec::new();
            for _ in 0..50 {
                let (ours, mut std) = std_pair();
                // The kernel receives for it, and no task comes back to take the bytes.
                assert!(impatient(ours.recv(), 1).await.is_none());
                turns(2).await;
                std.write_all(&[1; 3000]).unwrap();
                idle.push((ours, std));
            }
            turns(20).await;
            an_honest_client_is_served().await;
            for (ours, _) in &idle {
                assert_eq!(receive(ours, 3000).await, [1; 3000]);
            }
            drop(idle);
            census.settled("fifty idle sockets").await;
            has_all_buffers(2).await;
        });
    });
}

#[test]
fn a_stream_dropped_with_bytes_inside_gives_its_buffers_back() {
    alone(|| {
        runtime(16).block_on(async {
            let census = Census::take();
            for round in 0..20 {
                let (ours, mut std) = std_pair();
                assert!(impatient(ours.recv(), 1).await.is_none());
                turns(2).await;
                for _ in 0..3 {
                    std.write_all(&[1; 100]).unwrap();
                    turns(round % 4).await;
                }
                if round % 3 == 0 {
                    let peek = ours.peek(Vec::with_capacity(1)).await;
                    peek.unwrap();
                }
                drop(ours);
                // The peer is still there.
                census
                    .and_descriptors(1)
                    .settled("a stream with bytes")
                    .await;
                drop(std);
            }
            has_all_buffers(16).await;
        });
    });
}

/// Sends on what comes, from one stream to the other, to its end.
async fn forward(from: Rc<TcpStream>, to: Rc<TcpStream>) {
    loop {
        let bytes = from.recv().await.unwrap();
        if bytes.is_empty() {
            to.shutdown(std::net::Shutdown::Write).await.unwrap();
            return;
        }
        to.write_all(bytes).await.unwrap();
    }
}

#[test]
fn a_proxy_with_two_buffers_moves_everything_both_ways() {
    const BYTES: usize = 10 << 20;
    const CONNECTIONS: usize = 4;
    alone(|| {
        runtime(2).block_on(async {
            let census = Census::take();
            let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let proxy_addr = proxy.local_addr().unwrap();
            let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let upstream_addr = upstream.local_addr().unwrap();
            // The upstream sends its part while it reads, as the client does.
            let server = annulus::blocking::run(move || {
                let streams = (0..CONNECTIONS).map(|_| upstream.accept().unwrap().0);
                exchange(streams.collect(), 1, 2, BYTES / CONNECTIONS);
            });
            let server = spawn(server);
            let clients = annulus::blocking::run(move || {
                let streams = (0..CONNECTIONS).map(|_| StdStream::connect(proxy_addr).unwrap());
                exchange(streams.collect(), 2, 1, BYTES / CONNECTIONS);
            });
            let clients = spawn(clients);
            let mut directions = Vec::new();
            for _ in 0..CONNECTIONS {
                let (client, _) = proxy.accept().await.unwrap();
                let upstream = TcpStream::connect(upstream_addr).await.unwrap();
                let (client, upstream) = (Rc::new(client), Rc::new(upstream));
                directions.push(spawn(forward(client.clone(), upstream.clone())));
                directions.push(spawn(forward(upstream, client)));
            }
            for direction in directions {
                soon("the proxy stands still", direction).await.unwrap();
            }
            soon("the clients", clients).await.unwrap();
            soon("the server", server).await.unwrap();
            drop(proxy);
            census.settled("a proxy").await;
            has_all_buffers(2).await;
        });
    });
}

/// Sends `count` bytes on each stream and expects as many.
fn exchange(streams: Vec<StdStream>, send: u8, expect: u8, count: usize) {
    let threads: Vec<_> = streams
        .into_iter()
        .map(|stream| {
            std::thread::spawn(move || {
                let mut reader = stream.try_clone().unwrap();
                let writer = std::thread::spawn(move || {
                    let mut stream = stream;
                    stream.write_all(&vec![send; count]).unwrap();
                    stream.shutdown(std::net::Shutdown::Write).unwrap();
                });
                let mut bytes = Vec::new();
                reader.read_to_end(&mut bytes).unwrap();
                assert!(bytes == vec![expect; count]);
                writer.join().unwrap();
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
}

#[test]
fn a_peer_is_held_back_by_a_socket_without_a_reader() {
    alone(|| {
        runtime(16).block_on(async {
            let (ours, std) = std_pair();
            std.set_nonblocking(true).unwrap();
            assert!(impatient(ours.recv(), 1).await.is_none());
            let mut sent = 0;
            let mut full = 0;
            // When it is full for long, the peer's buffers are, and ours take no more.
            while full < 50 {
                match (&std).write(&[3; 65536]) {
                    Ok(count) => (sent, full) = (sent + count, 0),
                    Err(_) => full += 1,
                }
                sleep(Duration::from_micros(500)).await;
                assert!(sent < 200 << 20, "nothing holds it back");
            }
            let bytes = receive(&ours, sent).await;
            assert!(bytes == vec![3; sent]);
            drop((ours, std));
            turns(5).await;
            has_all_buffers(16).await;
        });
    });
}
