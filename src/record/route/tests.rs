//! Paths get the names of their routes.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::trie::Trie;
use crate::config::{Methods, Segment, Template};

fn templates(texts: &[&str]) -> Vec<(Template, Methods)> {
    let parse = |text: &&str| (Template::parse(text).unwrap(), Methods::ANY);
    texts.iter().map(parse).collect()
}

fn trie(templates: &[(Template, Methods)]) -> Trie {
    Trie::new(
        templates
            .iter()
            .map(|(template, methods)| (template, *methods, false)),
    )
}

fn methods(names: &[&str]) -> Methods {
    let sets = names
        .iter()
        .map(|name| Methods::of_request(Some(name.as_bytes())));
    sets.fold(Methods::NONE, Methods::or)
}

const GET: &str = "GET";

fn find(trie: &Trie, method: &str, path: &str) -> Option<u32> {
    let method = Methods::of_request(Some(method.as_bytes()));
    trie.find(method, path.as_bytes(), &mut Vec::new())
}

#[test]
fn a_choice_that_leads_nowhere_is_taken_back() {
    let texts = ["/a/{x}/c", "/a/b/d", "/a/{x}/{y*}", "/{x}/b/{y}"];
    let trie = trie(&templates(&texts));
    let find = |path: &str| {
        let found = find(&trie, GET, path);
        found.map(|at| texts[at as usize])
    };
    assert_eq!(find("/a/b/c"), Some("/a/{x}/c"));
    assert_eq!(find("/a/b/d"), Some("/a/b/d"));
    assert_eq!(find("/a/b/e"), Some("/a/{x}/{y*}"));
    assert_eq!(find("/a/b/d/e"), Some("/a/{x}/{y*}"));
    assert_eq!(find("/b/b/e"), Some("/{x}/b/{y}"));
    assert_eq!(find("/a/b"), None);
    assert_eq!(find("/a/b/"), None);
    assert_eq!(find("/a"), None);
    assert_eq!(find("/"), None);
    assert_eq!(find(""), None);
    assert_eq!(find("*"), None);
}

#[test]
fn the_more_literal_template_goes_first() {
    let texts = [
        "/{rest*}",
        "/{id}",
        "/{id}.json",
        "/report-{id}.json",
        "/{a}-{b}",
        "/report-1.json",
        "/",
    ];
    let trie = trie(&templates(&texts));
    let find = |path: &str| {
        let found = find(&trie, GET, path);
        found.map(|at| texts[at as usize])
    };
    assert_eq!(find("/report-1.json"), Some("/report-1.json"));
    assert_eq!(find("/report-2.json"), Some("/report-{id}.json"));
    assert_eq!(find("/x.json"), Some("/{id}.json"));
    assert_eq!(find("/.json"), Some("/{id}"));
    assert_eq!(find("/a-b"), Some("/{a}-{b}"));
    assert_eq!(find("/-b"), Some("/{id}"));
    assert_eq!(find("/a-"), Some("/{id}"));
    assert_eq!(find("/--a"), Some("/{a}-{b}"));
    assert_eq!(find("/a/"), Some("/{id}"));
    assert_eq!(find("/a/b"), Some("/{rest*}"));
    assert_eq!(find("/"), Some("/"));
}

#[test]
fn a_route_with_other_methods_is_skipped() {
    let template = |text| Template::parse(text).unwrap();
    let templates = [
        (template("/users/me"), methods(&["GET"])),
        (template("/users/{id}"), methods(&["GET", "DELETE"])),
        (template("/users/{id}"), Methods::ANY),
        (template("/login"), methods(&["POST"])),
        (template("/head"), methods(&["GET"])),
        (template("/head"), methods(&["HEAD"])),
    ];
    let trie = trie(&templates);
    let find = |method: &str, path: &str| find(&trie, method, path);
    let unknown =
        |path: &str| trie.find(Methods::of_request(None), path.as_bytes(), &mut Vec::new());
    assert_eq!(find("GET", "/users/me"), Some(0));
    assert_eq!(find("HEAD", "/users/me"), Some(0));
    assert_eq!(find("DELETE", "/users/me"), Some(1));
    assert_eq!(find("BREW", "/users/me"), Some(2));
    assert_eq!(find("POST", "/login"), Some(3));
    assert_eq!(find("GET", "/login"), None);
    assert_eq!(unknown("/login"), None);
    assert_eq!(unknown("/users/1"), Some(2));
    assert_eq!(find("HEAD", "/head"), Some(5));
    assert_eq!(find("GET", "/head"), Some(4));
}

/// Class of a segment, what it leaves open, and its literals.
type Grade = (u8, usize, Vec<Vec<u8>>);

