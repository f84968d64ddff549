//! The counters.

use std::time::Duration;

use annulus::{DriverKind, Runtime, stats, time};

use crate::support::{guarded, pair, poll_once, recv_exact, run, settle_by};

#[test]
fn the_counters_grow_with_the_work() {
    let runtime = Runtime::new().unwrap();
    let before = runtime.stats();
    assert_eq!(before.driver.in_flight, 0);
    assert_eq!(before.tasks.spawned, 0);
    runtime.block_on(guarded(async {
        let (near, far) = pair().await;
        for _ in 0..100 {
            near.write_all("ping").await.unwrap();
            recv_exact(&far, 4).await;
        }
        annulus::spawn(async {}).await.unwrap();
        let inside = stats();
        assert!(inside.driver.enters > 0 && inside.driver.completions > 0);
        assert_eq!(inside.tasks.completed, 1);
    }));
    let after = runtime.stats();
    assert!(after.driver.enters > before.driver.enters);
    assert!(after.driver.completions > before.driver.completions);
    assert!(after.driver.attempts > 0, "small sends are plain calls");
    assert_eq!(after.driver.stale, 0);
    assert_eq!(after.tasks.spawned, 1);
    assert_eq!(after.buffers_exhausted, 0);
    if runtime.driver_kind() == DriverKind::Ring {
        assert!(after.driver.entries > 0);
        assert_eq!(after.driver.overflows, 0);
    }
}

#[test]
fn an_abandoned_operation_is_counted_and_its_slot_comes_back() {
    run(async {
        let (near, _far) = pair().await;
        let (ping, pong) = pair().await;
        settle_by(&ping, &pong).await;
        let before = stats().driver;
        for _ in 0..10 {
            let mut closed = Box::pin(near.closed());
            assert!(poll_once(&mut closed).await.is_pending());
            settle_by(&ping, &pong).await;
        }
        settle_by(&ping, &pong).await;
        let after = stats().driver;
        let abandoned = after.abandoned - before.abandoned;
        if Runtime::new().unwrap().driver_kind() == DriverKind::Ring {
            assert_eq!(abandoned, 10);
        }
        // Where receives are waited for by readiness, one of the two is under way or not.
        assert!(after.in_flight <= before.in_flight + 1);
    });
}

#[test]
fn idle_connections_cost_no_visits_to_the_kernel() {
    for driver in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(driver).build().unwrap();
        runtime.block_on(guarded(async {
            let mut pairs = Vec::new();
            for _ in 0..50 {
                let (near, far) = pair().await;
                {
                    let mut recv = Box::pin(near.recv());
                    assert!(poll_once(&mut recv).await.is_pending());
                }
                pairs.push((near, far));
            }
            // What was closed above, the listeners among it, comes to its end in turns of its own,
            // on a slow machine one by one. Then it is quiet; a thread that spins is in no period.
            let mut enters = Vec::new();
            while enters.last().is_none_or(|&enters| enters > 5) {
                assert!(
                    enters.len() < 20,
                    "a thread that sleeps is woken by nothing: {enters:?}"
                );
                let before = stats().driver.enters;
                time::sleep(Duration::from_millis(50)).await;
                enters.push(stats().driver.enters - before);
            }
        }));
    }
}

#[test]
fn one_round_trip_costs_few_enters() {
    run(async {
        let (near, far) = pair().await;
        let echo = annulus::spawn(async move {
            while let Ok(bytes) = far.recv().await {
                if bytes.is_empty() {
                    break;
                }
                far.write_all(bytes).await.unwrap();
            }
        });
        near.write_all("warm").await.unwrap();
        recv_exact(&near, 4).await;
        let before = stats().driver;
        for _ in 0..1000 {
            near.write_all("ping").await.unwrap();
            recv_exact(&near, 4).await;
        }
        let after = stats().driver;
        let enters = after.enters - before.enters;
        assert!(enters <= 6000, "{enters} enters for 1000 round trips");
        drop(near);
        echo.await.unwrap();
    });
}
