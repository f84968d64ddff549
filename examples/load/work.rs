//! One connection's requests.

use std::{cell::Cell, time::Instant};

use annulus::http::client::{Client, Error, Url};

type Histogram = crate::histogram::Histogram;

thread_local!(pub(crate) static LEFT: Cell<u64> = const { Cell::new(0) });

/// Sends requests one after the other until all workers together have sent enough, or one has
/// failed.
pub(crate) async fn work(client: Client, url: Url) -> (Histogram, Result<(), Error>) {
    let mut histogram = Histogram::new();
    let requests = async {
        while LEFT.get() > 0 {
            LEFT.set(LEFT.get() - 1);
            let asked = Instant::now();
            let response = client.get(&url).send().await?.error_for_status()?;
            response.bytes().await?;
            histogram.add(asked.elapsed().as_micros() as u64);
        }
        Ok(())
    };
    let result = requests.await;
    if result.is_err() {
        LEFT.set(0);
    }
    (histogram, result)
}
