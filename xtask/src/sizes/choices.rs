//! The ways to store an index that are compared: each differs in one setting from the objects of `logweir setup`.
//!
//! A choice is written as an operator would write it: into the component template `NAME@custom`, or as a setting of the
//! agent.

use serde_json::{Value, json};

/// One way to store an index.
pub(super) struct Choice {
    /// Its name in the table.
    pub(super) name: &'static str,
    /// `template` of the component template `@custom`.
    pub(super) custom: Value,
    /// Lines of `[elasticsearch]`.
    pub(super) cluster: &'static str,
    /// Lines above the sections.
    pub(super) top: &'static str,
    /// Whether `logweir setup` is run before.
    pub(super) is_set_up: bool,
}

impl Choice {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            custom: json!({}),
            cluster: "",
            top: "",
            is_set_up: true,
        }
    }

    fn index(name: &'static str, settings: Value) -> Self {
        Self {
            custom: json!({"settings": {"index": settings}}),
            ..Self::new(name)
        }
    }

    fn fields(name: &'static str, fields: &[(&str, Value)]) -> Self {
        Self {
            custom: json!({"mappings": properties(fields)}),
            ..Self::new(name)
        }
    }

    fn logsdb(name: &'static str, settings: Value) -> Self {
        Self {
            cluster: "index_mode = \"logsdb\"\n",
            ..Self::index(name, settings)
        }
    }
}

/// Mappings of fields by their dotted names.
fn properties(fields: &[(&str, Value)]) -> Value {
    let mut root = json!({});
    for (name, mapping) in fields {
        let mut at = &mut root;
        for part in name.split('.') {
            at = &mut at["properties"][part];
        }
        *at = mapping.clone();
    }
    root
}

/// All choices. The first is the shipped template, which the others are compared with. The last is the same again, to show
/// by how much two sizes differ by chance.
pub(super) fn all() -> Vec<Choice> {
    let keyword = |limit: u64| json!({"type": "keyword", "ignore_above": limit});
    let kept_only = |kind: &str| json!({"type": kind, "index": false, "doc_values": false});
    let found_only = json!({"type": "keyword", "ignore_above": 8191, "doc_values": false});
    let wildcard = json!({"type": "wildcard"});
    let by_client = json!({"sort.field": ["source.address", "@timestamp"]});
    let least = [
        ("event.start", kept_only("date")),
        ("log.offset", kept_only("long")),
        ("url.original", kept_only("keyword")),
        ("user_agent.original", keyword(1024)),
    ];
    vec![
        Choice::new("**what `logweir setup` puts**"),
        Choice {
            is_set_up: false,
            ..Choice::new("no template: dynamic mapping")
        },
        Choice::index("`codec` default", json!({"codec": "default"})),
        Choice::index("sorted by time", json!({"sort.field": ["@timestamp"]})),
        Choice::index("sorted by client and time", by_client.clone()),
        Choice::index(
            "sorted by route and time",
            json!({"sort.field": ["http.route", "@timestamp"]}),
        ),
        Choice::fields(
            "`log.offset` not indexed",
            &[("log.offset", json!({"type": "long", "index": false}))],
        ),
        Choice::fields(
            "`log.offset` kept only",
            &[("log.offset", kept_only("long"))],
        ),
        Choice::fields(
            "`event.start` not indexed",
            &[("event.start", json!({"type": "date", "index": false}))],
        ),
        Choice::fields(
            "`event.start` kept only",
            &[("event.start", kept_only("date"))],
        ),
        Choice::fields(
            "`url.original` without doc_values",
            &[("url.original", found_only)],
        ),
        Choice::fields(
            "`url.original` kept only",
            &[("url.original", kept_only("keyword"))],
        ),
        Choice::fields(
            "`url.original` as wildcard",
            &[("url.original", wildcard.clone())],
        ),
        Choice::fields(
            "`user_agent.original` as wildcard",
            &[("user_agent.original", wildcard)],
        ),
        Choice::fields(
            "`user_agent.original` without `.text`",
            &[("user_agent.original", keyword(1024))],
        ),
        Choice {
            top: "keep_original = true\n",
            ..Choice::new("`keep_original = true`")
        },
        Choice::fields(LEAST, &least),
        Choice {
            custom: json!({"mappings": properties(&least), "settings": {"index": by_client}}),
            ..Choice::new("the same, sorted by client and time")
        },
        Choice::logsdb(
            "`index_mode = \"logsdb\"`, source stored",
            json!({"mapping.source.mode": "stored"}),
        ),
        Choice::logsdb("`index_mode = \"logsdb\"`, source synthetic", json!({})),
        Choice::new("what `logweir setup` puts, again"),
    ]
}

/// The fields that the dashboards do not use.
const LEAST: &str =
    "`event.start`, `log.offset`, `url.original` kept only, no `user_agent.original.text`";
