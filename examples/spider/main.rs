//! Follows the links of a site, a bounded number of pages at a time.
//!
//! ```text
//! cargo run --example spider                                     # a small site of its own
//! cargo run --example spider http://127.0.0.1:8080/ [WORKERS]
//! ```
//!
//! Pages wait in a queue. A worker gets one and puts its links in, until all pages are done.

mod counts;
mod crawl;
mod page;
#[path = "../shared/plain.rs"]
mod plain;
mod site;

use std::{env, rc::Rc};

use annulus::{http::client::Url, task::JoinSet};

fn main() -> plain::Result {
    let mut args = env::args().skip(1);
    let start = args.next();
    let workers = args.next().map_or(Ok(10_usize), |count| count.parse());
    let (Ok(workers @ 1..), None) = (workers, args.next()) else {
        plain::usage("spider [URL [WORKERS]]");
    };
    annulus::run(async {
        let start = match start {
            Some(url) => url,
            None => site::serve().await?,
        };
        let crawl = Rc::new(crawl::Crawl::new(Url::parse(&start)?));
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            tasks.spawn(Rc::clone(&crawl).work());
        }
        crawl.queue.join().await;
        // It ends the workers, which wait for more pages.
        drop(tasks);
        plain::say(&crawl.counts);
        Ok(())
    })
}
