//! Amazon's SDK for S3, as it is. It opens its sockets and starts its tasks on tokio, so that its
//! calls are awaited in a context of tokio's.

use aws_sdk_s3::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};

/// A client of the S3 server at `url`, without TLS.
#[must_use]
pub fn client(url: &str, credentials: Credentials) -> Client {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        // Buckets are in the path, since an address has no names below it.
        .force_path_style(true);
    Client::from_conf(config.build())
}
