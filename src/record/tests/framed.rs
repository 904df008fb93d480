//! Lines of containers: their time, their pod, and what is missing of them.

use super::*;
use crate::config::{Field, FieldType, FieldValue};
use crate::framing::{LineFraming, Records};

const PATH: &str =
    "/var/log/pods/ingress-nginx_web-6d-x_8e1f7a3c-2b64-4d9a-9c55-0d1f2a3b4c5d/controller/0.log";
const COMBINED: &str =
    "203.0.113.7 - - [23/Nov/2026:05:41:14 +0000] \"GET /a HTTP/1.1\" 200 12 \"-\" \"curl/8\"";
const HEAD: &str = "2026-11-23T05:50:00.123456789+01:00 stdout F ";

fn pods(formats: Vec<Format>) -> Settings {
    let mut settings = settings(formats);
    settings.logs[0].pods = true;
    settings
}

/// Index, id and document.
type Item = (String, String, Value);

/// What becomes of the lines of a chunk at offset 7, read from `path`.
fn recorded(
    settings: Settings,
    path: &str,
    framing: LineFraming,
    chunk: &str,
) -> Vec<(Recorded, Option<Item>)> {
    let mut recorder = recorder(settings);
    let source = LineSource {
        is_framed: true,
        ..source(0, Path::new(path))
    };
    recorder.begin(source, NOW, None);
    let (mut records, mut taken, mut all) = (Records::default(), 0, vec![]);
    let mut is_first = true;
    while taken < chunk.len() {
        let next = records.next(&chunk.as_bytes()[taken..], 4096, false);
        let offset = 7 + taken as u64;
        taken += next.width;
        let Some(record) = next.record else { continue };
        let mut batch = Batch::default();
        let line = FramedLine {
            record,
            framing,
            is_first: std::mem::take(&mut is_first),
        };
        let recorded = recorder.record_framed(offset, &line, &mut batch);
        all.push((
            recorded,
            batch.item(0).map(|item| take_apart(item).unwrap()),
        ));
    }
    all
}

fn documents(framing: LineFraming, chunk: &str) -> Vec<Item> {
    let all = recorded(pods(vec![Format::combined()]), PATH, framing, chunk);
    all.into_iter().filter_map(|(_, item)| item).collect()
}

/// The document of a pod's line.
pub(super) fn document() -> Value {
    let chunk = format!("{HEAD}{COMBINED}\n");
    documents(LineFraming::Cri, &chunk).remove(0).2
}

#[test]
fn a_framed_line_makes_the_document_of_its_payload() {
    let mut raw = recorder(settings(vec![Format::combined()]));
    let (index, id, mut expected) =
        take_apart(&item(&mut raw, 7, COMBINED.as_bytes()).unwrap()).unwrap();
    let split = COMBINED.split_at(30);
    let parts = format!(
        "{}{}\n2026-11-23T05:50:00Z stderr F no\n{HEAD}{}\n",
        HEAD.replace(" F ", " P "),
        split.0,
        split.1
    );
    for chunk in [
        format!("{HEAD}{COMBINED}\n"),
        format!("{HEAD}{COMBINED}\r\n"),
        parts,
    ] {
        let [(found_index, found_id, document)] = &documents(LineFraming::Cri, &chunk)[..] else {
            panic!("{chunk}")
        };
        assert_eq!((found_index, found_id), (&index, &id));
        let mut document = document.clone();
        let members = document.as_object_mut().unwrap();
        let mut pod = serde_json::Map::new();
        for name in ["container", "kubernetes", "orchestrator"] {
            pod.insert(name.to_owned(), members.remove(name).unwrap());
        }
        assert_eq!(
            Value::from(pod),
            serde_json::json!({
                "container": { "name": "controller" },
                "kubernetes": {
                    "container": { "name": "controller" },
                    "namespace": "ingress-nginx",
                    "pod": {
                        "name": "web-6d-x",
                        "uid": "8e1f7a3c-2b64-4d9a-9c55-0d1f2a3b4c5d",
                    },
                },
                "orchestrator": {
                    "namespace": "ingress-nginx",
                    "resource": { "name": "web-6d-x", "type": "pod" },
                    "type": "kubernetes",
                },
            })
        );
        expected["log"]["file"]["path"] = PATH.into();
        assert_eq!(document, expected);
    }
}

#[test]
fn only_a_payload_without_a_time_has_that_of_the_runtime() {
    let timeless = Format::compile("$remote_addr $status", Escape::Default).unwrap();
    let chunk =
        format!("{HEAD}203.0.113.7 200\n{HEAD}rubbish\n{HEAD}x 2026-11-20T05:41:14+00:00\n");
    let all = recorded(pods(vec![timeless]), PATH, LineFraming::Cri, &chunk);
    let times: Vec<&str> = all
        .iter()
        .map(|(_, item)| item.as_ref().unwrap().2["@timestamp"].as_str().unwrap())
        .collect();
    assert_eq!(
        times,
        [
            "2026-11-23T04:50:00.123Z",
            "2026-11-23T04:50:00.123Z",
            "2026-11-20T05:41:14.000Z"
        ]
    );
    let (_, item) = &all[0];
    let (index, _, document) = item.as_ref().unwrap();
    assert_eq!(index, "nginx-access-2026.11.23");
    assert_eq!(document["tags"], Value::Null);
    assert_eq!(document["event"]["timezone"], "+01:00");
    assert_eq!(document["event"]["original"], Value::Null);
}

