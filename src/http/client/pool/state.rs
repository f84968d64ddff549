//! The counts of a client's pool.

/// The counts of a client's connections, made by
/// [`Client::pool_state`](crate::http::client::Client::pool_state).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolState {
    /// The hosts that have connections or waiting requests, in the order of their names.
    pub hosts: Vec<HostState>,
    /// Connections opened since the client was made.
    pub opened: u64,
    /// Requests that found an idle connection.
    pub reused: u64,
    /// Idle connections that the server closed, or sent something on.
    pub died: u64,
}

/// The connections to one host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostState {
    /// Scheme, host and port.
    pub origin: String,
    /// Connections that wait for a request.
    pub idle: usize,
    /// Connections that are being opened or serve a request.
    pub busy: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
}

impl PoolState {
    /// Returns the number of connections that wait for a request, of all hosts.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.hosts.iter().map(|host| host.idle).sum()
    }

    /// Returns the number of connections that are being opened or serve a request, of all hosts.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.hosts.iter().map(|host| host.busy).sum()
    }

    /// Returns the number of requests that wait for a connection, of all hosts.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.hosts.iter().map(|host| host.waiting).sum()
    }
}
