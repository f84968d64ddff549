//! The options of the runtimes that a server makes.

use std::{io, sync::mpsc, thread, time::Duration};

use annulus::{
    Cores, DriverKind, RuntimeBuilder,
    http::{Request, Response, Server},
};

use crate::{
    running::{NEVER, Running, get},
    support::{BOUND, http::read_answer},
};

/// Both ways to run a server: on the calling thread, and on a set of workers.
fn with_each_kind(test: impl Fn(fn(Server) -> Server)) {
    test(|server| server.cores(Cores::Count(1)));
    test(|server| server.cores(Cores::List(vec![Cores::All.list()[0]])));
}

#[test]
fn a_handler_that_blocks_is_reported_by_the_servers_hook() {
    with_each_kind(|cores| {
        for kind in [DriverKind::Auto, DriverKind::Poll] {
            let (report, reported) = mpsc::channel();
            let change = move |server: Server| {
                cores(server).runtime(move |runtime| {
                    let report = report.clone();
                    runtime
                        .driver(kind)
                        .spin(Duration::from_micros(50))
                        .stall_limit(Duration::from_millis(20))
                        .stall_hook(move |stall| {
                            let _ = report.send(stall.duration());
                        })
                })
            };
            // The handler is stuck until the report has come.
            let (go_on, wait) = mpsc::channel();
            let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
            let server = Running::start(1, change, async move |_: Request| {
                wait.lock().unwrap().recv_timeout(BOUND).unwrap();
                Response::text("went on")
            });
            let mut client = server.send(&get("/"));
            assert!(reported.recv_timeout(BOUND).unwrap() >= Duration::from_millis(15));
            go_on.send(()).unwrap();
            assert!(read_answer(&mut client).ends_with("went on"));
            server.handle.stop(NEVER);
            server.ended().unwrap();
        }
    });
}

#[test]
fn the_options_reach_each_runtime_on_its_thread() {
    with_each_kind(|cores| {
        let (tell, told) = mpsc::channel();
        let change = move |server: Server| {
            cores(server).runtime(move |runtime| {
                tell.send(thread::current().id()).unwrap();
                runtime.driver(DriverKind::Poll).receive_buffers(8)
            })
        };
        let handler = async |_: Request| {
            let is_poll = annulus::stats().driver.entries == 0;
            Response::text(format!("{:?} {is_poll}", thread::current().id()))
        };
        let server = Running::start(1, change, handler);
        let mut client = server.send(&get("/"));
        let thread = told.recv_timeout(BOUND).unwrap();
        let answer = read_answer(&mut client);
        assert!(answer.ends_with(&format!("{thread:?} true")), "{answer}");
        server.handle.stop(NEVER);
        server.ended().unwrap();
        assert!(told.recv().is_err(), "it was called once");
    });
}

#[test]
fn options_that_panic_are_an_error_of_the_server() {
    with_each_kind(|cores| {
        let panics = |_: RuntimeBuilder| panic!("planned: options");
        let server = cores(Server::new().listen("127.0.0.1:0")).runtime(panics);
        let error = server.run(async |_: Request| "never").unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
        assert_eq!(error.kind(), io::ErrorKind::Other);
    });
}
