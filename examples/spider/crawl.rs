//! The state that the workers share.

use std::{cell::RefCell, collections::HashSet, rc::Rc};

use annulus::{
    http::{Client, client::Url},
    sync::Queue,
};

/// The most pages that wait.
const WAITING_MAX: usize = 10_000;

pub(crate) struct Crawl {
    pub(crate) queue: Queue<Url>,
    pub(crate) counts: crate::counts::Counts,
    client: Client,
    seen: RefCell<HashSet<String>>,
}

impl Crawl {
    pub(crate) fn new(start: Url) -> Crawl {
        let crawl = Crawl {
            queue: Queue::bounded(WAITING_MAX),
            counts: crate::counts::Counts::default(),
            client: Client::new(),
            seen: RefCell::default(),
        };
        crawl.add(start);
        crawl
    }

    /// Visits pages until this is dropped.
    pub(crate) async fn work(self: Rc<Self>) {
        while let Some(url) = self.queue.get().await {
            let _done = self.queue.task_done_on_drop();
            crate::counts::count(&self.counts.pages);
            match crate::page::links(&self.client, &url).await {
                Ok(links) => links.into_iter().for_each(|link| self.add(link)),
                Err(error) => {
                    crate::counts::count(&self.counts.failed);
                    crate::plain::say(format_args!("{url}: {error}"));
                }
            }
        }
    }

    /// Adds a page that was not seen yet. A worker that waited for room would empty the queue no
    /// more, so a page without room is left out.
    fn add(&self, url: Url) {
        if self.seen.borrow_mut().insert(url.to_string()) && self.queue.try_put(url).is_err() {
            crate::counts::count(&self.counts.left_out);
        }
    }
}
