//! Changes of a folder, by the crate `inotify` over the readiness of its descriptor.

use std::{collections::VecDeque, ffi::OsString, io, path::Path};

use annulus::io::AsyncFd;
use inotify::{EventMask, Inotify, WatchMask};

/// Room for the events of one read. A single one takes at most 272 bytes.
const BUFFER_BYTES: usize = 4096;

/// A change of a file in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there, whole: its writer has closed it, or it was moved here.
    Written(OsString),
    Removed(OsString),
    /// The kernel's queue was full, and changes were left out: look at the folder.
    Missed,
}

/// The changes of one folder.
#[derive(Debug)]
pub struct Watch {
    inotify: AsyncFd<Inotify>,
    buffer: Box<[u8]>,
    changes: VecDeque<Change>,
}

impl Watch {
    /// Watches a folder from now on, but not the folders in it.
    pub fn new(folder: impl AsRef<Path>) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE
            | WatchMask::ONLYDIR;
        inotify.watches().add(folder, mask)?;
        Ok(Self {
            inotify: AsyncFd::new(inotify)?,
            buffer: vec![0; BUFFER_BYTES].into(),
            changes: VecDeque::new(),
        })
    }

    /// Waits for the next change. Dropped, it has lost none: those that were read are kept.
    pub async fn next(&mut self) -> io::Result<Change> {
        loop {
            if let Some(change) = self.changes.pop_front() {
                return Ok(change);
            }
            self.inotify.readable().await?;
            // It takes what the buffer has room for. The next wait ends at once for the rest.
            let events = match self.inotify.get_mut().read_events(&mut self.buffer) {
                Ok(events) => events,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            self.changes.extend(events.filter_map(|event| {
                if event.mask.contains(EventMask::Q_OVERFLOW) {
                    return Some(Change::Missed);
                }
                let name = event.name?.to_owned();
                let is_here = EventMask::CLOSE_WRITE | EventMask::MOVED_TO;
                Some(if event.mask.intersects(is_here) {
                    Change::Written(name)
                } else {
                    Change::Removed(name)
                })
            }));
        }
    }
}
