//! Background jobs of a server.

use std::{
    cell::Cell,
    collections::HashSet,
    future::pending,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use annulus::{
    Cores,
    http::{Client, Job, Report, Response, Server, ServerHandle},
    spawn,
    task::{JoinHandle, yield_now},
    time,
};

use crate::{
    running::{Gate, NEVER, Running, get},
    support::{http::read_answer, run_each, until},
};

async fn hello(_request: annulus::http::Request) -> Response {
    Response::text("hello")
}

/// Counts how often it is dropped.
#[derive(Clone, Default)]
struct Dropped(Arc<AtomicUsize>);

impl Dropped {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn guard(&self) -> impl Drop + use<> {
        struct Guard(Arc<AtomicUsize>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        Guard(Arc::clone(&self.0))
    }
}

/// A server in the runtime of the test, to see both drivers.
async fn serve(change: impl FnOnce(Server) -> Server) -> (Serving, SocketAddr, ServerHandle) {
    let addr = Rc::new(Cell::new(None));
    let told = Rc::clone(&addr);
    let server = change(Server::new().listen("127.0.0.1:0"));
    let server = server.on_listening(move |addr| told.set(Some(addr)));
    let handle = server.handle();
    let serving = spawn(server.serve(hello));
    until(|| addr.get().is_some()).await;
    (serving, addr.get().unwrap(), handle)
}

type Serving = JoinHandle<io::Result<Report>>;

#[test]
fn a_job_runs_once_and_is_told_of_the_stop() {
    for count in [1, 2] {
        let (started, stopped) = (Gate::default(), Gate::default());
        let (starts, stops) = (started.clone(), stopped.clone());
        let job = async move |job: Job| {
            assert!(!job.is_stopping());
            starts.pass().await;
            job.stopping().await;
            assert!(job.is_stopping());
            stops.pass().await;
        };
        let server = Running::start(count, |server| server.background(job), hello);
        started.wait_for(1);
        started.open();
        // It answers beside the job.
        let mut client = server.send(&get("/"));
        assert!(read_answer(&mut client).ends_with("hello"));
        drop(client);
        assert_eq!(stopped.arrived(), 0);
        server.handle.stop(NEVER);
        stopped.wait_for(1);
        // The server waits for it.
        assert!(!server.has_ended());
        stopped.open();
        let report = server.ended().unwrap();
        assert_eq!((report.jobs_panicked, report.jobs_cut), (0, 0));
        assert_eq!((started.arrived(), stopped.arrived()), (1, 1));
    }
}

#[test]
fn a_job_of_each_worker_runs_on_each() {
    let count = Cores::Count(2).list().len();
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let gate = Gate::default();
    let (threads, started) = (Arc::clone(&seen), gate.clone());
    let job = async move |job: Job| {
        threads.lock().unwrap().insert(thread::current().id());
        started.pass().await;
        job.stopping().await;
    };
    let server = Running::start(count, |server| server.background_each(job), hello);
    gate.wait_for(count);
    gate.open();
    server.handle.stop(NEVER);
    server.ended().unwrap();
    assert_eq!(gate.arrived(), count);
    assert_eq!(seen.lock().unwrap().len(), count);
}

#[test]
fn several_jobs_run_side_by_side() {
    run_each(async || {
        let gate = Gate::default();
        let (first, second, third) = (gate.clone(), gate.clone(), gate.clone());
        let (serving, _, handle) = serve(|server| {
            server
                .background(async move |_| first.pass().await)
                .background(async move |_| second.pass().await)
                .background_each(async move |_| third.pass().await)
        })
        .await;
        until(|| gate.arrived() == 3).await;
        gate.open();
        handle.stop(NEVER);
        serving.await.unwrap().unwrap();
        assert_eq!(gate.arrived(), 3);
    });
}

#[test]
fn a_job_that_outlives_the_deadline_is_dropped_and_counted() {
    run_each(async || {
        let dropped = Dropped::default();
        let guard = dropped.guard();
        let job = async move |_| {
            let _guard = guard;
            pending().await
        };
        let (serving, _, handle) = serve(|server| server.background(job)).await;
        yield_now().await;
        handle.stop(Duration::from_millis(20));
        let report = serving.await.unwrap().unwrap();
        assert_eq!((report.jobs_panicked, report.jobs_cut), (0, 1));
        assert!(report.to_string().contains("1 jobs cut"), "{report}");
        until(|| dropped.count() == 1).await;
    });
}

#[test]
fn a_second_order_to_stop_drops_the_jobs_at_once() {
    run_each(async || {
        let job = async |job: Job| {
            job.stopping().await;
            pending().await
        };
        let (serving, _, handle) = serve(|server| server.background(job)).await;
        handle.stop(NEVER);
        for _ in 0..3 {
            yield_now().await;
        }
        assert!(!serving.is_finished());
        handle.stop(NEVER);
        let report = serving.await.unwrap().unwrap();
        assert_eq!(report.jobs_cut, 1);
    });
}

#[test]
fn a_stop_before_the_start_is_told() {
    run_each(async || {
        let server = Server::new().listen("127.0.0.1:0");
        server.handle().stop(NEVER);
        let server = server.background(async |job: Job| job.stopping().await);
        let report = server.serve(hello).await.unwrap();
        assert_eq!((report.jobs_panicked, report.jobs_cut), (0, 0));
    });
}

#[test]
fn a_job_that_panics_is_counted_and_the_server_goes_on() {
    run_each(async || {
        let (serving, addr, handle) = serve(|server| {
            server
                .background(async |_| panic!("a job panics in its future"))
                .background(|_| -> std::future::Ready<()> {
                    panic!("a job panics when it is made")
                })
        })
        .await;
        let answer = Client::new().get(format!("http://{addr}/")).send().await;
        assert_eq!(answer.unwrap().text().await.unwrap(), "hello");
        handle.stop(NEVER);
        let report = serving.await.unwrap().unwrap();
        assert_eq!((report.jobs_panicked, report.jobs_cut), (2, 0));
        assert!(report.to_string().contains("2 panics of jobs"), "{report}");
    });
}

#[test]
fn a_job_that_ends_early_changes_nothing() {
    run_each(async || {
        let (serving, addr, handle) = serve(|server| server.background(async |_| ())).await;
        for _ in 0..3 {
            let answer = Client::new().get(format!("http://{addr}/")).send().await;
            assert_eq!(answer.unwrap().text().await.unwrap(), "hello");
        }
        assert!(!serving.is_finished());
        handle.stop(NEVER);
        let report = serving.await.unwrap().unwrap();
        assert_eq!((report.jobs_panicked, report.jobs_cut), (0, 0));
    });
}

#[test]
fn a_server_that_is_dropped_drops_its_jobs() {
    run_each(async || {
        let dropped = Dropped::default();
        let guard = dropped.guard();
        let job = async move |_| {
            let _guard = guard;
            pending().await
        };
        let (serving, _, _) = serve(|server| server.background(job)).await;
        assert_eq!(dropped.count(), 0);
        serving.abort();
        until(|| dropped.count() == 1).await;
    });
}

#[test]
fn a_job_that_works_now_and_then_ends_with_the_server() {
    run_each(async || {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let job = async move |job: Job| {
            let period = Duration::from_millis(1);
            while time::timeout(period, job.stopping()).await.is_err() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        };
        let (serving, _, handle) = serve(|server| server.background(job)).await;
        until(|| count.load(Ordering::SeqCst) >= 5).await;
        handle.stop(NEVER);
        serving.await.unwrap().unwrap();
    });
}
