//! The table of routes.

use std::{fmt, rc::Rc};

use matchit::InsertError;

use super::{boxed_handler::BoxedHandler, layer::Entry, literals::Literals, route_path::check};
use crate::http::{
    Method,
    server::message::params::{Names, Params},
};

/// A handler with the layers around it, of which the outermost stands first.
pub(super) struct Endpoint {
    pub(super) handler: BoxedHandler,
    pub(super) layers: Vec<Entry>,
}

/// The handlers of one path.
pub(super) struct Route {
    path: String,
    names: Rc<Names>,
    methods: Vec<(Method, Endpoint)>,
    any: Option<Endpoint>,
    /// The layers around the answer to a method without a handler: those of the router that the
    /// route was added to first.
    layers: Vec<Entry>,
}

impl Route {
    /// Adds the handler of `method`, or of all that have none.
    #[track_caller]
    pub(super) fn set(&mut self, method: Option<Method>, endpoint: Endpoint) {
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
            Some(method) => self.methods.push((method, endpoint)),
            None => self.any = Some(endpoint),
        }
    }

    /// Adds a layer at `index` of all lists.
    fn add_layer(&mut self, index: usize, layer: &Entry) {
        let endpoints = self.methods.iter_mut().map(|(_, endpoint)| endpoint);
        let lists = endpoints
            .chain(&mut self.any)
            .map(|endpoint| &mut endpoint.layers);
        for list in lists.chain([&mut self.layers]) {
            list.insert(index, layer.clone());
        }
    }

    pub(super) fn layers(&self) -> &[Entry] {
        &self.layers
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    #[inline]
    fn own(&self, method: &Method) -> Option<&Endpoint> {
        let mut methods = self.methods.iter();
        methods
            .find(|(known, _)| known == method)
            .map(|(_, endpoint)| endpoint)
    }

    /// The handler that answers `method`.
    #[inline]
    pub(super) fn endpoint(&self, method: &Method) -> Option<&Endpoint> {
        match self.own(method) {
            Some(endpoint) => Some(endpoint),
            None => self.other(method),
        }
    }

    /// The handler that answers `method`, which has none of its own.
    #[inline(never)]
    fn other(&self, method: &Method) -> Option<&Endpoint> {
        let of_get = match *method {
            Method::HEAD => self.own(&Method::GET),
            _ => None,
        };
        of_get.or(self.any.as_ref())
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
    literals: Literals,
    routes: Vec<Route>,
}

impl Routes {
    /// The route at `path`, which is added inside of `layers` if it is not there.
    ///
    /// # Panics
    ///
    /// When the path is wrong, or matches the same as another.
    #[track_caller]
    pub(super) fn entry(&mut self, path: &str, layers: &[Entry]) -> &mut Route {
        if let Some(index) = self.routes.iter().position(|route| route.path == path) {
            return &mut self.routes[index];
        }
        self.insert(path, &[path.to_owned()], layers)
    }

    /// Adds a layer inside of the first `outer_count` ones of each route.
    pub(super) fn add_layer(&mut self, outer_count: usize, layer: &Entry) {
        for route in &mut self.routes {
            route.add_layer(outer_count, layer);
        }
    }

    /// A table with one route, for what is at `prefix` or below it.
    ///
    /// # Panics
    ///
    /// When the prefix is wrong.
    #[track_caller]
    pub(super) fn below(prefix: &str) -> Self {
        let patterns = [
            prefix.to_owned(),
            format!("{prefix}/"),
            format!("{prefix}/{{*below}}"),
        ];
        let mut routes = Self::default();
        routes.insert(prefix, &patterns, &[]);
        routes
    }

    /// Adds a route that is found at all of `patterns`.
    #[track_caller]
    fn insert(&mut self, path: &str, patterns: &[String], layers: &[Entry]) -> &mut Route {
        let names = check(path);
        let index = self.routes.len();
        for pattern in patterns {
            match self.tree.insert(pattern, index) {
                Ok(()) => self.literals.add(pattern, index),
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
            layers: layers.to_vec(),
        });
        &mut self.routes[index]
    }

    /// Adds all routes of `other`, each behind `prefix` and inside of `layers`.
    #[track_caller]
    pub(super) fn nest(&mut self, prefix: &str, other: Self, layers: &[Entry]) {
        for mut route in other.routes {
            for (index, layer) in layers.iter().enumerate() {
                route.add_layer(index, layer);
            }
            let path = match &*route.path {
                "/" => prefix.to_owned(),
                path => format!("{prefix}{path}"),
            };
            let entry = self.entry(&path, &route.layers);
            for (method, endpoint) in route.methods {
                entry.set(Some(method), endpoint);
            }
            if let Some(endpoint) = route.any {
                entry.set(None, endpoint);
            }
        }
    }

    /// The route without parameters that is `path`. It comes before all others that match.
    #[inline]
    pub(super) fn literal(&self, path: &[u8]) -> Option<&Route> {
        let index = self.literals.find(path)?;
        Some(&self.routes[index])
    }

    /// The route that matches `path`, and its parameters in there.
    pub(super) fn at(&self, path: &str) -> Option<(&Route, Params)> {
        let matched = self.tree.at(path).ok()?;
        let route = &self.routes[*matched.value];
        let values = matched.params.iter().map(|(_, value)| value);
        Some((route, Params::new(&route.names, path, values)))
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
