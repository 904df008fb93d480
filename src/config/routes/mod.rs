//! Merges `[[routes]]` and OpenAPI documents into one list of routes.
//!
//! Owns the routes and their precedence. Refuses to know how a path is matched. Invariant: among templates that match the
//! same paths, each method belongs to one route; a configured route has precedence over a document's. It guards against
//! a route, and its mark, that no request ever reaches.

mod methods;
mod openapi;
mod template;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

pub use methods::Methods;
pub use template::{Segment, Template, TemplateError};

use super::Note;
use super::ports::Files;
use super::problem::{Fault, Origin, Problem, nearest};
use super::raw::Raw;
use super::scope::{Scope, unreadable};
use super::settings::Section;

/// Memory limit of one compiled regex, and of all together, as in the regex crate. Larger regexes are mistakes.
const REGEX_BYTES: usize = 10 << 20;

/// All routes.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    /// The routes with a template, those of `[[routes]]` first.
    pub templates: Vec<(Template, Route)>,
    /// The routes with a regex, in order.
    pub regexes: Vec<(Regex, Route)>,
    /// All regexes as one set, which quickly rejects paths that none of them matches; `None` without any.
    pub any_regex: Option<RegexSet>,
    /// The OpenAPI documents, in order.
    pub documents: Vec<PathBuf>,
}

/// One API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The value of `http.route`.
    pub name: String,
    /// The paths that it matches.
    pub methods: Methods,
    /// The meaning of its requests.
    pub kind: RouteKind,
    /// Small and capital letters are equal.
    pub ignore_case: bool,
    /// The document that names it, by its index in [`Routes::documents`]; None for one of `[[routes]]`.
    pub document: Option<usize>,
}

/// The meaning of a request for a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteKind {
    /// An ordinary request.
    Plain,
    /// A login, which is successful with one of these statuses.
    Login {
        /// Ranges, both ends included.
        success: Vec<RangeInclusive<u64>>,
    },
    /// A request for data that must not leak.
    Sensitive,
}

/// Templates that match the same paths except for case, by the indices of their routes.
type Known = HashMap<Template, Vec<usize>>;

/// Whether two routes whose templates differ only in case match the same paths: their letters are equal, or both
/// ignore case.
fn same_paths(one: (&Template, bool), other: (&Template, bool)) -> bool {
    one.0 == other.0 || one.1 && other.1
}

pub(super) fn read(
    raw: &Raw,
    top: &mut Scope<'_>,
    files: &dyn Files,
    notes: &mut Vec<Note>,
) -> Routes {
    let mut read = Reading::default();
    for (at, values) in raw.list(Section::Routes).iter().enumerate() {
        let mut scope = Scope::of_list(Section::Routes, at, values, top.problems());
        read.route(&mut scope);
    }
    read.compile_all(top.problems());
    let own = read.routes.templates.len();
    for (path, origin) in top.list("openapi") {
        read.document(top, path, origin, own, files, notes);
    }
    read.routes
}

#[derive(Default)]
struct Reading {
    routes: Routes,
    known: Known,
    /// The position of each template.
    origins: Vec<Origin>,
    /// The position of each regex.
    regex_origins: Vec<Origin>,
}

