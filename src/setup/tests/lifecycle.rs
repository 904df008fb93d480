//! Tests of the life-cycle policies of both families.

use super::*;

const STATUS: &str = "GET /_ilm/status";
const ILM: &str = "/_ilm/policy/nginx-access";
pub(super) const ISM: &str = "/_plugins/_ism/policies/nginx-access";

/// No policy is set, and an index without a day in its name can be created.
fn none() -> Value {
    json!({"name": "", "parse_origination_date": "false"})
}

pub(super) fn keeping(target: &config::IndexTarget, retention: Duration) -> Want<'_> {
    Want {
        retention: Some(retention),
        ..want(target)
    }
}

#[tokio::test]
async fn a_day_is_deleted_by_its_name_and_lines_without_a_time_are_kept() {
    let cluster = Fake::elasticsearch();
    let target = setting(INDEX);
    let report = run(&cluster, &keeping(&target, 30 * DAY), false)
        .await
        .unwrap();
    insta::assert_snapshot!(report);
    // a line of the day's last second gets 30 days old one day later
    let policy = cluster.held(ILM).unwrap();
    assert_eq!(policy["phases"]["delete"]["min_age"], json!("31d"));
    let day = cluster.new_index("nginx-access-2026.11.23").unwrap();
    assert_eq!(
        day["lifecycle"],
        json!({"name": "nginx-access", "parse_origination_date": "true"})
    );
    let unparsed = cluster.new_index("nginx-access-unparsed").unwrap();
    assert_eq!(unparsed["lifecycle"], none());
    assert_eq!(unparsed["codec"], day["codec"]);

    let again = run(&cluster, &keeping(&target, 30 * DAY), false)
        .await
        .unwrap();
    assert_eq!(outcomes(&again), [ChangeOutcome::Unchanged; 6]);
    let other = run(&cluster, &keeping(&target, 36 * (DAY / 24)), false)
        .await
        .unwrap();
    assert_eq!(other.changes[0].outcome, ChangeOutcome::Updated);
    let policy = cluster.held(ILM).unwrap();
    assert_eq!(policy["phases"]["delete"]["min_age"], json!("60h"));
}

/// An operator's own policy is meant for the daily indices: on the index of lines without a time it would count from
/// the creation of the index, which may hold a line of this minute.
#[tokio::test]
async fn an_operators_policy_overrides_ours_except_for_lines_without_a_time() {
    const CUSTOM: &str = "/_component_template/nginx-access@custom";
    let theirs = json!({"name": "theirs", "parse_origination_date": "true"});
    let custom = json!({"template": {"settings": {"index": {
        "lifecycle": theirs, "number_of_replicas": "0",
    }}}});
    let target = setting(INDEX);
    for version in ["7.17.29", "8.19.21"] {
        for want in [want(&target), keeping(&target, 30 * DAY)] {
            let cluster = fake::of(Family::Elasticsearch, version).with(CUSTOM, custom.clone());
            run(&cluster, &want, false).await.unwrap();
            let day = cluster.new_index("nginx-access-2026.11.23").unwrap();
            assert_eq!(day["lifecycle"], theirs, "{version}");
            let unparsed = cluster.new_index("nginx-access-unparsed").unwrap();
            assert_eq!(unparsed["lifecycle"], none(), "{version}");
            assert_eq!(unparsed["number_of_replicas"], json!("0"), "{version}");
        }
    }
}

#[tokio::test]
async fn the_index_of_lines_without_a_time_is_safe_before_the_life_cycle_is_named() {
    let cluster = Fake::elasticsearch();
    run(&cluster, &keeping(&setting(INDEX), DAY), false)
        .await
        .unwrap();
    let writes = cluster.writes();
    let at = |end: &str| {
        writes
            .iter()
            .position(|write| write.ends_with(end))
            .unwrap()
    };
    assert!(at("/nginx-access-unparsed") < at("_index_template/nginx-access"));
    assert!(at("_ilm/policy/nginx-access") < at("@lifecycle"));
    assert!(at("@lifecycle") < at("_index_template/nginx-access"));
}

