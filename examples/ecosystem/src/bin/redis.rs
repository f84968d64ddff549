//! Counters and messages in Redis, by the crate `redis` over this crate's sockets: one connection
//! a worker, which all its requests share.
//!
//! ```text
//! cargo run --bin redis -- 8080 redis://127.0.0.1:6379
//! curl -X POST http://127.0.0.1:8080/visits/home        # counts, by a pipeline
//! curl http://127.0.0.1:8080/visits/home
//! curl -N http://127.0.0.1:8080/events/news             # messages as they are published
//! curl -d 'it rains' http://127.0.0.1:8080/publish/news
//! ```
//!
//! No runtime of tokio takes part, so two things of `redis` are left out. Its timeouts are off,
//! and `annulus::time::timeout` is around each command. `PubSub` and `ConnectionManager`, which
//! call `tokio::spawn`, are not used: messages come over the same connection by RESP3, and
//! `Link::open` connects again.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    env, io,
    rc::Rc,
    time::Duration,
};

use annulus::{
    compat::Compat,
    http::{self, Error, Event, EventSender, Request, Response, Router, Server, StatusCode},
    io::ByteStream,
    net::{TcpStream, UnixStream},
    signal, spawn,
    sync::Semaphore,
    time,
};
use redis::{
    AsyncCommands as _, AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, Msg,
    ProtocolVersion, PushInfo, PushKind, RedisError, RedisResult, aio::MultiplexedConnection,
};
use tokio::sync::broadcast;

/// How long a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);

/// How many messages may wait for a client that reads slowly. Its answer ends then.
const MESSAGES_MAX: usize = 64;

/// Seconds for which a count is kept.
const KEPT_SECONDS: i64 = 24 * 60 * 60;

/// The state that the handlers of one worker share.
struct Link {
    info: ConnectionInfo,
    /// Made when it is first needed, and again when it has failed.
    open: RefCell<Option<Open>>,
    /// How many connections have been made. It tells one from those before it.
    made: Cell<u64>,
    /// One task connects, and the others wait for it.
    turn: Semaphore,
    /// How many clients watch a channel.
    watched: RefCell<HashMap<String, usize>>,
}

#[derive(Clone)]
struct Open {
    /// Which of the worker's connections it is.
    number: u64,
    connection: MultiplexedConnection,
    messages: broadcast::Sender<PushInfo>,
}

/// Connects. A task moves the connection's bytes, and tells the link when it has ended.
async fn connect(link: &Rc<Link>, number: u64) -> RedisResult<Open> {
    let info = &link.info;
    let stream: Box<dyn ByteStream> = match info.addr() {
        ConnectionAddr::Tcp(name, port) => {
            Box::new(TcpStream::connect(format!("{name}:{port}")).await?)
        }
        ConnectionAddr::Unix(path) => Box::new(UnixStream::connect(path).await?),
        other => return Err(io::Error::other(format!("{other} needs TLS")).into()),
    };
    let messages = broadcast::Sender::new(MESSAGES_MAX);
    let sender = messages.clone();
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_push_sender(move |message| {
            // An error only says that no client watches.
            let _ = sender.send(message);
            Ok::<(), RedisError>(())
        });
    let settings = info.redis_settings().clone();
    let settings = settings.set_protocol(ProtocolVersion::RESP3);
    let stream = Compat::new(stream);
    let (connection, driver) =
        MultiplexedConnection::new_with_config(&settings, stream, config).await?;
    let link = Rc::clone(link);
    spawn(async move {
        driver.await;
        link.forget(number);
    });
    Ok(Open {
        number,
        connection,
        messages,
    })
}

impl Link {
    fn new(info: ConnectionInfo) -> Rc<Self> {
        Rc::new(Self {
            info,
            open: RefCell::new(None),
            made: Cell::new(0),
            turn: Semaphore::new(1),
            watched: RefCell::default(),
        })
    }

    async fn open(self: &Rc<Self>) -> http::Result<Open> {
        let _turn = self.turn.acquire().await.expect("it is never closed");
        if let Some(open) = &*self.open.borrow() {
            return Ok(open.clone());
        }
        let number = self.made.get() + 1;
        self.made.set(number);
        let made = time::timeout(COMMAND_TIMEOUT, connect(self, number)).await;
        let made = made.map_err(|_| away("Redis does not answer"))?;
        let made = made.map_err(|error| away("Redis is away").with_source(error))?;
        *self.open.borrow_mut() = Some(made.clone());
        Ok(made)
    }

    /// The connection has ended: the next command connects again.
    fn forget(&self, number: u64) {
        let _ended = self.open.borrow_mut().take_if(|open| open.number == number);
    }