impl Reading {
    /// Adds one section `[[routes]]`.
    fn route(&mut self, scope: &mut Scope<'_>) {
        let (path, regex) = (scope.text("path"), scope.text("regex"));
        if path.is_none() && regex.is_none() {
            let hint = "write path = \"/users/{id}\", or a regex";
            let (name, origin) = ("path", scope.origin());
            scope.fault(name, origin, Fault::Missing { hint });
        }
        scope.conflict(
            "path",
            "regex",
            "keep one of the two, or make two [[routes]]",
        );
        let kind = kind(scope);
        let mut methods = methods_of(scope);
        if methods.is_empty() {
            methods = match &kind {
                RouteKind::Login { .. } => Methods::POST,
                _ => Methods::ANY,
            };
        }
        let name = scope.text("name");
        if let Some((name, origin)) = &name
            && (name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control))
        {
            let why = "must have 1 to 1024 bytes, without control characters";
            scope.bad("name", origin.clone(), name, why);
        }
        // Many back ends ignore case, and an unmarked login or export is worse than a mark too many.
        let ignore_case = match scope.written("ignore_case") {
            Some(_) => scope.bool("ignore_case"),
            None => kind != RouteKind::Plain,
        };
        let route = |text: &str| Route {
            name: name.as_ref().map_or(text, |(name, _)| name).to_owned(),
            methods,
            kind,
            ignore_case,
            document: None,
        };
        match (path, regex) {
            (Some((text, origin)), None) => match Template::parse(&text) {
                Ok(template) => self.template(scope, template, route(&text), origin),
                Err(error) => scope.bad("path", origin, &text, error.to_string()),
            },
            (None, Some((text, origin))) => self.regex(scope, text, route, origin),
            _ => {}
        }
    }

    fn template(
        &mut self,
        scope: &mut Scope<'_>,
        template: Template,
        route: Route,
        origin: Origin,
    ) {
        let before = self.known.entry(template.folded()).or_default();
        let templates = &self.routes.templates;
        let meeting = |at: &&usize| {
            let (known, earlier) = &templates[**at];
            if !same_paths((known, earlier.ignore_case), (&template, route.ignore_case)) {
                return false;
            }
            let other = earlier.methods;
            // A route for all methods takes the methods that other routes leave, wherever it is in the file.
            let one_is_rest = (other == Methods::ANY) != (route.methods == Methods::ANY);
            other.meets(route.methods) && !one_is_rest
        };
        if let Some(at) = before.iter().find(meeting) {
            let other = format!("{} ({})", templates[*at].1.name, self.origins[*at]);
            let hint = "both match the same requests, so this one is never reached: name other methods, \
                           or take it away";
            return scope.fault("path", origin, Fault::Conflict { other, hint });
        }
        before.push(templates.len());
        self.routes.templates.push((template, route));
        self.origins.push(origin);
    }

    fn regex(
        &mut self,
        scope: &mut Scope<'_>,
        text: String,
        route: impl FnOnce(&str) -> Route,
        origin: Origin,
    ) {
        let route = route(&text);
        // A flag in the text, because all regexes form one set.
        let flag = if route.ignore_case { "(?i)" } else { "" };
        let pattern = format!("{flag}{text}");
        let built = RegexBuilder::new(&pattern).size_limit(REGEX_BYTES).build();
        let regex = match built {
            Ok(regex) => regex,
            Err(error) => return scope.bad("regex", origin, &text, why_not(&error)),
        };
        let covers = |(known, earlier): &(Regex, Route)| {
            known.as_str() == pattern && route.methods.without(earlier.methods).is_empty()
        };
        if let Some(at) = self.routes.regexes.iter().position(covers) {
            let other = format!("the same regex ({})", self.regex_origins[at]);
            let hint = "this one is never reached: name other methods, or take it away";
            return scope.fault("regex", origin, Fault::Conflict { other, hint });
        }
        self.routes.regexes.push((regex, route));
        self.regex_origins.push(origin);
    }

    /// Compiles all regexes into one set.
    fn compile_all(&mut self, problems: &mut Vec<Problem>) {
        let Some(first) = self.regex_origins.first() else {
            return;
        };
        let texts = self.routes.regexes.iter().map(|(regex, _)| regex.as_str());
        match RegexSetBuilder::new(texts).size_limit(REGEX_BYTES).build() {
            Ok(set) => self.routes.any_regex = Some(set),
            Err(error) => problems.push(Problem {
                origin: first.clone(),
                key: "routes".to_owned(),
                fault: Fault::BadValue {
                    value: None,
                    why: format!("all regexes together: {}", why_not(&error)),
                },
            }),
        }
    }

    /// Adds one of the `openapi` documents.
    fn document(
        &mut self,
        top: &mut Scope<'_>,
        path: String,
        origin: Origin,
        own: usize,
        files: &dyn Files,
        notes: &mut Vec<Note>,
    ) {
        if !path.starts_with('/') {
            let why = "is not absolute; write the whole path from / on";
            return top.bad("openapi", origin, &path, why);
        }
        let path = PathBuf::from(path);
        let document = self.routes.documents.len();
        self.routes.documents.push(path.clone());
        let content = match files.read(&path) {
            Ok(content) => content,
            Err(error) => return top.fault("openapi", origin, unreadable(&path, &error)),
        };
        let read = match openapi::read(&content) {
            Ok(read) => read,
            Err(error) => {
                let shown = path.display().to_string();
                return top.bad("openapi", origin, &shown, error.to_string());
            }
        };
        let note = |text: String| Note {
            origin: Origin::File {
                path: path.as_path().into(),
                line: 0,
            },
            text,
        };
        notes.extend(read.odd.into_iter().map(note));
        let mut doubled = Vec::new();
        for openapi::Operation { path, methods } in read.operations {
            let template = match Template::parse(&path) {
                Ok(template) => template,
                Err(error) => {
                    notes.push(note(format!("{path:?} is left out: it {error}")));
                    continue;
                }
            };
            let route = Route {
                name: path,
                methods,
                kind: RouteKind::Plain,
                ignore_case: false,
                document: Some(document),
            };
            if let Some(name) = self.documented(template, route, own) {
                doubled.push(name);
            }
        }
        if let [first, rest @ ..] = doubled.as_slice() {
            let more = match rest.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            notes.push(note(format!(
                "{first}{more}: an earlier template of the documents matches the same requests and counts"
            )));
        }
    }

    /// Adds a route of a document, for the methods that no other route has. Returns its name if an earlier document has
    /// any of them.
    fn documented(&mut self, template: Template, mut route: Route, own: usize) -> Option<String> {
        let templates = &mut self.routes.templates;
        let mut doubled = None;
        let before = match self.known.entry(template.folded()) {
            Entry::Occupied(before) => before.into_mut(),
            Entry::Vacant(free) => free.insert(Vec::new()),
        };
        for at in before.iter() {
            let (known, earlier) = &templates[*at];
            // A configured route that ignores case also matches the document's spelling.
            if *known != template && !earlier.ignore_case {
                continue;
            }
            let earlier = earlier.methods;
            if *at >= own && earlier.meets(route.methods) {
                doubled = Some(route.name.clone());
            }
            route.methods = route.methods.without(earlier);
        }
        if !route.methods.is_empty() {
            before.push(templates.len());
            templates.push((template, route));
        }
        doubled
    }
}