#[tokio::test]
async fn names_that_elasticsearch_cannot_read_count_from_creation() {
    for (index, name, age) in [
        ("nginx-access-%Y.%m", "nginx-access-2026.11", "61d"),
        ("nginx-access-%Y", "nginx-access-2026", "396d"),
        ("nginx-access-%Y-%m-%d", "nginx-access-2026-11-23", "31d"),
    ] {
        let cluster = Fake::elasticsearch();
        let target = setting(index);
        let report = run(&cluster, &keeping(&target, 30 * DAY), false)
            .await
            .unwrap();
        assert!(
            report.to_string().contains("counted from their creation"),
            "{report}"
        );
        // the cluster would refuse it if it had to read the date
        let settings = cluster.new_index(name).unwrap();
        assert_eq!(
            settings["lifecycle"],
            json!({"name": "nginx-access"}),
            "{index}"
        );
        let policy = cluster.held(ILM).unwrap();
        assert_eq!(policy["phases"]["delete"]["min_age"], json!(age), "{index}");
    }
}

#[tokio::test]
async fn a_data_stream_rolls_over_and_deletes_old_backing_indices() {
    let target = stream("logs-nginx.access-default");
    for (days, rollover) in [(90, "30d"), (7, "7d")] {
        let cluster = Fake::elasticsearch();
        run(&cluster, &keeping(&target, days * DAY), false)
            .await
            .unwrap();
        let policy = cluster.held("/_ilm/policy/logs-nginx.access").unwrap();
        let phases = &policy["phases"];
        assert_eq!(phases["delete"]["min_age"], json!(format!("{days}d")));
        assert_eq!(
            phases["hot"]["actions"]["rollover"]["max_age"],
            json!(rollover)
        );
        let settings = cluster.new_index("logs-nginx.access-default").unwrap();
        assert_eq!(settings["lifecycle"], json!({"name": "logs-nginx.access"}));

        let cluster = Fake::opensearch();
        run(&cluster, &keeping(&target, days * DAY), false)
            .await
            .unwrap();
        let policy = cluster
            .held("/_plugins/_ism/policies/logs-nginx.access")
            .unwrap();
        let state = &policy["policy"]["states"][0];
        assert_eq!(
            state["actions"][0]["rollover"]["min_index_age"],
            json!(rollover)
        );
        assert_eq!(
            state["transitions"][0]["conditions"],
            json!({"min_rollover_age": format!("{days}d")})
        );
        let again = run(&cluster, &keeping(&target, days * DAY), false)
            .await
            .unwrap();
        assert_eq!(
            again.changes[0].outcome,
            ChangeOutcome::Unchanged,
            "{again}"
        );
    }
}

#[tokio::test]
async fn opensearch_replaces_the_policy_version_that_was_read_and_updates_its_indices() {
    let cluster = Fake::opensearch();
    let target = setting(INDEX);
    let report = run(&cluster, &keeping(&target, 30 * DAY), false)
        .await
        .unwrap();
    insta::assert_snapshot!(report);
    let again = run(&cluster, &keeping(&target, 30 * DAY), false)
        .await
        .unwrap();
    assert!(
        !outcomes(&again).contains(&ChangeOutcome::Updated),
        "{again}"
    );
    cluster.writes();
    cluster.manage("nginx-access-2026.11.22", "nginx-access");
    let other = run(&cluster, &keeping(&target, 7 * DAY), false)
        .await
        .unwrap();
    assert_eq!(other.changes[0].outcome, ChangeOutcome::Updated);
    assert_eq!(
        cluster.writes(),
        [
            format!("PUT {ISM}?if_seq_no=7&if_primary_term=1"),
            "POST /_plugins/_ism/change_policy/nginx-access-2026.11.22".to_owned(),
        ]
    );
    assert!(
        other.to_string().contains("looks at it next: 1."),
        "{other}"
    );
    let policy = cluster.held(ISM).unwrap()["policy"].clone();
    let template = &policy["ism_template"][0]["index_patterns"];
    assert_eq!(
        *template,
        json!(["nginx-access-1*.*.*", "nginx-access-2*.*.*"])
    );
}