/// How a template fares at each segment of a path, the less the better; `None` when it does not match. The plain
/// way of asking each template, which the trie must agree with.
fn fares(template: &Template, path: &str) -> Option<Vec<Grade>> {
    let inner = path.strip_prefix('/')?;
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let mut segments: Vec<&str> = inner.split('/').collect();
    if inner.is_empty() {
        segments.clear();
    }
    let mut grades = Vec::new();
    let known = template.segments();
    for (segment, wanted) in segments.iter().zip(known) {
        grades.push(match wanted {
            Segment::Literal(literal) if literal == segment.as_bytes() => (0, 0, vec![]),
            Segment::Literal(_) => return None,
            Segment::Pattern(literals) => {
                if !stretches(literals, segment.as_bytes()) {
                    return None;
                }
                let weight: usize = literals.iter().map(Vec::len).sum();
                (1, usize::MAX - weight, literals.clone())
            }
        });
    }
    match segments.len().cmp(&known.len()) {
        std::cmp::Ordering::Equal if !template.has_rest() => Some(grades),
        std::cmp::Ordering::Greater if template.has_rest() => {
            grades.push((2, 0, vec![]));
            Some(grades)
        }
        _ => None,
    }
}

/// Whether the segment is these literals with at least one byte between each two: every way is tried.
fn stretches(literals: &[Vec<u8>], segment: &[u8]) -> bool {
    let Some((first, others)) = literals.split_first() else {
        return segment.is_empty();
    };
    let Some(rest) = segment.strip_prefix(first.as_slice()) else {
        return false;
    };
    if others.is_empty() {
        return rest.is_empty();
    }
    (1..=rest.len()).any(|taken| stretches(others, &rest[taken..]))
}

fn any_segment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(&["a", "b", "ab", "a-b", "A", "aB"][..]).prop_map(str::to_owned),
        2 => Just("{x}".to_owned()),
        1 => prop::sample::select(&["{x}b", "a{x}", "{x}-{y}", "a{x}b", "{x}a{y}b", "A{x}", "{x}B"][..]).prop_map(str::to_owned),
    ]
}

fn any_template() -> impl Strategy<Value = String> {
    let rest = prop::sample::select(&["", "", "", "/{r*}"][..]);
    (prop::collection::vec(any_segment(), 0..5), rest).prop_map(|(segments, rest)| {
        let text: String = segments
            .iter()
            .map(|segment| format!("/{segment}"))
            .collect();
        match format!("{text}{rest}") {
            text if text.is_empty() => "/".to_owned(),
            text => text,
        }
    })
}

fn any_methods() -> impl Strategy<Value = Methods> {
    prop_oneof![
        3 => Just(Methods::ANY),
        1 => Just(methods(&["GET"])),
        1 => Just(methods(&["POST", "PUT"])),
        1 => Just(methods(&["HEAD"])),
    ]
}

fn any_path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(
        &[
            "a", "b", "ab", "a-b", "aab", "-", "axb", "a-", "-b", "c", "A", "aB", "AxB",
        ][..],
    );
    (prop::collection::vec(segment, 0..6), any::<bool>()).prop_map(|(segments, slash)| {
        let text: String = segments
            .iter()
            .map(|segment| format!("/{segment}"))
            .collect();
        if slash || text.is_empty() {
            text + "/"
        } else {
            text
        }
    })
}

/// A template, its methods, and whether case means nothing in it.
type Given = (Template, Methods, bool);

/// Whether two templates match the same paths, as the configuration sees it.
fn same_paths(one: &Given, other: &Given) -> bool {
    one.0 == other.0 || one.2 && other.2 && one.0.folded() == other.0.folded()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn the_trie_agrees_with_a_linear_search(
        given in prop::collection::vec((any_template(), any_methods(), any::<bool>()), 0..24),
        paths in prop::collection::vec(any_path(), 1..12),
        method in prop::sample::select(&["GET", "HEAD", "POST", "PUT", "PATCH", "BREW"][..]),
        most_visits in prop::sample::select(&[0, 4, 64][..]),
    ) {
        let mut templates: Vec<Given> = Vec::new();
        for (text, methods, ignore_case) in given {
            let template = (Template::parse(&text).unwrap(), methods, ignore_case);
            // as the configuration sees to
            let is_free = |known: &Given| {
                !same_paths(known, &template)
                    || !known.1.meets(methods)
                    || (known.1 == Methods::ANY) != (methods == Methods::ANY)
            };
            if templates.iter().all(is_free) {
                templates.push(template);
            }
        }
        let parts = templates.iter().map(|(template, methods, case)| (template, *methods, *case));
        let trie = Trie::within(most_visits, parts);
        for path in paths {
            let found = find(&trie, method, &path).map(|at| &templates[at as usize]);
            let best = best(&templates, method, &path);
            prop_assert_eq!(found, best, "{} {}", method, path);
        }
    }

    #[test]
    fn no_path_is_too_odd_for_the_trie(path in prop::collection::vec(any::<u8>(), 0..40), odd in any_path()) {
        let templates = templates(&["/a/{x}", "/{x}-{y}/b", "/{r*}", "/"]);
        let parts = || templates.iter().map(|(template, methods)| (template, *methods, true));
        for trie in [Trie::new(parts()), Trie::within(0, parts())] {
            trie.find(Methods::ANY, &path, &mut Vec::new());
            trie.find(Methods::ANY, &[odd.as_bytes(), &path].concat(), &mut Vec::new());
        }
    }
}

