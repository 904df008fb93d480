//! `cargo xtask dashboards`: generates `kibana/logweir.ndjson`, which Kibana imports, from the readable `kibana/source/`.
//!
//! Owns the form of saved objects: their attributes, which of these are JSON within a string, and the names of references. It
//! is the oldest form that Kibana 7.10 to 9 and OpenSearch Dashboards all accept. Refuses to know the subject of a panel: that,
//! and the defaults of each kind of panel, are in the source. A test compares the file with the source.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use self::cost::Cost;
use testkit::place;

mod cost;

/// What is imported.
const SHIPPED: &str = "kibana/logweir.ndjson";
const SOURCE: &str = "kibana/source";
const MAPPINGS: &str = "mappings/elasticsearch/component-mappings.json";

/// The prefix of each id, so that no foreign object has the same id.
const NAMESPACE: &str = "logweir-";
/// The indices' name in the file; setup puts the configured one there.
const PATTERN: &str = "nginx-access-*";
/// The mark at the end of a description, by which an object is ours: no other attribute survives an import.
const MARK: &str = "[logweir]";

/// The placeholder in the filter for the site, which is disabled until somebody enters a site.
const UNNAMED_SITE: &str = "(off) name your site here, and switch this on";

/// The newest migrations that Kibana 7.10 knows; with a later one it refuses the object.
const MIGRATIONS: [(&str, &str); 4] = [
    ("dashboard", "7.9.3"),
    ("index-pattern", "7.6.0"),
    ("search", "7.9.3"),
    ("visualization", "7.10.0"),
];

const SEARCH_SOURCE: &str = "kibanaSavedObjectMeta.searchSourceJSON";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    cost: Cost,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.cost.is_asked_for() {
        return cost::run(&arguments.cost);
    }
    let text = compiled(place::root())?;
    fs::write(place::root().join(SHIPPED), &text)?;
    println!("{SHIPPED}: {} objects", text.lines().count());
    Ok(ExitCode::SUCCESS)
}

/// The file's text.
fn compiled(root: &Path) -> Result<String> {
    let source = root.join(SOURCE);
    let mut names: Vec<_> = fs::read_dir(&source)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    names.sort();
    let types = read(&source.join("types.json"))?;
    let shared = read(&source.join("shared.json"))?;
    let maker = Maker { types, shared };

    let mut objects = vec![index_pattern(
        &read(&source.join("index-pattern.json"))?,
        &read(&root.join(MAPPINGS))?,
    )?];
    for panel in list(&maker.shared, "panels")? {
        objects.push(maker.panel(panel)?);
    }
    for name in names {
        let is_dashboard = name
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(|c: char| c.is_ascii_digit()));
        if is_dashboard {
            let dashboard = read(&name)?;
            let made = maker.dashboard(&dashboard);
            objects.extend(made.with_context(|| name.display().to_string())?);
        }
    }
    let mut text = String::new();
    for object in objects {
        text.push_str(&object.to_string());
        text.push('\n');
    }
    Ok(text)
}

struct Maker {
    types: Value,
    shared: Value,
}

impl Maker {
    /// The objects of a dashboard: its panels, then itself.
    fn dashboard(&self, source: &Value) -> Result<Vec<Value>> {
        let mut objects = Vec::new();
        let mut panels = Vec::new();
        let mut references = vec![reference(
            &format!("{SEARCH_SOURCE}.filter[0].meta.index"),
            "index-pattern",
            "nginx-access",
        )];
        for (number, panel) in list(source, "panels")?.iter().enumerate() {
            let of = match panel.get("use") {
                Some(name) => list(&self.shared, "panels")?
                    .iter()
                    .find(|panel| panel.get("id") == Some(name))
                    .with_context(|| format!("no shared panel {name}"))?,
                None => {
                    objects.push(self.panel(panel)?);
                    panel
                }
            };
            let kind = text(of, "type")?;
            let kind = if kind == "search" {
                kind
            } else {
                "visualization"
            };
            let name = format!("panel_{}", number + 1);
            references.push(reference(&name, kind, text(of, "id")?));
            panels.push(placed(panel, of, number + 1)?);
        }
        let refresh = source.get("refresh_ms").context("no refresh_ms")?;
        let time = source.get("time").context("no time")?;
        let options = json!({"hidePanelTitles": false, "useMargins": true});
        let attributes = json!({
            "title": format!("{} [logweir]", text(source, "title")?),
            "description": description(source)?,
            "hits": 0,
            "version": 1,
            "panelsJSON": Value::Array(panels).to_string(),
            "optionsJSON": options.to_string(),
            "timeRestore": true,
            "timeFrom": text(time, "from")?,
            "timeTo": text(time, "to")?,
            "refreshInterval": {"pause": false, "value": refresh},
            "kibanaSavedObjectMeta": {"searchSourceJSON": json!({
                "query": {"language": "kuery", "query": ""},
                "filter": [site_filter()],
            }).to_string()},
        });
        objects.push(object(
            "dashboard",
            text(source, "id")?,
            attributes,
            references,
        )?);
        Ok(objects)
    }

