//! The form of the shipped saved objects: mistakes that Kibana imports without a message and then draws wrong.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use testkit::saved::{SEARCH_SOURCE, inner, kuery, objects};

const MAPPINGS: &str = include_str!("../../mappings/elasticsearch/component-mappings.json");

/// Type of each field of the mappings.
fn mapped() -> BTreeMap<String, String> {
    fn walk(mapping: &Value, at: &str, out: &mut BTreeMap<String, String>) {
        for part in ["properties", "fields"] {
            for (name, field) in mapping[part].as_object().into_iter().flatten() {
                let name = if at.is_empty() {
                    name.clone()
                } else {
                    format!("{at}.{name}")
                };
                if let Some(kind) = field["type"].as_str() {
                    let kind = if field["doc_values"] == false {
                        "without values"
                    } else {
                        kind
                    };
                    out.insert(name.clone(), kind.to_owned());
                }
                walk(field, &name, out);
            }
        }
    }
    let file: Value = serde_json::from_str(MAPPINGS).unwrap();
    let mut out = BTreeMap::new();
    walk(&file["template"]["mappings"], "", &mut out);
    out
}

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

fn of_type(kind: &str) -> Vec<Value> {
    objects()
        .into_iter()
        .filter(|object| object["type"] == kind)
        .collect()
}

