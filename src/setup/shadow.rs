//! Which index template a new index gets: the one of those whose pattern fits that has the highest priority
//! (Elasticsearch, "Index templates"; OpenSearch the same). The others lose without a word.
//!
//! It is worked out from the list of templates, which every key with `monitor` may read, and not asked of
//! `_simulate_index`, which needs more.

use serde_json::Value;

use super::plan::{self, Kind, Step};
use super::{Client, Method, Names, SetupError, answer};

const PATH: &str = "/_index_template?filter_path=index_templates.name,\
                    index_templates.index_template.index_patterns,index_templates.index_template.priority";

/// A template that takes indices away from ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// An index that would not get ours.
    pub index: String,
    /// The template that it would get.
    pub template: String,
    /// Its priority.
    pub priority: u64,
}

/// The strongest template over each of ours.
pub(super) async fn find<C: Client>(
    client: &C,
    names: &Names,
    steps: &[Step],
) -> Result<Vec<Shadow>, SetupError<C::Error>> {
    let answer = answer::accepted(client, Method::Get, PATH, None).await?;
    let ours = steps.iter().filter(|step| step.kind == Kind::IndexTemplate);
    Ok(ours
        .filter_map(|step| {
            let index = if step.name == names.template {
                &names.example
            } else {
                &step.name
            };
            let (template, priority) = strongest(&answer, index, &names.template)?;
            (priority > plan::priority(step)).then(|| Shadow {
                index: index.clone(),
                template: template.to_owned(),
                priority,
            })
        })
        .collect())
}

/// The template with the highest priority that fits, ours left out.
fn strongest<'a>(answer: &'a Value, index: &str, ours: &str) -> Option<(&'a str, u64)> {
    let templates = answer.get("index_templates")?.as_array()?;
    templates
        .iter()
        .filter_map(|entry| {
            let name = entry.get("name")?.as_str()?;
            let template = entry.get("index_template")?;
            let patterns = template.get("index_patterns")?.as_array()?;
            let mut patterns = patterns.iter().filter_map(Value::as_str);
            let priority = template.get("priority").and_then(Value::as_u64);
            let is_other = name != ours && name != index;
            (is_other && patterns.any(|pattern| fits(pattern, index)))
                .then_some((name, priority.unwrap_or(0)))
        })
        .max_by_key(|(_, priority)| *priority)
}

/// Whether a pattern, in which `*` stands for any text, is for this name.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|head| name.strip_prefix(head)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_for_what_it_says() {
        for (pattern, name, is) in [
            ("*", "web-2026", true),
            ("web-*", "web-2026", true),
            ("web-*-eu", "web-2026-eu", true),
            ("*b-*6", "web-2026", true),
            ("w*b*2*6", "web-2026", true),
            ("web-2026", "web-2026", true),
            ("web", "web-2026", false),
            ("web-*-eu", "web-eu", false),
            ("web-2*", "web-unparsed", false),
            ("*-us", "web-2026", false),
            ("w*x*6", "web-2026", false),
        ] {
            assert_eq!(fits(pattern, name), is, "{pattern} {name}");
        }
    }
}