/// Each segment is a literal or anything, in every way: a path may follow thousands of them at once.
#[test]
fn templates_that_cross_are_found_in_their_order_and_in_bounded_time() {
    const DEPTH: u32 = 12;
    let text = |bits: u32| {
        let segment = |at: u32| {
            if bits >> at & 1 == 0 {
                "/a".to_owned()
            } else {
                format!("/{{x{at}}}")
            }
        };
        (0..DEPTH).map(segment).collect::<String>()
    };
    let texts: Vec<String> = (0..1 << DEPTH).map(text).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let templates = templates(&texts);
    let trie = trie(&templates);
    assert_eq!(trie.crossing_visits(), Some((1 << (DEPTH + 1)) - 1));
    let found = |path: &str| find(&trie, GET, path).map(|at| texts[at as usize]);
    assert_eq!(found(&"/a".repeat(12)), Some(texts[0]));
    assert_eq!(found(&("/a".repeat(11) + "/b")), Some(texts[1 << 11]));
    assert_eq!(found(&"/b".repeat(12)), Some(texts[(1 << 12) - 1]));
    assert_eq!(found(&"/a".repeat(13)), None);
    assert_eq!(found(&"/a".repeat(11)), None);
    let few = templates_few();
    assert_eq!(self::trie(&few).crossing_visits(), None);
}

fn templates_few() -> Vec<(Template, Methods)> {
    templates(&[
        "/users/{id}/orders",
        "/users/me",
        "/{page}",
        "/static/{file*}",
    ])
}

#[test]
fn a_route_can_ignore_case() {
    let template = |text| Template::parse(text).unwrap();
    let given = [
        (template("/login"), methods(&["POST"]), true),
        (template("/{page}"), Methods::ANY, false),
        (template("/Reports/{id}.PDF"), Methods::ANY, true),
        (template("/reports/{id}"), Methods::ANY, false),
        (template("/API/{x}"), Methods::ANY, false),
        (template("/api/Export"), Methods::ANY, true),
    ];
    let trie = Trie::new(
        given
            .iter()
            .map(|(template, methods, case)| (template, *methods, *case)),
    );
    let found = |method: &str, path: &str| find(&trie, method, path);
    for path in ["/login", "/LOGIN", "/Login/"] {
        assert_eq!(found("POST", path), Some(0), "{path}");
        assert_eq!(found("GET", path), Some(1), "{path}");
    }
    assert_eq!(found(GET, "/REPORTS/7.pdf"), Some(2));
    assert_eq!(found(GET, "/reports/A"), Some(3));
    assert_eq!(found(GET, "/Reports/A"), None);
    assert_eq!(found(GET, "/API/x"), Some(4));
    assert_eq!(found(GET, "/api/x"), None);
    // a literal precedes a parameter, whatever the case of the text before
    assert_eq!(found(GET, "/API/export"), Some(5));
}

/// The template of the best grades, by the plain way.
fn best<'t>(templates: &'t [Given], method: &str, path: &str) -> Option<&'t Given> {
    let head = Methods::HEAD;
    let takes = |given: &Given| {
        let same = |other: &&Given| {
            other.0 == given.0 || (other.2 || given.2) && other.0.folded() == given.0.folded()
        };
        let rivals = templates.iter().filter(same);
        let mut named = rivals.filter(|(_, methods, _)| *methods != Methods::ANY);
        let head_is_named = named.any(|(_, methods, _)| methods.meets(head));
        let asked = Methods::of_request(Some(method.as_bytes()));
        given.1.meets(asked) || asked == head && given.1.lacks_head() && !head_is_named
    };
    let fit = templates.iter().enumerate().filter(|(_, it)| takes(it));
    let graded = fit.filter_map(|(at, (template, methods, ignore_case))| {
        let grades = match ignore_case {
            true => fares(&template.folded(), &path.to_ascii_lowercase())?,
            false => fares(template, path)?,
        };
        Some((grades, *methods == Methods::ANY, *ignore_case, at))
    });
    // patterns that say as much come in the order in which they were first met
    let graded = graded.map(|(grades, any, ignore_case, at)| {
        let own = templates[at].0.folded();
        let grades: Vec<(u8, usize, usize)> = grades
            .iter()
            .enumerate()
            .map(|(depth, (class, weight, _))| {
                let first = templates.iter().position(|(other, ..)| {
                    let until = other.folded().segments().get(..=depth).map(<[_]>::to_vec);
                    until.as_deref() == own.segments().get(..=depth)
                });
                let ordered = if *class == 1 { first.unwrap_or(0) } else { 0 };
                (*class, *weight, ordered)
            })
            .collect();
        (grades, any, ignore_case, at)
    });
    graded.min().map(|(.., at)| &templates[at])
}
