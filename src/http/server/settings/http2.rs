//! The settings of a server that also speaks HTTP/2.

use super::Settings;
use crate::http::{h1::RequestHead, server::http2_options::HttpVersions};

impl Settings {
    /// Sets which versions are spoken.
    pub(crate) fn set_versions(&mut self, versions: HttpVersions) {
        self.http2.versions = versions;
        let refuses_http1 = versions == HttpVersions::Http2;
        self.restrict(|restriction| restriction.refuses_http1 = refuses_http1);
    }

    /// Whether a request, of whichever version, is for a host that is served.
    pub(crate) fn serves_host(&self, head: &RequestHead) -> bool {
        let restriction = self.restriction.as_ref();
        restriction.is_none_or(|restriction| restriction.has_host(head))
    }
}
