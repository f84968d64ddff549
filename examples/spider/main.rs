//! Follows the links of a site, a bounded number of pages at a time.
//!
//! ```text
//! cargo run --example spider http://127.0.0.1:8080/ [pages at a time]
//! ```
//!
//! The set of tasks is the queue: what is found waits in a list until a page is done.

mod page;
#[path = "../shared/plain.rs"]
mod plain;

use std::{collections::HashSet, env, io};

use annulus::{
    http::{Client, client::Url},
    task::JoinSet,
};

fn main() -> plain::Result {
    let mut args = env::args().skip(1);
    let start = args.next();
    let at_once = args.next().map_or(Ok(10_usize), |count| count.parse());
    let (Some(start), Ok(at_once), None) = (start, at_once, args.next()) else {
        plain::usage("spider URL [PAGES_AT_ONCE]");
    };
    annulus::run(async {
        let client = Client::new();
        let mut found = vec![Url::parse(&start)?];
        let mut seen: HashSet<String> = found.iter().map(Url::to_string).collect();
        let mut tasks = JoinSet::new();
        let (mut pages, mut failed) = (0, 0);
        loop {
            while tasks.len() < at_once {
                let Some(url) = found.pop() else { break };
                tasks.spawn(page::visit(client.clone(), url));
            }
            let Some(result) = tasks.join_next().await else {
                break;
            };
            let (url, links) = result.map_err(io::Error::other)?;
            pages += 1;
            match links {
                Ok(links) => {
                    found.extend(links.into_iter().filter(|url| seen.insert(url.to_string())))
                }
                Err(error) => {
                    failed += 1;
                    plain::say(format_args!("{url}: {error}"));
                }
            }
        }
        plain::say(format_args!("{pages} pages, {failed} failed"));
        Ok(())
    })
}
