//! Libraries that open their sockets on tokio themselves, unmodified, in its context: on both
//! drivers, by `in_tokio` and by `on_tokio`, against real servers where the machine has them.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use annulus::{
    DriverKind, Runtime,
    compat::{InsideTokio, Tokio, in_tokio, on_tokio},
    http::{Connection, Request, Response},
    net::{TcpListener, TcpStream},
    spawn, stats,
    task::JoinSet,
    time,
};
use ecosystem::{postgres_server::PostgresServer, scripted_mongodb};
use futures_util::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use sqlx::{PgPool, Row as _, postgres::PgPoolOptions};

/// How long a test waits for what must come.
const BOUND: Duration = Duration::from_secs(100);

/// Runs a test on a runtime of each driver.
fn on_each_driver(test: impl AsyncFn()) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        let bounded = async { time::timeout(BOUND, test()).await };
        runtime.block_on(bounded).expect("the test does not hang");
    }
}

/// A server of annulus's on this thread, which returns bodies as they come.
async fn echo_server() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let echo = async |mut request: Request| -> annulus::http::Result<Response> {
        if request.path() == "/never" {
            std::future::pending::<()>().await;
        }
        let body = request.take_body().limit(4 << 20).bytes().await?;
        Ok(Response::bytes(body))
    };
    let accept = async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(spawn(Connection::new().serve(stream, echo)));
        }
    };
    drop(spawn(accept));
    Ok(format!("http://{addr}"))
}

#[test]
fn reqwest_talks_to_our_server() {
    on_each_driver(async || {
        let url = echo_server().await.unwrap();
        let before = stats().tokio.contexts;
        in_tokio(async {
            let client = reqwest::Client::new();
            let large = vec![b'x'; 3 << 20];
            let mut tasks = JoinSet::new();
            for number in 0..16_usize {
                let (client, url) = (client.clone(), url.clone());
                tasks.spawn(in_tokio(async move {
                    for round in 0..20 {
                        let body = format!("{number} {round}");
                        let answer = client.post(&url).body(body.clone()).send().await.unwrap();
                        assert_eq!(answer.status(), 200);
                        assert_eq!(answer.text().await.unwrap(), body);
                    }
                }));
            }
            while let Some(joined) = tasks.join_next().await {
                joined.unwrap();
            }
            let answer = client.post(&url).body(large.clone()).send().await.unwrap();
            assert_eq!(answer.bytes().await.unwrap(), large);
            // Its own timer, and a request that is dropped.
            let waits = || client.get(format!("{url}/never"));
            let late = waits().timeout(Duration::from_millis(20)).send().await;
            assert!(late.unwrap_err().is_timeout());
            let dropped = time::timeout(Duration::from_millis(5), waits().send());
            assert!(dropped.await.is_err());
            let refused = client.get("http://127.0.0.1:1").send().await;
            assert!(refused.unwrap_err().is_connect());
        })
        .await;
        assert!(stats().tokio.contexts > before + 320);
        // As a whole on tokio's thread, while this one serves.
        let text = on_tokio(async move { reqwest::get(url).await?.text().await });
        assert_eq!(text.await.unwrap(), "");
    });
}

#[test]
fn sqlx_works_with_postgresql() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let url = server.url();
    on_each_driver(async || {
        let pool = in_tokio(PgPoolOptions::new().max_connections(4).connect(&url));
        let pool = pool.await.unwrap();
        in_tokio(fill(&pool)).await.unwrap();
        // More tasks than connections, each in a context of its own.
        let mut tasks = JoinSet::new();
        for number in 0..100_i32 {
            let pool = pool.clone();
            tasks.spawn(in_tokio(async move {
                let query = sqlx::query_scalar("SELECT text FROM lines WHERE number = $1");
                let text: String = query.bind(number).fetch_one(&pool).await?;
                assert_eq!(text, format!("line {number}"));
                sqlx::Result::<()>::Ok(())
            }));
        }
        while let Some(joined) = tasks.join_next().await {
            joined.unwrap().unwrap();
        }
        // Rows one at a time, a query that is dropped, and an error of the server's.
        in_tokio(async {
            let mut rows = sqlx::query("SELECT number FROM lines ORDER BY number").fetch(&pool);
            let mut count = 0;
            while let Some(row) = rows.try_next().await.unwrap() {
                assert_eq!(row.get::<i32, _>(0), count);
                count += 1;
            }
            assert_eq!(count, 1000);
            drop(rows);
            let sleeps = sqlx::query("SELECT pg_sleep(1)").execute(&pool);
            assert!(
                time::timeout(Duration::from_millis(20), sleeps)
                    .await
                    .is_err()
            );
            let error = sqlx::query("SELECT 1 / 0")
                .execute(&pool)
                .await
                .unwrap_err();
            let code = error
                .as_database_error()
                .and_then(|error| error.code().map(String::from));
            assert_eq!(code.as_deref(), Some("22012"));
        })
        .await;
        let count = on_tokio({
            let pool = pool.clone();
            async move {
                sqlx::query_scalar::<_, i64>("SELECT count(*) FROM lines")
                    .fetch_one(&pool)
                    .await
            }
        });
        assert_eq!(count.await.unwrap(), 1000);
        in_tokio(pool.close()).await;
    });
}

