//! The work of each worker.

use std::io;

use annulus::{
    Worker,
    future::{Either, race},
    http::{Report, SharedServer},
    signal::{self, SignalKind},
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
                scope.spawn(reload(self.tls.clone(), worker));
            }
            scope.spawn(async { operated.await.map(drop) });
            service.await
        })
        .await
    }
}

/// Reads the certificate again at each `SIGHUP`.
async fn reload(tls: ServerConfig, worker: Worker) -> io::Result<()> {
    let mut hangups = signal::stream(SignalKind::hangup())?;
    while let Either::Left(Ok(())) = race(hangups.recv(), worker.stopping()).await {
        if let Err(error) = tls.reload() {
            crate::plain::note(format_args!("the old certificate stays: {error}\n"));
        }
    }
    Ok(())
}
