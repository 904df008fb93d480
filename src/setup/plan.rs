//! Plans the objects to put and their names: the shipped files, adapted to the settings and the cluster.
//!
//! Refuses to know what the cluster already has.

use std::time::Duration;

use serde_json::{Value, json};

use super::shipped::{self, File};
use super::{Family, ServerInfo};
use crate::config::{self, IndexMode, Period};

/// The name in the shipped files; replaced by that of the setting.
const SHIPPED_NAME: &str = "nginx-access";

/// `_meta.managed_by` of our objects.
const MANAGED_BY: &str = "logweir";

/// The beginning of the description of our ISM policies, which have no `_meta`.
const DESCRIBED: &str = "managed_by: logweir";

/// Priority of the index template, above Elasticsearch's own templates (100).
const PRIORITY: u64 = 200;

const DAY: Duration = Duration::from_secs(86_400);
/// Maximum age of a data stream's write index, as in Elastic's own policy `logs`.
const LONGEST_ROLLOVER: Duration = Duration::from_secs(30 * 86_400);

/// The settings of a setup.
#[derive(Debug, Clone)]
pub struct Want<'a> {
    /// The index pattern or data stream of the records.
    pub target: &'a config::IndexTarget,
    /// Age at which records may be deleted; None: never.
    pub retention: Option<Duration>,
    /// The storage mode of new indices.
    pub index_mode: Option<IndexMode>,
    /// Which parts to put.
    pub parts: Parts,
}

/// The parts of a setup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Index templates and their components.
    pub templates: bool,
    /// The policy that deletes old indices.
    pub lifecycle: bool,
}

impl Parts {
    /// All parts.
    pub const ALL: Self = Self {
        templates: true,
        lifecycle: true,
    };
}

/// The kind of object that a step puts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A building block of index templates.
    ComponentTemplate,
    /// The source of a new index's settings and mappings.
    IndexTemplate,
    /// A policy of Elasticsearch's index life-cycle management.
    IlmPolicy,
    /// A policy of OpenSearch's index state management.
    IsmPolicy,
}

impl ObjectKind {
    /// The name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ComponentTemplate => "component template",
            Self::IndexTemplate => "index template",
            Self::IlmPolicy => "life-cycle policy (ILM)",
            Self::IsmPolicy => "life-cycle policy (ISM)",
        }
    }

    fn endpoint(self) -> &'static str {
        match self {
            Self::ComponentTemplate => "_component_template",
            Self::IndexTemplate => "_index_template",
            Self::IlmPolicy => "_ilm/policy",
            Self::IsmPolicy => "_plugins/_ism/policies",
        }
    }

    /// The path of an object of this kind.
    pub(super) fn path(self, name: &str) -> String {
        format!("/{}/{name}", self.endpoint())
    }

    /// The object inside the response to a GET.
    pub(super) fn content<'a>(self, name: &str, response: &'a Value) -> Option<&'a Value> {
        let entry = |list, entry| response.get(list)?.get(0)?.get(entry);
        match self {
            Self::ComponentTemplate => entry("component_templates", "component_template"),
            Self::IndexTemplate => entry("index_templates", "index_template"),
            Self::IlmPolicy => response.get(name)?.get("policy"),
            Self::IsmPolicy => response.get("policy"),
        }
    }

    /// The object inside the body of a PUT.
    pub(super) fn wanted(self, body: &Value) -> &Value {
        match self {
            Self::ComponentTemplate | Self::IndexTemplate => body,
            Self::IlmPolicy | Self::IsmPolicy => body.get("policy").unwrap_or(body),
        }
    }

    /// Whether an object in a cluster was put by logweir.
    pub(super) fn is_ours(self, content: &Value) -> bool {
        if self == Self::IsmPolicy {
            let described = content.get("description").and_then(Value::as_str);
            return described.is_some_and(|text| text.starts_with(DESCRIBED));
        }
        managed_by(content) == Some(MANAGED_BY)
    }
}

/// The owner that an object in a cluster names.
pub(super) fn managed_by(content: &Value) -> Option<&str> {
    content.get("_meta")?.get("managed_by")?.as_str()
}

/// One object to put.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedObject {
    /// The kind of object.
    pub kind: ObjectKind,
    /// Its name in the cluster.
    pub name: String,
    /// The path of the PUT.
    pub path: String,
    /// The body of the PUT.
    pub body: Value,
    /// It belongs to the operator: setup creates it when it is missing, and never changes it.
    pub is_users: bool,
}

