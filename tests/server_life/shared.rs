//! Servers that share their workers with each other and with other services.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use annulus::{
    Cores, DriverKind, RuntimeBuilder, Worker, Workers,
    future::{Either, race},
    http::{Report, Request, Response, Server, SharedServer},
    net, spawn, task, time,
    workers::{WorkersBuilder, WorkersError},
};

use crate::{
    running::{Gate, Listeners, NEVER, Running, expect_fin, get, waiting},
    support::{
        BOUND, echo,
        http::{connect, read_answer},
    },
};

/// Runs `test` with the maker of a builder of three workers, for each driver.
fn on_each_driver(test: impl Fn(&dyn Fn() -> WorkersBuilder)) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        println!("{kind:?}");
        test(&|| {
            let small = move |runtime: RuntimeBuilder| runtime.driver(kind).receive_buffers(8);
            Workers::builder().count(3).runtime(small)
        });
    }
}

/// Shares `server` among the workers of `builder`, at an address of its own.
fn share(server: Server, builder: &WorkersBuilder) -> (SharedServer, SocketAddr) {
    let addr = Arc::new(Mutex::new(None));
    let told = Arc::clone(&addr);
    let server = server
        .listen("127.0.0.1:0")
        .on_listening(move |addr| *told.lock().unwrap() = Some(addr));
    let shared = server.share(builder.worker_count()).unwrap();
    let addr = addr.lock().unwrap().expect("it listens");
    (shared, addr)
}

/// Joins, and fails the test if that does not end.
fn joined<T: Send + 'static>(workers: Workers<T>) -> Result<Vec<Option<T>>, WorkersError> {
    let thread = thread::spawn(move || workers.join());
    let start = Instant::now();
    while !thread.is_finished() {
        assert!(start.elapsed() < BOUND, "the workers do not end");
        thread::sleep(Duration::from_millis(1));
    }
    thread.join().unwrap()
}

fn ask(addr: SocketAddr, path: &str) -> String {
    let mut client = connect(addr);
    client.write_all(get(path).as_bytes()).unwrap();
    read_answer(&mut client)
}

/// Waits, on a thread without a runtime, until `condition` holds.
fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < BOUND, "it never holds");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Echoes until the worker stops, and then for as long as there are connections.
async fn serve_echo(worker: Worker, listener: TcpListener) -> io::Result<()> {
    let listener = net::TcpListener::from_std(listener)?;
    let mut connections = task::JoinSet::new();
    let accept = async {
        loop {
            let (stream, _peer) = listener.accept().await?;
            connections.spawn(echo(stream));
        }
    };
    let stopped = race(worker.stopping(), accept).await;
    drop(listener);
    while connections.join_next().await.is_some() {}
    match stopped {
        Either::Left(()) => Ok(()),
        Either::Right(failed) => failed,
    }
}

