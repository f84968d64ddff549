//! Helpers that the programs and tests of this package share.

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

/// A page whose blocks of Rust are compiled.
macro_rules! pages {
    ($($name:ident)*) => {$(
        #[cfg(doctest)]
        #[doc = include_str!(concat!("../../../docs/", stringify!($name), ".md"))]
        pub mod $name {}
    )*};
}

pages! {
    cores
    from_tokio
    observability
    real_time
}
