//! Streams of ours in the traits of other libraries, and back in ours: each way keeps the promises.

use std::io::ErrorKind;

use annulus::{
    compat::{Compat, FromFutures, FromHyper, FromTokio},
    io::ByteStream,
};

use crate::kinds::{self, Ends, Far, Kind, kind};

pub(crate) fn kinds() -> Vec<Kind> {
    const RESET: Option<ErrorKind> = Some(ErrorKind::ConnectionReset);
    vec![
        kind!(
            "TCP through tokio's traits",
            by_tokio(kinds::tcp().await),
            RESET
        ),
        kind!(
            "Unix through tokio's traits",
            by_tokio(kinds::unix()),
            RESET
        ),
        kind!(
            "Duplex through tokio's traits",
            by_tokio(kinds::memory()),
            None
        ),
        kind!(
            "TCP through futures-io's traits",
            by_futures(kinds::tcp().await),
            RESET
        ),
        kind!(
            "TCP through hyper's traits",
            by_hyper(kinds::tcp().await),
            RESET
        ),
        kind!(
            "Box<dyn ByteStream> through hyper's traits",
            boxed(kinds::unix()),
            RESET
        ),
        #[cfg(feature = "tls")]
        kind!(
            "TLS through tokio's traits and futures-io's",
            again(crate::tls::by_tls_13().await),
            RESET
        ),
        #[cfg(feature = "http")]
        kind!(
            "the client's Upgraded through tokio's traits and futures-io's",
            again(crate::upgraded::asked_by_tcp().await),
            RESET
        ),
    ]
}

/// A stream of another kind through the traits.
#[cfg(any(feature = "http", feature = "tls"))]
fn again(ends: Option<Ends>) -> Option<Ends> {
    let Ends { near, far } = ends?;
    by_futures((FromTokio::new(Compat::new(near)), far))
}

fn by_tokio<S: ByteStream + 'static>((near, far): (S, Far)) -> Option<Ends> {
    Some(kinds::plain((FromTokio::new(Compat::new(near)), far)))
}

fn by_futures<S: ByteStream + 'static>((near, far): (S, Far)) -> Option<Ends> {
    Some(kinds::plain((FromFutures::new(Compat::new(near)), far)))
}

fn by_hyper<S: ByteStream + 'static>((near, far): (S, Far)) -> Option<Ends> {
    Some(kinds::plain((FromHyper::new(Compat::new(near)), far)))
}

fn boxed<S: ByteStream + 'static>((near, far): (S, Far)) -> Option<Ends> {
    let near: Box<dyn ByteStream> = Box::new(near);
    by_hyper((near, far))
}
