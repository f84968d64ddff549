//! Connections that move between workers while bytes are under way.

use std::{
    future::Future,
    io,
    net::{Shutdown, SocketAddr},
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
};

use annulus::{
    Worker,
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
    workers::WorkersBuilder,
};

use crate::{
    on_each_driver, stop,
    support::{Folder, guarded, is_pattern, pattern, poll_once, random::Random},
    waiting, worker,
};

const WORKERS: usize = 4;
/// Connections that are open at a time.
const OPEN_MAX: usize = 128;
const LEN_MAX: usize = 40_000;

/// The connections of a test: all 10,000 with `ANNULUS_REQUIRE_ALL=1`.
fn connections() -> usize {
    match std::env::var_os("ANNULUS_REQUIRE_ALL") {
        Some(_) => 10_000,
        None => 500,
    }
}

/// Starts a part of a service on another worker. A future may do so for itself there, and its type
/// would contain itself without the box.
type Served = Pin<Box<dyn Future<Output = ()>>>;

/// Makes the functions of a service that echoes, and moves each connection at random.
macro_rules! service {
    ($serve:ident, $client:ident, $Stream:ty) => {
        /// Echoes some pieces, and then moves the connection to any worker, this one included, in
        /// the middle of a receive and of a write.
        fn $serve(stream: $Stream, mut random: Random, moves: Arc<AtomicUsize>) -> Served {
            Box::pin(async move {
                for _ in 0..random.below(4) {
                    let bytes = stream.recv().await.unwrap();
                    if bytes.is_empty() {
                        return;
                    }
                    stream.write_all(bytes).await.unwrap();
                }
                // A receive that is left in flight, and what it brings.
                let polled = poll_once(&mut pin!(stream.recv())).await;
                if let Poll::Ready(bytes) = polled {
                    let bytes = bytes.unwrap();
                    if bytes.is_empty() {
                        return;
                    }
                    // A write whose future is dropped when it has begun is sent whole.
                    let mut write = Box::pin(stream.write_all(bytes));
                    let _ = poll_once(&mut write).await;
                }
                let detached = stream.detach().await.unwrap();
                moves.fetch_add(1, Relaxed);
                let workers = Worker::current().unwrap().workers();
                let next = workers.worker(random.below(WORKERS)).unwrap();
                drop(next.spawn(move || $serve(detached.attach().unwrap(), random, moves)));
            })
        }

        /// Sends a pattern in pieces and receives its echo at the same time.
        async fn $client(stream: $Stream, mut random: Random) {
            let len = 1 + random.len(LEN_MAX);
            let all = pattern(len);
            let send = async {
                let mut rest = &all[..];
                while !rest.is_empty() {
                    let count = random.len(2000).min(rest.len());
                    stream.write_all(rest[..count].to_vec()).await.unwrap();
                    rest = &rest[count..];
                }
                stream.shutdown(Shutdown::Write).await.unwrap();
            };
            let receive = async {
                let mut total = 0;
                loop {
                    let bytes = stream.recv().await.unwrap();
                    if bytes.is_empty() {
                        return total;
                    }
                    assert!(is_pattern(&bytes, total), "wrong bytes after {total}");
                    total += bytes.len();
                }
            };
            let ((), total) = annulus::future::join(send, receive).await;
            assert_eq!(total, len);
        }
    };
}

service!(serve_tcp, tcp_client, TcpStream);
service!(serve_unix, unix_client, UnixStream);

/// Starts workers of which the first accepts what `listen` opens, and lets `count` clients talk to
/// them. Returns how often connections moved.
fn handed_over<A: Send + 'static>(
    builder: WorkersBuilder,
    count: usize,
    listen: impl AsyncFnOnce(Arc<AtomicUsize>) -> A + Send + 'static,
    client: impl AsyncFn(&A, Random) + 'static,
) -> usize {
    let workers = waiting(builder.count(WORKERS));
    let moves = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&moves);
    let listening = worker(&workers, 0).spawn(async move || listen(counted).await);
    let addr = listening.join().unwrap();
    annulus::run(guarded(async {
        let open = Rc::new(Semaphore::new(OPEN_MAX));
        let (client, addr) = (Rc::new(client), Rc::new(addr));
        let mut clients = JoinSet::new();
        for seed in 0..count {
            let (open, client, addr) = (Rc::clone(&open), Rc::clone(&client), Rc::clone(&addr));
            clients.spawn(async move {
                let _permit = open.acquire().await;
                client(&addr, Random::new(seed as u64)).await;
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
    }));
    stop(workers);
    moves.load(Relaxed)
}

#[test]
fn connections_that_move_in_the_middle_lose_no_byte() {
    let count = connections();
    on_each_driver(|builder| {
        let listen = async |moves| {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            drop(annulus::spawn(async move {
                for seed in 0.. {
                    let (stream, _peer) = listener.accept().await.unwrap();
                    let random = Random::new(seed);
                    drop(annulus::spawn(serve_tcp(
                        stream,
                        random,
                        Arc::clone(&moves),
                    )));
                }
            }));
            addr
        };
        let client = async |addr: &SocketAddr, random| {
            tcp_client(TcpStream::connect(*addr).await.unwrap(), random).await;
        };
        let moves = handed_over(builder, count, listen, client);
        assert!(moves >= count / 2, "{moves} moves");
    });
}

#[test]
fn unix_connections_that_move_in_the_middle_lose_no_byte() {
    let count = connections() / 4;
    let folder = Folder::new("moves");
    on_each_driver(|builder| {
        let path = folder.path("socket");
        let to = path.clone();
        let listen = async move |moves| {
            let listener = UnixListener::bind(&path).unwrap();
            drop(annulus::spawn(async move {
                for seed in 0.. {
                    let (stream, _peer) = listener.accept().await.unwrap();
                    let random = Random::new(seed);
                    drop(annulus::spawn(serve_unix(
                        stream,
                        random,
                        Arc::clone(&moves),
                    )));
                }
            }));
        };
        let client = async move |&(): &(), random| {
            unix_client(UnixStream::connect(&to).await.unwrap(), random).await;
        };
        let moves = handed_over(builder, count, listen, client);
        assert!(moves >= count / 2, "{moves} moves");
        std::fs::remove_file(folder.path("socket")).unwrap();
    });
}

#[test]
fn a_connection_on_its_way_to_a_worker_that_has_ended_is_closed() {
    on_each_driver(|builder| {
        let workers = builder.count(2).start(async |worker: Worker| {
            if worker.index() == 1 {
                return io::Result::Ok(());
            }
            let second = worker.workers().worker(1).unwrap();
            let _ = second.spawn(std::future::pending::<()>).await;
            let (near, far) = UnixStream::pair()?;
            let detached = near.detach().await?;
            let moved = second.spawn(async move || detached.attach().map(drop));
            let error = moved.await.unwrap_err();
            assert!(!error.is_aborted() && !error.is_panic());
            assert!(far.recv().await?.is_empty());
            Ok(())
        });
        crate::joined::<()>(workers.unwrap()).unwrap();
    });
}
