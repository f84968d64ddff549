//! The work of each worker.

use std::{io, time::Duration};

use annulus::{
    Worker,
    future::{Either, race},
    http::{Report, SharedServer},
    task,
    tls::ServerConfig,
};

#[derive(Clone)]
pub(crate) struct Servers {
    pub(crate) service: SharedServer,
    pub(crate) operation: SharedServer,
    pub(crate) tls: ServerConfig,
}

impl Servers {
    /// Serves the part of one worker until all workers stop.
    pub(crate) async fn serve(
        &self,
        worker: Worker,
        settings: &crate::settings::Settings,
    ) -> io::Result<Report> {
        let operated = self.operation.serve(crate::routes::operation());
        let service = self.service.serve(crate::routes::service(settings));
        task::scope(async |scope| {
            if worker.index() == 0 {
                scope.spawn(watch(self.tls.clone(), worker));
            }
            scope.spawn(async { operated.await.map(drop) });
            service.await
        })
        .await
    }
}

/// Reads the certificate again at each `SIGHUP`, and when its files have changed.
async fn watch(tls: ServerConfig, worker: Worker) -> io::Result<()> {
    let watching = tls.watch(Duration::from_secs(60), |reloaded| {
        if let Err(error) = reloaded {
            crate::plain::note(format_args!("the old certificate stays: {error}\n"));
        }
    });
    match race(watching, worker.stopping()).await {
        Either::Left(Err(error)) => Err(error),
        Either::Right(()) => Ok(()),
    }
}