#[tokio::test]
async fn a_policy_of_somebody_else_is_left_alone() {
    let ilm = json!({"phases": {"delete": {"min_age": "1d", "actions": {"delete": {}}}}});
    let ism = json!({"seq": 3, "policy": {
        "description": "theirs", "default_state": "x",
        "states": [{"name": "x", "actions": [], "transitions": []}],
        "ism_template": [{"index_patterns": ["other-*"], "priority": 1}],
    }});
    for (cluster, path, policy) in [
        (Fake::elasticsearch(), ILM, ilm),
        (Fake::opensearch(), ISM, ism),
    ] {
        let cluster = cluster.with(path, policy.clone());
        let target = setting(INDEX);
        let error = run(&cluster, &keeping(&target, DAY), false)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("life-cycle policy"), "{error}");
        assert!(cluster.writes().is_empty());
        assert_eq!(cluster.held(path), Some(policy));
        let forced = run(&cluster, &keeping(&target, DAY), true).await.unwrap();
        assert_eq!(forced.changes[0].outcome, ChangeOutcome::Overwritten);
    }
}

#[tokio::test]
async fn a_manual_edit_of_our_policy_is_shown_and_reverted() {
    let target = setting(INDEX);
    let want = keeping(&target, 30 * DAY);
    let mut shown = String::new();
    for (cluster, path, pointer, value) in [
        (
            Fake::elasticsearch(),
            ILM,
            "/phases/delete/min_age",
            json!("5d"),
        ),
        (
            Fake::opensearch(),
            ISM,
            "/policy/states/1/actions",
            json!([{"read_only": {}}]),
        ),
    ] {
        run(&cluster, &want, false).await.unwrap();
        cluster.edit(path, pointer, value);
        let survey = survey(&cluster, &want).await.unwrap();
        assert!(
            matches!(survey.objects[0].found, ObjectState::Differs(_)),
            "{survey}"
        );
        shown.push_str(&survey.to_string());
        run(&cluster, &want, false).await.unwrap();
        let again = run(&cluster, &want, false).await.unwrap();
        assert_eq!(again.changes[0].outcome, ChangeOutcome::Unchanged);
    }
    insta::assert_snapshot!(shown);
}

