//! Takes a request to its response: connections, retries, redirects.

use std::{
    cell::Cell,
    future::{Future as _, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Instant,
};

use super::{
    connect::Progress,
    error::{Error, ErrorKind, Result},
    exchange::{Failed, deadline::Total, message::Message},
    phase::Phase,
    pool::{Acquired, connection::Connection},
    redirect,
    response::Response,
    shared::Shared,
    timings::Watch,
};
use crate::{http::StatusCode, time};

/// The clock of a request, the same for each attempt to send it.
struct Course {
    started: Instant,
    total: Total,
    has_begun: Cell<bool>,
}

impl Course {
    /// The time. The first call follows at once on the start, and reads no clock.
    fn now(&self) -> Instant {
        if self.has_begun.replace(true) {
            time::now()
        } else {
            self.started
        }
    }
}

/// Sends `message` and waits for the head of its response.
pub(super) async fn send(shared: &Rc<Shared>, mut message: Box<Message>) -> Result<Response> {
    let started = time::now();
    let course = Course {
        started,
        total: Total::new(started, message.options.timeout),
        has_begun: Cell::new(false),
    };
    let mut redirect_count = 0;
    loop {
        let mut response = send_with_policy(shared, &mut message, &course).await?;
        let next = match redirect::target(&message, &response) {
            Ok(Some(next)) => next,
            Ok(None) => {
                response.arrive(message);
                return Ok(response);
            }
            Err(error) => return Err(error.asking(&message.url)),
        };
        redirect_count += 1;
        if redirect_count > message.options.redirects_max {
            let kind = ErrorKind::TooManyRedirects(message.options.redirects_max);
            return Err(Error::new(kind).asking(&message.url));
        }
        redirect::apply(&mut message, next, response.status());
        // The connection is worth more than a small body's bytes.
        response.skip_small_body().await;
    }
}

/// Sends the request, and again where the caller's policy says so.
async fn send_with_policy(
    shared: &Rc<Shared>,
    message: &mut Message,
    course: &Course,
) -> Result<Response> {
    let mut attempt = 0;
    loop {
        let result = send_once_for_sure(shared, message, course).await;
        let Some(retry) = message.options.retry.clone() else {
            return result;
        };
        attempt += 1;
        let can_repeat = message.is_idempotent() && message.body.is_here();
        let wait = match retry.wait(
            attempt,
            can_repeat,
            result.as_ref().map(Response::head),
            course.total.left(time::now()),
        ) {
            Some(wait) => wait,
            None => return result,
        };
        if let Ok(mut response) = result {
            response.skip_small_body().await;
        }
        course
            .total
            .bound(None, || Phase::Total, async {
                time::sleep(wait).await;
                Ok(())
            })
            .await
            .map_err(|error| error.asking(&message.url))?;
    }
}

/// Sends the request, and once more where an idle connection turned out to be dead, if that does no
/// harm: either the request may be repeated, or nothing of it has left this process.
async fn send_once_for_sure(
    shared: &Rc<Shared>,
    message: &mut Message,
    course: &Course,
) -> Result<Response> {
    let mut fresh = false;
    loop {
        let failed = match attempt(shared, message, course, fresh).await {
            Ok(response) if wants_no_expectation(&response, message) => {
                message.options_mut().expects_continue = false;
                continue;
            }
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        let harmless = message.is_idempotent() || failed.is_unsent;
        if fresh || !failed.was_stale || !harmless || !message.body.is_here() {
            return Err(failed.error.asking(&message.url));
        }
        fresh = true;
    }
}

/// A server that answers 417 is asked again without the expectation (RFC 9110, section 10.1.1).
fn wants_no_expectation(response: &Response, message: &Message) -> bool {
    response.status() == StatusCode::EXPECTATION_FAILED
        && message.options.expects_continue
        && message.body.is_here()
}

/// Sends the request on one connection.
async fn attempt(
    shared: &Rc<Shared>,
    message: &mut Message,
    course: &Course,
    fresh: bool,
) -> Result<Response, Failed> {
    let mut watch = Watch::new(course.now());
    let key = shared.connector.key(&message.url, message.needs_tunnel());
    let idle = if fresh {
        None
    } else {
        shared.pool.take(&key, watch.since())
    };
    let connection = match idle {
        Some(connection) => connection,
        // Boxed: opening a connection is rare, and its state would swell every request's future.
        None => Box::pin(connect(shared, message, course, &key, fresh, &mut watch))
            .await
            .map_err(|error| Failed {
                error,
                was_stale: false,
                is_unsent: true,
            })?,
    };
    let mut response = Response::new(shared);
    let exchange = response.exchange_mut();
    let via = shared.connector.via(&message.url, message.needs_tunnel());
    if let Err(error) = message.begin(&shared.fields, via, exchange) {
        return Err(Failed {
            error,
            was_stale: false,
            is_unsent: true,
        });
    }
    exchange.begin(connection, message, course.total, course.started, &watch);
    let options = &message.options;
    let rules = &shared.rules;
    poll_fn(|context| exchange.poll_head(options, rules, context)).await?;
    Ok(response)
}

/// A new connection for the request, or one that another has left.
async fn connect(
    shared: &Rc<Shared>,
    message: &Message,
    course: &Course,
    key: &str,
    fresh: bool,
    watch: &mut Watch,
) -> Result<Box<Connection>> {
    let pool = &shared.pool;
    let acquire = async {
        pool.acquire(key, fresh)
            .await
            .map_err(|_| Error::new(ErrorKind::QueueFull).during(Phase::Queue))
    };
    // A place that is free needs no timer.
    let mut acquire = pin!(acquire);
    let first = poll_fn(|context| Poll::Ready(acquire.as_mut().poll(context))).await;
    let acquired = match first {
        Poll::Ready(acquired) => acquired?,
        Poll::Pending => {
            let timeout = message.options.queue_timeout;
            let wait = course.total.bound(timeout, || Phase::Queue, acquire);
            let acquired = wait.await?;
            watch.enter(Phase::Dns, time::now());
            acquired
        }
    };
    let lease = match acquired {
        Acquired::Idle(connection) => return Ok(connection),
        Acquired::Fresh(lease) => lease,
    };
    watch.enter(Phase::Dns, time::now());
    let progress = Progress::new();
    let phase = || progress.phase.get();
    let connector = &shared.connector;
    let open = connector.open(&message.url, message.needs_tunnel(), watch, &progress);
    let timeout = message.options.connect_timeout;
    let result = course.total.bound(timeout, phase, open).await;
    let transport = result.map_err(|error| {
        let error = error.during(phase());
        connector.name_way(error, &message.url, &progress)
    })?;
    pool.count_opened();
    Ok(Connection::new(transport, lease))
}
