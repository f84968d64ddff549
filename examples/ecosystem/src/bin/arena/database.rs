//! The database: PostgreSQL by `tokio-postgres` over this crate's sockets, with a pool a worker.

use std::time::Duration;

use annulus::{
    compat::Compat,
    http::{self, Error, StatusCode},
    net::TcpStream,
    spawn,
    task::ThreadBound,
    time,
};
use deadpool::managed::{self, Metrics, Object, PoolError, RecycleError};
use ecosystem::arena::{Item, Rating};
use tokio_postgres::{
    Client, Config, NoTls, Row, Statement,
    config::Host,
    types::{Json, ToSql},
};

use crate::{
    arguments::Arguments,
    crud::{Change, NewItem},
    fortunes::Fortune,
};

/// How long a request waits for a connection.
const WAIT_MAX: Duration = Duration::from_secs(5);

const BY_PRICE: &str = "SELECT id, name, category, price, quantity, active, tags, rating_score, \
                        rating_count FROM items WHERE price BETWEEN $1 AND $2 LIMIT $3";
const BY_CATEGORY: &str = "SELECT id, name, category, price, quantity, active, tags, \
                           rating_score, rating_count FROM items WHERE category = $1 ORDER BY id \
                           LIMIT $2 OFFSET $3";
const ITEM: &str = "SELECT id, name, category, price, quantity, active, tags, rating_score, \
                    rating_count FROM items WHERE id = $1";
const INSERT: &str = "INSERT INTO items (id, name, category, price, quantity, active, tags, \
                      rating_score, rating_count) VALUES ($1, $2, $3, $4, $5, true, '[]', 0, 0) \
                      ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, \
                      category = EXCLUDED.category, price = EXCLUDED.price, \
                      quantity = EXCLUDED.quantity RETURNING id, name, category, price, quantity, \
                      active, tags, rating_score, rating_count";
const UPDATE: &str = "UPDATE items SET name = $2, price = $3, quantity = $4 WHERE id = $1 \
                      RETURNING id, name, category, price, quantity, active, tags, rating_score, \
                      rating_count";
const FORTUNES: &str = "SELECT id, message FROM fortune";

type ConnectError = Box<dyn std::error::Error + Send + Sync>;

/// A connection, with the statements that are prepared on it.
struct Connection {
    client: Client,
    by_price: Statement,
    by_category: Statement,
    item: Statement,
    insert: Statement,
    update: Statement,
}

impl Connection {
    async fn open(config: &Config) -> Result<Self, ConnectError> {
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(name)) => name,
            _ => return Err("expected a host that is reached by TCP".into()),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let stream = TcpStream::connect(format!("{host}:{port}")).await?;
        let (client, connection) = config.connect_raw(Compat::new(stream), NoTls).await?;
        // It ends with the client, or with the server's connection, which the pool notices.
        spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("a connection to the database has ended: {error}");
            }
        });
        Ok(Self {
            by_price: client.prepare(BY_PRICE).await?,
            by_category: client.prepare(BY_CATEGORY).await?,
            item: client.prepare(ITEM).await?,
            insert: client.prepare(INSERT).await?,
            update: client.prepare(UPDATE).await?,
            client,
        })
    }
}

/// Makes the connections of a pool. Their tasks run on this thread.
struct Manager(Config);

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = ConnectError;

    fn create(&self) -> impl Future<Output = Result<Connection, ConnectError>> + Send {
        let config = self.0.clone();
        ThreadBound::pin(async move { Connection::open(&config).await })
    }

    async fn recycle(
        &self,
        connection: &mut Connection,
        _: &Metrics,
    ) -> managed::RecycleResult<ConnectError> {
        if connection.client.is_closed() {
            return Err(RecycleError::message("the connection has ended"));
        }
        Ok(())
    }
}

/// The database of one worker.
pub(crate) struct Database {
    pool: Option<managed::Pool<Manager>>,
}