/// The names derived from the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetNames {
    /// The index template; its component templates are `NAME@mappings` and so on.
    pub template: String,
    /// The pattern of its indices or data streams.
    pub pattern: String,
    /// An example of such a name.
    pub example: String,
    /// The index of lines without a readable time, and the name of its template.
    pub unparsed: Option<String>,
    /// Whether the template is for data streams.
    pub stream: bool,
}

impl TargetNames {
    /// The names for a setting.
    pub fn of(target: &config::IndexTarget) -> Self {
        Self {
            template: target.template(),
            pattern: target.wildcard(),
            example: target.example(),
            unparsed: target.unparsed(),
            stream: target.stream().is_some(),
        }
    }

    pub(super) fn lifecycle(&self) -> String {
        format!("{}@lifecycle", self.template)
    }
}

/// The steps for this cluster in order: an object comes before those that name it.
pub fn plan(server: &ServerInfo, want: &Want<'_>, has_lifecycle: bool) -> Vec<PlannedObject> {
    let names = TargetNames::of(want.target);
    let retention = want.retention.filter(|_| has_lifecycle);
    let mut steps = Vec::new();
    if let Some(retention) = retention.filter(|_| want.parts.lifecycle) {
        steps.push(policy(server.family, want.target, &names, retention));
    }
    if want.parts.templates {
        templates(server, want, &names, has_lifecycle, &mut steps);
    }
    steps
}

fn templates(
    server: &ServerInfo,
    want: &Want<'_>,
    names: &TargetNames,
    has_lifecycle: bool,
    steps: &mut Vec<PlannedObject>,
) {
    let family = server.family;
    let mut add = |kind: ObjectKind, name: String, body: Value| {
        steps.push(step(kind, name, body));
    };
    let component = |suffix: &str| format!("{}@{suffix}", names.template);
    add(
        ObjectKind::ComponentTemplate,
        component("mappings"),
        shipped::read(family, File::Mappings),
    );
    let mut settings = shipped::read(family, File::Settings);
    if let Some(mode) = want.index_mode.filter(|_| server.has_logsdb()) {
        let word = match mode {
            IndexMode::Standard => "standard",
            IndexMode::Logsdb => "logsdb",
        };
        set(&mut settings, "/template/settings/index", "mode", word);
    }
    add(
        ObjectKind::ComponentTemplate,
        component("settings"),
        settings,
    );
    // OpenSearch finds the indices of a policy by its own patterns
    let by_template = has_lifecycle && family == Family::Elasticsearch;
    let has_policy = by_template && want.retention.is_some();
    if has_policy {
        let mut body = shipped::read(family, File::Lifecycle);
        let lifecycle = "/template/settings/index/lifecycle";
        set(&mut body, lifecycle, "name", names.template.as_str());
        if !counts_from_the_name(want.target)
            && let Some(Value::Object(lifecycle)) = body.pointer_mut(lifecycle)
        {
            lifecycle.remove("parse_origination_date");
        }
        add(ObjectKind::ComponentTemplate, names.lifecycle(), body);
    }
    if !server.takes_missing_components() {
        steps.push(PlannedObject {
            is_users: true,
            ..step(
                ObjectKind::ComponentTemplate,
                component("custom"),
                shipped::read(family, File::Custom),
            )
        });
    }
    // before the template that would give them a life cycle; without `retention` the operator may have one
    if let Some(unparsed) = names.unparsed.as_ref().filter(|_| by_template) {
        let body = index_template(server, names, File::Unparsed, unparsed, false);
        steps.push(step(ObjectKind::IndexTemplate, unparsed.clone(), body));
    }
    let file = if names.stream {
        File::Stream
    } else {
        File::Daily
    };
    let body = index_template(server, names, file, &names.pattern, has_policy);
    steps.push(step(
        ObjectKind::IndexTemplate,
        names.template.clone(),
        body,
    ));
}

fn step(kind: ObjectKind, name: String, body: Value) -> PlannedObject {
    PlannedObject {
        kind,
        path: kind.path(&name),
        name,
        body,
        is_users: false,
    }
}

fn index_template(
    server: &ServerInfo,
    names: &TargetNames,
    file: File,
    pattern: &str,
    has_lifecycle: bool,
) -> Value {
    let mut body = shipped::read(server.family, file);
    rename_components(&mut body, &names.template);
    if let Some(patterns) = body.get_mut("index_patterns") {
        *patterns = json!([pattern]);
    }
    if let Some(Value::Array(components)) = body.get_mut("composed_of").filter(|_| has_lifecycle) {
        // the operator's component stays last, so that it overrides ours
        let last = components.len().saturating_sub(1);
        components.insert(last, names.lifecycle().into());
    }
    if !server.takes_missing_components()
        && let Value::Object(body) = &mut body
    {
        body.remove("ignore_missing_component_templates");
    }
    body
}

