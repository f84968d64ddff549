//! How connections are given to workers.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream as StdStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

use annulus::{
    Cores, Worker, Workers,
    future::race,
    net::{TcpListener, TcpStream},
    pin_to_core, spawn,
    sync::remote::oneshot,
    time,
    workers::{AcceptPolicy, SharedListener, WorkersBuilder},
};

use crate::{
    joined, on_each_driver, stop,
    support::{self, BOUND, echo},
    until, waiting, within_bound, worker,
};

/// Starts an echo on `count` workers, whose connections begin with the number of their worker.
fn echo_service(
    builder: WorkersBuilder,
    count: usize,
    policy: AcceptPolicy,
) -> (Workers<()>, Arc<SharedListener>, SocketAddr) {
    let shared = Arc::new(SharedListener::bind("127.0.0.1:0", policy).unwrap());
    let addr = shared.local_addr().unwrap();
    let ours = Arc::clone(&shared);
    let (tell, ready) = mpsc::channel();
    let workers = builder.count(count).start(async move |worker: Worker| {
        let listener = shared.listener(&worker)?;
        tell.send(()).unwrap();
        race(worker.stopping(), serve(listener, worker.index())).await;
        io::Result::Ok(())
    });
    for _ in 0..count {
        ready.recv_timeout(BOUND).unwrap();
    }
    (workers.unwrap(), ours, addr)
}

async fn serve(listener: TcpListener, index: usize) {
    loop {
        let (stream, _peer) = listener.accept().await.unwrap();
        spawn(greet_and_echo(stream, index));
    }
}

async fn greet_and_echo(stream: TcpStream, index: usize) {
    if stream.write_all(vec![index as u8]).await.is_ok() {
        echo(stream).await;
    }
}

/// Connects, and returns the number of the connection's worker.
fn greeted(addr: SocketAddr) -> (StdStream, usize) {
    let mut stream = StdStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let mut index = [0];
    stream.read_exact(&mut index).unwrap();
    (stream, index[0].into())
}

#[test]
fn each_worker_has_as_many_connections_as_the_others() {
    on_each_driver(|builder| {
        let (workers, shared, addr) = echo_service(builder, 8, AcceptPolicy::LeastConnections);
        let mut streams: Vec<_> = (0..64).map(|_| greeted(addr)).collect();
        assert_eq!(shared.connections(), [8; 8]);
        // Those that end make room on their worker, which has the next ones.
        streams.retain(|(_, index)| *index != 3);
        until(|| shared.connections()[3] == 0);
        for _ in 0..8 {
            let (stream, index) = greeted(addr);
            assert_eq!(index, 3);
            streams.push((stream, index));
        }
        for (stream, _) in &mut streams {
            stream.write_all(b"still here").unwrap();
            stream.read_exact(&mut [0; 10]).unwrap();
        }
        drop(streams);
        until(|| shared.connections() == [0; 8]);
        stop(workers);
    });
}

#[test]
fn the_programs_own_figure_decides() {
    on_each_driver(|builder| {
        let loads: Arc<[AtomicU64; 4]> = Arc::new([5, 3, 4, 3].map(AtomicU64::new));
        let figures = Arc::clone(&loads);
        let policy = AcceptPolicy::least_load(move |index| figures[index].load(Relaxed));
        let (workers, _shared, addr) = echo_service(builder, 4, policy);
        // Between the two with equal figures the connections decide.
        let streams: Vec<_> = (0..4).map(|_| greeted(addr)).collect();
        let mut indices: Vec<usize> = streams.iter().map(|(_, index)| *index).collect();
        indices.sort_unstable();
        assert_eq!(indices, [1, 1, 3, 3]);
        loads[2].store(0, Relaxed);
        assert!((0..3).all(|_| greeted(addr).1 == 2));
        stop(workers);
    });
}

#[test]
fn a_figure_that_panics_is_that_of_the_most_loaded() {
    on_each_driver(|builder| {
        let policy = AcceptPolicy::least_load(|index| match index {
            1 => 7,
            _ => std::panic::resume_unwind(Box::new("planned")),
        });
        let (workers, _shared, addr) = echo_service(builder, 3, policy);
        assert!((0..3).all(|_| greeted(addr).1 == 1));
        stop(workers);
    });
}

