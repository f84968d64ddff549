//! Connections that the program opens itself.

use std::{fmt, future::Future, io, pin::Pin, rc::Rc};

use crate::http::{client::url::Url, transport::Transport};

type Opening = Pin<Box<dyn Future<Output = io::Result<Transport>>>>;

/// The function of [`ClientBuilder::connect_by`](crate::http::client::ClientBuilder::connect_by).
#[derive(Clone)]
pub(crate) struct ByHand(Rc<dyn Fn(&Url) -> Opening>);

impl ByHand {
    pub(crate) fn new<F, R, S>(connect: F) -> Self
    where
        F: Fn(&Url) -> R + 'static,
        R: Future<Output = io::Result<S>> + 'static,
        S: Into<Transport>,
    {
        Self(Rc::new(move |url| {
            let opening = connect(url);
            Box::pin(async move { opening.await.map(Into::into) })
        }))
    }

    pub(crate) fn open(&self, url: &Url) -> Opening {
        (self.0)(url)
    }
}

impl fmt::Debug for ByHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByHand").finish_non_exhaustive()
    }
}
