//! Files of a server's configuration that are read again by themselves.

use std::{
    convert::Infallible, fs, io, os::unix::fs::MetadataExt as _, path::Path, sync::Arc,
    time::Duration,
};

use super::ServerConfig;
use crate::{
    blocking,
    future::{Either, race},
    signal::{self, SignalKind},
    time,
};

/// The state of a file by which a change of it shows. None of one that cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Option<[i128; 5]>);

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        let stamp = fs::metadata(path).map(|metadata| {
            let time = |seconds: i64, nanos: i64| (i128::from(seconds) << 32) | i128::from(nanos);
            [
                i128::from(metadata.dev()),
                i128::from(metadata.ino()),
                i128::from(metadata.size()),
                time(metadata.mtime(), metadata.mtime_nsec()),
                time(metadata.ctime(), metadata.ctime_nsec()),
            ]
        });
        Self(stamp.ok())
    }
}

/// The findings of a look at the files.
struct Look {
    stamps: Arc<[Stamp]>,
    /// None where nothing was read.
    reloaded: Option<io::Result<()>>,
}

impl ServerConfig {
    /// Reads the files again, as [`reload`](Self::reload) does, whenever one of them has changed
    /// and at `SIGHUP`. It looks at them after each `interval`, on a helper thread, and calls
    /// `report` with the result of each reload. After an error everything is as it was, and the
    /// files are read again when they have changed again.
    ///
    /// A renewal may exchange the certificate before its key. A look in between finds a key of
    /// another certificate, says so to `report`, and the next look finds both.
    ///
    /// The future belongs into a task that lives as long as the server, such as one of
    /// `Server::background`. It ends with an error alone. `SIGHUP` no longer ends the process from
    /// its first poll on.
    ///
    /// # Errors
    ///
    /// When signals cannot be received.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it watches no more. A reload that has begun comes to its end without a report.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use annulus::{spawn, tls::ServerConfig};
    ///
    /// async fn keep_fresh(config: ServerConfig) {
    ///     let report = |reloaded: std::io::Result<()>| match reloaded {
    ///         Ok(()) => eprintln!("the certificates were read again"),
    ///         Err(error) => eprintln!("the old certificates stay: {error}"),
    ///     };
    ///     spawn(async move { config.watch(Duration::from_secs(60), report).await });
    /// }
    /// ```
    pub async fn watch(
        &self,
        interval: Duration,
        mut report: impl FnMut(io::Result<()>),
    ) -> io::Result<Infallible> {
        let mut hangups = signal::stream(SignalKind::hangup())?;
        let mut seen = self.stamps();
        loop {
            let is_asked = match race(hangups.recv(), time::sleep(interval)).await {
                Either::Left(received) => {
                    received?;
                    true
                }
                Either::Right(_) => false,
            };
            let (config, before) = (self.clone(), Arc::clone(&seen));
            let look = blocking::run(move || config.look(&before, is_asked)).await;
            seen = look.stamps;
            if let Some(reloaded) = look.reloaded {
                report(reloaded);
            }
        }
    }

    /// Looks at the files, and reads them if they have changed or that `is_asked` for.
    fn look(&self, before: &[Stamp], is_asked: bool) -> Look {
        // Before they are read, so that a change in between shows at the next look.
        let stamps = self.stamps_now();
        let reloaded = (is_asked || *stamps != *before).then(|| self.reload());
        Look { stamps, reloaded }
    }
}
