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
    /// Over TLS the handshake chooses the version (ALPN): `h2` with a client that offers it, which
    /// all browsers do, else `http/1.1`. A client that has agreed on `h2` begins with the preface
    /// of HTTP/2, and the preface is refused of one that has not.
    ///
    /// Without TLS a client of HTTP/2 has to know that the server speaks it (RFC 9113, section
    /// 3.3). No browser does so, but gRPC's clients do, and proxies can be set to it.
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

    /// Sets which versions of HTTP it speaks, as [`Server::http_versions`] does. Over a stream of
    /// TLS, HTTP/2 is spoken where the handshake has chosen it: the configuration that the stream
    /// was accepted with has `h2` among its protocols then.
    ///
    /// Feature: `http2`.
    #[must_use]
    pub fn http_versions(mut self, versions: HttpVersions) -> Self {
        self.settings.set_versions(versions);
        self
    }
}
