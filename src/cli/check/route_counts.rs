//! The routes of one log: the number of requests of each, and the segments that look like values.
//!
//! Owns the counts and the suggestions; the recorder provides the names. Invariant: memory is bounded for any log: beyond
//! [`MOST_ROUTES`] different routes the others are counted together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::terminal;
use super::report::percent;
use crate::config::Template;

/// Most routes that are counted separately.
const MOST_ROUTES: usize = 10_000;
/// Routes that are shown.
const SHOWN: usize = 20;
/// So many texts in one segment of otherwise equal routes look like values.
const VALUES: usize = 20;
/// Places with such texts that are shown.
const PROPOSED: usize = 5;
/// Columns of a route.
const COLUMNS: usize = 100;

/// Counts of one log's routes.
#[derive(Debug, Default)]
pub(super) struct RouteCounts {
    lines: u64,
    by_route: HashMap<String, Count>,
    /// Lines of routes beyond the limit.
    others: u64,
}

#[derive(Debug, Default)]
struct Count {
    lines: u64,
    /// A route of the configuration has this name.
    configured: bool,
}

/// A segment in which otherwise equal routes differ, and its texts.
struct VaryingSegment<'r> {
    /// With `{value}` in that segment.
    template: String,
    texts: BTreeSet<&'r str>,
    lines: u64,
}

impl RouteCounts {
    /// A line of this route.
    pub(super) fn add(&mut self, route: &str, configured: bool) {
        self.lines += 1;
        if let Some(count) = self.by_route.get_mut(route) {
            count.lines += 1;
        } else if self.by_route.len() < MOST_ROUTES {
            let count = Count {
                lines: 1,
                configured,
            };
            self.by_route.insert(route.to_owned(), count);
        } else {
            self.others += 1;
        }
    }

    /// The table, and sections to paste into the configuration; `None` without any route.
    pub(super) fn text(&self) -> Option<String> {
        if self.by_route.is_empty() {
            return None;
        }
        let mut routes: Vec<(&str, u64)> = self
            .by_route
            .iter()
            .map(|(route, count)| (route.as_str(), count.lines))
            .collect();
        routes.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(other.0)));
        let more_than = if self.others > 0 { "more than " } else { "" };
        let mut out = format!("routes ({more_than}{})\n", routes.len());
        let mut row = |lines: u64, what: &str| {
            let share = percent(lines, self.lines);
            let what = terminal::cut(&terminal::safe(what), COLUMNS);
            out.push_str(&format!("  {lines:>9}  {share:>7}  {what}\n"));
        };
        for (route, lines) in routes.iter().take(SHOWN) {
            row(*lines, route);
        }
        let rest: u64 = routes.iter().skip(SHOWN).map(|(_, lines)| lines).sum();
        if rest + self.others > 0 {
            row(rest + self.others, "other routes");
        }
        out.push_str(&self.proposals());
        Some(out)
    }

    /// The segments with many texts, and the routes that would merge them.
    fn proposals(&self) -> String {
        let mut varying = self.varying_segments();
        varying.retain(|segment| {
            segment.texts.len() >= VALUES && Template::parse(&segment.template).is_ok()
        });
        varying.sort_by(|one, other| {
            let by_number = other.texts.len().cmp(&one.texts.len());
            by_number.then_with(|| one.template.cmp(&other.template))
        });
        varying.truncate(PROPOSED);
        if varying.is_empty() {
            return String::new();
        }
        let mut out = "these segments still look like values:\n".to_owned();
        for VaryingSegment {
            template,
            texts,
            lines,
        } in &varying
        {
            let some: Vec<&str> = texts.iter().take(3).copied().collect();
            let text = format!(
                "{template}: {} different texts in {lines} lines, such as {}",
                texts.len(),
                some.join(", ")
            );
            out.push_str(&format!("  {}\n", terminal::safe(&text)));
        }
        out.push_str("if they are, add routes that give them one name:\n\n");
        for segment in &varying {
            let path = toml::Value::String(segment.template.clone());
            out.push_str(&format!(
                "    [[routes]]\n    path = {}\n\n",
                terminal::safe(&path.to_string())
            ));
        }
        out
    }

    /// Each segment of each route that no configured one names, with the texts of the routes that differ only there.
    fn varying_segments(&self) -> Vec<VaryingSegment<'_>> {
        let mut varying: BTreeMap<String, VaryingSegment<'_>> = BTreeMap::new();
        let named_by_rule = self.by_route.iter().filter(|(_, count)| !count.configured);
        for (route, count) in named_by_rule {
            let Some(inner) = route.strip_prefix('/') else {
                continue;
            };
            let segments: Vec<&str> = inner.split('/').collect();
            for (at, text) in segments.iter().enumerate() {
                // a placeholder is not another value
                if text.is_empty() || text.contains('{') {
                    continue;
                }
                let mut template = segments.clone();
                template[at] = "{value}";
                if let Some(last) = template.last_mut().filter(|last| **last == "{rest}") {
                    *last = "{rest*}";
                }
                let template = format!("/{}", template.join("/"));
                let segment = varying
                    .entry(template.clone())
                    .or_insert_with(|| VaryingSegment {
                        template,
                        texts: BTreeSet::new(),
                        lines: 0,
                    });
                segment.texts.insert(text);
                segment.lines += count.lines;
            }
        }
        varying.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn routes_are_counted_and_segments_that_look_like_values_are_reported() {
        let mut counts = RouteCounts::default();
        for number in 0..30_u8 {
            let name = format!(
                "/shop/{}\"{}/reviews",
                char::from(b'a' + number % 26),
                number / 26
            );
            counts.add(&name, false);
            counts.add("/users/{id}", false);
            counts.add(&format!("/reports/{number}"), true);
        }
        counts.add("{not found}", false);
        insta::assert_snapshot!(counts.text().unwrap());
        assert!(RouteCounts::default().text().is_none());
    }

    #[test]
    fn memory_is_bounded_whatever_the_routes() {
        let mut counts = RouteCounts::default();
        for number in 0..3 * MOST_ROUTES {
            counts.add(&format!("/{number}x"), false);
        }
        assert_eq!(counts.by_route.len(), MOST_ROUTES);
        let text = counts.text().unwrap();
        assert!(text.starts_with("routes (more than 10000)\n"), "{text}");
        assert!(text.contains("29980   99.9 %  other routes"), "{text}");
        assert!(text.contains("path = \"/{value}\""), "{text}");
    }
}
