//! Layers around our handlers.

use tower_layer::Layer;

use super::{handler_to_tower::HandlerToTower, tower_to_handler::TowerToHandler};
use crate::http::{Handler, Router};

/// Wraps a handler in a layer of tower's.
///
/// Feature: `tower`.
///
/// The layer sees the request and the answer as the `http` crate has them. An answer whose body it
/// does not change is sent as if the layer was not there; one that it wraps is pulled through it.
/// [`HandlerToTower`] tells what a handler loses of a request whose body is wrapped.
///
/// # Examples
///
/// ```
/// use annulus::{compat::tower::layered, http::{Handler, Router}};
/// use tower_layer::Identity; // or one of the crate `tower-http`
///
/// fn service() -> impl Handler {
///     layered(Identity::new(), Router::new().get("/", async |_| "hello"))
/// }
/// # let _ = service;
/// ```
#[must_use]
pub fn layered<L, H>(layer: L, handler: H) -> TowerToHandler<L::Service>
where
    L: Layer<HandlerToTower<H>>,
    H: Handler,
{
    TowerToHandler::new(layer.layer(HandlerToTower::new(handler)))
}

impl Router {
    /// Wraps the whole router in a layer of tower's: also what it answers by itself, such as 404
    /// and the answer to OPTIONS. It makes a handler of the router: routes are added before.
    ///
    /// Feature: `tower`.
    ///
    /// `compat::tower::layered` does the same to any handler. Several layers make several calls, or
    /// one `tower::ServiceBuilder`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use annulus::http::{Router, Server};
    /// use tower_layer::Identity; // or `tower_http::cors::CorsLayer::permissive()`
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let router = || Router::new().get("/", async |_| "hello").tower_layer(Identity::new());
    /// Server::new().listen("127.0.0.1:8080").run_each(router).map(drop)
    /// # }
    /// ```
    #[must_use]
    pub fn tower_layer<L>(self, layer: L) -> TowerToHandler<L::Service>
    where
        L: Layer<HandlerToTower<Self>>,
    {
        layered(layer, self)
    }
}
