//! Notes in PostgreSQL, by `tokio-postgres` over this crate's sockets, with a pool a worker.
//!
//! ```text
//! cargo run --bin postgres -- 8080 postgresql://postgres@127.0.0.1/postgres
//! curl -d 'buy milk' http://127.0.0.1:8080/notes
//! curl http://127.0.0.1:8080/notes/1          # one note
//! curl http://127.0.0.1:8080/notes.csv        # all of them, by COPY
//! curl -T notes.csv http://127.0.0.1:8080/notes.csv
//! curl -N http://127.0.0.1:8080/events        # notes as they are written, by LISTEN
//! curl http://127.0.0.1:8080/sleep/60         # ctrl-c here cancels the query there
//! ```
//!
//! No runtime of tokio takes part. The pool is `deadpool`'s, without its timeouts: those are
//! `annulus::time::timeout`. Its futures must be `Send`, which `ThreadBound` makes ours. `bb8`
//! does not serve here: it calls `tokio::spawn` and `tokio::time::timeout` itself.

use std::{
    env,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    time::Duration,
};

use annulus::{
    compat::Compat,
    http::{
        self, BodyWriter, Error, Event, EventSender, HeaderValue, Job, Request, Response, Router,
        Server, StatusCode, header,
    },
    io::ByteStream,
    net::{TcpStream, UnixStream},
    signal, spawn,
    task::ThreadBound,
    time,
};
use bytes::Bytes;
use deadpool::managed::{self, Metrics, PoolError, RecycleError};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::broadcast;
use tokio_postgres::{
    AsyncMessage, CancelToken, Client, Config, Connection, CopyInSink, NoTls, config::Host,
    error::SqlState, tls::NoTlsStream, types::Type,
};

/// How many connections a worker has.
const CONNECTIONS_MAX: usize = 4;

/// How long a request waits for a connection.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How many notifications may wait for a client that reads slowly. It misses the oldest then.
const EVENTS_MAX: usize = 64;

/// The largest table that is copied in.
const IMPORT_BYTES_MAX: u64 = 1 << 30;

type Stream = Compat<Box<dyn ByteStream>>;

/// Connects by TCP or by a Unix socket, to the first host of the configuration.
async fn open(config: &Config) -> io::Result<Stream> {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let stream: Box<dyn ByteStream> = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => Box::new(TcpStream::connect(format!("{name}:{port}")).await?),
        Some(Host::Unix(folder)) => {
            let path = folder.join(format!(".s.PGSQL.{port}"));
            Box::new(UnixStream::connect(path).await?)
        }
        None => Box::new(TcpStream::connect(format!("127.0.0.1:{port}")).await?),
    };
    Ok(Compat::new(stream))
}

type ConnectError = Box<dyn std::error::Error + Send + Sync>;

async fn connect(
    config: &Config,
) -> Result<(Client, Connection<Stream, NoTlsStream>), ConnectError> {
    let stream = open(config).await?;
    Ok(config.connect_raw(stream, NoTls).await?)
}

/// Makes the connections of a pool. Their tasks run on this thread.
struct Manager(Config);

impl managed::Manager for Manager {
    type Type = Client;
    type Error = ConnectError;

    fn create(&self) -> impl Future<Output = Result<Client, ConnectError>> + Send {
        let config = self.0.clone();
        ThreadBound::pin(async move {
            let (client, connection) = connect(&config).await?;
            // It ends with the client, or with the server's connection, which the pool notices.
            spawn(async move {
                if let Err(error) = connection.await {
                    eprintln!("a connection has ended: {error}");
                }
            });
            Ok(client)
        })
    }

    /// The health check, before a connection is given out again.
    async fn recycle(
        &self,
        client: &mut Client,
        _: &Metrics,
    ) -> managed::RecycleResult<ConnectError> {
        if client.is_closed() {
            return Err(RecycleError::message("the connection has ended"));
        }
        let checked = client.check_connection().await;
        checked.map_err(|error| RecycleError::Backend(error.into()))
    }
}

/// The state that the handlers of one worker share.
#[derive(Clone)]
struct Notes {
    pool: managed::Pool<Manager>,
    config: Config,
    events: broadcast::Sender<String>,
}