    /// A visualization or a saved search.
    fn panel(&self, source: &Value) -> Result<Value> {
        let id = text(source, "id")?;
        let kind = text(source, "type")?;
        let title = format!("{} [logweir]", text(source, "title")?);
        let about = if kind == "markdown" {
            MARK.to_owned()
        } else {
            description(source)?
        };
        let query = source.get("query").cloned().unwrap_or_else(|| json!(""));
        let mut search_source = json!({
            "query": {"language": "kuery", "query": query},
            "filter": [],
        });
        let mut references = Vec::new();
        if kind != "markdown" {
            let name = format!("{SEARCH_SOURCE}.index");
            references.push(reference(&name, "index-pattern", "nginx-access"));
            search_source["indexRefName"] = json!(name);
        }
        let meta = json!({"searchSourceJSON": search_source.to_string()});
        if kind == "search" {
            let attributes = json!({
                "title": title,
                "description": about,
                "hits": 0,
                "version": 1,
                "columns": list(source, "columns")?,
                "sort": [["@timestamp", "desc"]],
                "kibanaSavedObjectMeta": meta,
            });
            return object("search", id, attributes, references);
        }
        let state = json!({
            "title": title,
            "type": kind,
            "params": self.params(kind, source)?,
            "aggs": self.aggs(id, source)?,
        });
        let mut ui_state = json!({});
        if let Some(colors) = source.get("colors") {
            merge(&mut ui_state, json!({"vis": {"colors": colors}}));
        }
        if let Some(widths) = source.get("widths") {
            // Kibana keeps a table's widths in one place, OpenSearch Dashboards in another; Kibana 7.10 fits them by
            // itself.
            let columns = widths_of(widths, list(source, "aggs")?)
                .with_context(|| format!("{id}: widths"))?;
            let widths = json!({"params": {"colWidth": columns}, "columnsWidth": columns});
            merge(&mut ui_state, json!({"vis": widths}));
        }
        let attributes = json!({
            "title": title,
            "description": about,
            "version": 1,
            "visState": state.to_string(),
            "uiStateJSON": ui_state.to_string(),
            "kibanaSavedObjectMeta": meta,
        });
        object("visualization", id, attributes, references)
    }

    /// The panel's own parameters over those of its kind.
    fn params(&self, kind: &str, source: &Value) -> Result<Value> {
        let mut params = self.defaults(kind)?;
        let own = source.get("params").cloned().unwrap_or_else(|| json!({}));
        merge(&mut params, own);
        if let Some(Value::Array(lines)) = params.get("markdown") {
            let lines: Option<Vec<&str>> = lines.iter().map(Value::as_str).collect();
            params["markdown"] = json!(lines.context("markdown is text")?.join("\n"));
        }
        // A chart's series has the name of its metric, unless another one is given.
        let label = list(source, "aggs").ok().and_then(|aggs| {
            let metric = aggs.iter().find(|agg| agg["schema"] == "metric")?;
            metric.get("label").cloned()
        });
        if let (Some(label), Some(series)) = (label, params.pointer_mut("/seriesParams/0/data")) {
            series["label"] = label;
        }
        Ok(params)
    }

