//! The parameters in a request's path.

use std::{borrow::Cow, rc::Rc, str::FromStr};

use super::{pairs, request::Request};
use crate::http::{
    StatusCode,
    error::{Cause, Error, Result},
    error_kind::ErrorKind,
    percent::decode,
};

/// The parameters that a route may have.
pub(crate) const PARAMS_MAX: usize = 8;

/// The names of a route's parameters, in order: at most [`PARAMS_MAX`].
pub(crate) type Names = Vec<String>;

/// Where the values of a route's parameters are in the path.
#[derive(Debug, Default)]
pub(crate) struct Params {
    pub(super) names: Option<Rc<Names>>,
    /// Their values' places, in the order of the names. A head is shorter than 64 KiB.
    places: [(u16, u16); PARAMS_MAX],
}

impl Params {
    /// Parameters called `names` with these `values`, each a part of `path`.
    pub(crate) fn new<'a>(
        names: &Rc<Names>,
        path: &'a str,
        values: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut params = Self::default();
        if !names.is_empty() {
            params.names = Some(Rc::clone(names));
            for (place, value) in params.places.iter_mut().zip(values) {
                let start = value.as_ptr() as usize - path.as_ptr() as usize;
                *place = (start as u16, (start + value.len()) as u16);
            }
        }
        params
    }

    /// Whether there are any.
    #[inline]
    pub(crate) fn is_some(&self) -> bool {
        self.names.is_some()
    }

    /// Forgets them.
    pub(crate) fn clear(&mut self) {
        if self.names.is_some() {
            *self = Self::default();
        }
    }

    fn find<'a>(&self, path: &'a str, name: &str) -> Option<&'a str> {
        let names = self.names.as_ref()?;
        let index = names.iter().position(|known| known == name)?;
        let (start, end) = self.places[index];
        path.get(usize::from(start)..usize::from(end))
    }
}

impl Request {
    /// The value of the path's parameter `name` as it was sent.
    pub(crate) fn raw_param(&self, name: &str) -> Option<&str> {
        self.params().borrow().find(self.path(), name)
    }
}

/// The parameters in the path, as the [route](crate::http::Router) names them.
impl Request {
    /// Returns the value of the path's parameter `name`.
    ///
    /// # Errors
    ///
    /// 400 when the decoded value is not UTF-8, or is no `T`. 500 when the route has no such
    /// parameter, which is the program's own mistake.
    ///
    /// # Examples
    ///
    /// ```
    /// # use annulus::http::{self, Request, Router};
    /// async fn user(request: Request) -> http::Result<String> {
    ///     let id: u64 = request.param("id")?;
    ///     Ok(format!("user number {id}"))
    /// }
    ///
    /// let router = Router::new().get("/users/{id}", user);
    /// ```
    pub fn param<T>(&self, name: &str) -> Result<T>
    where
        T: FromStr<Err: Into<Cause>>,
    {
        pairs::parse(name, &self.param_str(name)?)
    }

    /// Returns the text of the path's parameter `name`, with its percent-encoding decoded.
    ///
    /// It may hold everything that a client can encode: slashes, dots, line ends and null
    /// characters too.
    ///
    /// # Errors
    ///
    /// 400 when it is not UTF-8 once it is decoded. 500 when the route has no such parameter, which
    /// is the program's own mistake.
    pub fn param_str(&self, name: &str) -> Result<Cow<'_, str>> {
        let Some(value) = self.params().borrow().find(self.path(), name) else {
            let reason = format!("expected a route with the parameter `{name}`, found none");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Err(Error::other(status, ErrorKind::Internal, reason));
        };
        match decode(value.as_bytes(), false) {
            Cow::Borrowed(_) => Ok(Cow::Borrowed(value)),
            Cow::Owned(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Cow::Owned(text)),
                Err(cause) => {
                    let reason = format!("expected UTF-8 in the parameter `{name}`");
                    let error = Error::other(StatusCode::BAD_REQUEST, ErrorKind::Param, reason);
                    Err(error.with_source(cause))
                }
            },
        }
    }
}
