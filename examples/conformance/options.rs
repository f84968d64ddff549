//! The arguments of `conformance`: a port, and options that are given as `--name number`.

use std::time::Duration;

use annulus::{
    http::{Limits, Server, Timeouts},
    signal,
};

/// The server that the arguments describe, which SIGTERM stops and a second one cuts. None if they
/// make no sense.
pub(crate) fn server(mut arguments: impl Iterator<Item = String>) -> Option<Server> {
    let mut port = 8080_u16;
    let (mut limits, mut timeouts) = (Limits::default(), Timeouts::default());
    let mut stop_deadline = Duration::from_secs(10);
    while let Some(name) = arguments.next() {
        if !name.starts_with("--") {
            port = name.parse().ok()?;
            continue;
        }
        let number = arguments.next()?.parse::<f64>().ok()?;
        let seconds = || Duration::try_from_secs_f64(number).ok();
        match &*name {
            "--max-body" => limits.body_bytes_max = number as u64,
            "--idle-timeout" => timeouts.idle = seconds()?,
            "--head-timeout" => timeouts.head = seconds()?,
            "--body-timeout" => {
                timeouts.body = seconds()?;
                timeouts.body_rate_grace = timeouts.body_rate_grace.min(timeouts.body);
            }
            "--write-timeout" => timeouts.write = seconds()?,
            "--stop-deadline" => stop_deadline = seconds()?,
            _ => return None,
        }
    }
    Some(
        Server::new()
            .listen(format!("127.0.0.1:{port}"))
            .limits(limits)
            .timeouts(timeouts)
            .shutdown_on(signal::terminate(), stop_deadline)
            .cut_on(signal::terminate),
    )
}
