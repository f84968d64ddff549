//! The price, which goes up and down by itself, and the page of its viewers.

use std::time::Duration;

use annulus::{
    http::{
        Job, Request, Response, Router,
        topics::{Options, Slow, Topics},
        websocket::WebSocket,
    },
    time,
};

pub(crate) const TOPIC: &str = "price";
const PERIOD: Duration = Duration::from_millis(50);

pub(crate) fn topics() -> Topics {
    let topics = Topics::new();
    // A viewer that has not taken the last price gets the new one in its place, and a new viewer
    // gets the last one at once.
    topics.configure(TOPIC, Options::new().slow(Slow::LastValue).history(1));
    topics
}

/// Publishes until the server stops: the number of the price, the price, and how many viewers there
/// are.
pub(crate) async fn publish(topics: &Topics, job: &Job) {
    let (mut price, mut random) = (100.0, 1_u32);
    let mut number = 0_u64;
    while time::timeout(PERIOD, job.stopping()).await.is_err() {
        number += 1;
        // A generator by the book (Numerical Recipes); its upper bits are the better ones.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let step = f64::from(random >> 8) / f64::from(1 << 24) - 0.5;
        price = (price + step).clamp(50.0, 150.0);
        let viewers = topics.subscribers(TOPIC);
        topics.publish(TOPIC, format!("{number} {price:.2} {viewers}"));
    }
}

pub(crate) fn router(topics: Topics) -> Router {
    Router::new()
        .get("/", async |_| Response::html(include_str!("page.html")))
        .get("/prices", async move |request: Request| {
            let topics = topics.clone();
            request.websocket(async move |mut socket: WebSocket| {
                socket.subscribe(&topics, TOPIC);
                // A viewer says nothing, so this waits for its end.
                while socket.recv().await?.is_some() {}
                Ok(())
            })
        })
}
