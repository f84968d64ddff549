//! The state of a router's handlers.

use std::{any::Any, rc::Rc};

use super::layer::{Entry, Sides, Step};
use crate::http::{
    error::Result,
    server::message::{request::Request, response::Response},
};

/// Puts the state of a router into each request, as a layer.
struct WithState<T>(Rc<T>);

impl<T: 'static> Step for WithState<T> {
    fn sides(&self) -> Sides {
        Sides::Before
    }

    #[inline]
    fn before(&self, request: &mut Request) -> Option<Response> {
        let state = Rc::clone(&self.0) as Rc<dyn Any>;
        request.extensions().insert_state::<T>(state);
        None
    }
}

/// The layer that makes `state` known to requests.
pub(super) fn entry<T: 'static>(state: T) -> Entry {
    Entry::step(WithState(Rc::new(state)))
}

/// The state of the router.
impl Request {
    /// Returns the state of type `T`, which [`Router::state`](crate::http::Router::state) has set:
    /// that of the innermost router around the handler that has one.
    ///
    /// # Errors
    ///
    /// 500 when no router has a state of this type, which is the program's own mistake. The error
    /// names the type.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::Cell;
    ///
    /// use annulus::http::{self, Request, Router};
    ///
    /// #[derive(Default)]
    /// struct App {
    ///     visits: Cell<u64>,
    /// }
    ///
    /// async fn visit(request: Request) -> http::Result<String> {
    ///     let app = request.state::<App>()?;
    ///     app.visits.set(app.visits.get() + 1);
    ///     Ok(format!("visit {}", app.visits.get()))
    /// }
    ///
    /// // Each worker has an `App` of its own. An `Arc` would be one for all.
    /// let router = || Router::new().state(App::default()).get("/", visit);
    /// # let _ = router;
    /// ```
    pub fn state<T: 'static>(&self) -> Result<Rc<T>> {
        self.extensions().require_state()
    }
}