#[test]
fn two_servers_a_tcp_service_and_jobs_live_in_one_set_and_stop_together() {
    on_each_driver(|builder| {
        let builder = builder();
        let gate = Gate::default();
        let (pages, pages_addr) = share(Server::new(), &builder);
        let (figures, figures_addr) = share(Server::new(), &builder);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let echo_addr = listener.local_addr().unwrap();
        let (jobs, handler) = (Arc::new(AtomicUsize::new(0)), waiting(&gate));
        let jobs_ended = Arc::clone(&jobs);
        let workers = builder.start(async move |worker| {
            let ended = Arc::clone(&jobs_ended);
            let own = worker.clone();
            let listener = listener.try_clone()?;
            task::scope(async |scope| {
                scope.spawn(serve_echo(worker.clone(), listener));
                scope.spawn(async move {
                    own.stopping().await;
                    ended.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                });
                let figures = figures.serve(async |_: Request| "figures");
                let figures = spawn(figures);
                let pages = pages.serve(handler.clone()).await?;
                Ok::<_, io::Error>((pages, figures.await.map_err(io::Error::other)??))
            })
            .await
        });
        let workers = workers.unwrap();
        for _ in 0..20 {
            assert!(ask(pages_addr, "/page").ends_with("/page"));
            assert!(ask(figures_addr, "/").ends_with("figures"));
        }
        let mut echoed = connect(echo_addr);
        // Until it is accepted it has not begun.
        echoed.write_all(b"first").unwrap();
        echoed.read_exact(&mut [0; 5]).unwrap();
        let mut waits = connect(pages_addr);
        waits.write_all(get("/wait").as_bytes()).unwrap();
        gate.wait_for(1);
        let listeners = [figures_addr, pages_addr].map(Listeners::at);
        workers.stop(NEVER);
        listeners.iter().for_each(Listeners::wait_refused);
        until(|| jobs.load(Ordering::Relaxed) == 3);
        // All that has begun goes on.
        echoed.write_all(b"still").unwrap();
        echoed.read_exact(&mut [0; 5]).unwrap();
        gate.open();
        assert!(read_answer(&mut waits).ends_with("/wait"));
        expect_fin(&mut waits);
        drop((echoed, waits));
        let reports = joined(workers).unwrap();
        let (pages, figures): (Vec<_>, Vec<_>) = reports.into_iter().flatten().unzip();
        assert_eq!((pages.len(), figures.len()), (3, 3));
        let pages: Report = pages.into_iter().sum();
        assert_eq!((pages.answered, pages.finished, pages.cut), (21, 1, 0));
        assert_eq!(figures.into_iter().sum::<Report>().answered, 20);
    });
}

/// Starts a server whose handlers never end, with three clients of it.
fn stuck(builder: WorkersBuilder) -> (Workers<Report>, Vec<TcpStream>) {
    let (shared, addr) = share(Server::new(), &builder);
    let gate = Gate::default();
    let handler = waiting(&gate);
    let workers = builder.start(async move |_worker| shared.serve(handler.clone()).await);
    let mut clients: Vec<TcpStream> = (0..3).map(|_| connect(addr)).collect();
    for client in &mut clients {
        client.write_all(get("/wait").as_bytes()).unwrap();
    }
    gate.wait_for(3);
    (workers.unwrap(), clients)
}

#[test]
fn the_deadline_of_the_set_cuts_its_servers_and_the_reports_tell() {
    on_each_driver(|builder| {
        for timeout in [Duration::ZERO, Duration::from_millis(20)] {
            let (workers, clients) = stuck(builder());
            workers.stop(timeout);
            let reports = joined(workers).unwrap();
            assert!(reports.iter().all(Option::is_some), "{reports:?}");
            let report: Report = reports.into_iter().flatten().sum();
            assert_eq!((report.finished, report.cut), (0, 3), "{report}");
            for mut client in clients {
                assert!(client.read(&mut [0]).is_err(), "it has no answer");
            }
        }
    });
}

#[test]
fn a_second_order_cuts_the_servers_of_the_set() {
    on_each_driver(|builder| {
        let (workers, clients) = stuck(builder());
        workers.stop(NEVER);
        workers.stop(NEVER);
        let report: Report = joined(workers).unwrap().into_iter().flatten().sum();
        assert_eq!((report.finished, report.cut), (0, 3), "{report}");
        drop(clients);
    });
}

#[test]
fn a_handle_stops_its_server_alone_and_a_stop_of_the_set_gives_it_the_same_time() {
    on_each_driver(|builder| {
        let builder = builder();
        let gate = Gate::default();
        let (first, first_addr) = share(Server::new(), &builder);
        let (second, second_addr) = share(Server::new(), &builder);
        let (handle, handler) = (first.handle(), waiting(&gate));
        let workers = builder.start(async move |_worker| {
            let second = spawn(second.serve(async |_: Request| "second"));
            let first = first.serve(handler.clone()).await?;
            second.await.map_err(io::Error::other)??;
            Ok::<_, io::Error>(first)
        });
        let workers = workers.unwrap();
        let mut client = connect(first_addr);
        client.write_all(get("/wait").as_bytes()).unwrap();
        gate.wait_for(1);
        let [first, second] = [first_addr, second_addr].map(Listeners::at);
        handle.stop(NEVER);
        first.wait_refused();
        assert!(ask(second_addr, "/").ends_with("second"));
        // It is stopping, so this is no second order to it.
        workers.stop(NEVER);
        second.wait_refused();
        gate.open();
        assert!(read_answer(&mut client).ends_with("/wait"));
        drop(client);
        let report: Report = joined(workers).unwrap().into_iter().flatten().sum();
        assert_eq!((report.finished, report.cut), (1, 0), "{report}");
    });
}