    /// Runs a command, with a limit on its time.
    async fn run<T>(
        self: &Rc<Self>,
        command: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> http::Result<T> {
        self.run_on(self.open().await?, command).await
    }

    async fn run_on<T>(
        &self,
        mut open: Open,
        command: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> http::Result<T> {
        let done = time::timeout(COMMAND_TIMEOUT, command(&mut open.connection)).await;
        let done = done.map_err(|_| away("Redis does not answer"))?;
        done.map_err(|error| {
            if error.is_io_error() || error.is_connection_dropped() {
                self.forget(open.number);
                return away("Redis is away").with_source(error);
            }
            Error::new(StatusCode::INTERNAL_SERVER_ERROR, "the command failed").with_source(error)
        })
    }

    /// Counts a visit. Both commands of the pipeline go out in one write, as one transaction.
    async fn visit(self: &Rc<Self>, request: Request) -> http::Result<String> {
        let page = format!("visits:{}", request.param_str("page")?);
        let pipeline = async |connection: &mut MultiplexedConnection| {
            let mut pipeline = redis::pipe();
            pipeline
                .atomic()
                .incr(&page, 1)
                .expire(&page, KEPT_SECONDS)
                .ignore();
            pipeline.query_async::<(u64,)>(connection).await
        };
        let (count,) = self.run(pipeline).await?;
        Ok(format!("{count}\n"))
    }

    async fn visits(self: &Rc<Self>, request: Request) -> http::Result<String> {
        let page = format!("visits:{}", request.param_str("page")?);
        let get = async |connection: &mut MultiplexedConnection| connection.get(&page).await;
        let count: Option<u64> = self.run(get).await?;
        Ok(format!("{}\n", count.unwrap_or(0)))
    }

    async fn publish(self: &Rc<Self>, mut request: Request) -> http::Result<String> {
        let text = text_of(&mut request).await?;
        let channel = request.param_str("channel")?;
        let publish =
            async |connection: &mut MultiplexedConnection| connection.publish(channel, &text).await;
        let count: u64 = self.run(publish).await?;
        Ok(format!("{count} connections\n"))
    }

    /// Sends the messages of a channel until the client leaves, or the connection to Redis ends.
    async fn watch(self: Rc<Self>, request: Request) -> http::Result<Response> {
        let channel = request.param_str("channel")?.into_owned();
        let open = self.open().await?;
        let mut messages = open.messages.subscribe();
        let watch = Watch::begin(self, channel.clone());
        let subscribe =
            async |connection: &mut MultiplexedConnection| connection.subscribe(&channel).await;
        watch.link.run_on(open, subscribe).await?;
        Ok(Response::sse(async move |mut events: EventSender| {
            let watch = watch;
            loop {
                // One that reads too slowly ends as well: it connects again and asks what is new.
                let Ok(message) = messages.recv().await else {
                    return Ok(());
                };
                if message.kind == PushKind::Disconnection {
                    return Ok(());
                }
                let message = Msg::from_push_info(message);
                let Some(message) = message.filter(|it| it.get_channel_name() == watch.channel)
                else {
                    continue;
                };
                let text = String::from_utf8_lossy(message.get_payload_bytes()).into_owned();
                events.send(Event::data(text)).await?;
            }
        }))
    }
}

/// One client that watches a channel. The last one of a channel ends the subscription.
struct Watch {
    link: Rc<Link>,
    channel: String,
}

impl Watch {
    fn begin(link: Rc<Link>, channel: String) -> Self {
        *link
            .watched
            .borrow_mut()
            .entry(channel.clone())
            .or_default() += 1;
        Self { link, channel }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.link.watched.borrow_mut();
        let Some(count) = watched.get_mut(&self.channel) else {
            return;
        };
        *count -= 1;
        if *count > 0 {
            return;
        }
        watched.remove(&self.channel);
        let (link, channel) = (Rc::clone(&self.link), self.channel.clone());
        spawn(async move {
            // Another client may have come meanwhile.
            if !link.watched.borrow().contains_key(&channel) {
                let unsubscribe = async |connection: &mut MultiplexedConnection| {
                    connection.unsubscribe(&channel).await
                };
                let _ = link.run(unsubscribe).await;
            }
        });
    }
}

/// The body, which has to be UTF-8.
async fn text_of(request: &mut Request) -> http::Result<String> {
    let bytes = request.take_body().bytes().await?;
    String::from_utf8(bytes).map_err(|_| Error::new(StatusCode::BAD_REQUEST, "expected UTF-8"))
}

fn away(reason: &'static str) -> Error {
    Error::new(StatusCode::SERVICE_UNAVAILABLE, reason)
}

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("8080".into());
    let url = env::args()
        .nth(2)
        .unwrap_or("redis://127.0.0.1:6379".into());
    let client = Client::open(url).map_err(io::Error::other)?;
    Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .on_listening(|addr| println!("listening on {addr}"))
        .shutdown_on(signal::ctrl_c(), Duration::from_secs(10))
        .run_each(move || {
            let link = Link::new(client.get_connection_info().clone());
            let [visit, visits, publish, watch] = [(); 4].map(|()| Rc::clone(&link));
            Router::new()
                .post("/visits/{page}", async move |it: Request| {
                    visit.visit(it).await
                })
                .get("/visits/{page}", async move |it: Request| {
                    visits.visits(it).await
                })
                .post("/publish/{channel}", async move |it: Request| {
                    publish.publish(it).await
                })
                .get("/events/{channel}", async move |it: Request| {
                    Rc::clone(&watch).watch(it).await
                })
        })
        .map(drop)
}