/// Whether the life cycle reads the day from an index's name.
pub(super) fn counts_from_the_name(target: &config::IndexTarget) -> bool {
    matches!(target, config::IndexTarget::Daily(pattern) if pattern.has_origination_date())
}

/// The life-cycle policy. `run` must not write a line into an index that was deleted already, so an index is deleted when
/// its last line is too old; that line may come a whole period after the first.
fn policy(
    family: Family,
    target: &config::IndexTarget,
    names: &TargetNames,
    retention: Duration,
) -> PlannedObject {
    let (kind, name) = match family {
        Family::Elasticsearch => (ObjectKind::IlmPolicy, names.template.clone()),
        Family::OpenSearch => (ObjectKind::IsmPolicy, names.template.clone()),
    };
    let body = match target {
        config::IndexTarget::Daily(pattern) => {
            let mut body = shipped::read(family, File::Policy);
            let age = time(retention + holds(pattern.period()));
            match family {
                Family::Elasticsearch => {
                    set(&mut body, "/policy/phases/delete", "min_age", age.as_str())
                }
                Family::OpenSearch => {
                    let conditions = "/policy/states/0/transitions/0/conditions";
                    set(&mut body, conditions, "min_index_age", age.as_str());
                    let patterns = json!(pattern.dated_wildcards());
                    set(
                        &mut body,
                        "/policy/ism_template/0",
                        "index_patterns",
                        patterns,
                    );
                }
            }
            body
        }
        config::IndexTarget::Stream(stream) => {
            let mut body = shipped::read(family, File::StreamPolicy);
            let (age, rollover) = (
                time(retention),
                time(retention.clamp(DAY, LONGEST_ROLLOVER)),
            );
            match family {
                Family::Elasticsearch => {
                    set(&mut body, "/policy/phases/delete", "min_age", age.as_str());
                    let conditions = "/policy/phases/hot/actions/rollover";
                    set(&mut body, conditions, "max_age", rollover.as_str());
                }
                Family::OpenSearch => {
                    let conditions = "/policy/states/0/transitions/0/conditions";
                    set(&mut body, conditions, "min_rollover_age", age.as_str());
                    let conditions = "/policy/states/0/actions/0/rollover";
                    set(&mut body, conditions, "min_index_age", rollover.as_str());
                    let patterns = json!([stream.wildcard()]);
                    set(
                        &mut body,
                        "/policy/ism_template/0",
                        "index_patterns",
                        patterns,
                    );
                }
            }
            body
        }
    };
    step(kind, name, body)
}

/// The longest time that one index covers.
fn holds(period: Period) -> Duration {
    DAY * period.most_days()
}

/// A time as both families parse it, in the largest exact unit of d, h, m, s.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [("d", 86_400), ("h", 3600), ("m", 60)];
    let fits = |(_, factor): &&(&str, u64)| seconds.is_multiple_of(*factor);
    match units.iter().find(fits) {
        Some((unit, factor)) => format!("{}{unit}", seconds / factor),
        None => format!("{seconds}s"),
    }
}

/// Sets a member of the object at `pointer`, which the shipped file contains.
fn set(body: &mut Value, pointer: &str, key: &str, value: impl Into<Value>) {
    let object = body.pointer_mut(pointer).and_then(Value::as_object_mut);
    debug_assert!(object.is_some(), "{pointer} stands in no shipped file");
    if let Some(object) = object {
        object.insert(key.to_owned(), value.into());
    }
}

/// Replaces the shipped name in every reference to a component template.
fn rename_components(value: &mut Value, template: &str) {
    match value {
        Value::String(text) => {
            *text = text.replace(&format!("{SHIPPED_NAME}@"), &format!("{template}@"));
        }
        Value::Array(values) => {
            values
                .iter_mut()
                .for_each(|value| rename_components(value, template));
        }
        Value::Object(entries) => {
            entries
                .values_mut()
                .for_each(|value| rename_components(value, template));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The priority of an index template of ours.
pub(super) fn priority(step: &PlannedObject) -> u64 {
    step.body
        .get("priority")
        .and_then(Value::as_u64)
        .unwrap_or(PRIORITY)
}