/// Stops all workers of the thread's set.
fn stop_all() -> &'static str {
    let worker = Worker::current().expect("a handler runs on a worker");
    worker.workers().stop(NEVER);
    "stopping"
}

#[test]
fn a_handler_stops_everything_of_its_set() {
    on_each_driver(|builder| {
        let builder = builder();
        let gate = Gate::default();
        let (pages, pages_addr) = share(Server::new(), &builder);
        let (admin, admin_addr) = share(Server::new(), &builder);
        let handler = waiting(&gate);
        let workers = builder.start(async move |_worker| {
            let admin = spawn(admin.serve(async |_: Request| stop_all()));
            let pages = pages.serve(handler.clone()).await?;
            admin.await.map_err(io::Error::other)??;
            Ok::<_, io::Error>(pages)
        });
        let mut client = connect(pages_addr);
        client.write_all(get("/wait").as_bytes()).unwrap();
        gate.wait_for(1);
        let listeners = Listeners::at(pages_addr);
        assert!(ask(admin_addr, "/stop").ends_with("stopping"));
        listeners.wait_refused();
        gate.open();
        assert!(read_answer(&mut client).ends_with("/wait"));
        drop(client);
        let report: Report = joined(workers.unwrap())
            .unwrap()
            .into_iter()
            .flatten()
            .sum();
        assert_eq!((report.finished, report.cut), (1, 0), "{report}");
    });
}

#[test]
fn a_handler_of_a_server_with_workers_of_its_own_stops_it_in_the_same_way() {
    let gate = Gate::default();
    let inner = gate.clone();
    let server = Running::start_by(
        1,
        |server| server.cores(Cores::List(vec![first_core()])),
        |server| {
            server.run(async move |request: Request| {
                if request.path() == "/stop" {
                    return Response::text(stop_all());
                }
                inner.pass().await;
                Response::text("late")
            })
        },
    );
    let mut client = server.send(&get("/wait"));
    gate.wait_for(1);
    assert!(ask(server.addr, "/stop").ends_with("stopping"));
    server.wait_refused();
    gate.open();
    assert!(read_answer(&mut client).ends_with("late"));
    drop(client);
    let report = server.ended().unwrap();
    assert_eq!((report.answered, report.cut), (2, 0), "{report}");
}

/// A processor that this process may use.
fn first_core() -> usize {
    Cores::All.list()[0]
}

#[test]
fn a_server_of_one_worker_stops_with_the_set() {
    on_each_driver(|builder| {
        // By the set's own order, and by one of its own that is no second order.
        for has_order in [false, true] {
            let gate = Gate::default();
            let handler = waiting(&gate);
            let (tell, told) = std::sync::mpsc::channel();
            let workers = builder().count(1).start(async move |worker| {
                let tell = tell.clone();
                let mut server = Server::new()
                    .listen("127.0.0.1:0")
                    .on_listening(move |addr| tell.send(addr).unwrap());
                if has_order {
                    server = server.shutdown_on(worker.stopping(), NEVER);
                }
                server.serve(handler.clone()).await
            });
            let workers = workers.unwrap();
            let addr = told.recv_timeout(BOUND).unwrap();
            let mut client = connect(addr);
            client.write_all(get("/wait").as_bytes()).unwrap();
            gate.wait_for(1);
            let listeners = Listeners::at(addr);
            workers.stop(NEVER);
            listeners.wait_refused();
            gate.open();
            assert!(read_answer(&mut client).ends_with("/wait"));
            drop(client);
            let report: Report = joined(workers).unwrap().into_iter().flatten().sum();
            assert_eq!((report.finished, report.cut), (1, 0), "{report}");
        }
    });
}

