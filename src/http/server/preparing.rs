//! The step between a server's settings and its workers: it listens.

use std::io;

use super::{
    Server, listening::Listening, metrics, worker::admission::Admission, workers::Workers,
};

impl Server {
    /// Listens, and returns the listening sockets of the worker of each of `cores`.
    pub(super) fn prepare(self, cores: &[usize]) -> io::Result<(Workers, Vec<Vec<Listening>>)> {
        let listeners = self.options.listen(self.places, cores)?;
        metrics::announce(&self.control, &listeners[0]);
        if let Some(tell) = self.on_listening {
            let addrs = listeners[0].iter().filter_map(Listening::local_addr);
            addrs.for_each(tell);
        }
        let admission = Admission::new(self.connections_max, self.refuses_when_full, cores.len());
        let workers = Workers {
            settings: self.settings,
            admission,
            control: self.control,
            stop_when: self.stop_when,
            jobs: self.jobs.share(cores.len()),
            configure: self.configure,
        };
        Ok((workers, listeners))
    }
}
