//! One chat room on several processes: each serves its own clients over WebSockets, and Redis
//! carries the lines from one to all.
//!
//! ```text
//! cargo run --bin chat_cluster -- 8080 redis://127.0.0.1:6379     # open http://127.0.0.1:8080/
//! cargo run --bin chat_cluster -- 8081 redis://127.0.0.1:6379     # and http://127.0.0.1:8081/
//! ```
//!
//! A line that a client says is published in Redis and nowhere else. Each process has one
//! subscription there, and hands what comes to its topic. So all clients see all lines in one
//! order, the order of Redis. Any other bus takes its place by the same two calls: one that sends a
//! line, and `Topics::publish` for each that comes.

use std::{cell::RefCell, env, io, rc::Rc, time::Duration};

use annulus::{
    Cores,
    compat::Compat,
    http::{
        self, Error, Request, Response, Router, Server, StatusCode,
        topics::{Options, Topics},
        websocket::WebSocket,
    },
    net::TcpStream,
    signal, spawn, time,
};
use redis::{
    AsyncCommands as _, AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, Msg,
    ProtocolVersion, RedisError, RedisResult, aio::MultiplexedConnection,
};

/// The room: the channel in Redis, and the topic in each process.
const ROOM: &str = "room";
/// Lines that newcomers see.
const LINES_MAX: usize = 50;
/// How long Redis may take.
const BUS_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause before the next try to connect to Redis.
const PAUSE: Duration = Duration::from_millis(200);

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8"><title>chat_cluster</title>
<ol id="lines"></ol>
<form id="form"><input id="line" maxlength="500"><button>Send</button></form>
<script>
  let socket;
  function connect() {
    socket = new WebSocket(`${location.origin.replace("http", "ws")}/socket`);
    socket.onopen = () => lines.replaceChildren();
    socket.onmessage = (event) => {
      lines.appendChild(document.createElement("li")).textContent = event.data;
    };
    socket.onclose = () => setTimeout(connect, 1000);
  }
  connect();
  form.onsubmit = (event) => {
    event.preventDefault();
    socket.send(line.value);
    form.reset();
  };
</script>
"#;

/// The connection to Redis, while there is one.
#[derive(Default)]
struct Bus {
    connection: RefCell<Option<MultiplexedConnection>>,
}

impl Bus {
    /// Says a line to the clients of all processes.
    async fn say(&self, line: &str) -> http::Result<()> {
        let away = || Error::new(StatusCode::SERVICE_UNAVAILABLE, "Redis is away");
        let mut connection = self.connection.borrow().clone().ok_or_else(away)?;
        let said = time::timeout(BUS_TIMEOUT, connection.publish::<_, _, ()>(ROOM, line)).await;
        said.map_err(|_| away())?
            .map_err(|error| away().with_source(error))
    }

    /// Takes lines off Redis for the clients of this process, and connects again when the
    /// connection is lost. Lines that are said meanwhile are not seen here.
    async fn listen(&self, info: &ConnectionInfo, topics: &Topics) {
        loop {
            if let Err(error) = self.listen_once(info, topics).await {
                eprintln!("redis: {error}");
            }
            *self.connection.borrow_mut() = None;
            time::sleep(PAUSE).await;
        }
    }

    async fn listen_once(&self, info: &ConnectionInfo, topics: &Topics) -> RedisResult<()> {
        let ConnectionAddr::Tcp(name, port) = info.addr() else {
            return Err(io::Error::other("expected an address of the kind redis://").into());
        };
        let stream = TcpStream::connect(format!("{name}:{port}")).await?;
        let topics = topics.clone();
        // No runtime of tokio takes part, so the timeouts of `redis` are off.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(move |pushed| {
                if let Some(message) = Msg::from_push_info(pushed) {
                    let line = String::from_utf8_lossy(message.get_payload_bytes());
                    topics.publish(ROOM, &*line);
                }
                Ok::<(), RedisError>(())
            });
        // Messages come over the same connection by this version of the protocol.
        let settings = info.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        let connecting =
            MultiplexedConnection::new_with_config(&settings, Compat::new(stream), config);
        let connected = time::timeout(BUS_TIMEOUT, connecting).await;
        let (mut connection, driver) = connected.map_err(io::Error::from)??;
        // The driver moves the bytes, and ends with the connection.
        let driver = spawn(driver);
        let subscribed = time::timeout(BUS_TIMEOUT, connection.subscribe(ROOM)).await;
        subscribed.map_err(io::Error::from)??;
        *self.connection.borrow_mut() = Some(connection);
        let _ = driver.await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset).into())
    }
}

/// The life of a client.
async fn talk(mut socket: WebSocket, bus: &Bus, topics: &Topics) -> http::Result<()> {
    socket.subscribe(topics, ROOM);
    while let Some(message) = socket.recv().await? {
        let line = message.as_text().unwrap_or("bytes are no text");
        // Redis sends it back to its author, as to all others, unless this fails.
        if let Err(error) = bus.say(line).await {
            socket.send(format!("not said: {line} ({error})")).await?;
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("8080".into());
    let url = env::args()
        .nth(2)
        .unwrap_or("redis://127.0.0.1:6379".into());
    let client = Client::open(url).map_err(io::Error::other)?;
    let info = client.get_connection_info().clone();
    let topics = Topics::new();
    topics.configure(ROOM, Options::new().history(LINES_MAX));
    Server::new()
        .listen(format!("127.0.0.1:{port}"))
        .cores(Cores::Count(1))
        .on_listening(|addr| println!("listening on {addr}"))
        .shutdown_on(signal::ctrl_c(), Duration::from_secs(10))
        .run_each(move || {
            let (bus, topics) = (Rc::new(Bus::default()), topics.clone());
            let (listening, info, all) = (Rc::clone(&bus), info.clone(), topics.clone());
            drop(spawn(async move { listening.listen(&info, &all).await }));
            Router::new().get("/", async |_| Response::html(PAGE)).get(
                "/socket",
                async move |request: Request| {
                    let (bus, topics) = (Rc::clone(&bus), topics.clone());
                    request.websocket(async move |socket| talk(socket, &bus, &topics).await)
                },
            )
        })
        .map(drop)
}
