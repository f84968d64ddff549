//! Asks one server over and over, and tells how long it took to answer.
//!
//! ```text
//! cargo run --release --example hello                                 # in another terminal
//! cargo run --release --example load http://127.0.0.1:8080/ 64 200000 # connections, requests
//! ```

mod histogram;

use std::{cell::Cell, env, io, time::Instant};

use annulus::{
    http::client::{Client, Url},
    task::JoinSet,
};

type Histogram = histogram::Histogram;

thread_local!(static LEFT: Cell<u64> = const { Cell::new(0) });

/// Sends requests one after the other until all workers together have sent enough.
async fn work(client: Client, url: Url) -> io::Result<Histogram> {
    let mut histogram = Histogram::new();
    while LEFT.get() > 0 {
        LEFT.set(LEFT.get() - 1);
        let asked = Instant::now();
        let response = client.get(&url).send().await?.error_for_status()?;
        response.bytes().await?;
        histogram.add(asked.elapsed().as_micros() as u64);
    }
    Ok(histogram)
}

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, connections, requests] = &args[..] else {
        return Err(io::Error::other("expected a URL, connections and requests"));
    };
    let url = Url::parse(url)?;
    let connections: usize = connections.parse().map_err(io::Error::other)?;
    LEFT.set(requests.parse().map_err(io::Error::other)?);
    annulus::run(async {
        let client = Client::builder().max_per_host(connections).build();
        let (mut workers, start) = (JoinSet::new(), Instant::now());
        for _ in 0..connections {
            workers.spawn(work(client.clone(), url.clone()));
        }
        let mut all = Histogram::new();
        while let Some(histogram) = workers.join_next().await {
            all.join(&histogram.map_err(io::Error::other)??);
        }
        let (count, took) = (all.count(), start.elapsed());
        let rate = count as f64 / took.as_secs_f64();
        println!("{count} requests in {took:.2?}, {rate:.0} a second");
        for share in [0.5, 0.9, 0.99, 0.999] {
            println!("{:5.1} % below {} us", share * 100.0, all.percentile(share));
        }
        Ok(())
    })
}