/// The responses were recorded from servers without the service, for each version.
#[tokio::test]
async fn a_cluster_without_a_life_cycle_is_reported() {
    const METHOD: &str = r#"{"error":"Incorrect HTTP method for uri [/_ilm/status] and method [GET], allowed: [POST]","status":405}"#;
    const HANDLER: &str = r#"{"error":"no handler found for uri [/_ilm/status] and method [GET]"}"#;
    let target = setting(INDEX);
    let mut shown = String::new();
    for answer in [(405, METHOD), (400, HANDLER), (404, ""), (410, "")] {
        let mut cluster = Fake::elasticsearch().answering("GET /_ilm/status", answer);
        cluster.lifecycle = false;
        let report = run(&cluster, &keeping(&target, DAY), false).await.unwrap();
        assert_eq!(outcomes(&report), [ChangeOutcome::Created; 3], "{answer:?}");
        shown = report.to_string();
    }
    let mut open = Fake::opensearch();
    open.lifecycle = false;
    let report = run(&open, &keeping(&target, DAY), false).await.unwrap();
    shown.push_str(&report.to_string());
    let stream = stream("logs-nginx.access-default");
    let mut cluster = Fake::opensearch();
    cluster.lifecycle = false;
    let report = run(&cluster, &keeping(&stream, DAY), false).await.unwrap();
    shown.push_str(&report.to_string());
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn an_unhealthy_cluster_does_not_count_as_one_without_a_life_cycle() {
    for answer in [(503, ""), (429, ""), (500, ""), (401, "")] {
        let cluster = Fake::elasticsearch().answering("GET /_ilm/status", answer);
        let error = run(&cluster, &keeping(&setting(INDEX), DAY), false).await;
        assert!(
            matches!(error, Err(SetupError::Refused { .. })),
            "{answer:?}"
        );
        assert!(cluster.writes().is_empty());
    }
}

#[tokio::test]
async fn without_the_privilege_to_see_policies_setup_puts_nothing() {
    let target = setting(INDEX);
    let cluster = Fake::elasticsearch().answering("GET /_ilm/status", (403, ""));
    let error = run(&cluster, &keeping(&target, DAY), false)
        .await
        .unwrap_err();
    assert!(cluster.writes().is_empty());
    insta::assert_snapshot!(error);
}

/// A user that may put templates but no policies puts the same templates as a user that may put both.
#[tokio::test]
async fn templates_alone_need_no_privilege_to_see_policies() {
    const INFO: &str = "GET /_xpack?categories=features";
    let target = setting(INDEX);
    let all = keeping(&target, 30 * DAY);
    let templates = Want {
        parts: Parts {
            templates: true,
            lifecycle: false,
        },
        ..all.clone()
    };
    let policy = Want {
        parts: Parts {
            templates: false,
            lifecycle: true,
        },
        ..all.clone()
    };
    let forbidden = || Fake::elasticsearch().answering(STATUS, (403, ""));

    let mut cluster = forbidden();
    let report = run(&cluster, &templates, false).await.unwrap();
    insta::assert_snapshot!("templates_alone", report);
    let error = run(&cluster, &policy, false).await.unwrap_err();
    assert!(matches!(error, SetupError::LifecycleHidden), "{error}");
    assert_eq!(cluster.held(ILM), None);
    cluster.fixed.clear();
    cluster.writes();
    run(&cluster, &policy, false).await.unwrap();
    assert_eq!(cluster.writes(), [format!("PUT {ILM}")]);
    let whole = run(&cluster, &all, false).await.unwrap();
    assert_eq!(outcomes(&whole), [ChangeOutcome::Unchanged; 6]);

    // where the server does not show its features, the existing objects stay
    cluster.fixed.insert(STATUS, (403, ""));
    cluster.fixed.insert(INFO, (500, ""));
    let again = run(&cluster, &templates, false).await.unwrap();
    assert_eq!(outcomes(&again), [ChangeOutcome::Unchanged; 5]);
    let fresh = forbidden().answering(INFO, (500, ""));
    let report = run(&fresh, &templates, false).await.unwrap();
    insta::assert_snapshot!("templates_alone_where_nothing_is_told", report);
}

#[tokio::test]
async fn the_templates_of_opensearch_name_no_policy_and_need_none() {
    let target = setting(INDEX);
    let cluster = Fake::opensearch().answering("GET /_plugins/_ism/policies?size=1", (403, ""));
    let templates = Want {
        parts: Parts {
            templates: true,
            lifecycle: false,
        },
        ..keeping(&target, DAY)
    };
    let report = run(&cluster, &templates, false).await.unwrap();
    assert_eq!(outcomes(&report), [ChangeOutcome::Created; 4]);
    let asked = std::mem::take(&mut *cluster.log.lock().unwrap());
    assert!(
        !asked.iter().any(|request| request.contains("_ism")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn setup_warns_of_a_stopped_life_cycle() {
    let mut cluster = Fake::elasticsearch();
    cluster.mode = "STOPPED";
    let target = setting(INDEX);
    let report = run(&cluster, &keeping(&target, DAY), false).await.unwrap();
    assert!(report.to_string().contains("POST /_ilm/start"), "{report}");
}

#[tokio::test]
async fn after_retention_is_removed_new_indices_have_no_life_cycle() {
    for cluster in [Fake::elasticsearch(), Fake::opensearch()] {
        let target = setting(INDEX);
        let nothing = put(&cluster, &target).await;
        assert!(
            nothing.to_string().contains("nothing is ever deleted"),
            "{nothing}"
        );
        run(&cluster, &keeping(&target, DAY), false).await.unwrap();
        let report = put(&cluster, &target).await;
        let settings = cluster.new_index("nginx-access-2026.11.23").unwrap();
        assert_eq!(settings.get("lifecycle"), None);
        // in both families an index keeps its policy when that is deleted
        for request in ["To end that: POST /", "then DELETE /_"] {
            assert!(report.to_string().contains(request), "{report}");
        }
    }
}
