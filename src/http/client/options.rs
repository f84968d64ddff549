//! Settings that hold for all requests of a client, or for one.

use std::{rc::Rc, time::Duration};

use super::{informational::Informational, retry::Retry, trace::Hooks, url::Url};

/// Is told of each informational response.
pub(super) type Tell = Rc<dyn Fn(&Informational<'_>)>;

/// Whether a redirect from the first is followed to the second.
pub(super) type Follows = Rc<dyn Fn(&Url, &Url) -> bool>;

/// Settings of one request.
#[derive(Clone)]
pub(super) struct Options {
    /// For all of it, redirects, retries and the response's body included.
    pub(super) timeout: Option<Duration>,
    /// For a place in the queue; none of its own by default.
    pub(super) queue_timeout: Option<Duration>,
    /// For addresses, connection and TLS together.
    pub(super) connect_timeout: Option<Duration>,
    pub(super) limits: ExchangeLimits,
    pub(super) redirects_max: u32,
    pub(super) follows: Option<Follows>,
    /// Whether a redirect may lead from https to http.
    pub(super) allows_downgrade: bool,
    pub(super) expects_continue: bool,
    pub(super) decompresses: bool,
    pub(super) retry: Option<Rc<Retry>>,
    pub(super) on_informational: Option<Tell>,
    pub(super) hooks: Hooks,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Some(Duration::from_secs(30)),
            queue_timeout: None,
            connect_timeout: Some(Duration::from_secs(10)),
            limits: ExchangeLimits::default(),
            redirects_max: 10,
            follows: None,
            allows_downgrade: false,
            expects_continue: false,
            decompresses: true,
            retry: None,
            on_informational: None,
            hooks: Hooks::default(),
        }
    }
}

/// The limits of one exchange.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExchangeLimits {
    /// For the connection to take any of the request.
    pub(super) send_timeout: Option<Duration>,
    /// From the last byte sent to the first byte received.
    pub(super) first_byte_timeout: Option<Duration>,
    /// Between two pieces of the response.
    pub(super) read_timeout: Option<Duration>,
    /// How large a body may be to be held in memory.
    pub(super) bytes_max: u64,
}

impl Default for ExchangeLimits {
    fn default() -> Self {
        Self {
            send_timeout: Some(Duration::from_secs(30)),
            first_byte_timeout: Some(Duration::from_secs(30)),
            read_timeout: Some(Duration::from_secs(30)),
            bytes_max: 10 << 20,
        }
    }
}
