//! The profiles of the program `arena` by axum on tokio: what `benches/arena.rs` compares it with.
//!
//! ```text
//! cargo run --release --bin arena_axum -- --data DIR --certs DIR
//! ```
//!
//! The options are those of `arena`, and so are the ports and answers. It has the usual crates:
//! `tower-http` for files and compression, `tokio-rustls` for TLS, `deadpool` and `tokio-postgres`
//! for the database, and tonic for gRPC.

use std::{collections::HashMap, env, fs, io, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, Query, State, WebSocketUpgrade, ws::Message},
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use deadpool::managed::{self, Metrics, RecycleError};
use ecosystem::arena::{Benchmark, Item, Rating};
use futures_util::StreamExt as _;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::{Client, Config, NoTls, Statement, config::Host, types};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};
use tower_http::{compression::CompressionLayer, services::ServeDir};

/// The largest upload.
const UPLOAD_BYTES_MAX: usize = 32 << 20;

const BY_PRICE: &str = "SELECT id, name, category, price, quantity, active, tags, rating_score, \
                        rating_count FROM items WHERE price BETWEEN $1 AND $2 LIMIT $3";

#[derive(Clone)]
struct App {
    dataset: Arc<Vec<Item>>,
    pool: Option<managed::Pool<Manager>>,
}

#[derive(Deserialize)]
struct Summands {
    a: i64,
    b: i64,
}

async fn sum(Query(Summands { a, b }): Query<Summands>, body: String) -> impl IntoResponse {
    let c = match body.trim() {
        "" => Ok(0),
        text => text.parse::<i64>(),
    };
    match c {
        Ok(c) => Ok((a + b + c).to_string()),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

async fn upload(body: Body) -> Result<String, StatusCode> {
    let (mut pieces, mut count) = (body.into_data_stream(), 0);
    while let Some(piece) = pieces.next().await {
        count += piece.map_err(|_| StatusCode::BAD_REQUEST)?.len();
    }
    Ok(count.to_string())
}

#[derive(Serialize)]
struct Priced<'a> {
    #[serde(flatten)]
    item: &'a Item,
    total: i64,
}

#[derive(Serialize)]
struct List<T> {
    items: Vec<T>,
    count: usize,
}

async fn first(
    State(app): State<App>,
    Path(count): Path<usize>,
    Query(query): Query<HashMap<String, i64>>,
) -> impl IntoResponse {
    let m = query.get("m").copied().unwrap_or(1);
    let priced = |item| Priced {
        item,
        total: i64::from(item.price) * i64::from(item.quantity) * m,
    };
    let items: Vec<_> = app.dataset.iter().take(count).map(priced).collect();
    let count = items.len();
    Json(List { items, count }).into_response()
}

async fn websocket(upgrade: WebSocketUpgrade) -> impl IntoResponse {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Close(_) = message {
                return;
            }
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

type ConnectError = Box<dyn std::error::Error + Send + Sync>;

struct Manager(Config);

impl managed::Manager for Manager {
    type Type = (Client, Statement);
    type Error = ConnectError;

    async fn create(&self) -> Result<(Client, Statement), ConnectError> {
        let host = match self.0.get_hosts().first() {
            Some(Host::Tcp(name)) => name,
            _ => return Err("expected a host that is reached by TCP".into()),
        };
        let port = self.0.get_ports().first().copied().unwrap_or(5432);
        let stream = TcpStream::connect((&**host, port)).await?;
        stream.set_nodelay(true)?;
        let (client, connection) = self.0.connect_raw(stream, NoTls).await?;
        drop(tokio::spawn(connection));
        let by_price = client.prepare(BY_PRICE).await?;
        Ok((client, by_price))
    }

    async fn recycle(
        &self,
        (client, _): &mut (Client, Statement),
        _: &Metrics,
    ) -> managed::RecycleResult<ConnectError> {
        match client.is_closed() {
            true => Err(RecycleError::message("the connection has ended")),
            false => Ok(()),
        }
    }
}

#[derive(Deserialize)]
struct Prices {
    min: i32,
    max: i32,
    limit: i64,
}

async fn by_price(State(app): State<App>, Query(prices): Query<Prices>) -> impl IntoResponse {
    let failed = |_| StatusCode::SERVICE_UNAVAILABLE;
    let pool = app.pool.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    let connection = pool.get().await.map_err(|_| failed(()))?;
    let (client, statement) = &*connection;
    let limit = prices.limit.clamp(1, 50);
    let rows = client
        .query(statement, &[&prices.min, &prices.max, &limit])
        .await
        .map_err(|_| failed(()))?;
    let item = |row: &tokio_postgres::Row| {
        let types::Json(tags) = row.get(6);
        Item {
            id: row.get(0),
            name: row.get(1),
            category: row.get(2),
            price: row.get(3),
            quantity: row.get(4),
            active: row.get(5),
            tags,
            rating: Rating {
                score: row.get(7),
                count: row.get(8),
            },
        }
    };
    let items: Vec<_> = rows.iter().map(item).collect();
    let count = items.len();
    Ok::<_, StatusCode>(Json(List { items, count }))
}

async fn delay(Path(ms): Path<u64>) -> String {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    ms.to_string()
}

fn router(app: App, data: PathBuf) -> Router {
    let json = get(first).layer(CompressionLayer::new());
    let files = ServeDir::new(data.join("static"))
        .precompressed_br()
        .precompressed_gzip();
    Router::new()
        .route("/baseline11", get(sum).post(sum))
        .route("/baseline2", get(sum))
        .route("/pipeline", get(async || "ok"))
        .route("/upload", post(upload))
        .route("/echo", post(async |body: Bytes| body))
        .route("/delay/{ms}", get(delay))
        .route("/ws", get(websocket))
        .route("/json/{count}", json)
        .route("/async-db", get(by_price))
        .nest_service("/static", files)
        .route_service("/benchmark.BenchmarkService/{method}", Benchmark)
        .layer(DefaultBodyLimit::max(UPLOAD_BYTES_MAX))
        .with_state(app)
}

/// Serves the connections of a port, each of them by the version of HTTP that the client begins
/// with.
async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (tls, service) = (tls.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            // An error is the client's, which has left.
            let _ = match tls {
                None => serve_one(&builder, TokioIo::new(stream), service).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve_one(&builder, TokioIo::new(stream), service).await,
                    Err(_) => Ok(()),
                },
            };
        });
    }
}

