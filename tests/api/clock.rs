//! Timers, and a stopped clock beside real sockets.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use annulus::{spawn, task::JoinSet, time};

use crate::support::{listen, pair, recv_exact, run, settle};

#[test]
fn a_timer_never_fires_early() {
    run(async {
        for millis in [0, 1, 3, 7] {
            let start = Instant::now();
            time::sleep(Duration::from_millis(millis)).await;
            assert!(start.elapsed() >= Duration::from_millis(millis));
        }
    });
}

#[test]
fn timers_fire_in_their_order() {
    run(async {
        let mut tasks = Vec::new();
        let (sender, mut receiver) = annulus::sync::mpsc::unbounded();
        for millis in [9_u64, 3, 6, 1, 12] {
            let sender = sender.clone();
            tasks.push(spawn(async move {
                time::sleep(Duration::from_millis(millis)).await;
                sender.try_send(millis).unwrap();
            }));
        }
        drop(sender);
        let mut order = Vec::new();
        while let Some(millis) = receiver.recv().await {
            order.push(millis);
        }
        assert_eq!(order, [1, 3, 6, 9, 12]);
    });
}

#[test]
fn a_timeout_around_real_io_loses_nothing() {
    run(async {
        let (near, far) = pair().await;
        for round in 0..10_u8 {
            let late = time::timeout(Duration::from_millis(1), near.recv()).await;
            assert!(late.is_err());
            far.write_all(vec![round; 4]).await.unwrap();
            let bytes = time::timeout(Duration::from_secs(60), recv_exact(&near, 4)).await;
            assert_eq!(bytes.unwrap(), [round; 4]);
        }
    });
}

#[test]
fn a_stopped_clock_does_not_stop_sockets() {
    annulus::run(async {
        let (near, far) = pair().await;
        time::pause();
        let start = time::now();
        near.write_all("while stopped").await.unwrap();
        assert_eq!(recv_exact(&far, 13).await, b"while stopped");
        assert_eq!(time::now(), start);
        // Nothing else can go on, so the clock jumps over the hour.
        time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(time::now() - start, Duration::from_secs(3600));
        let silent = time::timeout(Duration::from_secs(60), near.recv()).await;
        assert!(silent.is_err());
        assert_eq!(time::now() - start, Duration::from_secs(3660));
        far.write_all("late").await.unwrap();
        time::resume();
        assert_eq!(recv_exact(&near, 4).await, b"late");
    });
}

#[test]
fn an_advanced_clock_fires_what_is_due_beside_io() {
    annulus::run(async {
        time::pause();
        let ticks = spawn(async {
            let mut interval = time::interval(Duration::from_secs(1));
            let mut count = 0;
            let end = time::now() + Duration::from_millis(10_500);
            while interval.tick().await < end {
                count += 1;
                if count == 10 {
                    break;
                }
            }
            count
        });
        time::advance(Duration::from_secs(20)).await;
        assert_eq!(ticks.await.unwrap(), 10);
        time::resume();
        settle().await;
    });
}

#[test]
fn a_long_sleep_keeps_no_connection_from_working() {
    run(async {
        let sleeper = spawn(time::sleep(Duration::from_secs(10_000)));
        let (near, far) = pair().await;
        let timers: Vec<_> = (0..1000)
            .map(|n| spawn(time::sleep(Duration::from_secs(100 + n))))
            .collect();
        for round in 0..100_u8 {
            near.write_all(vec![round]).await.unwrap();
            assert_eq!(recv_exact(&far, 1).await, [round]);
        }
        for timer in timers {
            timer.abort();
        }
        sleeper.abort();
        assert!(sleeper.await.is_err());
    });
}

#[test]
fn deadlines_and_instants_agree_to_the_nanosecond() {
    run(async {
        let hour = Duration::from_secs(3600);
        for _ in 0..1000 {
            let before = Instant::now();
            let deadline = time::sleep(hour).deadline();
            assert!((before..=Instant::now()).contains(&(deadline - hour)));
        }
    });
}

#[test]
fn what_came_while_a_task_blocked_the_thread_is_in_time() {
    // More than there are receive buffers, and than epoll tells of at once.
    const COUNT: usize = 300;
    run(async {
        let (listener, addr) = listen().await;
        let mut pairs = Vec::new();
        for _ in 0..COUNT {
            let peer = std::net::TcpStream::connect(addr).unwrap();
            pairs.push((listener.accept().await.unwrap().0, peer));
        }
        let deadline = time::now() + Duration::from_secs(1);
        let mut tasks = JoinSet::new();
        let mut peers = Vec::new();
        for (stream, peer) in pairs {
            peers.push(peer);
            tasks.spawn(async move { time::timeout_at(deadline, stream.recv()).await });
        }
        settle().await;
        for peer in &mut peers {
            peer.write_all(b"in time").unwrap();
        }
        let away = deadline.saturating_duration_since(time::now()) + Duration::from_millis(100);
        std::thread::sleep(away);
        while let Some(received) = tasks.join_next().await {
            let bytes = received.unwrap().expect("the bytes came in time").unwrap();
            assert_eq!(&*bytes, b"in time");
        }
    });
}

#[test]
fn a_timeout_that_is_over_at_its_first_poll_takes_what_the_kernel_has() {
    run(async {
        let (listener, addr) = listen().await;
        for millis in [0, 2] {
            let mut peer = std::net::TcpStream::connect(addr).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let duration = Duration::from_millis(millis);
            let nothing = time::timeout(duration, stream.recv());
            std::thread::sleep(2 * duration);
            nothing.await.expect_err("nothing was sent");
            peer.write_all(b"in time").unwrap();
            let late = time::timeout(duration, stream.recv());
            std::thread::sleep(2 * duration);
            let bytes = late.await.expect("the bytes are there").unwrap();
            assert_eq!(&*bytes, b"in time");
            let late = time::timeout(duration, listener.accept());
            let peer = std::net::TcpStream::connect(addr).unwrap();
            std::thread::sleep(2 * duration);
            let (_, addr) = late.await.expect("the connection is there").unwrap();
            assert_eq!(addr, peer.local_addr().unwrap());
        }
    });
}
