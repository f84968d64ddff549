//! The methods that choose and set the versions of HTTP.

use super::{
    Connection, Server,
    http2_options::{Http2, HttpVersions},
};

impl Server {
    /// Sets the limits and times of HTTP/2 connections.
    ///
    /// Feature: `http2`.
    #[must_use]
    pub fn http2(mut self, http2: Http2) -> Self {
        self.settings.http2.http2 = http2;
        self
    }

    /// Sets which versions of HTTP the server speaks; all by default.
    ///
    /// Without TLS a client of HTTP/2 has to know that the server speaks it (RFC 9113, section
    /// 3.3). No browser does so, but gRPC's clients do, and proxies can be set to it. Over TLS the
    /// server speaks HTTP/1.1 alone.
    ///
    /// Feature: `http2`.
    #[must_use]
    pub fn http_versions(mut self, versions: HttpVersions) -> Self {
        self.settings.set_versions(versions);
        self
    }
}

impl Connection {
    /// Sets the limits and times of HTTP/2, as [`Server::http2`] does.
    ///
    /// Feature: `http2`.
    #[must_use]
    pub fn http2(mut self, http2: Http2) -> Self {
        self.settings.http2.http2 = http2;
        self
    }

    /// Sets which versions of HTTP it speaks, as [`Server::http_versions`] does.
    ///
    /// Feature: `http2`.
    #[must_use]
    pub fn http_versions(mut self, versions: HttpVersions) -> Self {
        self.settings.set_versions(versions);
        self
    }
}
