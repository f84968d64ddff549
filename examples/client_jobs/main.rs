//! Does requests that are described in JSON, one job a line, and tells one reply a line.
//!
//! ```text
//! echo '{"id": 1, "url": "http://127.0.0.1:8080/"}' | cargo run --features json --example client_jobs
//! ```
//!
//! A line with a `batch` has its jobs done at once. Connections are kept between jobs.

mod base64;
mod job;
#[path = "../shared/plain.rs"]
mod plain;
mod request;
mod websocket;

use std::io::{self, BufRead as _};

use annulus::{blocking, http::Client, task::JoinSet};

type Value = serde_json::Value;

async fn batch(client: &Client, jobs: &[Value]) -> Value {
    let mut tasks = JoinSet::new();
    for (index, job) in jobs.iter().cloned().enumerate() {
        let client = client.clone();
        tasks.spawn(async move { (index, job::reply(&client, &job).await) });
    }
    let mut replies = vec![Value::Null; jobs.len()];
    while let Some(result) = tasks.join_next().await {
        if let Ok((index, reply)) = result {
            replies[index] = reply;
        }
    }
    serde_json::json!({ "batch": replies })
}

fn main() -> plain::Result {
    if std::env::args().len() > 1 {
        plain::usage("client_jobs < JOBS");
    }
    annulus::run(async {
        let client = Client::new();
        let next = || io::stdin().lock().lines().next();
        // Idle connections are looked after while this waits for a line.
        while let Some(line) = blocking::run(next).await.transpose()? {
            if line.trim().is_empty() {
                continue;
            }
            let reply = match serde_json::from_str::<Value>(&line) {
                Err(error) => serde_json::json!({ "error": format!("job: {error}") }),
                Ok(job) => match job["batch"].as_array() {
                    Some(jobs) => batch(&client, jobs).await,
                    None => job::reply(&client, &job).await,
                },
            };
            plain::say(reply);
        }
        Ok(())
    })
}
