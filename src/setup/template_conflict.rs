//! Finds index templates that win over ours. A new index gets the matching template with the highest priority
//! (Elasticsearch, "Index templates"; OpenSearch does the same); the cluster does not report the others.
//!
//! The winner is computed from the list of templates, which the privilege `monitor` may read. `_simulate_index` needs
//! more privileges.

use serde_json::Value;

use super::plan::{self, ObjectKind, PlannedObject};
use super::{SetupError, TargetNames, response};
use crate::http::{Method, Transport};

const PATH: &str = "/_index_template?filter_path=index_templates.name,\
                    index_templates.index_template.index_patterns,index_templates.index_template.priority";

/// A template with a higher priority than ours for one of our indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateConflict {
    /// An index that would not get our template.
    pub index: String,
    /// The template that it would get instead.
    pub template: String,
    /// The priority of that template.
    pub priority: u64,
}

/// Finds for each of our templates the strongest one that wins over it.
pub(super) async fn find<T: Transport>(
    client: &T,
    names: &TargetNames,
    steps: &[PlannedObject],
) -> Result<Vec<TemplateConflict>, SetupError<T::Error>> {
    let response = response::accepted(client, Method::Get, PATH, None).await?;
    let ours = steps
        .iter()
        .filter(|step| step.kind == ObjectKind::IndexTemplate);
    Ok(ours
        .filter_map(|step| {
            let index = if step.name == names.template {
                &names.example
            } else {
                &step.name
            };
            let (template, priority) = strongest(&response, index, &names.template)?;
            (priority > plan::priority(step)).then(|| TemplateConflict {
                index: index.clone(),
                template: template.to_owned(),
                priority,
            })
        })
        .collect())
}

/// The matching template with the highest priority, without ours.
fn strongest<'a>(response: &'a Value, index: &str, ours: &str) -> Option<(&'a str, u64)> {
    let templates = response.get("index_templates")?.as_array()?;
    templates
        .iter()
        .filter_map(|entry| {
            let name = entry.get("name")?.as_str()?;
            let template = entry.get("index_template")?;
            let patterns = template.get("index_patterns")?.as_array()?;
            let mut patterns = patterns.iter().filter_map(Value::as_str);
            let priority = template.get("priority").and_then(Value::as_u64);
            let is_other = name != ours && name != index;
            (is_other && patterns.any(|pattern| matches(pattern, index)))
                .then_some((name, priority.unwrap_or(0)))
        })
        .max_by_key(|(_, priority)| *priority)
}

/// Whether a pattern matches this name; `*` matches any text.
fn matches(pattern: &str, name: &str) -> bool {
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
    fn a_pattern_matches_the_names_that_it_describes() {
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
            assert_eq!(matches(pattern, name), is, "{pattern} {name}");
        }
    }
}
