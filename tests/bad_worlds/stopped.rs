//! A process that is stopped and continued, and gets bursts of signals.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc as std_mpsc,
    },
    thread,
};

use annulus::{
    DriverKind,
    future::{Either, race},
    signal::{self, SignalKind},
    sync::remote::oneshot,
};

use crate::{
    child::child,
    support::random::Random,
    wakes::{Lane, Moments, WAYS, Way, duration, run_lanes},
};

/// Stops and continues the process of number `$1`, and sends it bursts of a signal, `$2` times.
const SIGNALS: &str = "
    count=0
    while [ $count -lt $2 ]; do
        kill -STOP $1; sleep 0.01; kill -CONT $1
        for burst in 1 2 3 4 5 6 7 8; do kill -USR1 $1; done
        kill -STOP $1; kill -USR1 $1; kill -CONT $1
        sleep 0.01
        count=$((count + 1))
    done";

/// A task hears a signal of each burst that its own process sends.
fn bursts_of_signals(lane: Lane) {
    let is_awaited = Arc::new(AtomicBool::new(false));
    let (tell, told) = std_mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let (other, awaited) = (lane.clone(), Arc::clone(&is_awaited));
    let listening = thread::spawn(move || {
        other.runtime().block_on(async {
            let mut signals = signal::stream(SignalKind::user1()).unwrap();
            tell.send(()).unwrap();
            let mut stopped = stopped;
            while let Either::Left(heard) = race(signals.recv(), &mut stopped).await {
                heard.unwrap();
                if awaited.swap(false, Ordering::AcqRel) {
                    tell.send(()).unwrap();
                }
            }
        });
    });
    told.recv().unwrap();
    let process = std::process::id() as i32;
    let mut random = Random::new(15);
    let mut moments = Moments::new(16);
    loop {
        moments.wait();
        is_awaited.store(true, Ordering::Release);
        for _ in 0..random.len(64) {
            // SAFETY: the call takes no address.
            assert_eq!(unsafe { libc::kill(process, libc::SIGUSR1) }, 0);
        }
        told.recv().unwrap();
        if !lane.goes_on() {
            break;
        }
    }
    stop.send(()).unwrap();
    listening.join().unwrap();
}

/// The lanes and the bursts, while another process stops and continues this one.
fn stopped_and_continued() {
    // So that the first burst from there finds a handler.
    let _signals = signal::stream(SignalKind::user1()).unwrap();
    let process = std::process::id().to_string();
    let repetitions = (duration().as_secs_f64().min(60.0) * 5.0)
        .ceil()
        .to_string();
    let mut sending = Command::new("sh")
        .args(["-c", SIGNALS, "sh", &process, &repetitions])
        .spawn()
        .unwrap();
    let bursts: Way = ("burst of signals", bursts_of_signals);
    let ways = WAYS.into_iter().chain([bursts]);
    run_lanes(DriverKind::Auto, ways, || {
        sending.try_wait().unwrap().is_some()
    });
    assert!(sending.wait().unwrap().success());
}

#[test]
fn a_process_that_is_stopped_and_continued_loses_nothing() {
    const NAME: &str = "stopped::a_process_that_is_stopped_and_continued_loses_nothing";
    for driver in ["ring", "poll"] {
        let written = child(NAME, &[("ANNULUS_DRIVER", driver)], stopped_and_continued);
        print!("{}", written.out);
    }
}