#[test]
fn another_worker_accepts_when_the_acceptor_has_ended() {
    on_each_driver(|builder| {
        let policy = AcceptPolicy::LeastConnections;
        let shared = Arc::new(SharedListener::bind("127.0.0.1:0", policy).unwrap());
        let addr = shared.local_addr().unwrap();
        let workers = waiting(builder.count(3));
        // Each serves until it is told to drop its listener; its connections go on.
        let ends: Vec<_> = (workers.iter())
            .map(|worker| {
                let (end, ended) = oneshot::channel::<()>();
                let (shared, here) = (Arc::clone(&shared), worker.clone());
                let serving = worker.spawn(async move || {
                    let listener = shared.listener(&here).unwrap();
                    race(ended, serve(listener, here.index())).await;
                });
                (end, serving)
            })
            .collect();
        let mut left: Vec<usize> = vec![0, 1, 2];
        for (end, serving) in ends {
            let mut streams: Vec<_> = (0..6).map(|_| greeted(addr)).collect();
            for (stream, index) in &mut streams {
                assert!(left.contains(index));
                stream.write_all(b"echo").unwrap();
                stream.read_exact(&mut [0; 4]).unwrap();
            }
            left.remove(0);
            drop(end);
            serving.join().unwrap();
        }
        stop(workers);
    });
}

