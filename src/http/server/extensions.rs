//! Values of any type that travel with a request.

use std::{
    any::{Any, TypeId, type_name},
    cell::RefCell,
    fmt,
    marker::PhantomData,
    rc::Rc,
};

use crate::{
    http::{
        StatusCode,
        error::{Error, Result},
        error_kind::ErrorKind,
    },
    unwind,
};

/// The values that layers and handlers have put into a request, at most one of each type.
///
/// A layer puts in the name of the user, say; the layers inside of it, the handler, the access log
/// ([`Access::extension`](crate::http::Access::extension)) and the hook for refusals
/// ([`Refusal::extension`](crate::http::Refusal::extension)) see it. Values need not be `Send`.
/// They are dropped with the request: once it is answered, or later where a handler has kept it.
///
/// A request without values costs nothing by this. A value costs one allocation.
///
/// # Examples
///
/// ```
/// use annulus::http::{self, Next, Request, Response, Router};
///
/// struct User(String);
///
/// /// A layer that finds out who asks.
/// async fn with_user(request: Request, next: Next<'_>) -> Response {
///     let name = request.field("x-user").unwrap_or(b"guest");
///     let user = User(String::from_utf8_lossy(name).into_owned());
///     request.extensions().insert(user);
///     next.run(request).await
/// }
///
/// async fn greet(request: Request) -> http::Result<String> {
///     let user = request.extensions().require::<User>()?;
///     Ok(format!("Hello, {}!", user.0))
/// }
///
/// let router = Router::new().get("/", greet).layer(with_user);
/// ```
#[derive(Default)]
pub struct Extensions {
    // A request has a few, which a search finds as fast as a hash would. The state of a router has
    // the key `StateOf<T>`.
    values: RefCell<Vec<(TypeId, Rc<dyn Any>)>>,
}

/// The key of the state of type `T`.
struct StateOf<T>(PhantomData<T>);

impl Extensions {
    /// Puts `value` in, and returns the one of its type that was there before.
    pub fn insert<T: 'static>(&self, value: T) -> Option<Rc<T>> {
        let before = self.put(TypeId::of::<T>(), Rc::new(value));
        before?.downcast().ok()
    }

    fn put(&self, id: TypeId, value: Rc<dyn Any>) -> Option<Rc<dyn Any>> {
        let mut values = self.values.borrow_mut();
        let Some((_, place)) = values.iter_mut().find(|(known, _)| *known == id) else {
            values.push((id, value));
            return None;
        };
        Some(std::mem::replace(place, value))
    }

    /// Puts in the state of a router, which is a `T`, and takes the place of one outside.
    pub(crate) fn insert_state<T: 'static>(&self, state: Rc<dyn Any>) {
        // The value before may have a `Drop` of the user's.
        drop(self.put(TypeId::of::<StateOf<T>>(), state));
    }

    /// The state of type `T`, or 500.
    pub(crate) fn require_state<T: 'static>(&self) -> Result<Rc<T>> {
        let state = self.find(TypeId::of::<StateOf<T>>());
        state.ok_or_else(|| missing::<T>("a router's state", "`Router::state`"))
    }

    fn find<T: 'static>(&self, id: TypeId) -> Option<Rc<T>> {
        let values = self.values.borrow();
        let (_, value) = values.iter().find(|(known, _)| *known == id)?;
        Rc::clone(value).downcast().ok()
    }

    /// Returns the value of type `T`, if there is one.
    #[must_use]
    pub fn get<T: 'static>(&self) -> Option<Rc<T>> {
        self.find(TypeId::of::<T>())
    }

    /// Returns the value of type `T`, for handlers that rely on a layer.
    ///
    /// # Errors
    ///
    /// 500 when there is none: the route lacks the layer that puts it in, which is the program's
    /// own mistake.
    pub fn require<T: 'static>(&self) -> Result<Rc<T>> {
        self.get()
            .ok_or_else(|| missing::<T>("a value in the request", "a layer"))
    }

    /// Takes the value of type `T` out, if there is one.
    pub fn remove<T: 'static>(&self) -> Option<Rc<T>> {
        let id = TypeId::of::<T>();
        let mut values = self.values.borrow_mut();
        let index = values.iter().position(|(known, _)| *known == id)?;
        values.swap_remove(index).1.downcast().ok()
    }

    /// Drops all values, and keeps the memory of their list.
    pub(crate) fn clear(&mut self) {
        unwind::swallow(|| self.values.get_mut().clear());
    }

    /// The same values, for a record that outlives the request.
    pub(crate) fn again(&self) -> Self {
        Self {
            values: self.values.clone(),
        }
    }
}

/// The error of a handler that relies on a value of type `T` that is not there.
#[cold]
fn missing<T>(place: &str, source: &str) -> Error {
    let name = type_name::<T>();
    let reason = format!("expected {place} of the type `{name}`, by {source}, found none");
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Error::other(status, ErrorKind::Internal, reason)
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.values.borrow().len();
        f.debug_struct("Extensions").field("count", &count).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_most_one_value_of_each_type() {
        let extensions = Extensions::default();
        assert!(extensions.insert(1_u8).is_none());
        assert!(extensions.insert("a").is_none());
        assert_eq!(extensions.insert(2_u8).as_deref(), Some(&1));
        assert_eq!(extensions.get::<u8>().as_deref(), Some(&2));
        assert_eq!(extensions.get::<&str>().as_deref(), Some(&"a"));
        assert_eq!(extensions.remove::<u8>().as_deref(), Some(&2));
        assert!(extensions.get::<u8>().is_none());
        let error = extensions.require::<u8>().unwrap_err();
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(
            error.to_string(),
            "expected a value in the request of the type `u8`, by a layer, found none"
        );
        assert!(extensions.require::<&str>().is_ok());
    }

    #[test]
    fn a_value_may_use_the_others_while_it_is_dropped() {
        struct Late(Rc<Extensions>);
        impl Drop for Late {
            fn drop(&mut self) {
                self.0.insert(7_u8);
            }
        }
        let extensions = Rc::new(Extensions::default());
        extensions.insert(Late(Rc::clone(&extensions)));
        drop(extensions.remove::<Late>());
        assert_eq!(extensions.get::<u8>().as_deref(), Some(&7));
    }
}
