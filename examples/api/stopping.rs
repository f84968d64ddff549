//! The stop of all workers by a signal.

use std::{io, time::Duration};

use annulus::{
    Workers,
    future::{Either, race},
    http::Report,
    signal, spawn,
};

/// Waits for the workers. The first signal stops them, and a second one cuts.
pub(crate) fn wait(workers: Workers<Report>) -> io::Result<Vec<Option<Report>>> {
    let handle = workers.handle().clone();
    annulus::run(async {
        let stop = || race(signal::ctrl_c(), signal::terminate());
        drop(spawn(async move {
            while let Either::Left(Ok(())) | Either::Right(Ok(())) = stop().await {
                handle.stop(Duration::from_secs(10));
            }
        }));
        Ok(workers.await?)
    })
}
