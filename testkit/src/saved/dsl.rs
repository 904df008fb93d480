//! The request of a panel, as Kibana makes it of the panel's aggregations (`AggConfigs.toDsl` and the `write` of each
//! type in `src/plugins/data/common/search/aggs` of Kibana's source), and its answer as rows, as Kibana shows it.
//!
//! Buckets lie within each other in the order in which they stand; metrics lie in the innermost; the sort metric of
//! a terms aggregation lies beside what it sorts. What is not known here fails, so that no panel goes untested.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Panel, kuery};

/// Kibana's `histogram:maxBars` in version 7: with more buckets than that it takes a longer interval.
const MAX_BARS: i64 = 100;
/// What Kibana rounds an interval to, in seconds with its name.
const ROUND: [(i64, &str); 12] = [
    (1, "1s"),
    (5, "5s"),
    (10, "10s"),
    (30, "30s"),
    (60, "1m"),
    (300, "5m"),
    (600, "10m"),
    (1800, "30m"),
    (3600, "1h"),
    (10_800, "3h"),
    (43_200, "12h"),
    (86_400, "1d"),
];

/// From and to, in seconds since 1970.
#[derive(Clone, Copy)]
pub struct Window {
    pub from: i64,
    pub to: i64,
}

impl Window {
    fn seconds(self) -> i64 {
        self.to - self.from
    }

    fn filter(self) -> Value {
        let shown = |second| {
            chrono::DateTime::from_timestamp(second, 0)
                .unwrap()
                .to_rfc3339()
        };
        let range = json!({
            "gte": shown(self.from), "lte": shown(self.to), "format": "strict_date_optional_time",
        });
        json!({"range": {"@timestamp": range}})
    }

    /// The step of a date histogram.
    pub fn step(self, interval: &str) -> (i64, &'static str) {
        let find = |wanted: &str| *ROUND.iter().find(|(_, name)| *name == wanted).unwrap();
        let auto = *ROUND
            .iter()
            .find(|(step, _)| self.seconds() / step <= MAX_BARS)
            .unwrap();
        let asked = match interval {
            "auto" => auto,
            "m" => find("1m"),
            "h" => find("1h"),
            other => find(other),
        };
        // Kibana joins what would be too many bars.
        asked.max(auto)
    }
}

/// Kibana's name for all that the first terms of a chart leave out.
pub const OTHER: &str = "__other__";

/// The second request, for everything else: all but what the answer to the first shows (`buildOtherBucketAgg`).
/// `None`: the panel does not ask for it.
pub fn request_other(
    panel: &Panel,
    window: Window,
    filter: Option<&Value>,
    answer: &Value,
) -> Option<Value> {
    let outer = panel.aggs.iter().find(|agg| agg["schema"] != "metric")?;
    if outer["params"]["otherBucket"] != true {
        return None;
    }
    let id = outer["id"].as_str().unwrap();
    let field = outer["params"]["field"].as_str().unwrap();
    let shown = answer["aggregations"][id]["buckets"].as_array().unwrap();
    let shown = shown
        .iter()
        .map(|bucket| json!({"match_phrase": {field: bucket["key"]}}));
    let mut request = request(panel, window, filter);
    let inner = request["aggs"][id]["aggs"].take();
    request["aggs"] = json!({id: {
        "filters": {"filters": {OTHER: {"bool": {
            "filter": [{"exists": {"field": field}}], "must_not": shown.collect::<Vec<_>>(),
        }}}},
        "aggs": inner,
    }});
    Some(request)
}

/// What a panel asks of the cluster.
pub fn request(panel: &Panel, window: Window, filter: Option<&Value>) -> Value {
    let mut filters = vec![kuery::query(&panel.query), window.filter()];
    filters.extend(filter.cloned());
    let mut request = json!({"track_total_hits": true, "query": {"bool": {"filter": filters}}});
    if panel.kind == "search" {
        // `discover:sampleSize`
        request["size"] = json!(500);
        request["sort"] = json!([{"@timestamp": {"order": "desc", "unmapped_type": "boolean"}}]);
    } else {
        request["size"] = json!(0);
        request["aggs"] = aggs(&panel.aggs, window);
    }
    request
}