async fn serve_one<S>(
    builder: &auto::Builder<TokioExecutor>,
    stream: TokioIo<S>,
    service: TowerToHyperService<Router>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    TokioIo<S>: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    builder
        .serve_connection_with_upgrades(stream, service)
        .await
}

fn tls(certs: &std::path::Path, protocols: &[&[u8]]) -> io::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certs.join("server.crt"));
    let chain = chain
        .and_then(Iterator::collect)
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(certs.join("server.key")).map_err(io::Error::other)?;
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let mut config = config
        .with_single_cert(chain, key)
        .map_err(io::Error::other)?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let option = |name: &str, default: &str| {
        let at = words.iter().position(|word| word == name);
        let value = at.and_then(|at| words.get(at + 1));
        value.map_or_else(|| default.to_owned(), Clone::clone)
    };
    let data = PathBuf::from(option("--data", "/data"));
    let certs = PathBuf::from(option("--certs", "/certs"));
    let address = option("--address", "0.0.0.0");
    let dataset = fs::read(data.join("dataset.json"))?;
    let connections_max = env::var("DATABASE_MAX_CONN").ok();
    let connections_max = connections_max.and_then(|count| count.parse().ok());
    let config = env::var("DATABASE_URL")
        .ok()
        .map(|url| url.parse::<Config>());
    let pool = config.transpose().map_err(io::Error::other)?.map(|config| {
        managed::Pool::builder(Manager(config))
            .max_size(connections_max.unwrap_or(64))
            .build()
            .expect("it has no timeouts")
    });
    let app = App {
        dataset: Arc::new(serde_json::from_slice(&dataset)?),
        pool,
    };
    let router = router(app, data);
    let mut ports = Vec::new();
    for (name, port, default, tls) in [
        ("http", "--port", "8080", None),
        (
            "https",
            "--tls-port",
            "8081",
            Some(tls(&certs, &[b"http/1.1"])?),
        ),
        ("h2c", "--h2c-port", "8082", None),
        ("h2", "--h2-port", "8443", Some(tls(&certs, &[b"h2"])?)),
    ] {
        let listener = TcpListener::bind(format!("{address}:{}", option(port, default))).await?;
        println!("{name} listening on {}", listener.local_addr()?);
        ports.push(tokio::spawn(serve(listener, tls, router.clone())));
    }
    for port in ports {
        port.await.map_err(io::Error::other)??;
    }
    Ok(())
}