#[test]
fn connections_that_no_worker_takes_wait_in_the_kernel() {
    on_each_driver(|builder| {
        let policy = AcceptPolicy::LeastConnections;
        let shared = Arc::new(SharedListener::bind("127.0.0.1:0", policy).unwrap());
        let addr = shared.local_addr().unwrap();
        let accepts = Arc::new(AtomicBool::new(false));
        let (ours, begin) = (Arc::clone(&shared), Arc::clone(&accepts));
        let workers = builder.count(2).start(async move |worker: Worker| {
            let listener = shared.listener(&worker)?;
            time::timeout(BOUND, support::until(|| accepts.load(Relaxed))).await?;
            race(worker.stopping(), serve(listener, worker.index())).await;
            io::Result::Ok(())
        });
        let workers = workers.unwrap();
        let mut streams: Vec<_> = (0..200)
            .map(|_| StdStream::connect(addr).unwrap())
            .collect();
        until(|| ours.connections() == [64, 64]);
        begin.store(true, Relaxed);
        for stream in &mut streams {
            stream.set_read_timeout(Some(BOUND)).unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
        assert_eq!(ours.connections().iter().sum::<usize>(), 200);
        stop(workers);
    });
}

#[test]
fn a_connection_that_leaves_its_worker_counts_no_more() {
    on_each_driver(|builder| {
        let workers = waiting(builder.count(2));
        let shared = SharedListener::bind("127.0.0.1:0", AcceptPolicy::LeastConnections).unwrap();
        let shared = Arc::new(shared);
        let first = worker(&workers, 0);
        let here = first.clone();
        let accepted = first.spawn(async move || {
            let listener = shared.listener(&here).unwrap();
            let client = TcpStream::connect(shared.local_addr().unwrap())
                .await
                .unwrap();
            let (stream, _peer) = listener.accept().await.unwrap();
            assert_eq!(shared.connections(), [1, 0]);
            let detached = stream.detach().await.unwrap();
            assert_eq!(shared.connections(), [0, 0]);
            drop((detached, client));
        });
        accepted.join().unwrap();
        stop(workers);
    });
}

#[test]
fn a_connection_goes_to_the_worker_of_its_processor() {
    let cores = Cores::All.list();
    on_each_driver(|builder| {
        // Two on each processor.
        let count = 2 * cores.len();
        let (workers, shared, addr) = echo_service(builder, count, AcceptPolicy::IncomingCpu);
        let core_of: Vec<usize> = workers.iter().map(|worker| worker.core()).collect();
        for &core in &cores {
            let arrived = within_bound(move || {
                pin_to_core(core).unwrap();
                (0..8).map(|_| greeted(addr)).collect::<Vec<_>>()
            });
            assert!(arrived.iter().all(|(_, index)| core_of[*index] == core));
        }
        assert!(shared.connections().is_empty());
        stop(workers);
    });
}

#[test]
fn a_listener_that_is_dropped_leaves_the_processors_to_the_others() {
    let cores = Cores::All.list();
    on_each_driver(|builder| {
        let policy = AcceptPolicy::IncomingCpu;
        let shared = Arc::new(SharedListener::bind("127.0.0.1:0", policy).unwrap());
        let addr = shared.local_addr().unwrap();
        // Two on each processor, which begin to listen in the order of their numbers.
        let workers = waiting(builder.count(2 * cores.len()));
        let core_of: Vec<usize> = workers.iter().map(|worker| worker.core()).collect();
        let begin = |worker: Worker| {
            let (end, ended) = oneshot::channel::<()>();
            let (tell, ready) = mpsc::channel();
            let (shared, here) = (Arc::clone(&shared), worker.clone());
            let serving = worker.spawn(async move || {
                let listener = shared.listener(&here).unwrap();
                tell.send(()).unwrap();
                race(ended, serve(listener, here.index())).await;
            });
            ready.recv_timeout(BOUND).unwrap();
            (end, serving)
        };
        let mut serving: Vec<_> = workers.iter().map(begin).collect();
        let match_now = || {
            for &core in &cores {
                let arrived = within_bound(move || {
                    pin_to_core(core).unwrap();
                    (0..16).map(|_| greeted(addr)).collect::<Vec<_>>()
                });
                assert!(arrived.iter().all(|(_, index)| core_of[*index] == core));
            }
        };
        match_now();
        let (end, first) = serving.remove(0);
        drop(end);
        first.join().unwrap();
        match_now();
        // It may come back.
        let _again = begin(worker(&workers, 0));
        match_now();
        stop(workers);
    });
}

#[test]
fn each_worker_may_have_a_socket_of_its_own() {
    on_each_driver(|builder| {
        let (workers, _shared, addr) = echo_service(builder, 4, AcceptPolicy::ReusePort);
        let clients: Vec<_> = (0..32).map(|_| greeted(addr)).collect();
        assert!(clients.iter().all(|(_, index)| *index < 4));
        // Nothing else can listen there.
        let error = SharedListener::bind(addr, AcceptPolicy::ReusePort).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        stop(workers);
    });
}

#[test]
fn a_part_of_a_listener_is_taken_once() {
    on_each_driver(|builder| {
        let shared = SharedListener::bind("127.0.0.1:0", AcceptPolicy::LeastConnections).unwrap();
        let workers = builder.count(2).start(async move |worker: Worker| {
            let first = shared.listener(&worker)?;
            let error = shared.listener(&worker).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            drop(first);
            shared.listener(&worker).map(drop)
        });
        joined::<()>(workers.unwrap()).unwrap();
    });
}

#[test]
fn a_socket_that_listens_cannot_be_dealt_by_processor() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let shared = SharedListener::from_std(socket, AcceptPolicy::IncomingCpu);
    assert_eq!(shared.unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn connections_under_load_are_all_handed_over() {
    let (clients, each) = match std::env::var_os("ANNULUS_REQUIRE_ALL") {
        Some(_) => (20, 500),
        None => (8, 50),
    };
    on_each_driver(|builder| {
        let (workers, _shared, addr) = echo_service(builder, 8, AcceptPolicy::LeastConnections);
        let served: Arc<[AtomicUsize; 8]> = Arc::default();
        thread::scope(|scope| {
            for _ in 0..clients {
                let served = Arc::clone(&served);
                scope.spawn(move || {
                    for _ in 0..each {
                        let (mut stream, index) = greeted(addr);
                        stream.write_all(b"hello").unwrap();
                        stream.read_exact(&mut [0; 5]).unwrap();
                        served[index].fetch_add(1, Relaxed);
                    }
                });
            }
        });
        let sum: usize = served.iter().map(|count| count.load(Relaxed)).sum();
        assert_eq!(sum, clients * each);
        // Those of equal load take turns.
        assert!(served.iter().all(|count| count.load(Relaxed) > 0));
        stop(workers);
    });
}
