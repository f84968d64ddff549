//! Services of workers, over real sockets.

use std::{
    collections::HashSet,
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream as StdStream},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use annulus::{
    Worker, Workers,
    future::{Either, race},
    net::{TcpListener, TcpStream},
    spawn,
    time::sleep,
};

use crate::{
    joined, on_each_driver, stop,
    support::{BOUND, echo},
    worker,
};

/// A port at which several workers listen.
#[derive(Default)]
struct Port {
    /// Set by worker 0, which takes a free one.
    addr: OnceLock<SocketAddr>,
    listening_count: AtomicUsize,
}

impl Port {
    async fn listen(&self, worker: &Worker) -> io::Result<TcpListener> {
        let options = TcpListener::options().reuse_port(true);
        let listener = if worker.index() == 0 {
            let listener = options.bind("127.0.0.1:0").await?;
            self.addr.get_or_init(|| listener.local_addr().unwrap());
            listener
        } else {
            while self.addr.get().is_none() {
                sleep(Duration::from_millis(1)).await;
            }
            options.bind(self.addr.get().copied().unwrap()).await?
        };
        self.listening_count.fetch_add(1, Relaxed);
        Ok(listener)
    }
}

/// Starts an echo on eight workers. Each connection begins with the number of its worker.
fn echo_service(builder: annulus::workers::WorkersBuilder) -> (Workers<usize>, SocketAddr) {
    let port = Arc::new(Port::default());
    let shared = Arc::clone(&port);
    let workers = builder.count(8).start(async move |worker: Worker| {
        let listener = shared.listen(&worker).await?;
        let mut served = 0;
        let serve = async {
            loop {
                let (stream, _peer) = listener.accept().await?;
                served += 1;
                let index = worker.index() as u8;
                spawn(async move {
                    if stream.write_all(vec![index]).await.is_ok() {
                        echo(stream).await;
                    }
                });
            }
        };
        let stopped: Either<(), io::Result<()>> = race(worker.stopping(), serve).await;
        match stopped {
            Either::Right(Err(error)) => Err(error),
            _ => Ok(served),
        }
    });
    let workers = workers.unwrap();
    crate::until(|| port.listening_count.load(Relaxed) == 8);
    (workers, *port.addr.get().unwrap())
}

/// Talks over one connection, and returns the number of its worker.
fn talk(addr: SocketAddr) -> u8 {
    let mut stream = connect(addr);
    let text: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
    let sent = text.clone();
    let mut writer = stream.try_clone().unwrap();
    let writing = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(received[1..] == text, "the bytes come back as they were");
    received[0]
}

fn connect(addr: SocketAddr) -> StdStream {
    let stream = StdStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream
}

#[test]
fn eight_workers_serve_one_address() {
    on_each_driver(|builder| {
        let (workers, addr) = echo_service(builder);
        let seen = Mutex::new(HashSet::new());
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..8 {
                        let worker = talk(addr);
                        seen.lock().unwrap().insert(worker);
                    }
                });
            }
        });
        let served = stop(workers);
        assert_eq!(served.iter().flatten().sum::<usize>(), 64);
        let seen = seen.into_inner().unwrap();
        assert!(seen.iter().all(|&index| index < 8));
    });
}

#[test]
fn workers_share_state_by_messages_while_they_serve() {
    on_each_driver(|builder| {
        let total = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&total);
        // Each worker counts for itself, and worker 0 hears of it.
        let workers = builder.count(3).start(async move |worker: Worker| {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let addr = listener.local_addr()?;
            let client = spawn(async move {
                let stream = TcpStream::connect(addr).await?;
                stream.write_all("hello").await?;
                io::Result::Ok(crate::support::recv_at_least(&stream, 5).await)
            });
            let (stream, _peer) = listener.accept().await?;
            let service = spawn(echo(stream));
            let echoed = client.await??;
            service.await?;
            assert_eq!(echoed, b"hello");
            let first = worker.workers().worker(0).expect("there is a first");
            let counted = Arc::clone(&counted);
            // Worker 0 may have ended by then, and the others have counted for themselves.
            let told = first.call(move || *counted.lock().unwrap() += 1).await;
            if worker.index() == 0 {
                worker.stopping().await;
            }
            told.map_err(io::Error::from)
        });
        let workers = workers.unwrap();
        crate::until(|| *total.lock().unwrap() == 3);
        stop(workers);
    });
}

#[test]
fn a_connection_goes_to_another_worker() {
    on_each_driver(|builder| {
        let workers = crate::waiting(builder.count(2));
        let (first, second) = (worker(&workers, 0), worker(&workers, 1));
        let listening = first.spawn(move || async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            spawn(async move {
                let (stream, _peer) = listener.accept().await.unwrap();
                let detached = stream.detach().await.unwrap();
                drop(second.spawn(move || async move { echo(detached.attach().unwrap()).await }));
            });
            addr
        });
        let mut stream = connect(listening.join().unwrap());
        stream.write_all(b"hello").unwrap();
        let mut received = [0; 5];
        stream.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"hello");
        drop(stream);
        stop(workers);
    });
}

#[test]
fn an_address_in_use_is_the_failure_of_its_worker() {
    on_each_driver(|builder| {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        let workers = builder.count(2).start(async move |worker| {
            if worker.index() == 0 {
                return std::future::pending().await;
            }
            TcpListener::bind(addr).await.map(drop)
        });
        let error = joined(workers.unwrap()).unwrap_err();
        assert_eq!(error.worker(), Some(1));
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::AddrInUse);
    });
}
