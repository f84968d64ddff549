//! Signals in the middle of everything.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use annulus::{DriverKind, Runtime, blocking, fs::OpenOptions, net::TcpStream, spawn, stats, time};

use crate::{
    child::{child, descriptors},
    support::{echo, pair, recv_at_least},
};

static SIGNALS: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_signal: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// A signal to this thread every millisecond, whose handler interrupts system calls.
fn start_storm() {
    // SAFETY: all zeros are an action without flags, so without `SA_RESTART`.
    let mut action = unsafe { std::mem::zeroed::<libc::sigaction>() };
    action.sa_sigaction = count as extern "C" fn(i32) as usize;
    // SAFETY: the action lives through the call; its handler does what a handler may.
    let set = unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
    // SAFETY: all zeros are an event, and what matters of it is set below.
    let mut event = unsafe { std::mem::zeroed::<libc::sigevent>() };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = libc::SIGALRM;
    // SAFETY: the call takes no address.
    event.sigev_notify_thread_id = unsafe { libc::gettid() };
    let mut timer: libc::timer_t = std::ptr::null_mut();
    let clock = libc::CLOCK_MONOTONIC;
    // SAFETY: the event and the place for the timer live through the call.
    let made = unsafe { libc::timer_create(clock, &raw mut event, &raw mut timer) };
    assert_eq!(made, 0, "{}", io::Error::last_os_error());
    let each = libc::timespec {
        tv_sec: 0,
        tv_nsec: 1_000_000,
    };
    let times = libc::itimerspec {
        it_interval: each,
        it_value: each,
    };
    // SAFETY: the timer was just made, and the times live through the call.
    let set = unsafe { libc::timer_settime(timer, 0, &raw const times, std::ptr::null_mut()) };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}

async fn work() {
    let (near, far) = pair().await;
    let server = spawn(echo(far));
    for round in 0..2000_u32 {
        let len = 1 + (round as usize * 37) % 5000;
        near.write_all(vec![round as u8; len]).await.unwrap();
        assert_eq!(recv_at_least(&near, len).await, vec![round as u8; len]);
    }
    let big = annulus::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap();
    let addr = big.local_addr().unwrap();
    let writer = spawn(async move {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(vec![5; 8 << 20]).await.unwrap();
    });
    let (stream, _) = big.accept().await.unwrap();
    assert_eq!(recv_at_least(&stream, 8 << 20).await.len(), 8 << 20);
    writer.await.unwrap();
    let path = std::env::temp_dir().join(format!("annulus-interrupted-{}", std::process::id()));
    let options = OpenOptions::new().read(true).write(true).create(true);
    let file = options.open(&path).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    for round in 0..50_u64 {
        file.write_all_at(vec![3; 100_000], round * 100_000)
            .await
            .unwrap();
    }
    file.sync_all().await.unwrap();
    let (count, _) = file
        .read_at(Vec::with_capacity(5_000_000), 0)
        .await
        .unwrap();
    assert_eq!(count, 5_000_000);
    file.close().await.unwrap();
    for _ in 0..20 {
        let start = std::time::Instant::now();
        time::sleep(Duration::from_millis(5)).await;
        assert!(start.elapsed() >= Duration::from_millis(5), "too early");
        assert_eq!(blocking::run(|| 4).await, 4);
    }
    drop(near);
    server.await.unwrap();
}

fn a_storm_on(name: &str, driver: DriverKind) {
    child(name, &[], move || {
        annulus::run(crate::child::everything_works());
        let before = descriptors();
        start_storm();
        let runtime = Runtime::builder().driver(driver).build().unwrap();
        runtime.block_on(work());
        // An idle thread wakes for each signal, and for nothing else.
        runtime.block_on(async {
            let (near, _far) = pair().await;
            let start = (stats().driver.enters, SIGNALS.load(Ordering::Relaxed));
            let silent = time::timeout(Duration::from_millis(100), near.recv()).await;
            assert!(silent.is_err());
            let enters = stats().driver.enters - start.0;
            let signals = SIGNALS.load(Ordering::Relaxed) - start.1;
            assert!(
                enters <= 2 * signals + 20,
                "{enters} enters for {signals} signals"
            );
        });
        drop(runtime);
        let signals = SIGNALS.load(Ordering::Relaxed);
        assert!(signals > 50, "the storm was none: {signals} signals");
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_storm_of_signals_interrupts_nothing() {
    let name = "interrupted::a_storm_of_signals_interrupts_nothing";
    a_storm_on(name, DriverKind::Auto);
}

#[test]
fn a_storm_of_signals_interrupts_nothing_on_epoll() {
    let name = "interrupted::a_storm_of_signals_interrupts_nothing_on_epoll";
    a_storm_on(name, DriverKind::Poll);
}

/// The manager reads so late that the messages wait for it, in calls that signals end.
#[test]
fn a_message_to_a_service_manager_waits_through_signals() {
    const MESSAGES: usize = 40;
    let name = "interrupted::a_message_to_a_service_manager_waits_through_signals";
    let address = format!("@annulus-late-manager-{}", std::process::id());
    child(name, &[("NOTIFY_SOCKET", &address)], || {
        let address = std::env::var("NOTIFY_SOCKET").unwrap();
        let address = SocketAddr::from_abstract_name(&address[1..]).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let reading = thread::spawn(move || {
            for _ in 0..MESSAGES {
                let signals = SIGNALS.load(Ordering::Relaxed);
                while SIGNALS.load(Ordering::Relaxed) < signals + 2 {
                    thread::sleep(Duration::from_millis(1));
                }
                assert_eq!(manager.recv(&mut [0; 16]).unwrap(), 7);
            }
        });
        start_storm();
        for _ in 0..MESSAGES {
            assert!(annulus::systemd::notify("READY=1").unwrap());
        }
        reading.join().unwrap();
    });
}