#[test]
fn the_panic_of_one_worker_surfaces_and_the_servers_of_the_others_finish() {
    on_each_driver(|builder| {
        let builder = builder();
        let gate = Gate::default();
        let (shared, addr) = share(Server::new(), &builder);
        let panics = gate.clone();
        let finished = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&finished);
        let workers = builder.start(async move |worker| {
            let serving = shared.serve(async |_: Request| "served");
            if worker.index() == 1 {
                let panics = async {
                    panics.pass().await;
                    panic!("planned: of a worker");
                };
                return race(serving, panics).await.into_inner();
            }
            let report = serving.await?;
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, io::Error>(report)
        });
        for _ in 0..10 {
            assert!(ask(addr, "/").ends_with("served"));
        }
        let listeners = Listeners::at(addr);
        gate.open();
        let error = joined(workers.unwrap()).unwrap_err();
        assert!(error.is_panic() && error.worker() == Some(1), "{error}");
        listeners.wait_refused();
        assert_eq!(finished.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_listener_that_fails_ends_the_set_with_its_error() {
    on_each_driver(|builder| {
        let builder = builder();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpStream::from(OwnedFd::from(listener.try_clone().unwrap()));
        let shared = Server::new().listen_on([listener]);
        let shared = shared.share(builder.worker_count()).unwrap();
        let workers =
            builder.start(async move |_worker| shared.serve(async |_: Request| "x").await);
        // A listening socket that was shut down accepts no more.
        other.shutdown(Shutdown::Both).unwrap();
        let error = joined(workers.unwrap()).unwrap_err();
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_part_that_is_dropped_is_gone_and_the_others_serve_on() {
    on_each_driver(|builder| {
        let builder = builder();
        let (shared, addr) = share(Server::new(), &builder);
        let workers = builder.start(async move |worker| {
            let serving = shared.serve(async |_: Request| "served");
            if worker.index() == 0 {
                let soon = time::timeout(Duration::from_millis(1), serving);
                assert!(soon.await.is_err());
                return Ok(Report::default());
            }
            serving.await
        });
        let workers = workers.unwrap();
        for call in workers.iter().map(|worker| worker.call(|| ())) {
            let _ = call.join();
        }
        // Those that the part had are reset, and no others.
        let served = |_: &i32| {
            let mut client = TcpStream::connect(addr).unwrap();
            client.set_read_timeout(Some(BOUND)).unwrap();
            client.write_all(get("/").as_bytes()).unwrap();
            client.read(&mut [0]).is_ok_and(|count| count > 0)
        };
        until(|| (0..20).all(|number| served(&number)));
        workers.stop(NEVER);
        assert_eq!(joined(workers).unwrap().len(), 3);
    });
}

#[test]
fn what_cannot_be_shared_is_an_error() {
    let order = Server::new()
        .listen("127.0.0.1:0")
        .shutdown_on(async {}, NEVER);
    let error = order.share(1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("`shutdown_on`"), "{error}");
    // The address is taken, which is told before there are workers.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let error = Server::new().listen(addr).share(2).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
    // More calls than parts.
    let (shared, _) = share(Server::new(), &Workers::builder().count(1));
    let part = shared.serve(async |_: Request| "x");
    let error = annulus::run(shared.serve(async |_: Request| "x")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("none that is left"), "{error}");
    // Outside of a runtime.
    let Poll::Ready(Err(error)) = pin!(part).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it serves outside of a runtime");
    };
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[test]
fn threads_that_are_no_workers_serve_parts_too() {
    let (shared, addr) = share(Server::new(), &Workers::builder().count(2));
    let handle = shared.handle();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let shared = shared.clone();
            thread::spawn(move || annulus::run(shared.serve(async |_: Request| "served")))
        })
        .collect();
    for _ in 0..10 {
        assert!(ask(addr, "/").ends_with("served"));
    }
    handle.stop(NEVER);
    let reports = threads.into_iter().map(|thread| thread.join().unwrap());
    let report: Report = reports.map(Result::unwrap).sum();
    assert_eq!(report.answered, 10);
}
