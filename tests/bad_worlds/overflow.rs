//! Rings that are much too small.

use std::{rc::Rc, time::Duration};

use annulus::{
    DriverKind, Runtime,
    fs::OpenOptions,
    net::{TcpListener, TcpStream},
    spawn, stats,
    task::JoinSet,
    time,
};

use crate::{
    child::{child, descriptors},
    support::{echo, pair, recv_at_least},
};

fn tiny(entry_count: u32) -> Runtime {
    Runtime::builder()
        .ring_entries(entry_count)
        .receive_buffers(4)
        .build()
        .unwrap()
}

/// Runs a world on rings of several sizes, and looks at what it leaves.
fn on_tiny_rings<F: Future<Output = ()>>(name: &str, must_overflow: bool, world: fn(u32) -> F) {
    child(name, &[], move || {
        annulus::run(crate::child::everything_works());
        let before = descriptors();
        for entry_count in [1, 2, 8] {
            let runtime = tiny(entry_count);
            runtime.block_on(async {
                time::timeout(Duration::from_secs(60), world(entry_count))
                    .await
                    .unwrap();
                let driver = stats().driver;
                assert_eq!(driver.stale, 0);
                println!("{entry_count} entries: {} overflows", driver.overflows);
            });
            let stats = runtime.stats().driver;
            // With eight entries the kernel's timing decides.
            let is_bad_enough = must_overflow && entry_count < 8;
            if is_bad_enough && runtime.driver_kind() == DriverKind::Ring {
                assert!(stats.overflows > 0, "the world was not bad enough");
            }
            drop(runtime);
            assert_eq!(descriptors(), before);
        }
    });
}

#[test]
fn hundreds_of_writes_that_complete_at_once_are_all_told() {
    let name = "overflow::hundreds_of_writes_that_complete_at_once_are_all_told";
    on_tiny_rings(name, true, |entry_count| async move {
        let process = std::process::id();
        let path = std::env::temp_dir().join(format!("annulus-bad-worlds-{process}-{entry_count}"));
        let options = OpenOptions::new().read(true).write(true).create(true);
        let file = Rc::new(options.open(&path).await.unwrap());
        std::fs::remove_file(&path).unwrap();
        for _ in 0..3 {
            let mut writes = JoinSet::new();
            for number in 0..400_u64 {
                let file = Rc::clone(&file);
                writes.spawn(async move {
                    let block = number.to_le_bytes().to_vec();
                    let (count, _) = file.write_at(block, number * 8).await.unwrap();
                    assert_eq!(count, 8);
                    number
                });
            }
            let mut sum = 0;
            while let Some(number) = writes.join_next().await {
                sum += number.unwrap();
            }
            assert_eq!(sum, 399 * 400 / 2);
        }
        let (count, all) = file.read_at(Vec::with_capacity(4000), 0).await.unwrap();
        assert_eq!(count, 3200);
        for (number, block) in all.chunks(8).enumerate() {
            assert_eq!(block, (number as u64).to_le_bytes());
        }
    });
}

#[test]
fn hundreds_of_sockets_that_wake_at_once_lose_nothing() {
    let name = "overflow::hundreds_of_sockets_that_wake_at_once_lose_nothing";
    on_tiny_rings(name, false, |_| async {
        let mut pairs = Vec::new();
        let mut servers = JoinSet::new();
        for _ in 0..150 {
            let (near, far) = pair().await;
            servers.spawn(echo(far));
            pairs.push(near);
        }
        for round in 0..5_u8 {
            // One thread asks all before it looks at the answers.
            for (number, near) in pairs.iter().enumerate() {
                let len = 50 + number;
                near.write_all(vec![round ^ number as u8; len])
                    .await
                    .unwrap();
            }
            for (number, near) in pairs.iter().enumerate() {
                let len = 50 + number;
                let answer = recv_at_least(near, len).await;
                assert!(answer == vec![round ^ number as u8; len], "socket {number}");
            }
        }
        drop(pairs);
        while let Some(done) = servers.join_next().await {
            done.unwrap();
        }
    });
}

#[test]
fn a_flood_of_connections_loses_none() {
    let name = "overflow::a_flood_of_connections_loses_none";
    on_tiny_rings(name, false, |_| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let clients = annulus::blocking::run(move || {
            let connect = |_| std::net::TcpStream::connect(addr).unwrap();
            (0..200).map(connect).collect::<Vec<_>>()
        });
        let clients = spawn(clients);
        for _ in 0..200 {
            listener.accept().await.unwrap();
        }
        assert_eq!(clients.await.unwrap().len(), 200);
    });
}

#[test]
fn operations_that_are_dropped_in_hundreds_leave_nothing() {
    let name = "overflow::operations_that_are_dropped_in_hundreds_leave_nothing";
    on_tiny_rings(name, false, |_| async {
        let (near, far) = pair().await;
        let near = Rc::new(near);
        for round in 0..5_u8 {
            let mut waiters = JoinSet::new();
            for _ in 0..200 {
                let near: Rc<TcpStream> = Rc::clone(&near);
                waiters.spawn(async move { near.closed().await });
            }
            annulus::task::yield_now().await;
            annulus::task::yield_now().await;
            waiters.abort_all();
            while let Some(done) = waiters.join_next().await {
                assert!(done.unwrap_err().is_cancelled());
            }
            far.write_all(vec![round; 2000]).await.unwrap();
            assert_eq!(recv_at_least(&near, 2000).await, [round; 2000]);
        }
        while stats().driver.in_flight > 3 {
            time::sleep(Duration::from_millis(1)).await;
        }
    });
}