#[test]
fn what_is_incomplete_is_indexed_unparsed_with_its_reason() {
    let part = HEAD.replace(" F ", " P ");
    let chunk = format!(
        "{HEAD}rest\" 200 12 \"-\" \"curl/8\"\n{HEAD}rubbish\n{COMBINED}\n{{\"log\":\"x\\n\"}}\n{part}{COMBINED}\n"
    );
    let all = recorded(
        pods(vec![Format::combined()]),
        PATH,
        LineFraming::Cri,
        &chunk,
    );
    let reasons: Vec<Recorded> = all.iter().map(|(recorded, _)| *recorded).collect();
    let [Recorded::Unparsed(_), Recorded::Unparsed(_), rest @ ..] = &reasons[..] else {
        panic!("{reasons:?}")
    };
    assert_eq!(
        *rest,
        ["not_cri", "docker_json", "partial_line"].map(Recorded::Unparsed)
    );
    let tags: Vec<Value> = all
        .iter()
        .map(|(_, item)| item.as_ref().unwrap().2["tags"].clone())
        .collect();
    let partial = serde_json::json!(["unparsed", "partial_line"]);
    let odd = serde_json::json!(["unparsed"]);
    let without_time = serde_json::json!(["unparsed", "time_unreadable"]);
    assert_eq!(
        tags,
        [partial.clone(), odd.clone(), odd, without_time, partial]
    );
    let document = &all[4].1.as_ref().unwrap().2;
    assert_eq!(document["event"]["original"], COMBINED);
    assert!(
        document["error"]["message"]
            .as_str()
            .unwrap()
            .contains("last part"),
        "{document}"
    );
}

/// `auto` can be wrong about a raw log whose first line looks like CRI: none of its lines is lost.
#[test]
fn lines_of_a_raw_log_that_looks_framed_are_parsed_with_their_heads() {
    let lines = [
        format!("{HEAD}x [23/Nov/2026:05:41:14 +0000] 200"),
        "- [23/Nov/2026:05:41:14 +0000] 200".to_owned(),
    ];
    let chunk = format!("{}\n{}\n", lines[0], lines[1]);
    let parse = |format: &str, framing| -> Vec<Recorded> {
        let format = Format::compile(format, Escape::Default).unwrap();
        let all = recorded(pods(vec![format]), "/a/b.log", framing, &chunk);
        all.into_iter().map(|(recorded, _)| recorded).collect()
    };
    // Its payload matches as well.
    assert_eq!(
        parse("$http_x [$time_local] $status", LineFraming::LikelyCri),
        [Recorded::Parsed(0); 2]
    );
    let exact = "$iso stdout F x [$time_local] $status";
    assert_eq!(parse(exact, LineFraming::LikelyCri)[0], Recorded::Parsed(0));
    assert!(matches!(
        parse(exact, LineFraming::Cri)[0],
        Recorded::Unparsed(_)
    ));
    let strict = parse("$http_x [$time_local] $status", LineFraming::Cri);
    assert_eq!(strict[1], Recorded::Unparsed("not_cri"));
}

#[test]
fn fields_of_the_configuration_join_those_of_the_pod_and_come_first() {
    let mut settings = pods(vec![Format::combined()]);
    let constant = |name: &str, value: &str| Field {
        name: name.to_owned(),
        value: FieldValue::Constant(value.to_owned()),
        kind: FieldType::Text,
    };
    settings.logs[0].fields = vec![
        constant("orchestrator.cluster.name", "blue"),
        constant("kubernetes.namespace", "mine"),
    ];
    let chunk = format!("{HEAD}{COMBINED}\n{HEAD}rubbish\n");
    let all = recorded(settings.clone(), PATH, LineFraming::Cri, &chunk);
    for (_, item) in all {
        let (_, _, document) = item.unwrap();
        assert_eq!(document["orchestrator"]["cluster"]["name"], "blue");
        assert_eq!(document["orchestrator"]["type"], "kubernetes");
        assert_eq!(document["kubernetes"]["namespace"], "mine");
        assert_eq!(document["kubernetes"]["pod"]["name"], "web-6d-x");
    }
    // Another path names no pod.
    let all = recorded(settings, "/logs/0.log", LineFraming::Cri, &chunk);
    for (_, item) in all {
        let (_, _, document) = item.unwrap();
        assert_eq!(
            document["orchestrator"],
            serde_json::json!({ "cluster": { "name": "blue" } })
        );
        assert_eq!(document["container"], Value::Null);
    }
}