impl Database {
    /// Makes it, without a connection yet.
    pub(crate) fn new(arguments: &Arguments, workers: usize) -> Self {
        let size = (arguments.connections_max / workers).max(1);
        let pool = |config: &Config| {
            managed::Pool::builder(Manager(config.clone()))
                .max_size(size)
                .build()
                .expect("it has no timeouts, which would need a runtime of tokio")
        };
        Self {
            pool: arguments.database.as_ref().map(pool),
        }
    }

    async fn connection(&self) -> http::Result<Object<Manager>> {
        let pool = self.pool.as_ref().ok_or_else(|| away("there is none"))?;
        match time::timeout(WAIT_MAX, pool.get()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(PoolError::Backend(error))) => Err(away(error)),
            Ok(Err(error)) => Err(away(error.to_string())),
            Err(error) => Err(away(error)),
        }
    }

    pub(crate) async fn by_price(&self, min: i32, max: i32, limit: i64) -> http::Result<Vec<Item>> {
        let of = self.connection().await?;
        items(&of, &of.by_price, &[&min, &max, &limit]).await
    }

    pub(crate) async fn by_category(
        &self,
        category: &str,
        limit: i64,
        skipped: i64,
    ) -> http::Result<Vec<Item>> {
        let of = self.connection().await?;
        items(&of, &of.by_category, &[&category, &limit, &skipped]).await
    }

    /// The item with a number, if there is one.
    pub(crate) async fn item(&self, id: i32) -> http::Result<Option<Item>> {
        let of = self.connection().await?;
        Ok(items(&of, &of.item, &[&id]).await?.pop())
    }

    /// Writes an item, and returns its row.
    pub(crate) async fn insert(&self, new: &NewItem) -> http::Result<Item> {
        let of = self.connection().await?;
        let values: [&(dyn ToSql + Sync); 5] =
            [&new.id, &new.name, &new.category, &new.price, &new.quantity];
        let mut rows = items(&of, &of.insert, &values).await?;
        rows.pop().ok_or_else(|| away("it returned no row"))
    }

    /// Changes an item if there is one with this number, and returns its row.
    pub(crate) async fn update(&self, id: i32, change: &Change) -> http::Result<Option<Item>> {
        let of = self.connection().await?;
        let values: [&(dyn ToSql + Sync); 4] = [&id, &change.name, &change.price, &change.quantity];
        Ok(items(&of, &of.update, &values).await?.pop())
    }

    /// The messages of the table `fortune`.
    pub(crate) async fn fortunes(&self) -> http::Result<Vec<Fortune>> {
        let of = self.connection().await?;
        let rows = of.client.query_typed(FORTUNES, &[]).await.map_err(away)?;
        rows.iter()
            .map(|row| {
                Ok(Fortune {
                    id: row.try_get(0)?,
                    message: row.try_get(1)?,
                })
            })
            .collect::<Result<_, tokio_postgres::Error>>()
            .map_err(away)
    }
}

async fn items(
    connection: &Connection,
    statement: &Statement,
    values: &[&(dyn ToSql + Sync)],
) -> http::Result<Vec<Item>> {
    let rows = connection.client.query(statement, values).await;
    let rows = rows.map_err(away)?;
    let items: Result<Vec<Item>, _> = rows.iter().map(item_of).collect();
    items.map_err(away)
}

fn item_of(row: &Row) -> Result<Item, tokio_postgres::Error> {
    let Json(tags) = row.try_get(6)?;
    Ok(Item {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        category: row.try_get(2)?,
        price: row.try_get(3)?,
        quantity: row.try_get(4)?,
        active: row.try_get(5)?,
        tags,
        rating: Rating {
            score: row.try_get(7)?,
            count: row.try_get(8)?,
        },
    })
}

/// The error of a request that the database cannot serve.
fn away(error: impl Into<ConnectError>) -> Error {
    let error = error.into();
    Error::new(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("the database is away: {error}"),
    )
}