    fn defaults(&self, kind: &str) -> Result<Value> {
        let own = self.types["visualizations"].get(kind);
        let mut own = own.with_context(|| format!("no type {kind}"))?.clone();
        let base = own.as_object_mut().and_then(|own| own.remove("extends"));
        let Some(base) = base else { return Ok(own) };
        let mut params = self.defaults(base.as_str().context("extends a name")?)?;
        merge(&mut params, own);
        Ok(params)
    }

    fn aggs(&self, panel: &str, source: &Value) -> Result<Value> {
        let Some(aggs) = source.get("aggs") else {
            return Ok(json!([]));
        };
        let aggs = aggs.as_array().context("aggs is a list")?;
        let made = aggs.iter().map(|agg| {
            let mut made = self.agg(agg)?;
            made["id"] = json!(text(agg, "id")?);
            made["enabled"] = json!(true);
            made["schema"] = json!(text(agg, "schema")?);
            Ok(made)
        });
        let made: Result<Vec<Value>> = made.collect();
        made.map(Value::Array).with_context(|| panel.to_owned())
    }

    /// Type and parameters of an aggregation, and of those within it.
    fn agg(&self, source: &Value) -> Result<Value> {
        let kind = text(source, "type")?;
        let mut params = self.types["aggs"].get(kind).cloned();
        let params = params.as_mut().with_context(|| format!("no agg {kind}"))?;
        let own = source.get("params").cloned().unwrap_or_else(|| json!({}));
        merge(params, own);
        self.expand(kind, params)?;
        if let Some(label) = source.get("label") {
            params["customLabel"] = label.clone();
        }
        for (inner, id) in [("customBucket", "bucket"), ("customMetric", "metric")] {
            if let Some(inner) = params.get_mut(inner) {
                let mut made = self.agg(inner)?;
                made["id"] = json!(format!("{}-{id}", text(source, "id")?));
                made["enabled"] = json!(true);
                *inner = made;
            }
        }
        if kind == "filters" {
            let filters = self.shared("filters", &params["filters"])?;
            let filters = filters.as_array().context("filters is a list")?.clone();
            let made = filters.iter().map(|filter| {
                let query = json!({"language": "kuery", "query": text(filter, "query")?});
                Ok(json!({"label": text(filter, "label")?, "input": query}))
            });
            params["filters"] = made.collect::<Result<Vec<Value>>>()?.into();
        }
        Ok(json!({"type": kind, "params": params}))
    }

    /// Replaces the source's short forms by what Kibana knows. `json` is what lies over Kibana's own request: `null`
    /// removes a key there.
    fn expand(&self, kind: &str, params: &mut Value) -> Result<()> {
        let Some(own) = params.as_object_mut() else {
            bail!("params is a map");
        };
        let mut over = json!({});
        match kind {
            // Steps of this length, whatever the time range: Kibana would join them.
            "date_histogram" => {
                if let Some(step) = own.remove("every") {
                    let least = own.remove("from").context("no from beside every")?;
                    let step = step.as_str().context("every is a time")?;
                    // Kibana's name for one unit is the unit alone.
                    let interval = step.strip_prefix('1').unwrap_or(step);
                    own.insert("interval".to_owned(), json!(interval));
                    over = json!({
                        "fixed_interval": step, "calendar_interval": null, "min_doc_count": least,
                    });
                }
                if own.remove("newest_first") == Some(json!(true)) {
                    over["order"] = json!({"_key": "desc"});
                }
            }
            "max_bucket" => {
                let least = own.remove("minutes_from").context("no minutes_from")?;
                let minutes = json!({"every": "1m", "from": least});
                let bucket = json!({"type": "date_histogram", "params": minutes});
                own.insert("customBucket".to_owned(), bucket);
                own.insert("customMetric".to_owned(), json!({"type": "count"}));
            }
            "sum_bucket" => {
                let filters = own.remove("filters").context("no filters")?;
                let bucket = json!({"type": "filters", "params": {"filters": filters}});
                own.insert("customBucket".to_owned(), bucket);
                own.insert("customMetric".to_owned(), json!({"type": "count"}));
            }
            "terms" | "significant_terms" => {
                if let Some(least) = own.remove("from") {
                    // Without a limit of its own each shard sends every bucket, and builds what lies in it. A quarter,
                    // because an index may have several shards; with a tenth, half an hour of any busy client is taken.
                    let least = least.as_u64().context("from is a number")?;
                    over = json!({"min_doc_count": least, "shard_min_doc_count": least / 4});
                    // Elasticsearch 8 searches parts of a shard side by side, and lets this limit alone cut them.
                    if kind == "terms" {
                        over["shard_size"] =
                            own.get("size").context("no size beside from")?.clone();
                    }
                }
                if let Some(background) = own.remove("against") {
                    over["background_filter"] = self.shared("backgrounds", &background)?;
                }
            }
            _ => {}
        }
        if over != json!({}) {
            own.insert("json".to_owned(), json!(over.to_string()));
        }
        Ok(())
    }

