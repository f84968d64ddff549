//! The table of routes.

use std::{fmt, rc::Rc};

use matchit::InsertError;

use super::{boxed_handler::BoxedHandler, route_path::check};
use crate::http::{
    Method,
    server::message::params::{Names, Params},
};

/// The handlers of one path.
pub(super) struct Route {
    path: String,
    names: Rc<Names>,
    methods: Vec<(Method, BoxedHandler)>,
    any: Option<BoxedHandler>,
}

impl Route {
    /// Adds the handler of `method`, or of all that have none.
    #[track_caller]
    pub(super) fn set(&mut self, method: Option<Method>, handler: BoxedHandler) {
        let is_there = match &method {
            Some(method) => self.own(method).is_some(),
            None => self.any.is_some(),
        };
        assert!(
            !is_there,
            "the route `{} {}` is there already",
            method.as_ref().map_or("any", Method::as_str),
            self.path
        );
        match method {
            Some(method) => self.methods.push((method, handler)),
            None => self.any = Some(handler),
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn own(&self, method: &Method) -> Option<&BoxedHandler> {
        let mut methods = self.methods.iter();
        methods
            .find(|(known, _)| known == method)
            .map(|(_, handler)| handler)
    }

    /// The handler that answers `method`.
    pub(super) fn handler(&self, method: &Method) -> Option<&BoxedHandler> {
        self.own(method)
            .or_else(|| match *method {
                Method::HEAD => self.own(&Method::GET),
                _ => None,
            })
            .or(self.any.as_ref())
    }

    /// The methods with handlers, HEAD beside GET.
    pub(super) fn allowed(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter().flat_map(|(method, _)| {
            let head = (*method == Method::GET).then_some(&Method::HEAD);
            [Some(method), head].into_iter().flatten()
        })
    }
}

/// Routes by their paths.
#[derive(Default)]
pub(super) struct Routes {
    /// Indices of `routes`.
    tree: matchit::Router<usize>,
    routes: Vec<Route>,
}

impl Routes {
    /// The route at `path`, which is added if it is not there.
    ///
    /// # Panics
    ///
    /// When the path is wrong, or matches the same as another.
    #[track_caller]
    pub(super) fn entry(&mut self, path: &str) -> &mut Route {
        if let Some(index) = self.routes.iter().position(|route| route.path == path) {
            return &mut self.routes[index];
        }
        self.insert(path, &[path.to_owned()])
    }

    /// A table that sends what is at `prefix` or below it to `handler`.
    ///
    /// # Panics
    ///
    /// When the prefix is wrong.
    #[track_caller]
    pub(super) fn below(prefix: &str, handler: BoxedHandler) -> Self {
        let patterns = [
            prefix.to_owned(),
            format!("{prefix}/"),
            format!("{prefix}/{{*below}}"),
        ];
        let mut routes = Self::default();
        routes.insert(prefix, &patterns).set(None, handler);
        routes
    }

    /// Adds a route that is found at all of `patterns`.
    #[track_caller]
    fn insert(&mut self, path: &str, patterns: &[String]) -> &mut Route {
        let names = check(path);
        let index = self.routes.len();
        for pattern in patterns {
            match self.tree.insert(pattern, index) {
                Ok(()) => {}
                Err(InsertError::Conflict { with }) => {
                    panic!("the route `{path}`: `{with}` is there already, for the same place")
                }
                Err(error) => panic!("the route `{path}`: {error}"),
            }
        }
        self.routes.push(Route {
            path: path.to_owned(),
            names: Rc::new(names),
            methods: Vec::new(),
            any: None,
        });
        &mut self.routes[index]
    }

    /// Adds all routes of `other`, each behind `prefix`.
    #[track_caller]
    pub(super) fn nest(&mut self, prefix: &str, other: Self) {
        for route in other.routes {
            let path = match &*route.path {
                "/" => prefix.to_owned(),
                path => format!("{prefix}{path}"),
            };
            let entry = self.entry(&path);
            for (method, handler) in route.methods {
                entry.set(Some(method), handler);
            }
            if let Some(handler) = route.any {
                entry.set(None, handler);
            }
        }
    }

    /// The route that matches `path`, and its parameters in there.
    pub(super) fn at(&self, path: &str) -> Option<(&Route, Params)> {
        let matched = self.tree.at(path).ok()?;
        let route = &self.routes[*matched.value];
        let values = matched.params.iter().map(|(_, value)| value);
        Some((route, Params::new(&route.names, path, values)))
    }

    /// The handler of the first route for any method.
    pub(super) fn into_any(self) -> Option<BoxedHandler> {
        self.routes.into_iter().find_map(|route| route.any)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.routes.iter().map(|route| &route.path))
            .finish()
    }
}
