//! Asks one server over and over, and tells how long it took to answer.
//!
//! ```text
//! cargo run --release --example hello                                 # in another terminal
//! cargo run --release --example load http://127.0.0.1:8080/ 64 200000 # connections, requests
//! ```

mod histogram;
#[path = "../shared/plain.rs"]
mod plain;
mod work;

use std::{env, time::Instant};

use annulus::{
    http::client::{Client, Url},
    task::JoinSet,
};

const USAGE: &str = "load URL CONNECTIONS REQUESTS";

fn main() -> plain::Result {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, connections, requests] = &args[..] else {
        plain::usage(USAGE);
    };
    let url = Url::parse(url)?;
    let (Ok(connections), Ok(requests)) = (connections.parse(), requests.parse()) else {
        plain::usage(USAGE);
    };
    work::LEFT.set(requests);
    annulus::run(async {
        let client = Client::builder()
            .connections_per_host_max(connections)
            .build();
        let (mut workers, start) = (JoinSet::new(), Instant::now());
        for _ in 0..connections {
            workers.spawn(work::work(client.clone(), url.clone()));
        }
        let (mut all, mut outcome) = (histogram::Histogram::new(), Ok(()));
        while let Some(done) = workers.join_next().await {
            let (histogram, result) = done?;
            all.join(&histogram);
            outcome = outcome.and(result);
        }
        all.tell(start.elapsed());
        Ok(outcome?)
    })
}