fn names(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn set(names: &str) -> BTreeSet<&str> {
    names.split_whitespace().collect()
}

#[test]
fn the_seven_dashboards_are_there_with_time_and_refresh() {
    let found: Vec<Value> = of_type("dashboard")
        .iter()
        .map(|dashboard| {
            let of = &dashboard["attributes"];
            assert_eq!(of["timeRestore"], true);
            assert_eq!(of["refreshInterval"]["pause"], false);
            json!([of["title"], of["timeFrom"], of["refreshInterval"]["value"]])
        })
        .collect();
    let wanted = [
        json!(["API traffic, last minute [logweir]", "now-1m", 5000]),
        json!(["API traffic [logweir]", "now-24h", 60_000]),
        json!(["Rate abuse [logweir]", "now-24h", 60_000]),
        json!(["Credential stuffing [logweir]", "now-24h", 60_000]),
        json!(["Data-leak trace [logweir]", "now-7d", 300_000]),
        json!(["One client [logweir]", "now-24h", 60_000]),
        json!(["Visitors [logweir]", "now-24h", 60_000]),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn every_object_keeps_to_the_oldest_form() {
    let allowed = BTreeMap::from([
        (
            "dashboard",
            "title description hits version panelsJSON optionsJSON timeRestore timeFrom timeTo refreshInterval \
             kibanaSavedObjectMeta",
        ),
        ("index-pattern", "title timeFieldName fields fieldFormatMap"),
        (
            "search",
            "title description hits version columns sort kibanaSavedObjectMeta",
        ),
        (
            "visualization",
            "title description version uiStateJSON visState kibanaSavedObjectMeta",
        ),
    ]);
    let versions = json!({
        "dashboard": "7.9.3", "index-pattern": "7.6.0", "search": "7.9.3", "visualization": "7.10.0",
    });
    let mut ids = BTreeSet::new();
    for object in objects() {
        let kind = object["type"].as_str().unwrap();
        assert_eq!(
            names(&object),
            set("type id attributes references migrationVersion")
        );
        assert_eq!(
            object["migrationVersion"],
            json!({kind: versions[kind]}),
            "{}",
            id(&object)
        );
        assert_eq!(
            names(&object["attributes"]),
            set(allowed[kind]),
            "{}",
            id(&object)
        );
        assert!(id(&object).starts_with("logweir-"));
        assert!(ids.insert(id(&object).to_owned()), "{} twice", id(&object));
        if kind != "index-pattern" {
            let description = object["attributes"]["description"].as_str().unwrap();
            assert!(description.ends_with("[logweir]"), "{}", id(&object));
            assert_eq!(
                names(&object["attributes"]["kibanaSavedObjectMeta"]),
                set("searchSourceJSON")
            );
        }
    }
}

#[test]
fn every_reference_has_a_target_and_every_object_is_referenced() {
    let objects = objects();
    let known: BTreeSet<_> = objects
        .iter()
        .map(|object| (object["type"].to_string(), id(object)))
        .collect();
    let mut used = BTreeSet::new();
    for object in &objects {
        let references = object["references"].as_array().unwrap();
        let mut wanted = BTreeSet::new();
        if object["type"] != "index-pattern" {
            let source = inner(object, SEARCH_SOURCE);
            wanted.extend(source["indexRefName"].as_str().map(str::to_owned));
            for filter in source["filter"].as_array().unwrap() {
                wanted.extend(filter["meta"]["indexRefName"].as_str().map(str::to_owned));
            }
        }
        if object["type"] == "dashboard" {
            let panels = inner(object, "/attributes/panelsJSON");
            for panel in panels.as_array().unwrap() {
                wanted.insert(panel["panelRefName"].as_str().unwrap().to_owned());
            }
        }
        let named: BTreeSet<String> = references
            .iter()
            .map(|to| to["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(named, wanted, "{}", id(object));
        assert_eq!(named.len(), references.len(), "{}", id(object));
        for to in references {
            let to = (to["type"].to_string(), id(to));
            assert!(known.contains(&to), "{}: {to:?}", id(object));
            used.insert(to);
        }
        let is_markdown = object["type"] == "visualization"
            && inner(object, "/attributes/visState")["type"] == "markdown";
        let has_index = named
            .iter()
            .any(|name| name.ends_with("searchSourceJSON.index"));
        let wants_index = !is_markdown
            && ["visualization", "search"]
                .map(Some)
                .contains(&object["type"].as_str());
        assert_eq!(has_index, wants_index, "{}", id(object));
    }
    let unused: Vec<_> = known
        .iter()
        .filter(|one| !used.contains(*one) && !one.0.contains("dashboard"))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn panels_lie_on_the_grid_without_overlap_and_the_site_comes_first() {
    for dashboard in of_type("dashboard") {
        let panels = inner(&dashboard, "/attributes/panelsJSON");
        let mut taken: BTreeMap<(u64, u64), String> = BTreeMap::new();
        let mut lowest = 0;
        for panel in panels.as_array().unwrap() {
            assert_eq!(
                names(panel),
                set("version panelIndex gridData embeddableConfig panelRefName"),
            );
            let grid = &panel["gridData"];
            assert_eq!(grid["i"], panel["panelIndex"]);
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| grid[name].as_u64().unwrap());
            assert!(x + w <= 48 && w > 0 && h > 0, "{}: {grid}", id(&dashboard));
            lowest = lowest.max(y + h);
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                let other = taken.insert(cell, grid["i"].to_string());
                assert_eq!(other, None, "{}: {grid} lies over it", id(&dashboard));
            }
        }
        assert_eq!(
            taken.len() as u64,
            48 * lowest,
            "{}: there is a hole",
            id(&dashboard)
        );
        let first = &panels[0];
        assert_eq!(
            (&first["gridData"]["x"], &first["gridData"]["y"]),
            (&json!(0), &json!(0))
        );
        let to = dashboard["references"].as_array().unwrap().iter();
        let mut to = to.filter(|to| to["name"] == first["panelRefName"]);
        assert_eq!(id(to.next().unwrap()), "logweir-sites");
        let source = inner(&dashboard, SEARCH_SOURCE);
        let filter = &source["filter"][0];
        assert_eq!(filter["meta"]["key"], "url.domain");
        assert_eq!(filter["meta"]["disabled"], true);
        let help = dashboard["references"].as_array().unwrap().iter();
        assert!(
            help.clone().any(|to| id(to).ends_with("-help")),
            "a word on what to look for"
        );
    }
}

#[test]
fn the_index_pattern_lists_the_fields_of_the_mappings() {
    let pattern = of_type("index-pattern").remove(0);
    let listed = inner(&pattern, "/attributes/fields");
    let listed: BTreeMap<String, bool> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(|field| !field["name"].as_str().unwrap().starts_with('_'))
        .map(|field| {
            (
                field["name"].as_str().unwrap().to_owned(),
                field["aggregatable"] == true,
            )
        })
        .collect();
    let wanted = mapped()
        .into_iter()
        .map(|(name, kind)| (name, !["text", "without values"].contains(&kind.as_str())));
    assert_eq!(listed, wanted.collect());
    let formats = inner(&pattern, "/attributes/fieldFormatMap");
    for name in names(&formats) {
        assert!(
            mapped().contains_key(name),
            "a format for {name}, which is not there"
        );
    }
}

/// The bucket schemas of a type; with another one Kibana draws one bar, "All docs".
fn schemas(kind: &str) -> BTreeSet<&'static str> {
    set(match kind {
        "histogram" | "line" | "area" | "horizontal_bar" => "metric segment group",
        "pie" => "metric segment",
        "table" => "metric bucket",
        "metric" => "metric group",
        "markdown" => "",
        other => panic!("{other}: a type that does not render everywhere"),
    })
}

#[test]
fn every_aggregation_names_existing_fields() {
    let mapped = mapped();
    for object in of_type("visualization") {
        let id = id(&object);
        let state = inner(&object, "/attributes/visState");
        assert_eq!(names(&state), set("title type params aggs"), "{id}");
        assert_eq!(state["title"], object["attributes"]["title"], "{id}");
        let kind = state["type"].as_str().unwrap();
        let known = schemas(kind);
        let aggs = state["aggs"].as_array().unwrap();
        let metrics: BTreeSet<&str> = aggs
            .iter()
            .filter(|agg| agg["schema"] == "metric")
            .map(|agg| agg["id"].as_str().unwrap())
            .collect();
        assert_eq!(metrics.is_empty(), kind == "markdown", "{id}");
        let mut ids = BTreeSet::new();
        for agg in aggs {
            assert_eq!(names(agg), set("id enabled type schema params"), "{id}");
            assert_eq!(agg["enabled"], true, "{id}");
            assert!(ids.insert(agg["id"].to_string()), "{id}: {agg}");
            let schema = agg["schema"].as_str().unwrap();
            assert!(
                known.contains(schema),
                "{id}: a {kind} has no schema {schema}"
            );
            if let Some(by) = agg["params"]["orderBy"]
                .as_str()
                .filter(|by| *by != "_count")
            {
                assert!(
                    metrics.contains(by),
                    "{id}: sorted by {by}, which is not there"
                );
            }
            check_fields(id, agg, &mapped);
        }
        let params = &state["params"];
        if known.contains("segment") && kind != "pie" {
            let axes: BTreeSet<&str> = params["valueAxes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|axis| axis["id"].as_str().unwrap())
                .collect();
            assert!(
                !params["categoryAxes"].as_array().unwrap().is_empty(),
                "{id}"
            );
            for series in params["seriesParams"].as_array().unwrap() {
                assert!(
                    metrics.contains(series["data"]["id"].as_str().unwrap()),
                    "{id}: {series}"
                );
                assert!(
                    axes.contains(series["valueAxis"].as_str().unwrap()),
                    "{id}: {series}"
                );
            }
        }
        // If a table has its own order, OpenSearch Dashboards filters by another row than the one that is clicked.
        let ui_state = inner(&object, "/attributes/uiStateJSON");
        assert!(params.get("sort").is_none(), "{id}: a stored order");
        assert!(ui_state.pointer("/vis/params/sort").is_none(), "{id}");
        assert!(ui_state.pointer("/vis/sortColumn").is_none(), "{id}");
        // Kibana 8 drops it on import, and setup would report that as a change.
        assert!(params.get("legendSize").is_none(), "{id}");
        check_times(id, aggs, &ui_state);
    }
}

/// By default Kibana 8 and OpenSearch Dashboards give each column of a table the same width, which cuts times off. Each
/// stores widths in a different place.
fn check_times(id: &str, aggs: &[Value], ui_state: &Value) {
    let widths = &ui_state["vis"]["columnsWidth"];
    assert_eq!(widths, &ui_state["vis"]["params"]["colWidth"], "{id}");
    let has_width = |column: usize| {
        let widths = widths.as_array().into_iter().flatten();
        widths.clone().any(|width| width["colIndex"] == column)
    };
    for (column, agg) in aggs.iter().enumerate() {
        let is_moment = ["min", "max"].contains(&agg["type"].as_str().unwrap())
            && agg["params"]["field"] == "@timestamp";
        assert!(
            !is_moment || has_width(column),
            "{id}: {}",
            agg["params"]["customLabel"]
        );
    }
}

fn check_fields(id: &str, agg: &Value, mapped: &BTreeMap<String, String>) {
    let params = &agg["params"];
    let kind = agg["type"].as_str().unwrap();
    let fits: &[&str] = match kind {
        "terms" | "significant_terms" | "cardinality" => &["keyword", "long", "ip"],
        "date_histogram" => &["date"],
        "sum" | "percentiles" | "percentile_ranks" => &["long"],
        "min" | "max" => &["long", "date"],
        "count" | "filters" | "sum_bucket" | "max_bucket" => &[],
        other => panic!("{id}: what is {other}?"),
    };
    match params["field"].as_str() {
        None => assert!(fits.is_empty(), "{id}: {kind} of no field"),
        Some(field) => {
            let of = mapped
                .get(field)
                .unwrap_or_else(|| panic!("{id}: {field} is not there"));
            // With hashed addresses there is no source.ip; source.address always exists.
            assert_ne!(field, "source.ip", "{id}: {kind}");
            assert!(
                fits.contains(&of.as_str()),
                "{id}: {kind} of {field}, which is {of}"
            );
        }
    }
    for inner in ["customBucket", "customMetric"] {
        if !params[inner].is_null() {
            check_fields(id, &params[inner], mapped);
        }
    }
    for filter in params["filters"].as_array().into_iter().flatten() {
        check_query(id, filter["input"]["query"].as_str().unwrap(), mapped);
    }
}

fn check_query(id: &str, text: &str, mapped: &BTreeMap<String, String>) {
    for field in kuery::fields(text) {
        assert!(mapped.contains_key(&field), "{id}: {field} is not there");
    }
}

#[test]
fn every_query_and_column_names_existing_fields() {
    let mapped = mapped();
    for object in objects()
        .iter()
        .filter(|object| object["type"] != "index-pattern")
    {
        let source = inner(object, SEARCH_SOURCE);
        let query = source["query"]["query"].as_str().unwrap();
        check_query(id(object), query, &mapped);
        for column in object["attributes"]["columns"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let column = column.as_str().unwrap();
            assert!(
                mapped.contains_key(column),
                "{}: {column} is not there",
                id(object)
            );
        }
        if object["type"] == "search" {
            assert_eq!(
                object["attributes"]["sort"],
                json!([["@timestamp", "desc"]])
            );
        }
    }
}

/// Every link to a dashboard has a target.
#[test]
fn every_link_leads_to_a_dashboard() {
    let dashboards = of_type("dashboard");
    let known: BTreeSet<&str> = dashboards.iter().map(id).collect();
    let mut linked = BTreeSet::new();
    let objects = objects();
    for object in &objects {
        let text = object["attributes"].to_string();
        for link in text.split("#/view/").skip(1) {
            let end = link
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .unwrap();
            let to = &link[..end];
            assert!(known.contains(to), "{}: {to}", id(object));
            linked.insert(to.to_owned());
        }
    }
    assert_eq!(linked.len(), known.len(), "{linked:?}");
    for dashboard in &dashboards {
        let mut to = dashboard["references"].as_array().unwrap().iter().map(id);
        assert!(to.any(|to| to == "logweir-links"), "{}", id(dashboard));
    }
}

/// A shard without its own limit sends every bucket: a panel took 80 s without it, and takes 3 s with it.
#[test]
fn buckets_with_a_minimum_count_are_cut_on_the_shard() {
    let mut count = 0;
    for object in of_type("visualization") {
        let aggs = inner(&object, "/attributes/visState")["aggs"].clone();
        for agg in aggs
            .as_array()
            .unwrap()
            .iter()
            .filter(|agg| agg["type"] == "terms")
        {
            let Some(over) = agg["params"]["json"].as_str() else {
                continue;
            };
            let over: Value = serde_json::from_str(over).unwrap();
            let least = over["min_doc_count"].as_u64().unwrap();
            assert_eq!(over["shard_min_doc_count"], least / 4, "{}", id(&object));
            assert_eq!(over["shard_size"], agg["params"]["size"], "{}", id(&object));
            count += 1;
        }
    }
    assert_eq!(count, 6);
}

/// An aggregation within the minutes of a week is computed ten thousand times.
#[test]
fn no_aggregation_is_nested_in_minutes() {
    let mut count = 0;
    for object in of_type("visualization") {
        let aggs = inner(&object, "/attributes/visState")["aggs"].clone();
        let aggs = aggs.as_array().unwrap().iter();
        let mut buckets = aggs.filter(|agg| agg["schema"] != "metric");
        let is_minutes = |agg: &Value| {
            let over = agg["params"]["json"].as_str().unwrap_or_default();
            over.contains(r#""fixed_interval":"1m""#)
        };
        if buckets.any(is_minutes) {
            assert_eq!(buckets.next(), None, "{}", id(&object));
            count += 1;
        }
    }
    assert_eq!(count, 2);
}
