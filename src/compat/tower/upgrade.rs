//! Upgrades by a service, whose answer takes the connection over.

use std::{cell::Cell, fmt, sync::Arc};

use crate::{
    http::{
        Error, HeaderValue, Method, Request, StatusCode, Upgraded,
        detached::{MakeTunnel, used_by},
        header,
    },
    task::ThreadBound,
};

/// A client's offer to leave HTTP on its connection: by `Upgrade`, or by the method `CONNECT`.
///
/// Feature: `tower`.
///
/// It is an extension of the requests that [`TowerToHandler`](super::TowerToHandler) gives to its
/// service, of those alone that make an offer. In axum a handler takes it as
/// `Option<Extension<Upgrade>>`, and answers 426 when there is none. axum's own extractor
/// `WebSocketUpgrade` finds no upgrade of hyper's, and refuses the request.
///
/// The response has to be answered by the handler that adapts the service: layers may change its
/// fields, and have to keep its extensions.
///
/// # Examples
///
/// ```
/// use annulus::compat::tower::Upgrade;
/// use http::{HeaderValue, Request, Response, StatusCode};
///
/// /// Changes to a protocol that sends back all that it receives.
/// async fn echo<B>(request: Request<B>) -> Response<String> {
///     let Some(offer) = request.extensions().get::<Upgrade>() else {
///         let mut refusal = Response::new("expected an upgrade\n".to_owned());
///         *refusal.status_mut() = StatusCode::UPGRADE_REQUIRED;
///         return refusal;
///     };
///     offer.respond(HeaderValue::from_static("echo"), async |upgraded| {
///         while let Ok(bytes) = upgraded.recv().await {
///             if bytes.is_empty() || upgraded.write_all(bytes).await.is_err() {
///                 return;
///             }
///         }
///     })
/// }
/// # let _ = echo::<String>;
/// ```
#[derive(Clone)]
pub struct Upgrade {
    protocols: Arc<[String]>,
    is_connect: bool,
}

impl Upgrade {
    /// The offer of a request, if it makes one.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let is_connect = *request.method() == Method::CONNECT;
        let mut protocols = request.upgrades().peekable();
        if protocols.peek().is_none() && !is_connect {
            return None;
        }
        Some(Self {
            protocols: protocols.map(str::to_owned).collect(),
            is_connect,
        })
    }

    /// Returns the protocols that the client offers, in its order. A `CONNECT` names none.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        self.protocols.iter().map(String::as_str)
    }

    /// Whether the request is a `CONNECT`, which [`tunnel`](Self::tunnel) answers.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.is_connect
    }

    /// Makes the response `101 Switching Protocols`, after which `use_it` gets the connection, with
    /// the bytes that the client sent after its request. It is closed when that returns. More
    /// fields may be added to the response.
    ///
    /// A client that did not offer `protocol` is answered `426 Upgrade Required` by the server, and
    /// `use_it` is dropped.
    #[must_use]
    pub fn respond<B, F>(&self, protocol: HeaderValue, use_it: F) -> ::http::Response<B>
    where
        B: Default,
        F: AsyncFnOnce(Upgraded) + 'static,
    {
        let mut response = accept(StatusCode::SWITCHING_PROTOCOLS, use_it);
        response.headers_mut().insert(header::UPGRADE, protocol);
        response
    }

    /// Makes the response `200 OK` to a `CONNECT`, after which `use_it` gets the connection. To
    /// another method the server answers 500.
    #[must_use]
    pub fn tunnel<B, F>(&self, use_it: F) -> ::http::Response<B>
    where
        B: Default,
        F: AsyncFnOnce(Upgraded) + 'static,
    {
        accept(StatusCode::OK, use_it)
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("protocols", &self.protocols)
            .field("is_connect", &self.is_connect)
            .finish()
    }
}

fn accept<B, F>(status: StatusCode, use_it: F) -> ::http::Response<B>
where
    B: Default,
    F: AsyncFnOnce(Upgraded) + 'static,
{
    let make: Box<MakeTunnel> = Box::new(|departed| used_by(departed, use_it));
    let mut response = ::http::Response::new(B::default());
    *response.status_mut() = status;
    response.extensions_mut().insert(Handed::new(make));
    response
}

/// A value that a response's extensions carry to the server, once.
pub(super) struct Handed<T: 'static>(Arc<ThreadBound<Cell<Option<T>>>>);

impl<T: 'static> Handed<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Arc::new(ThreadBound::new(Cell::new(Some(value)))))
    }

    /// Takes the value out of the extensions, if it is there.
    pub(super) fn take_from(extensions: &mut ::http::Extensions) -> Option<T> {
        extensions.remove::<Self>()?.0.get().take()
    }
}

// A derived one would ask it of the value.
impl<T: 'static> Clone for Handed<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The function that takes the connection over, and the error for the access log.
pub(super) type HandedTunnel = Handed<Box<MakeTunnel>>;
pub(super) type HandedError = Handed<Box<Error>>;
