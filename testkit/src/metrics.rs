//! A reader of the OpenMetrics text format that is strict where a scraper may be
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>, "Text format").

use std::collections::BTreeMap;

/// Samples by name and labels, as `name{label="value"}`.
pub type Samples = BTreeMap<String, f64>;

/// Reads a page; fails on anything that the format forbids.
#[track_caller]
pub fn parse(page: &str) -> Samples {
    let body = page
        .strip_suffix("# EOF\n")
        .expect("the page ends with # EOF");
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut family = "";
    let mut samples = Samples::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name) = (words.next().unwrap(), words.next().unwrap());
            let text = words.next().unwrap_or_default();
            match what {
                "TYPE" => {
                    let known = ["counter", "gauge", "histogram", "info"];
                    assert!(known.contains(&text), "{line}");
                    assert_eq!(kinds.insert(name, text), None, "twice: {line}");
                }
                "HELP" => assert!(!text.is_empty(), "{line}"),
                "UNIT" => assert!(name.ends_with(text), "{line}"),
                _ => panic!("{line}"),
            }
            family = name;
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect(line);
        let bare = name.split('{').next().unwrap();
        let suffix = bare.strip_prefix(family).expect(line);
        let allowed: &[&str] = match kinds.get(family).copied().expect(line) {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &["_info"],
        };
        assert!(allowed.contains(&suffix), "{line}");
        if let Some(labels) = name.strip_prefix(bare).filter(|labels| !labels.is_empty()) {
            assert!(labels.starts_with('{') && labels.ends_with("\"}"), "{line}");
        }
        let value: f64 = value.parse().expect(line);
        assert!(value >= 0.0, "{line}");
        assert_eq!(
            samples.insert(name.to_owned(), value),
            None,
            "twice: {line}"
        );
    }
    samples
}