    /// Resolves the name of a shared definition; any other value is returned unchanged.
    fn shared(&self, of: &str, what: &Value) -> Result<Value> {
        let Value::String(name) = what else {
            return Ok(what.clone());
        };
        let found = self.shared[of].get(name);
        Ok(found.with_context(|| format!("no {of} {name}"))?.clone())
    }
}

/// The widths in pixels of a table's columns, which are named by their label or, without one, by their aggregation.
/// Columns that are not named share the rest.
fn widths_of(widths: &Value, aggs: &[Value]) -> Result<Vec<Value>> {
    let is_metric = |agg: &&Value| agg["schema"] == "metric";
    let mut columns = Vec::new();
    let buckets = aggs.iter().filter(|agg| !is_metric(agg));
    for agg in buckets.chain(aggs.iter().filter(is_metric)) {
        let name = agg.get("label").unwrap_or(&agg["type"]);
        let percents = agg["params"]["percents"].as_array();
        columns.extend((0..percents.map_or(1, Vec::len)).map(|_| name));
    }
    let widths = widths.as_object().context("widths is a map")?.iter();
    let made = widths.map(|(name, width)| {
        let column = columns.iter().position(|column| *column == name);
        let column = column.with_context(|| format!("no column {name}"))?;
        Ok(json!({"colIndex": column, "width": width}))
    });
    made.collect()
}

/// A panel's place on its dashboard, on a grid 48 wide.
fn placed(panel: &Value, of: &Value, number: usize) -> Result<Value> {
    let at = list(panel, "at")?;
    let [x, y, w, h] = &at[..] else {
        bail!("at is [x, y, width, height]");
    };
    let index = number.to_string();
    Ok(json!({
        "version": "7.9.3",
        "panelIndex": index,
        "gridData": {"x": x, "y": y, "w": w, "h": h, "i": index},
        "embeddableConfig": {"title": text(of, "title")?},
        "panelRefName": format!("panel_{number}"),
    }))
}

/// The first filter of each dashboard. It is disabled, since the user's sites are unknown in advance; enabled and edited,
/// it selects the site.
fn site_filter() -> Value {
    json!({
        "$state": {"store": "appState"},
        "meta": {
            "alias": null,
            "disabled": true,
            "negate": false,
            "type": "phrase",
            "key": "url.domain",
            "params": {"query": UNNAMED_SITE},
            "indexRefName": format!("{SEARCH_SOURCE}.filter[0].meta.index"),
        },
        "query": {"match_phrase": {"url.domain": UNNAMED_SITE}},
    })
}

fn index_pattern(source: &Value, mappings: &Value) -> Result<Value> {
    let mut fields = Vec::new();
    for (name, kind) in [
        ("_id", "_id"),
        ("_index", "_index"),
        ("_score", "_score"),
        ("_source", "_source"),
    ] {
        let (shown, searched) = match name {
            "_score" => ("number", false),
            "_source" => ("_source", false),
            _ => ("string", true),
        };
        fields.push(json!({
            "name": name, "type": shown, "esTypes": [kind], "count": 0, "scripted": false,
            "searchable": searched, "aggregatable": searched, "readFromDocValues": false,
        }));
    }
    collect(&mappings["template"]["mappings"], "", None, &mut fields)?;
    let mut formats = source["fieldFormatMap"].clone();
    formats["event.duration"]["params"]["managed_by"] = json!(MARK);
    let attributes = json!({
        "title": PATTERN,
        "timeFieldName": text(source, "timeFieldName")?,
        "fieldFormatMap": formats.to_string(),
        "fields": Value::Array(fields).to_string(),
    });
    let id = text(source, "id")?;
    object(
        "index-pattern",
        id.trim_start_matches(NAMESPACE),
        attributes,
        vec![],
    )
}