impl Notes {
    /// Waits for a connection. There is none in time when all are taken, or the server is away.
    async fn client(&self) -> http::Result<managed::Object<Manager>> {
        match time::timeout(WAIT_MAX, self.pool.get()).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(PoolError::Backend(error))) => {
                eprintln!("no connection: {error}");
                Err(unavailable("the database is away"))
            }
            Ok(Err(_)) | Err(_) => Err(unavailable("all connections are taken")),
        }
    }

    /// Writes one note a line: all of them or none.
    async fn add(&self, mut request: Request) -> http::Result<Response> {
        let text = text_of(&mut request).await?;
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(failed)?;
        let mut ids = String::new();
        for line in text.lines() {
            let row = transaction
                .query_typed_one(
                    "INSERT INTO notes (text) VALUES ($1) RETURNING id",
                    &[(&line, Type::TEXT)],
                )
                .await
                .map_err(failed)?;
            let id: i32 = row.get(0);
            // It is sent at the commit.
            let payload = format!("{id} {line}");
            transaction
                .query_typed("SELECT pg_notify('notes', $1)", &[(&payload, Type::TEXT)])
                .await
                .map_err(failed)?;
            ids += &format!("{id}\n");
        }
        transaction.commit().await.map_err(failed)?;
        Ok(Response::text(ids).with_status(StatusCode::CREATED))
    }

    async fn find(&self, request: Request) -> http::Result<String> {
        let id: i32 = request.param("id")?;
        let client = self.client().await?;
        let row = client
            .query_typed_opt("SELECT text FROM notes WHERE id = $1", &[(&id, Type::INT4)])
            .await
            .map_err(failed)?;
        let row = row.ok_or(Error::new(StatusCode::NOT_FOUND, "there is no such note"))?;
        Ok(row.get(0))
    }

    /// Sends the table as the server copies it out, one piece at a time.
    async fn export(&self) -> http::Result<Response> {
        let client = self.client().await?;
        let answer = Response::writer(async move |mut out: BodyWriter| {
            let rows = client.copy_out("COPY notes TO STDOUT (FORMAT csv)").await;
            let mut rows = pin!(rows.map_err(failed)?);
            while let Some(row) = rows.next().await {
                out.write(row.map_err(failed)?).await?;
            }
            Ok(())
        });
        Ok(answer.with_field(header::CONTENT_TYPE, HeaderValue::from_static("text/csv")))
    }

    /// Copies a table in, as it comes: all of it or nothing.
    async fn import(&self, mut request: Request) -> http::Result<String> {
        let client = self.client().await?;
        let sink = client.copy_in("COPY notes (text) FROM STDIN (FORMAT csv)");
        let mut sink: Pin<&mut CopyInSink<Bytes>> = pin!(sink.await.map_err(failed)?);
        let mut body = request.take_body().limit(IMPORT_BYTES_MAX);
        // Without `finish` the server forgets the rows.
        while let Some(piece) = body.next().await? {
            let piece = Bytes::from(piece.into_vec());
            sink.send(piece).await.map_err(failed)?;
        }
        let count = sink.finish().await.map_err(failed)?;
        Ok(format!("{count} notes\n"))
    }

    /// Sends each note that any worker or program writes.
    fn watch(&self) -> Response {
        let mut notes = self.events.subscribe();
        Response::sse(async move |mut events: EventSender| {
            loop {
                match notes.recv().await {
                    Ok(note) => events.send(Event::data(note)).await?,
                    Err(broadcast::error::RecvError::Lagged(count)) => {
                        let missed = format!("{count} notes were missed");
                        events.send(Event::data(missed).name("missed")).await?;
                    }
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                }
            }
        })
    }

    /// A query that takes long. The server ends it when the client of this goes away.
    async fn sleep(&self, request: Request) -> http::Result<String> {
        let seconds: f64 = request.param("seconds")?;
        // A client that closes its connection looks at first like one that has sent all it will.
        request.stop_on_half_close();
        let client = self.client().await?;
        let mut guard = CancelOnDrop {
            token: Some(client.cancel_token()),
            config: self.config.clone(),
        };
        let slept = client
            .query_typed("SELECT pg_sleep($1)", &[(&seconds, Type::FLOAT8)])
            .await;
        guard.token = None;
        slept.map_err(failed)?;
        Ok("slept\n".into())
    }

    /// Receives the notifications, by a connection of its own that is made again when it ends.
    async fn listen(&self, job: &Job) {
        loop {
            let listening = self.listen_once();
            match race(listening, job.stopping()).await {
                None => return,
                Some(Err(error)) => eprintln!("no notifications: {error}"),
                Some(Ok(())) => {}
            }
            // Clients that watch read what was written meanwhile by a question of their own.
            if race(time::sleep(Duration::from_millis(200)), job.stopping())
                .await
                .is_none()
            {
                return;
            }
        }
    }

    async fn listen_once(&self) -> Result<(), ConnectError> {
        let (client, mut connection) = connect(&self.config).await?;
        let asked = spawn(async move {
            client.batch_execute("LISTEN notes").await?;
            println!("a worker receives notifications");
            Ok::<_, tokio_postgres::Error>(client) // It ends the connection when it is dropped.
        });
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(note) = message? {
                let _ = self.events.send(note.payload().into());
            }
        }
        drop(asked);
        Ok(())
    }
}

