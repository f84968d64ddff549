//! Threads that do one kind of work, and its queue.
//!
//! # Why none waits for ever
//!
//! A job of the runtime's own (a file, a name) is one system call or one call of the C library and
//! waits for no other job. A call of the user's may: it may make another one, or run a runtime that
//! does. A call that is made on one of these threads is *nested*: its maker may be waiting for it,
//! so it waits for no thread that is busy. It goes before the others, and when no thread is idle it
//! gets one beyond the limit. Such a thread ends when it finds nothing nested to do.

use std::{
    cell::Cell,
    collections::VecDeque,
    sync::{Condvar, Mutex, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::work::WorkStats;
use crate::{
    sys::{self, Process},
    unwind::{self, lock},
};

const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) type Job = Box<dyn FnOnce() + Send>;

thread_local! {
    /// Whether this thread makes calls of the user's.
    static MAKES_CALLS: Cell<bool> = const { Cell::new(false) };
}

pub(super) struct Threads {
    name: &'static str,
    /// Whether the jobs are the user's, which may make others and wait for them.
    are_calls: bool,
    queue: Mutex<Queue>,
    work: Condvar,
    /// The process that the threads belong to. None until they are first asked for.
    process: OnceLock<Process>,
    /// Those of a child that fork(2) has made, in which none of these threads is.
    in_child: OnceLock<Box<Threads>>,
}

struct Queue {
    jobs: VecDeque<Queued>,
    /// Those that were made on a thread of this kind.
    nested: VecDeque<Queued>,
    threads: usize,
    idle: usize,
    /// None until it is first needed.
    threads_max: Option<usize>,
}

struct Queued {
    job: Job,
    since: Instant,
}

impl Queue {
    fn len(&self) -> usize {
        self.jobs.len() + self.nested.len()
    }

    fn next(&mut self) -> Option<Job> {
        let queued = self.nested.pop_front().or_else(|| self.jobs.pop_front());
        queued.map(|queued| queued.job)
    }

    /// Whether there are more threads than there may be, and none of the nested jobs needs this
    /// one.
    fn has_too_many(&self) -> bool {
        self.nested.is_empty() && self.threads_max.is_some_and(|max| self.threads > max)
    }
}

impl Threads {
    pub(super) const fn new(name: &'static str, are_calls: bool) -> Self {
        Self {
            name,
            are_calls,
            queue: Mutex::new(Queue {
                jobs: VecDeque::new(),
                nested: VecDeque::new(),
                threads: 0,
                idle: 0,
                threads_max: None,
            }),
            work: Condvar::new(),
            process: OnceLock::new(),
            in_child: OnceLock::new(),
        }
    }

    /// The threads of this process: these, or others that take their place after a fork. The queue
    /// of the parent's is left as it is, and its lock, which a thread of the parent may have had.
    pub(super) fn of_this_process(&'static self) -> &'static Self {
        let mut threads = self;
        loop {
            if threads.process.get_or_init(Process::current).is_current() {
                return threads;
            }
            let parents = threads;
            threads = threads.in_child.get_or_init(|| {
                let child = Self::new(parents.name, parents.are_calls);
                let limit = parents.queue.try_lock().ok();
                lock(&child.queue).threads_max = limit.and_then(|queue| queue.threads_max);
                Box::new(child)
            });
        }
    }

    /// Runs `job` on one of the threads, sooner or later.
    pub(super) fn submit(&'static self, job: Job, threads_max_default: impl FnOnce() -> usize) {
        let is_nested = self.are_calls && MAKES_CALLS.get();
        let mut queue = lock(&self.queue);
        let threads_max = *queue.threads_max.get_or_insert_with(threads_max_default);
        let since = Instant::now();
        let lane = if is_nested {
            &mut queue.nested
        } else {
            &mut queue.jobs
        };
        lane.push_back(Queued { job, since });
        if queue.idle >= queue.len() {
            self.work.notify_one();
        } else if is_nested || queue.threads < threads_max {
            queue.threads += 1;
            drop(queue);
            self.start(is_nested);
        }
    }

    /// Starts a thread, which is counted already.
    fn start(&'static self, is_nested: bool) {
        let builder = thread::Builder::new().name(self.name.to_owned());
        // They do the jobs of all workers, each of which is on a processor of its own.
        if builder.spawn(sys::unpinned(|| self.serve())).is_ok() {
            return;
        }
        // No thread can be had. A job waits for one that is there, unless there is none or it waits
        // for the job: then it is run here. Late is better than never.
        let mut queue = lock(&self.queue);
        queue.threads -= 1;
        if queue.threads == 0 || is_nested {
            let job = queue.next();
            drop(queue);
            if let Some(job) = job {
                unwind::swallow(job);
            }
        }
    }

    fn serve(&self) {
        MAKES_CALLS.set(self.are_calls);
        let mut queue = lock(&self.queue);
        loop {
            while let Some(job) = queue.next() {
                drop(queue);
                // A job tells its own panic; this thread goes on, whatever the panic's payload
                // does.
                unwind::swallow(job);
                queue = lock(&self.queue);
                if queue.has_too_many() {
                    break;
                }
            }
            // A thread that was woken takes its job before it comes here, or the job would wait.
            if queue.has_too_many() {
                queue.threads -= 1;
                return;
            }
            queue.idle += 1;
            let (woken, timeout) = self
                .work
                .wait_timeout(queue, IDLE_TIMEOUT)
                .unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            queue.idle -= 1;
            if timeout.timed_out() && queue.len() == 0 {
                queue.threads -= 1;
                return;
            }
        }
    }

    /// How many threads there may be from now on. Busy ones beyond that end when their job has.
    pub(super) fn set_threads_max(&'static self, threads_max: usize) {
        let threads_max = threads_max.max(1);
        let mut queue = lock(&self.queue);
        queue.threads_max = Some(threads_max);
        let wanted = queue.len().saturating_sub(queue.idle);
        let count = wanted.min(threads_max.saturating_sub(queue.threads));
        queue.threads += count;
        drop(queue);
        for _ in 0..count {
            self.start(false);
        }
    }

    pub(super) fn stats(&self, threads_max_default: impl FnOnce() -> usize) -> WorkStats {
        let mut queue = lock(&self.queue);
        let threads_max = *queue.threads_max.get_or_insert_with(threads_max_default);
        let first = |lane: &VecDeque<Queued>| lane.front().map(|queued| queued.since);
        let oldest = [first(&queue.jobs), first(&queue.nested)];
        let oldest = oldest.into_iter().flatten().min();
        WorkStats {
            threads: queue.threads as u64,
            idle: queue.idle as u64,
            threads_max: threads_max as u64,
            queued: queue.len() as u64,
            oldest_wait: oldest.map_or(Duration::ZERO, |since| since.elapsed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;

    /// A test that takes this long hangs.
    const HANG: Duration = Duration::from_secs(60);

    /// Threads of a test's own.
    fn threads(are_calls: bool, threads_max: usize) -> &'static Threads {
        let threads = Box::leak(Box::new(Threads::new("test", are_calls)));
        threads.set_threads_max(threads_max);
        threads
    }

    fn submit(threads: &'static Threads, job: impl FnOnce() + Send + 'static) {
        threads.submit(Box::new(job), || unreachable!("the test has set it"));
    }

    fn stats(threads: &'static Threads) -> WorkStats {
        threads.stats(|| unreachable!("the test has set it"))
    }

    /// A job that waits until the sender is dropped or sends.
    fn waiting(threads: &'static Threads, count: usize) -> mpsc::Sender<()> {
        let (go_on, may_go_on) = mpsc::channel();
        let may_go_on = Arc::new(Mutex::new(may_go_on));
        let (begun, has_begun) = mpsc::channel();
        for _ in 0..count {
            let (may_go_on, begun) = (Arc::clone(&may_go_on), begun.clone());
            submit(threads, move || {
                begun.send(()).unwrap();
                let _: Result<(), _> = lock(&may_go_on).recv();
            });
        }
        for _ in 0..count {
            has_begun.recv_timeout(HANG).unwrap();
        }
        go_on
    }

    #[test]
    fn a_job_beyond_the_limit_waits_and_is_counted() {
        let threads = threads(true, 2);
        let go_on = waiting(threads, 2);
        let (done, is_done) = mpsc::channel();
        submit(threads, move || done.send(()).unwrap());
        let now = stats(threads);
        assert_eq!((now.threads, now.idle, now.queued), (2, 0, 1));
        assert_eq!(now.threads_max, 2);
        assert!(stats(threads).oldest_wait > now.oldest_wait);
        drop(go_on);
        is_done.recv_timeout(HANG).unwrap();
        let now = stats(threads);
        assert_eq!((now.queued, now.oldest_wait), (0, Duration::ZERO));
    }

    #[test]
    fn a_limit_that_is_raised_starts_threads_for_those_who_wait() {
        let threads = threads(true, 1);
        let _go_on = waiting(threads, 1);
        let (done, is_done) = mpsc::channel();
        submit(threads, move || done.send(()).unwrap());
        assert_eq!(stats(threads).queued, 1);
        threads.set_threads_max(2);
        is_done.recv_timeout(HANG).unwrap();
    }

    #[test]
    fn a_limit_of_none_is_one() {
        let threads = threads(false, 0);
        let (done, is_done) = mpsc::channel();
        submit(threads, move || done.send(()).unwrap());
        is_done.recv_timeout(HANG).unwrap();
    }

    /// Each job makes another and waits for it, to some depth.
    fn nest(threads: &'static Threads, depth: usize, done: mpsc::Sender<()>) {
        submit(threads, move || {
            if depth > 0 {
                let (inner, is_done) = mpsc::channel();
                nest(threads, depth - 1, inner);
                is_done.recv_timeout(HANG).unwrap();
            }
            done.send(()).unwrap();
        });
    }

    #[test]
    fn calls_that_wait_for_calls_of_theirs_end_whatever_the_limit() {
        let threads = threads(true, 2);
        let (done, is_done) = mpsc::channel();
        for _ in 0..20 {
            nest(threads, 3, done.clone());
        }
        for _ in 0..20 {
            is_done.recv_timeout(HANG).unwrap();
        }
        // Those beyond the limit end.
        let start = Instant::now();
        while stats(threads).threads > 2 {
            assert!(start.elapsed() < HANG);
            thread::yield_now();
        }
    }

    #[test]
    fn a_thread_beyond_the_limit_does_what_it_was_started_for_only() {
        let threads = threads(true, 1);
        let (done, is_done) = mpsc::channel();
        for _ in 0..20 {
            let done = done.clone();
            submit(threads, move || {
                let (inner, inner_is_done) = mpsc::channel();
                nest(threads, 0, inner);
                inner_is_done.recv_timeout(HANG).unwrap();
                done.send(stats(threads).threads).unwrap();
            });
        }
        for _ in 0..20 {
            assert!(is_done.recv_timeout(HANG).unwrap() <= 2);
        }
    }

    #[test]
    fn a_panic_costs_no_thread() {
        let threads = threads(false, 1);
        for _ in 0..3 {
            submit(threads, || {
                std::panic::resume_unwind(Box::new("a test's own"))
            });
        }
        let (done, is_done) = mpsc::channel();
        submit(threads, move || done.send(()).unwrap());
        is_done.recv_timeout(HANG).unwrap();
    }
}