/// The fields of a mapping, as an index pattern lists them.
fn collect(mapping: &Value, at: &str, parent: Option<&str>, out: &mut Vec<Value>) -> Result<()> {
    for part in ["properties", "fields"] {
        let Some(entries) = mapping.get(part).and_then(Value::as_object) else {
            continue;
        };
        for (name, field) in entries {
            let name = if at.is_empty() {
                name.clone()
            } else {
                format!("{at}.{name}")
            };
            let parent = if part == "fields" { Some(at) } else { parent };
            if let Some(kind) = field.get("type").and_then(Value::as_str) {
                let (shown, values) = match kind {
                    "keyword" => ("string", true),
                    "text" => ("string", false),
                    "long" => ("number", true),
                    "date" => ("date", true),
                    "ip" => ("ip", true),
                    "geo_point" => ("geo_point", true),
                    other => bail!("{name}: how does Kibana call the type {other}?"),
                };
                let values = values && field.get("doc_values") != Some(&json!(false));
                let mut entry = json!({
                    "name": name, "type": shown, "esTypes": [kind], "count": 0, "scripted": false,
                    "searchable": field.get("index") != Some(&json!(false)),
                    "aggregatable": values, "readFromDocValues": values,
                });
                if let Some(parent) = parent {
                    entry["subType"] = json!({"multi": {"parent": parent}});
                }
                out.push(entry);
            }
            collect(field, &name, parent, out)?;
        }
    }
    Ok(())
}

fn object(kind: &str, id: &str, attributes: Value, references: Vec<Value>) -> Result<Value> {
    let migration = MIGRATIONS.iter().find(|(of, _)| *of == kind);
    let (_, version) = migration.with_context(|| format!("no such type: {kind}"))?;
    Ok(json!({
        "type": kind,
        "id": format!("{NAMESPACE}{id}"),
        "attributes": attributes,
        "references": references,
        "migrationVersion": {kind: version},
    }))
}

fn reference(name: &str, kind: &str, id: &str) -> Value {
    json!({"name": name, "type": kind, "id": format!("{NAMESPACE}{id}")})
}

fn description(source: &Value) -> Result<String> {
    Ok(format!("{} {MARK}", text(source, "description")?))
}

/// Lays `over` over `base`: objects by key, lists of objects by place, anything else as a whole.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(base), Value::Array(over))
            if base.len() == over.len() && over.iter().all(Value::is_object) =>
        {
            for (base, over) in base.iter_mut().zip(over) {
                merge(base, over);
            }
        }
        (base, over) => *base = over,
    }
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str> {
    let found = value.get(key).and_then(Value::as_str);
    found.with_context(|| format!("no text {key:?} in {value}"))
}

fn list<'v>(value: &'v Value, key: &str) -> Result<&'v Vec<Value>> {
    let found = value.get(key).and_then(Value::as_array);
    found.with_context(|| format!("no list {key:?} in {value}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_shipped_file_is_made_of_the_source() {
        let shipped = fs::read_to_string(place::root().join(SHIPPED)).unwrap();
        let is_current = shipped == compiled(place::root()).unwrap();
        assert!(
            is_current,
            "run `cargo xtask dashboards` and commit {SHIPPED}"
        );
    }

    #[test]
    fn the_settings_of_a_panel_override_those_of_its_kind() {
        let mut base = json!({"a": {"b": 1, "c": 2}, "list": [{"x": 1, "y": 2}], "plain": [1, 2]});
        merge(
            &mut base,
            json!({"a": {"b": 3}, "list": [{"y": 4}], "plain": [5]}),
        );
        let wanted = json!({"a": {"b": 3, "c": 2}, "list": [{"x": 1, "y": 4}], "plain": [5]});
        assert_eq!(base, wanted);
    }
}
