//! A server inside of a runtime that does other things, too.

use std::{
    cell::Cell,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use annulus::{
    Cores, future,
    http::{Client, Report, Request, Response, Server, ServerHandle},
    spawn,
    sync::{Notify, oneshot},
    task, time,
};

use crate::{
    running::{Listeners, NEVER, get},
    support::BOUND,
};

/// A server that tells where it listens, and that future.
fn server() -> (Server, ServerHandle, oneshot::Receiver<SocketAddr>) {
    let (tell, told) = oneshot::channel();
    let tell = Cell::new(Some(tell));
    let server = Server::new()
        .listen("127.0.0.1:0")
        .on_listening(move |addr| {
            let _ = tell.take().expect("there is one address").send(addr);
        });
    let handle = server.handle();
    (server, handle, told)
}

async fn soon<F: Future>(future: F) -> F::Output {
    time::timeout(BOUND, future).await.expect("it comes")
}

async fn ask(client: &Client, addr: SocketAddr, path: &str) -> String {
    let response = client.get(format!("http://{addr}{path}")).send().await;
    response.unwrap().text().await.unwrap()
}

#[test]
fn a_server_that_would_block_a_runtime_panics_however_many_workers_it_has() {
    for count in [1, 2, 3] {
        for each in [false, true] {
            let run = || {
                let server = Server::new()
                    .listen("127.0.0.1:0")
                    .cores(Cores::Count(count));
                if each {
                    server.run_each(|| async |_: Request| "never")
                } else {
                    server.run(async |_: Request| "never")
                }
            };
            let panic = annulus::run(async { catch_unwind(AssertUnwindSafe(run)).unwrap_err() });
            let text = panic.downcast_ref::<&str>().copied().unwrap_or_default();
            assert!(text.contains("`Server::serve`"), "{text:?}");
        }
    }
}

#[test]
fn a_server_serves_beside_what_its_runtime_has_opened() {
    annulus::run(async {
        let (server, handle, addr) = server();
        // It is of this thread alone.
        let asked = Rc::new(Cell::new(0));
        let count = Rc::clone(&asked);
        let serving = server
            .cores(Cores::Count(8))
            .serve(async move |request: Request| {
                task::yield_now().await;
                count.set(count.get() + 1);
                Response::text(format!("{} {}", request.path(), count.get()))
            });
        let asking = async {
            let addr = addr.await.unwrap();
            let client = Client::new();
            for number in 1..=50 {
                let answer = ask(&client, addr, "/a").await;
                assert_eq!(answer, format!("/a {number}"));
            }
            assert_eq!(handle.connections().await.len(), 1);
            let listeners = Listeners::at(addr);
            handle.stop(NEVER);
            listeners
        };
        let (report, listeners) = soon(future::join(serving, asking)).await;
        let report: Report = report.unwrap();
        assert_eq!((report.accepted, report.answered), (1, 50), "{report}");
        assert_eq!(asked.get(), 50);
        listeners.wait_refused();
        // The runtime goes on.
        time::sleep(Duration::from_millis(1)).await;
    });
}

#[test]
fn one_runtime_may_have_several_servers_beside_each_other_and_in_turn() {
    annulus::run(async {
        for _ in 0..3 {
            let (first, first_handle, first_addr) = server();
            let (second, second_handle, second_addr) = server();
            let first = spawn(first.serve(async |_: Request| "first"));
            let second = spawn(second.serve(async |_: Request| "second"));
            let client = Client::new();
            let (first_addr, second_addr) = (first_addr.await.unwrap(), second_addr.await.unwrap());
            assert_eq!(ask(&client, first_addr, "/").await, "first");
            assert_eq!(ask(&client, second_addr, "/").await, "second");
            first_handle.stop(NEVER);
            assert_eq!(soon(first).await.unwrap().unwrap().answered, 1);
            assert_eq!(ask(&client, second_addr, "/").await, "second");
            second_handle.stop(NEVER);
            assert_eq!(soon(second).await.unwrap().unwrap().answered, 2);
        }
    });
}

/// Starts a server whose handlers never end, and a client of it.
async fn stuck(
    change: impl FnOnce(Server) -> Server,
) -> (
    task::JoinHandle<io::Result<Report>>,
    ServerHandle,
    TcpStream,
    Rc<()>,
) {
    let (server, handle, addr) = server();
    let alive = Rc::new(());
    let held = Rc::clone(&alive);
    let entered = Rc::new(Notify::new());
    let enters = Rc::clone(&entered);
    let serving = spawn(change(server).serve(async move |_: Request| {
        let _held = Rc::clone(&held);
        enters.notify_one();
        std::future::pending::<Response>().await
    }));
    let addr = addr.await.unwrap();
    let mut client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(BOUND)).unwrap();
    client.write_all(get("/").as_bytes()).unwrap();
    soon(entered.notified()).await;
    (serving, handle, client, alive)
}

