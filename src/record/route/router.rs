//! Finds the configured route of a request by its method and path.
//!
//! Owns the order of routes: templates of the user, then regexes of the user, then templates that only a document names.
//! Invariant: a search allocates nothing, whatever the path.

use regex::bytes::{Regex, RegexSet};

use super::trie::Trie;
use crate::config::{Methods, Route, RouteKind, Routes};
use crate::record::json;

/// All routes, compiled.
#[derive(Debug)]
pub(in crate::record) struct Router {
    trie: Trie,
    /// By the numbers of the trie.
    templates: Vec<Named>,
    any_regex: Option<RegexSet>,
    regexes: Vec<(Regex, Named)>,
}

/// A route, as records write it.
#[derive(Debug)]
pub(in crate::record) struct Named {
    /// `"route":"/users/{id}",`
    pub(in crate::record) member: Vec<u8>,
    pub(in crate::record) kind: RouteKind,
    methods: Methods,
    is_own: bool,
}

impl Named {
    fn new(route: Route) -> Self {
        Self {
            member: format!("\"route\":\"{}\",", json::constant(&route.name)).into_bytes(),
            kind: route.kind,
            methods: route.methods,
            is_own: route.document.is_none(),
        }
    }
}

impl Router {
    pub(in crate::record) fn new(routes: Routes) -> Self {
        let templates = routes.templates.iter();
        let regexes = routes.regexes.into_iter();
        Self {
            trie: Trie::new(
                templates.map(|(template, route)| (template, route.methods, route.ignore_case)),
            ),
            any_regex: routes.any_regex,
            regexes: regexes
                .map(|(regex, route)| (regex, Named::new(route)))
                .collect(),
            templates: routes
                .templates
                .into_iter()
                .map(|(_, route)| Named::new(route))
                .collect(),
        }
    }

    /// No route is configured.
    pub(super) fn is_empty(&self) -> bool {
        self.templates.is_empty() && self.regexes.is_empty()
    }

    /// The number of nodes that one path would visit in the trie, if the templates cross too much for a trie.
    pub(in crate::record) fn crossing_visits(&self) -> Option<usize> {
        self.trie.crossing_visits()
    }

    /// Returns the route of a path as a back end sees it; `buffer` is scratch space.
    pub(super) fn find(
        &self,
        method: Option<&[u8]>,
        path: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Option<&Named> {
        let method = Methods::of_request(method);
        let found = self
            .trie
            .find(method, path, buffer)
            .map(|at| &self.templates[at as usize]);
        match found {
            Some(own) if own.is_own => found,
            _ => self.by_regex(method, path).or(found),
        }
    }

    /// One check of the set shows that no regex matches, which is so for nearly every path.
    fn by_regex(&self, method: Methods, path: &[u8]) -> Option<&Named> {
        if !self.any_regex.as_ref()?.is_match(path) {
            return None;
        }
        let fits =
            |(regex, named): &&(Regex, Named)| named.methods.meets(method) && regex.is_match(path);
        self.regexes.iter().find(fits).map(|(_, named)| named)
    }
}