fn aggs(all: &[Value], window: Window) -> Value {
    let is_metric = |agg: &&Value| agg["schema"] == "metric";
    let mut inner = Map::new();
    for metric in all.iter().filter(is_metric) {
        inner.extend(self::metric(metric, window));
    }
    for bucket in all.iter().rev().filter(|agg| !is_metric(agg)) {
        let sort = all
            .iter()
            .find(|agg| agg["id"] == bucket["params"]["orderBy"]);
        let mut made = self::bucket(bucket, sort, window);
        if let Some(sort) = sort {
            inner.extend(metric(sort, window));
        }
        if !inner.is_empty() {
            made["aggs"] = Value::Object(inner);
        }
        inner = Map::from_iter([(text(&bucket["id"]), made)]);
    }
    Value::Object(inner)
}

/// A bucket without what lies in it; `sort` is the metric that it is sorted by.
fn bucket(agg: &Value, sort: Option<&Value>, window: Window) -> Value {
    let params = &agg["params"];
    match agg["type"].as_str().unwrap() {
        "terms" => {
            known(
                params,
                "field orderBy order size otherBucket otherBucketLabel missingBucket missingBucketLabel \
                 customLabel json",
            );
            assert_eq!(params["order"], "desc");
            let by = match sort {
                None => text(&params["orderBy"]),
                Some(sort) => {
                    assert_eq!(sort["schema"], "metric");
                    match sort["type"].as_str().unwrap() {
                        "count" => "_count".to_owned(),
                        "sum" | "cardinality" => text(&sort["id"]),
                        other => panic!("{other} does not sort"),
                    }
                }
            };
            assert!(sort.is_some() || by == "_count", "sorted by {by}");
            let mut made = json!({
                "field": params["field"], "order": {by: "desc"}, "size": params["size"],
            });
            if params["missingBucket"] == true {
                made["missing"] = json!("__missing__");
            }
            json!({"terms": with_json(made, params)})
        }
        "significant_terms" => {
            known(params, "field size customLabel json");
            let made = json!({"field": params["field"], "size": params["size"]});
            json!({"significant_terms": with_json(made, params)})
        }
        "date_histogram" => {
            known(
                params,
                "field interval useNormalizedEsInterval scaleMetricValues drop_partials min_doc_count \
                 extended_bounds customLabel json",
            );
            assert_eq!(params["scaleMetricValues"], false);
            let (_, step) = window.step(params["interval"].as_str().unwrap());
            let unit = if step.starts_with('1') && step != "1s" && step.len() == 2 {
                "calendar_interval"
            } else {
                "fixed_interval"
            };
            let made = json!({
                "field": params["field"], unit: step, "time_zone": "UTC", "min_doc_count": params["min_doc_count"],
            });
            let made = with_json(made, params);
            if ["m", "h"].map(Some).contains(&params["interval"].as_str()) {
                let step = format!("1{}", text(&params["interval"]));
                assert_eq!(made["fixed_interval"], step, "Kibana joins steps");
                assert!(made.get("calendar_interval").is_none(), "{made}");
            }
            json!({"date_histogram": made})
        }
        "filters" => {
            known(params, "filters");
            let filters = params["filters"].as_array().unwrap().iter().map(|filter| {
                assert_eq!(filter["input"]["language"], "kuery");
                let query = kuery::query(filter["input"]["query"].as_str().unwrap());
                (text(&filter["label"]), query)
            });
            json!({"filters": {"filters": filters.collect::<Map<_, _>>()}})
        }
        other => panic!("what is the bucket {other}?"),
    }
}