/// The greatest length of a keyword in the index.
const MAX_NAME: usize = 1024;

fn why_not(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            "is too large; repeat less, or write several routes".to_owned()
        }
        error => format!("is no regular expression: {error}"),
    }
}

fn kind(scope: &mut Scope<'_>) -> RouteKind {
    /// The word of the setting.
    #[derive(Clone, Copy)]
    enum Word {
        Login,
        Sensitive,
    }
    let word = scope.one_of("kind", &[Word::Login, Word::Sensitive]);
    let origin = scope.written("success").map(|given| given.origin.clone());
    match (word, origin) {
        (Some(Word::Login), None) => {
            let hint = "a login must say by which status it has succeeded, for a form often fails with 200: \
                           write success = [\"302\"], or [\"200-204\"] for an API";
            let origin = scope.origin();
            scope.fault("success", origin, Fault::Missing { hint });
        }
        (Some(Word::Login), Some(origin)) => {
            let success = success(scope);
            if success.is_empty() && scope.list("success").is_empty() {
                let why = "names no status; write it as in [\"302\", \"200-204\"]".to_owned();
                scope.fault("success", origin, Fault::BadValue { value: None, why });
            }
            return RouteKind::Login { success };
        }
        // A misspelt kind was reported already.
        (_, Some(origin)) if scope.written("kind").is_none() => {
            let why = "means something for a login only; add kind = \"login\"".to_owned();
            scope.fault("success", origin, Fault::BadValue { value: None, why });
        }
        (Some(Word::Sensitive), Some(origin)) => {
            let why = "means something for a login only; take it away".to_owned();
            scope.fault("success", origin, Fault::BadValue { value: None, why });
        }
        _ => {}
    }
    match word {
        None => RouteKind::Plain,
        Some(Word::Sensitive) => RouteKind::Sensitive,
        Some(Word::Login) => RouteKind::Login {
            success: Vec::new(),
        },
    }
}

fn success(scope: &mut Scope<'_>) -> Vec<RangeInclusive<u64>> {
    let mut ranges = Vec::new();
    for (text, origin) in scope.list("success") {
        let status = |text: &str| {
            let number = text.trim().parse().ok()?;
            (100..=599).contains(&number).then_some(number)
        };
        let range = match text.split_once('-') {
            Some((first, last)) => status(first)
                .zip(status(last))
                .filter(|(first, last)| first <= last)
                .map(|(first, last)| first..=last),
            None => status(&text).map(|status| status..=status),
        };
        match range {
            Some(range) => ranges.push(range),
            None => {
                let why = "is no status or range of them; write it as in \"302\" or \"200-204\"";
                scope.bad("success", origin, &text, why);
            }
        }
    }
    ranges
}

fn methods_of(scope: &mut Scope<'_>) -> Methods {
    let mut methods = Methods::NONE;
    for (text, origin) in scope.list("methods") {
        match Methods::named(&text) {
            Some(named) => methods = methods.or(named),
            None => {
                let upper = text.to_ascii_uppercase();
                let why = match nearest(&upper, Methods::names()) {
                    Some(near) => format!("is no method; did you mean {near:?}?"),
                    None => "is no method; write it as in \"GET\"".to_owned(),
                };
                scope.bad("methods", origin, &text, why);
            }
        }
    }
    methods
}
