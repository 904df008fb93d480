//! The ways to store an index that are compared: each differs in one thing from what `logweir setup` puts.
//!
//! A choice is written as an operator would write it, into the component template `NAME@custom`, or as a setting of
//! the agent.

use serde_json::{Value, json};

/// One way to store an index.
pub(super) struct Choice {
    /// As the table says it.
    pub(super) name: &'static str,
    /// `template` of the component template `@custom`.
    pub(super) custom: Value,
    /// Lines of `[elasticsearch]`.
    pub(super) cluster: &'static str,
    /// Lines above the sections.
    pub(super) top: &'static str,
    /// `logweir setup` is run before.
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

/// All of them. The first is what is shipped: the others are compared with it.
pub(super) fn all() -> Vec<Choice> {
    let keyword = |limit: u64, more: Value| {
        let mut mapping = json!({"type": "keyword", "ignore_above": limit});
        if let (Value::Object(mapping), Value::Object(more)) = (&mut mapping, more) {
            mapping.extend(more);
        }
        mapping
    };
    let wildcard = json!({"type": "wildcard"});
    vec![
        Choice::new("what `logweir setup` puts"),
        Choice {
            is_set_up: false,
            ..Choice::new("no template at all: dynamic mapping")
        },
        Choice::index("codec default", json!({"codec": "default"})),
        Choice::index("codec zstd", json!({"codec": "zstd"})),
        Choice::index("codec zstd_no_dict", json!({"codec": "zstd_no_dict"})),
        Choice::index("sorted by time", json!({"sort.field": ["@timestamp"]})),
        Choice::index(
            "sorted by time, newest first",
            json!({"sort.field": ["@timestamp"], "sort.order": ["desc"]}),
        ),
        Choice::index(
            "sorted by client, time",
            json!({"sort.field": ["source.address", "@timestamp"]}),
        ),
        Choice::index(
            "sorted by route, time",
            json!({"sort.field": ["http.route", "@timestamp"]}),
        ),
        Choice::index(
            "sorted by site, route, client, time",
            json!({"sort.field": ["url.domain", "http.route", "source.address", "@timestamp"]}),
        ),
        Choice::fields(
            "wildcard: `url.original`",
            &[("url.original", wildcard.clone())],
        ),
        Choice::fields(
            "wildcard: `url.original`, `url.path`, `url.query`, `user_agent.original`, `http.request.referrer`",
            &[
                ("url.original", wildcard.clone()),
                ("url.path", wildcard.clone()),
                ("url.query", wildcard.clone()),
                ("user_agent.original", wildcard.clone()),
                ("http.request.referrer", wildcard),
            ],
        ),
        Choice::fields(
            "`url.original` without doc_values",
            &[("url.original", keyword(8191, json!({"doc_values": false})))],
        ),
        Choice::fields(
            "`url.original` kept only, like `event.original`",
            &[(
                "url.original",
                json!({"type": "keyword", "index": false, "doc_values": false}),
            )],
        ),
        Choice::fields(
            "`url.query` without doc_values",
            &[("url.query", keyword(1024, json!({"doc_values": false})))],
        ),
        Choice::fields(
            "`log.offset` not indexed",
            &[("log.offset", json!({"type": "long", "index": false}))],
        ),
        Choice::fields(
            "`log.offset` kept only",
            &[(
                "log.offset",
                json!({"type": "long", "index": false, "doc_values": false}),
            )],
        ),
        Choice::fields(
            "`event.start` kept only",
            &[(
                "event.start",
                json!({"type": "date", "index": false, "doc_values": false}),
            )],
        ),
        Choice::fields(
            "without `user_agent.original.text`",
            &[("user_agent.original", keyword(1024, json!({"fields": {}})))],
        ),
        Choice {
            top: "keep_original = true\n",
            ..Choice::new("`keep_original = true`")
        },
        Choice::logsdb(
            "`index_mode = \"logsdb\"`, source put together (Enterprise licence)",
            json!({}),
        ),
        Choice::logsdb(
            "`index_mode = \"logsdb\"`, source stored (Basic licence)",
            json!({"mapping.source.mode": "stored"}),
        ),
    ]
}