/// The output of `future`, or none if `stop` comes first.
async fn race<T>(future: impl Future<Output = T>, stop: impl Future<Output = ()>) -> Option<T> {
    tokio::select! {
        output = future => Some(output),
        () = stop => None,
    }
}

/// Cancels a query that is dropped before its end. Otherwise its connection goes back to the pool,
/// and the next query on it waits for this one.
struct CancelOnDrop {
    token: Option<CancelToken>,
    config: Config,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            let config = self.config.clone();
            spawn(async move {
                if let Ok(stream) = open(&config).await {
                    let _ = token.cancel_query_raw(stream, NoTls).await;
                }
            });
        }
    }
}

/// The body, which has to be UTF-8.
async fn text_of(request: &mut Request) -> http::Result<String> {
    let bytes = request.take_body().bytes().await?;
    String::from_utf8(bytes).map_err(|_| Error::new(StatusCode::BAD_REQUEST, "expected UTF-8"))
}

fn unavailable(reason: &'static str) -> Error {
    Error::new(StatusCode::SERVICE_UNAVAILABLE, reason)
}

/// The answer to a client: mistakes of its data are its own.
fn failed(error: tokio_postgres::Error) -> Error {
    if error.is_closed() {
        return unavailable("the database is away").with_source(error);
    }
    let status = match error.code() {
        Some(code) if *code == SqlState::CHECK_VIOLATION => StatusCode::UNPROCESSABLE_ENTITY,
        Some(code) if *code == SqlState::BAD_COPY_FILE_FORMAT => StatusCode::BAD_REQUEST,
        Some(code) if *code == SqlState::ADMIN_SHUTDOWN => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let reason = error
        .as_db_error()
        .map_or("the query failed", |error| error.message());
    Error::new(status, reason.to_owned()).with_source(error)
}

async fn make_table(config: &Config) -> Result<(), ConnectError> {
    let (client, connection) = connect(config).await?;
    spawn(connection);
    let table = "CREATE TABLE IF NOT EXISTS notes \
                 (id serial PRIMARY KEY, text text NOT NULL CHECK (text <> ''))";
    Ok(client.batch_execute(table).await?)
}

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("8080".into());
    let url = env::args()
        .nth(2)
        .unwrap_or("postgresql://postgres@127.0.0.1/postgres".into());
    let config: Config = url.parse().map_err(io::Error::other)?;
    annulus::run(make_table(&config)).map_err(io::Error::other)?;
    thread_local! {
        static NOTES: std::cell::OnceCell<Notes> = const { std::cell::OnceCell::new() };
    }
    // One for each worker: a connection stays on its thread.
    let notes = move || {
        NOTES.with(|notes| {
            let make = || Notes {
                pool: managed::Pool::builder(Manager(config.clone()))
                    .max_size(CONNECTIONS_MAX)
                    .build()
                    .expect("it has no timeouts, which would need a runtime of tokio"),
                config: config.clone(),
                events: broadcast::Sender::new(EVENTS_MAX),
            };
            notes.get_or_init(make).clone()
        })
    };
    let of_job = notes.clone();
    Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .on_listening(|addr| println!("listening on {addr}"))
        .background_each(async move |job: Job| of_job().listen(&job).await)
        .shutdown_on(signal::ctrl_c(), Duration::from_secs(10))
        .run_each(move || {
            let [add, find, export, import, watch, sleep] = [(); 6].map(|()| notes());
            Router::new()
                .post("/notes", async move |request: Request| {
                    add.add(request).await
                })
                .get("/notes/{id}", async move |request: Request| {
                    find.find(request).await
                })
                .get("/notes.csv", async move |_: Request| export.export().await)
                .put("/notes.csv", async move |request: Request| {
                    import.import(request).await
                })
                .get("/events", async move |_: Request| watch.watch())
                .get("/sleep/{seconds}", async move |request: Request| {
                    sleep.sleep(request).await
                })
        })
        .map(drop)
}
