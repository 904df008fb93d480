//! Prints setup's objects as requests that an operator can send by hand, in the format of Kibana's and OpenSearch
//! Dashboards' consoles (`PUT /path`, then the body).

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::plan::{ObjectKind, PlannedObject, Want, plan};
use super::{Family, ServerInfo, TargetNames, kibana, privileges};
use crate::config;

/// The role of the user that runs setup.
const SETUP: &str = "logweir_setup";

/// All requests of a setup of this cluster, as if it had the life-cycle service.
pub(crate) fn requests(server: &ServerInfo, want: &Want<'_>) -> String {
    let mut out = String::new();
    let steps = plan(server, want, true);
    for step in &steps {
        if step.is_users {
            out.push_str("# Only if it is not there: it is yours.\n");
        }
        request(&mut out, "PUT", &step.path, &step.body);
    }
    if want.parts.lifecycle && !steps.iter().any(is_policy) {
        out.push_str("# No life cycle: `retention` is not set.\n\n");
    }
    out
}

fn is_policy(step: &PlannedObject) -> bool {
    matches!(step.kind, ObjectKind::IlmPolicy | ObjectKind::IsmPolicy)
}

fn request(out: &mut String, method: &str, path: &str, body: &Value) {
    let body = serde_json::to_string_pretty(body).unwrap_or_default();
    let _ = write!(out, "{method} {path}\n{body}\n\n");
}

/// The least privileges of the agent, `setup` and `prune`, as one role each. The agent runs on a machine that the
/// internet reaches: its key can add documents, but neither read nor delete any. With `kibana`, the role of `setup`
/// includes the privileges of an import.
pub(crate) fn roles(
    family: Family,
    target: &config::IndexTarget,
    kibana: Option<&config::Kibana>,
) -> String {
    match family {
        Family::Elasticsearch => elasticsearch(target, kibana),
        Family::OpenSearch => opensearch(target, kibana.is_some()),
    }
}

fn elasticsearch(target: &config::IndexTarget, kibana: Option<&config::Kibana>) -> String {
    let names = TargetNames::of(target);
    let pattern = names.pattern.as_str();
    let mut out = String::new();
    let mut role = |comment: &str, name: &str, cluster: Value, privileges: Value| {
        let _ = writeln!(out, "# {comment}");
        let mut body = json!({
            "cluster": cluster,
            "indices": [{ "names": [pattern], "privileges": privileges }],
        });
        if let Some(kibana) = kibana.filter(|_| name == SETUP) {
            out.push_str("# `applications` is for Kibana: it belongs to the user of [kibana], where that is another.\n");
            body["applications"] = json!([kibana_privilege(kibana.space.as_deref())]);
        }
        request(&mut out, "PUT", &format!("/_security/role/{name}"), &body);
    };
    let privileges = privileges::on_indices(&names, true);
    let comment = if names.stream {
        "The agent: adds documents. The last two privileges are needed before Elasticsearch 8.13 only."
    } else {
        "The agent: adds documents, and looks whether the template is there."
    };
    role(
        comment,
        "logweir_agent",
        json!(privileges::CLUSTER),
        json!(privileges),
    );
    role(
        "logweir setup. ILM deletes indices as whoever put its policy last: hence `manage`.",
        SETUP,
        json!(["monitor", "manage_index_templates", "manage_ilm"]),
        json!(["manage"]),
    );
    if !names.stream {
        role(
            "logweir prune: deletes indices, and documents of the index of lines without a time.",
            "logweir_prune",
            json!(["monitor"]),
            json!(["monitor", "delete_index", "read", "delete"]),
        );
    }
    out.push_str("# An API key for the agent that can do no more than its role.\n");
    let agent = json!({
        "cluster": privileges::CLUSTER,
        "indices": [{ "names": [pattern], "privileges": privileges }],
    });
    let key = json!({ "name": "logweir", "role_descriptors": { "logweir_agent": agent } });
    request(&mut out, "POST", "/_security/api_key", &key);
    out
}

