//! Helpers that the programs and tests of this package share.

pub mod arena;
pub mod axum_app;
mod database_process;
pub mod grpc;
pub mod http3;
pub mod legacy_connector;
pub mod postgres_server;
pub mod program;
pub mod quic;
pub mod quic_echo;
pub mod redis_server;
#[cfg(feature = "aws")]
pub mod s3;
pub mod scripted_mongodb;
#[cfg(feature = "aws")]
pub mod scripted_s3;
pub mod skip;
pub mod watch;
pub mod websocket;
#[cfg(feature = "zeromq")]
pub mod zeromq;

/// A page whose blocks of Rust are doc tests. The suite `docs` of the crate compares this list with
/// the folder.
macro_rules! pages {
    ($($name:ident)*) => {$(
        #[cfg(doctest)]
        #[doc = include_str!(concat!("../../../docs/", stringify!($name), ".md"))]
        pub mod $name {}
    )*};
}

pages! {
    cancellation
    cores
    deployment
    files
    from_tokio
    observability
    operating
    real_time
    services
    tls
}

/// The readme, whose blocks of Rust are doc tests too.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub mod readme {}