/// A metric: nothing for a count, which each bucket has.
fn metric(agg: &Value, window: Window) -> Map<String, Value> {
    let (id, params) = (text(&agg["id"]), &agg["params"]);
    let kind = agg["type"].as_str().unwrap();
    let made = match kind {
        "count" => return Map::new(),
        "sum" | "min" | "max" | "cardinality" => {
            known(params, "field customLabel");
            json!({kind: {"field": params["field"]}})
        }
        "percentile_ranks" => {
            known(params, "field values customLabel json");
            let made =
                json!({"field": params["field"], "values": params["values"], "keyed": false});
            json!({kind: with_json(made, params)})
        }
        "percentiles" => {
            known(params, "field percents customLabel");
            json!({kind: {"field": params["field"], "percents": params["percents"], "keyed": false}})
        }
        "sum_bucket" | "max_bucket" => {
            known(params, "customBucket customMetric customLabel");
            assert_eq!(params["customMetric"]["type"], "count");
            let inner = text(&params["customBucket"]["id"]);
            assert_eq!(inner, format!("{id}-bucket"));
            let path = format!("{inner}>_count");
            return Map::from_iter([
                (inner, bucket(&params["customBucket"], None, window)),
                (id, json!({kind: {"buckets_path": path}})),
            ]);
        }
        other => panic!("what is the metric {other}?"),
    };
    Map::from_iter([(id, made)])
}

/// What stands under "JSON input" lies over the rest; `null` there removes a key.
fn with_json(mut made: Value, params: &Value) -> Value {
    if let Some(more) = params["json"].as_str() {
        let more: Map<String, Value> = serde_json::from_str(more).unwrap();
        let made = made.as_object_mut().unwrap();
        made.extend(more);
        made.retain(|_, value| !value.is_null());
    }
    made
}

#[track_caller]
fn known(params: &Value, names: &str) {
    let names: Vec<&str> = names.split_whitespace().collect();
    for name in params.as_object().unwrap().keys() {
        assert!(
            names.contains(&name.as_str()),
            "what does {name} do in {params}?"
        );
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

/// One bucket's place and its metrics, in the order of the panel's columns.
pub type Rows = BTreeMap<Vec<String>, Vec<f64>>;

/// The answer as rows in their order, without those that nothing is in.
pub fn in_order(panel: &Panel, answer: &Value) -> Vec<(Vec<String>, Vec<f64>)> {
    let is_metric = |agg: &&Value| agg["schema"] == "metric";
    let buckets: Vec<&Value> = panel.aggs.iter().filter(|agg| !is_metric(agg)).collect();
    let metrics: Vec<&Value> = panel.aggs.iter().filter(is_metric).collect();
    let mut top = answer["aggregations"].clone();
    if top.is_null() {
        top = json!({});
    }
    top["doc_count"] = answer["hits"]["total"]["value"].clone();
    let mut rows = Vec::new();
    walk(&top, &buckets, &metrics, &mut Vec::new(), &mut rows);
    rows
}

/// The same by their places.
pub fn rows(panel: &Panel, answer: &Value) -> Rows {
    in_order(panel, answer).into_iter().collect()
}

fn walk(
    at: &Value,
    buckets: &[&Value],
    metrics: &[&Value],
    place: &mut Vec<String>,
    out: &mut Vec<(Vec<String>, Vec<f64>)>,
) {
    let Some((bucket, inner)) = buckets.split_first() else {
        if at["doc_count"] != 0 {
            let values = metrics.iter().flat_map(|metric| values(at, metric));
            out.push((place.clone(), values.collect()));
        }
        return;
    };
    let found = &at[bucket["id"].as_str().unwrap()]["buckets"];
    let entries: Vec<(String, &Value)> = match found {
        Value::Object(named) => named
            .iter()
            .map(|(name, entry)| (name.clone(), entry))
            .collect(),
        Value::Array(list) => list
            .iter()
            .map(|entry| (key(&entry["key"]), entry))
            .collect(),
        other => panic!("{other} in {at}"),
    };
    for (key, entry) in entries {
        place.push(key);
        walk(entry, inner, metrics, place, out);
        place.pop();
    }
}

fn key(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}

fn values(at: &Value, metric: &Value) -> Vec<f64> {
    let found = &at[metric["id"].as_str().unwrap()];
    match metric["type"].as_str().unwrap() {
        "count" => vec![at["doc_count"].as_f64().unwrap()],
        "percentiles" | "percentile_ranks" => {
            let values = found["values"].as_array().unwrap().iter();
            values
                .map(|one| one["value"].as_f64().unwrap_or(f64::NAN))
                .collect()
        }
        // of no bucket at all
        "max_bucket" if found["value"].is_null() => vec![f64::NAN],
        _ => vec![
            found["value"]
                .as_f64()
                .unwrap_or_else(|| panic!("no value of {metric} in {at}")),
        ],
    }
}
