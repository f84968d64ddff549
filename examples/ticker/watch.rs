//! Many viewers in one program.

use std::{cell::Cell, io, rc::Rc, time::Duration};

use annulus::{http::Client, spawn, sync::Semaphore, time};

/// Connections that are opened at a time, so that the server's queue does not overflow.
const OPENING_MAX: usize = 100;

#[derive(Default)]
struct Seen {
    prices: Cell<u64>,
    skipped: Cell<u64>,
}

fn add(count: &Cell<u64>, more: u64) {
    count.set(count.get() + more);
}

/// Tells each second what so many viewers got, until all of them have ended.
pub(crate) async fn watch(url: &str, count: usize) -> crate::plain::Result {
    let seen = Rc::new(Seen::default());
    let (client, turns) = (Client::new(), Rc::new(Semaphore::new(OPENING_MAX)));
    for _ in 0..count {
        let (client, url, turns) = (client.clone(), url.to_owned(), Rc::clone(&turns));
        let seen = Rc::clone(&seen);
        drop(spawn(async move {
            if let Err(error) = view(&client, &url, &turns, &seen).await {
                crate::plain::note(format_args!("Error: {error}\n"));
            }
        }));
    }
    // Each viewer has a clone as long as it lives.
    while let viewers @ 1.. = Rc::strong_count(&seen) - 1 {
        time::sleep(Duration::from_secs(1)).await;
        let (prices, skipped) = (seen.prices.take(), seen.skipped.take());
        let told = format!("{viewers} viewers: {prices} prices, {skipped} skipped");
        crate::plain::say(told);
    }
    Ok(())
}

async fn view(client: &Client, url: &str, turns: &Semaphore, seen: &Seen) -> io::Result<()> {
    let turn = turns.acquire().await.map_err(io::Error::other)?;
    let mut socket = client.websocket(url).connect().await?;
    drop(turn);
    let mut last = None;
    while let Some(message) = socket.recv().await? {
        let number = message.as_text().and_then(|text| text.split(' ').next());
        let number: u64 = number.unwrap_or("").parse().map_err(io::Error::other)?;
        add(&seen.prices, 1);
        add(&seen.skipped, last.map_or(0, |last| number - last - 1));
        last = Some(number);
    }
    Ok(())
}