#[test]
fn its_stop_is_the_one_of_a_server_that_blocks() {
    annulus::run(async {
        // A deadline that passes.
        let (serving, handle, mut client, alive) = stuck(|server| server).await;
        handle.stop(Duration::ZERO);
        let report = soon(serving).await.unwrap().unwrap();
        assert_eq!((report.finished, report.cut), (0, 1), "{report}");
        assert!(client.read(&mut [0]).is_err());
        assert_eq!(Rc::strong_count(&alive), 1);
        // Futures that stop and cut.
        let (stop, cut) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let (on_stop, on_cut) = (Rc::clone(&stop), Rc::clone(&cut));
        let (serving, _, _client, alive) = stuck(|server| {
            server
                .shutdown_on(async move { on_stop.notified().await }, NEVER)
                .cut_on(async move || on_cut.notified().await)
        })
        .await;
        stop.notify_one();
        cut.notify_one();
        let report = soon(serving).await.unwrap().unwrap();
        assert_eq!((report.finished, report.cut), (0, 1), "{report}");
        assert_eq!(Rc::strong_count(&alive), 1);
        // An order that will never come.
        let fails = async { io::Result::<()>::Err(io::Error::other("no signal")) };
        let (server, _, _) = server();
        let failed = server
            .shutdown_on(fails, NEVER)
            .serve(async |_: Request| "x");
        assert_eq!(soon(failed).await.unwrap_err().to_string(), "no signal");
    });
}

#[test]
fn a_server_whose_future_is_dropped_is_gone() {
    annulus::run(async {
        let waits = Rc::new(());
        let held = Rc::clone(&waits);
        let (serving, _handle, mut client, alive) = stuck(|server| {
            let never = async move {
                let _held = held;
                std::future::pending::<()>().await;
            };
            server.shutdown_on(never, NEVER)
        })
        .await;
        let listeners = Listeners::at(client.peer_addr().unwrap());
        serving.abort();
        assert!(soon(serving).await.is_err());
        assert_eq!(Rc::strong_count(&alive), 1);
        soon(async {
            while Rc::strong_count(&waits) > 1 {
                task::yield_now().await;
            }
        })
        .await;
        // The sockets are closed by entries that the kernel has yet to see.
        let others = thread::spawn(move || {
            listeners.wait_refused();
            // It is reset: the answer that it waits for will not come.
            assert!(client.read(&mut [0]).is_err());
        });
        while !others.is_finished() {
            time::sleep(Duration::from_millis(1)).await;
        }
        others.join().unwrap();
    });
}

#[test]
fn an_address_in_use_and_a_thread_without_runtime_are_errors() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let serve = || Server::new().listen(addr).serve(async |_: Request| "x");
    let error = annulus::run(serve()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    drop(taken);
    let context = &mut Context::from_waker(Waker::noop());
    for has_orders in [false, true] {
        let mut server = Server::new().listen("127.0.0.1:0");
        if has_orders {
            server = server.shutdown_on(async {}, NEVER);
        }
        let mut serving = pin!(server.serve(async |_: Request| "x"));
        let Poll::Ready(Err(error)) = serving.as_mut().poll(context) else {
            panic!("it serves outside of a runtime");
        };
        assert!(error.to_string().contains("runtime"), "{error}");
    }
}
