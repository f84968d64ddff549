//! Serves the profiles of HttpArena, a public ranking of HTTP servers, by its rules for production.
//!
//! ```text
//! cargo run --release --bin arena -- --data DIR --certs DIR
//! curl 'http://127.0.0.1:8080/baseline11?a=13&b=42'     # 55
//! ```
//!
//! `DIR` of `--data` has `dataset.json` and the folder `static`, and that of `--certs` has
//! `server.crt` and `server.key`. `DATABASE_URL` names the database, and `DATABASE_MAX_CONN` is the
//! most connections to it. Without the first, the endpoints of the database answer that it is away.
//!
//! | Port | Option | Speaks |
//! |---|---|---|
//! | 8080 | `--port` | HTTP/1.1, and HTTP/2 by prior knowledge |
//! | 8081 | `--tls-port` | HTTP/1.1 over TLS |
//! | 8082 | `--h2c-port` | HTTP/2 alone, by prior knowledge |
//! | 8443 | `--h2-port` | HTTP/2 over TLS |
//!
//! All of it is API that every service has. The workers serve all ports together, so that one
//! process and one stop are for everything.

mod arguments;
mod baseline;
mod crud;
mod database;
mod fortunes;
mod items;
mod shared_cache;

use std::{cell::RefCell, io, rc::Rc, sync::Arc, time::Duration};

use annulus::{
    Workers,
    compat::tower::TowerToHandler,
    http::{Coding, Compression, Files, HttpVersions, Report, Router, Server, SharedServer},
    signal::{self, SignalKind},
    spawn, task,
    tls::ServerConfig,
};
use arguments::Arguments;
use database::Database;
use ecosystem::arena::Benchmark;
use items::Dataset;
use shared_cache::SharedCache;

/// How long requests that have begun may take when the process is asked to stop.
const GRACE: Duration = Duration::from_secs(10);

/// The parts of the state that all workers share.
struct App {
    arguments: Arguments,
    dataset: Dataset,
    cache: SharedCache,
    workers: usize,
}

/// The routes of one worker.
fn router(app: &Arc<App>, database: &Rc<Database>) -> Router {
    let json = Router::new()
        .get("/{count}", items::first)
        .layer(Compression::new());
    let files =
        Files::new(app.arguments.data.join("static")).precompressed([Coding::Brotli, Coding::Gzip]);
    let crud = Router::new()
        .get("/", crud::list)
        .post("/", crud::create)
        .get("/{id}", crud::read)
        .put("/{id}", crud::update);
    Router::new()
        .state(Arc::clone(app))
        .state(Rc::clone(database))
        .get("/baseline11", baseline::sum)
        .post("/baseline11", baseline::sum)
        .get("/baseline2", baseline::sum)
        .get("/pipeline", async |_| "ok")
        .post("/upload", baseline::upload)
        .post("/echo", baseline::echo)
        .get("/delay/{ms}", baseline::delay)
        .get("/ws", baseline::websocket)
        .nest("/json", json)
        .files("/static", files)
        .get("/async-db", items::by_price)
        .nest("/crud/items", crud)
        .get("/fortunes", fortunes::page)
        .post(
            "/benchmark.BenchmarkService/{method}",
            TowerToHandler::new(Benchmark),
        )
}

/// The four servers, whose parts each worker serves.
#[derive(Clone)]
struct Servers(Vec<SharedServer>);

impl Servers {
    fn listen(arguments: &Arguments, count: usize) -> io::Result<Self> {
        let chain = arguments.certs.join("server.crt");
        let key = arguments.certs.join("server.key");
        let tls = ServerConfig::builder()
            .certificate_files(chain, key)
            .build()?;
        let server = |name: &'static str, versions| {
            Server::new()
                .http_versions(versions)
                .on_listening(move |addr| println!("{name} listening on {addr}"))
        };
        let [all, tls1, h2c, h2] = arguments.addresses();
        let servers = [
            server("http", HttpVersions::All).listen(all),
            server("https", HttpVersions::Http1).listen_tls(tls1, &tls),
            server("h2c", HttpVersions::Http2).listen(h2c),
            server("h2", HttpVersions::Http2).listen_tls(h2, &tls),
        ];
        let shared = servers.into_iter().map(|server| server.share(count));
        shared.collect::<io::Result<_>>().map(Self)
    }

    /// Serves the part of this worker, until all workers stop.
    async fn serve(self, app: Arc<App>) -> io::Result<Report> {
        let database = Rc::new(Database::new(&app.arguments, app.workers));
        let reports = Rc::new(RefCell::new(Vec::new()));
        task::scope(async |scope| {
            for server in self.0 {
                let served = server.serve(router(&app, &database));
                let reports = Rc::clone(&reports);
                scope.spawn(async move {
                    let report = served.await?;
                    reports.borrow_mut().push(report);
                    Ok(())
                });
            }
            io::Result::Ok(())
        })
        .await?;
        Ok(reports.take().into_iter().sum())
    }
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let dataset = Dataset::read(&arguments.data.join("dataset.json"))?;
    let workers = Workers::builder();
    let servers = Servers::listen(&arguments, workers.worker_count())?;
    let app = Arc::new(App {
        arguments,
        dataset,
        cache: SharedCache::default(),
        workers: workers.worker_count(),
    });
    let workers = workers.start(async move |_| servers.clone().serve(Arc::clone(&app)).await)?;
    let handle = workers.handle().clone();
    let reports = annulus::run(async {
        let mut signals = signal::stream(SignalKind::interrupt())?;
        drop(spawn(async move {
            while signals.recv().await.is_ok() {
                handle.stop(GRACE);
            }
        }));
        Ok::<_, io::Error>(workers.await?)
    })?;
    println!("{}", reports.into_iter().flatten().sum::<Report>());
    Ok(())
}