/// What reading and importing saved objects of every kind needs in Kibana, as the cluster knows it. Kibana's feature
/// "Saved Objects Management" gives all rights over all types that can be imported (Kibana's source,
/// `features/server/oss_features.ts`, alike from 7 to 9).
fn kibana_privilege(space: Option<&str>) -> Value {
    let space = space.unwrap_or(kibana::DEFAULT_SPACE);
    json!({
        "application": "kibana-.kibana",
        "privileges": ["feature_savedObjectsManagement.all"],
        "resources": [format!("space:{space}")],
    })
}

const FOR_DASHBOARDS: &str = "\
# `tenant_permissions`, .kibana and cluster_composite_ops are for OpenSearch Dashboards: they belong to the user
# of [kibana], where that is another. The plugin's role kibana_user has them too.
";

/// Where OpenSearch Dashboards keeps saved objects, in the name of the user who asks it: the indices of the security
/// plugin's role `kibana_user` (its source, `static_roles.yml`). Whoever has that very role may write to the global
/// tenant; in another role it must be given.
const SAVED: [&str; 4] = [
    ".kibana",
    ".kibana_*",
    ".opensearch_dashboards",
    ".opensearch_dashboards_*",
];

fn opensearch(target: &config::IndexTarget, dashboards: bool) -> String {
    let names = TargetNames::of(target);
    let pattern = names.pattern.as_str();
    let mut out = String::new();
    let mut role = |comment: &str, name: &str, mut cluster: Vec<&str>, actions: Value| {
        let _ = writeln!(out, "# {comment}");
        let mut indices = vec![json!({ "index_patterns": [pattern], "allowed_actions": actions })];
        let is_for_dashboards = dashboards && name == SETUP;
        if is_for_dashboards {
            out.push_str(FOR_DASHBOARDS);
            cluster.push("cluster_composite_ops");
            indices.push(json!({ "index_patterns": SAVED, "allowed_actions": ["read", "index"] }));
        }
        let mut body = json!({ "cluster_permissions": cluster, "index_permissions": indices });
        if is_for_dashboards {
            body["tenant_permissions"] = json!([{
                "tenant_patterns": ["global_tenant"],
                "allowed_actions": ["kibana_all_write"],
            }]);
        }
        let path = format!("/_plugins/_security/api/roles/{name}");
        request(&mut out, "PUT", &path, &body);
    };
    let mut actions = vec![
        "indices:data/write/bulk*",
        "indices:data/write/index",
        "indices:admin/create",
        "indices:admin/mapping/put",
    ];
    if names.stream {
        actions.extend([
            "indices:admin/data_stream/create",
            "indices:admin/resolve/index",
        ]);
    }
    role(
        "The agent: adds documents, and looks whether the template is there.",
        "logweir_agent",
        vec![
            "cluster_monitor",
            "indices:data/write/bulk",
            "indices:admin/index_template/get",
            "cluster:admin/component_template/get",
        ],
        json!(actions),
    );
    role(
        "logweir setup. ISM deletes indices as whoever put its policy last.",
        SETUP,
        vec![
            "cluster_monitor",
            "cluster_manage_index_templates",
            "cluster:admin/opendistro/ism/*",
        ],
        json!(["indices:admin/opensearch/ism/*", "manage"]),
    );
    if !names.stream {
        role(
            "logweir prune: deletes indices, and documents of the index of lines without a time.",
            "logweir_prune",
            vec![
                "cluster_monitor",
                "indices:data/read/scroll*",
                "indices:data/write/bulk",
            ],
            json!([
                "indices_monitor",
                "indices:admin/delete",
                "indices:data/read/search*",
                "indices:data/write/delete*",
                "indices:data/write/bulk*"
            ]),
        );
    }
    out.push_str("# Who has a role; so for the others.\n");
    let users = json!({ "users": ["logweir"] });
    let path = "/_plugins/_security/api/rolesmapping/logweir_agent";
    request(&mut out, "PUT", path, &users);
    out
}