async fn fill(pool: &PgPool) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query("DROP TABLE IF EXISTS lines")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("CREATE TABLE lines (number int PRIMARY KEY, text text)")
        .execute(&mut *transaction)
        .await?;
    for number in 0..1000_i32 {
        sqlx::query("INSERT INTO lines VALUES ($1, $2)")
            .bind(number)
            .bind(format!("line {number}"))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    // One that is dropped is rolled back.
    let mut transaction = pool.begin().await?;
    sqlx::query("DELETE FROM lines")
        .execute(&mut *transaction)
        .await?;
    drop(transaction);
    Ok(())
}

#[test]
fn mongodb_works_with_a_scripted_server() {
    let addr = scripted_mongodb::start().unwrap();
    on_each_driver(async || {
        let name = format!("lines{:?}", std::ptr::from_ref(&addr));
        // One runtime of tokio's for this worker, which ends with it.
        let tokio = Tokio::new().unwrap();
        let url = format!("mongodb://{addr}/?directConnection=true");
        tokio
            .context(async {
                let client = mongodb::Client::with_uri_str(url).await.unwrap();
                let database = client.database("test");
                database.run_command(doc! { "ping": 1 }).await.unwrap();
                let lines = database.collection::<Document>(&name);
                let all =
                    (0..500).map(|number| doc! { "number": number, "is_odd": number % 2 == 1 });
                let before = lines.find(doc! {}).await.unwrap().try_collect::<Vec<_>>();
                let before = before.await.unwrap().len();
                let inserted = lines.insert_many(all).await.unwrap();
                assert_eq!(inserted.inserted_ids.len(), 500);
                // In batches, by several tasks at a time.
                let found = Rc::new(RefCell::new(0));
                let mut tasks = JoinSet::new();
                for _ in 0..8 {
                    let (lines, found) = (lines.clone(), Rc::clone(&found));
                    tasks.spawn(tokio.context(async move {
                        let find = lines.find(doc! { "is_odd": true }).batch_size(100);
                        let odd: Vec<Document> = find.await.unwrap().try_collect().await.unwrap();
                        *found.borrow_mut() += odd.len();
                    }));
                }
                while let Some(joined) = tasks.join_next().await {
                    joined.unwrap();
                }
                assert_eq!(*found.borrow(), 8 * (before / 2 + 250));
                let error = database
                    .run_command(doc! { "nonsense": 1 })
                    .await
                    .unwrap_err();
                assert!(error.to_string().contains("no such command"), "{error}");
                client.shutdown().await;
            })
            .await;
        tokio.shutdown(BOUND).unwrap();
    });
}

#[test]
fn a_main_of_tokio_s_uses_our_sockets_and_its_libraries() {
    let many = Arc::new(AtomicUsize::new(0));
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let inside = InsideTokio::new().unwrap();
            let url = inside.run(echo_server()).await.unwrap();
            // reqwest as it is, while our server runs beside it on this thread.
            let program = async {
                for _ in 0..50 {
                    let answer = reqwest::Client::new()
                        .post(&url)
                        .body("hello")
                        .send()
                        .await
                        .unwrap();
                    assert_eq!(answer.text().await.unwrap(), "hello");
                    many.fetch_add(1, Ordering::Relaxed);
                }
            };
            tokio::select! {
                () = program => {}
                () = inside.run(std::future::pending()) => {}
            }
            let addr = url.strip_prefix("http://").unwrap();
            let connected = inside.run(async { TcpStream::connect(addr).await.map(drop) });
            connected.await.unwrap();
        });
    assert_eq!(many.load(Ordering::Relaxed), 50);
}
