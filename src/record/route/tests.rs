//! Paths get the names of their routes.

#![allow(clippy::unwrap_used)]

use super::trie::Trie;
use crate::config::{Methods, Segment, Template};
use proptest::prelude::*;

fn templates(texts: &[&str]) -> Vec<(Template, Methods)> {
    let parse = |text: &&str| (Template::parse(text).unwrap(), Methods::ANY);
    texts.iter().map(parse).collect()
}

fn trie(templates: &[(Template, Methods)]) -> Trie {
    Trie::new(
        templates
            .iter()
            .map(|(template, methods)| (template, *methods)),
    )
}

fn methods(names: &[&str]) -> Methods {
    let sets = names
        .iter()
        .map(|name| Methods::of_request(Some(name.as_bytes())));
    sets.fold(Methods::NONE, Methods::or)
}

const GET: Option<&[u8]> = Some(b"GET");

#[test]
fn a_choice_that_leads_nowhere_is_taken_back() {
    let texts = ["/a/{x}/c", "/a/b/d", "/a/{x}/{y*}", "/{x}/b/{y}"];
    let trie = trie(&templates(&texts));
    let find = |path: &str| {
        let found = trie.find(Methods::of_request(GET), path.as_bytes());
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
        let found = trie.find(Methods::of_request(GET), path.as_bytes());
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
fn a_route_whose_methods_do_not_fit_gives_way() {
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
    let find = |method: &str, path: &str| {
        trie.find(
            Methods::of_request(Some(method.as_bytes())),
            path.as_bytes(),
        )
    };
    assert_eq!(find("GET", "/users/me"), Some(0));
    assert_eq!(find("HEAD", "/users/me"), Some(0));
    assert_eq!(find("DELETE", "/users/me"), Some(1));
    assert_eq!(find("BREW", "/users/me"), Some(2));
    assert_eq!(find("POST", "/login"), Some(3));
    assert_eq!(find("GET", "/login"), None);
    assert_eq!(trie.find(Methods::of_request(None), b"/login"), None);
    assert_eq!(trie.find(Methods::of_request(None), b"/users/1"), Some(2));
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
        4 => prop::sample::select(&["a", "b", "ab", "a-b"][..]).prop_map(str::to_owned),
        2 => Just("{x}".to_owned()),
        1 => prop::sample::select(&["{x}b", "a{x}", "{x}-{y}", "a{x}b", "{x}a{y}b"][..]).prop_map(str::to_owned),
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
    let segment =
        prop::sample::select(&["a", "b", "ab", "a-b", "aab", "-", "axb", "a-", "-b", "c"][..]);
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn the_trie_finds_what_asking_each_template_finds(
        given in prop::collection::vec((any_template(), any_methods()), 0..24),
        paths in prop::collection::vec(any_path(), 1..12),
        method in prop::sample::select(&["GET", "HEAD", "POST", "PUT", "PATCH", "BREW"][..]),
    ) {
        let mut templates: Vec<(Template, Methods)> = Vec::new();
        for (text, methods) in given {
            let template = Template::parse(&text).unwrap();
            // as the configuration sees to
            let is_free = |(known, other): &(Template, Methods)| {
                *known != template
                    || !other.meets(methods)
                    || (*other == Methods::ANY) != (methods == Methods::ANY)
            };
            if templates.iter().all(is_free) {
                templates.push((template, methods));
            }
        }
        let trie = trie(&templates);
        let asked = Methods::of_request(Some(method.as_bytes()));
        for path in paths {
            let found = trie.find(asked, path.as_bytes()).map(|at| &templates[at as usize]);
            let best = best(&templates, method, &path);
            prop_assert_eq!(found, best, "{} {}", method, path);
        }
    }

    #[test]
    fn no_path_is_too_odd_for_the_trie(path in prop::collection::vec(any::<u8>(), 0..40), odd in any_path()) {
        let templates = templates(&["/a/{x}", "/{x}-{y}/b", "/{r*}", "/"]);
        let trie = trie(&templates);
        trie.find(Methods::ANY, &path);
        trie.find(Methods::ANY, &[odd.as_bytes(), &path].concat());
    }
}

/// The template of the best grades, by the plain way.
fn best<'t>(
    templates: &'t [(Template, Methods)],
    method: &str,
    path: &str,
) -> Option<&'t (Template, Methods)> {
    let head = Methods::HEAD;
    let takes = |(template, own): &(Template, Methods)| {
        let rivals = templates
            .iter()
            .filter(|(other, _)| other == template)
            .filter(|(_, methods)| *methods != Methods::ANY);
        let head_is_named = rivals.clone().any(|(_, methods)| methods.meets(head));
        let asked = Methods::of_request(Some(method.as_bytes()));
        own.meets(asked) || asked == head && own.lacks_head() && !head_is_named
    };
    let fit = templates.iter().enumerate().filter(|(_, it)| takes(it));
    let graded = fit.filter_map(|(at, it)| Some((fares(&it.0, path)?, it.1 == Methods::ANY, at)));
    // patterns that say as much come in the order in which they were first met
    let graded = graded.map(|(grades, any, at)| {
        let grades: Vec<(u8, usize, usize)> = grades
            .iter()
            .enumerate()
            .map(|(depth, (class, weight, literals))| {
                let first = templates.iter().position(|(other, _)| {
                    matches!(other.segments().get(depth), Some(Segment::Pattern(known)) if known == literals)
                        && other.segments()[..depth] == templates[at].0.segments()[..depth]
                });
                (*class, *weight, first.unwrap_or(0))
            })
            .collect();
        (grades, any, at)
    });
    graded.min().map(|(_, _, at)| &templates[at])
}
