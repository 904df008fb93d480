//! A strict Kibana, or OpenSearch Dashboards, as far as an import of saved objects needs one.
//!
//! It refuses what the real ones refuse (seen on Kibana 7.10.2 and 8.12.2 and OpenSearch Dashboards 2.8): a request
//! that writes without the product's own header, a file whose name does not end in `.ndjson`, an unknown type or
//! attribute, a migration from the future, a reference to nothing, an object that is there without `overwrite`.
//!
//! From Kibana 8.0 on our types are shared by all spaces, and an id is one object's. An import of an id that another
//! space has makes a copy under an id of Kibana's choice, which remembers where it comes from; the next such import finds
//! that copy, and overwrites it when it is told to overwrite (Kibana's source, `saved_objects/import/lib/`:
//! `check_conflicts.ts`, `check_origin_conflicts.ts`, `create_saved_objects.ts`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::http_server::{HttpServer, Reply, Request};

/// Space, type, id.
type Key = (String, String, String);

/// Which types there are, with what they may hold and the newest migration that the oldest server knows.
#[allow(clippy::type_complexity)]
const TYPES: [(&str, (u32, u32, u32), &[&str]); 4] = [
    (
        "dashboard",
        (7, 9, 3),
        &[
            "title",
            "description",
            "panelsJSON",
            "optionsJSON",
            "kibanaSavedObjectMeta",
            "timeRestore",
            "timeFrom",
            "timeTo",
            "refreshInterval",
            "hits",
            "version",
        ],
    ),
    (
        "index-pattern",
        (7, 6, 0),
        &["title", "timeFieldName", "fields", "fieldFormatMap"],
    ),
    (
        "search",
        (7, 9, 3),
        &[
            "title",
            "description",
            "hits",
            "version",
            "columns",
            "sort",
            "kibanaSavedObjectMeta",
        ],
    ),
    (
        "visualization",
        (7, 10, 0),
        &[
            "title",
            "description",
            "version",
            "uiStateJSON",
            "visState",
            "kibanaSavedObjectMeta",
            "savedSearchRefName",
        ],
    ),
];

/// Its version, rights and content.
#[derive(Debug, Default)]
pub struct Inside {
    /// `7.10.2`; OpenSearch Dashboards counts from 1. None: it does not tell.
    pub version: Option<&'static str>,
    pub dashboards: bool,
    pub spaces: BTreeSet<String>,
    /// The header `authorization` that it wants.
    pub authorization: Option<&'static str>,
    pub objects: BTreeMap<Key, Value>,
    /// First lines of all requests.
    pub seen: Vec<String>,
    /// Ids of objects that it cannot write.
    pub unwritable: BTreeSet<String>,
    /// The number of ids that it has made itself.
    pub regenerated: usize,
}

pub struct FakeKibana {
    pub address: SocketAddr,
    inside: Arc<Mutex<Inside>>,
    _server: HttpServer,
}

impl FakeKibana {
    pub fn kibana() -> Self {
        Self::of(Inside {
            version: Some("7.10.2"),
            ..Inside::default()
        })
    }

    pub fn dashboards() -> Self {
        Self::of(Inside {
            version: Some("2.8.0"),
            dashboards: true,
            ..Inside::default()
        })
    }

    pub fn of(inside: Inside) -> Self {
        let inside = Arc::new(Mutex::new(inside));
        let shared = Arc::clone(&inside);
        let server = HttpServer::start(move |request| {
            let (status, body) = shared.lock().unwrap().answer(request);
            Reply::json(status, body.to_string())
        });
        Self {
            address: server.address,
            inside,
            _server: server,
        }
    }

    pub fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    /// The objects in a space; the default space has the empty name.
    pub fn held(&self, space: &str) -> BTreeMap<String, Value> {
        let inside = self.inside();
        let objects = inside.objects.iter();
        objects
            .filter(|((of, ..), _)| of == space)
            .map(|((_, kind, id), object)| (format!("{kind} {id}"), object.clone()))
            .collect()
    }
}

fn refusal(status: u16, message: &str) -> (u16, Value) {
    (
        status,
        json!({"statusCode": status, "error": "X", "message": message}),
    )
}

impl Inside {
    fn answer(&mut self, request: &Request) -> (u16, Value) {
        let (method, target) = (request.head.method(), request.head.target());
        self.seen.push(format!("{method} {target}"));
        let header = |name: &str| request.head.header(name);
        if self.authorization.is_some() && header("authorization") != self.authorization {
            return refusal(401, "Unauthorized");
        }
        if target == "/api/status" {
            let mut status = json!({"status": {"overall": {"level": "available"}}});
            if let Some(version) = self.version {
                status["version"] = json!({"number": version});
            }
            return (200, status);
        }
        let wanted = if self.dashboards {
            "osd-xsrf"
        } else {
            "kbn-xsrf"
        };
        if method == "POST" && header(wanted).is_none() {
            return refusal(400, &format!("Request must contain a {wanted} header."));
        }
        let (space, path) = match target.strip_prefix("/s/") {
            Some(rest) => {
                let (space, _) = rest.split_once('/').unwrap();
                let is_default = space == "default" && !self.dashboards;
                let name = if is_default { "" } else { space };
                (name.to_owned(), &rest[space.len()..])
            }
            None => (String::new(), target),
        };
        if !space.is_empty() && (self.dashboards || !self.spaces.contains(&space)) {
            return refusal(404, &format!("Saved object [space/{space}] not found"));
        }
        match (method, path) {
            ("POST", "/api/saved_objects/_bulk_get") => self.bulk_get(&space, &request.body),
            ("POST", "/api/saved_objects/_import") => self.import(&space, request, false),
            ("POST", "/api/saved_objects/_import?overwrite=true") => {
                self.import(&space, request, true)
            }
            _ => refusal(404, "Not Found"),
        }
    }

    fn bulk_get(&self, space: &str, body: &[u8]) -> (u16, Value) {
        let wanted: Vec<Value> = serde_json::from_slice(body).unwrap();
        let found = wanted.iter().map(|one| {
            let (kind, id) = (one["type"].as_str().unwrap(), one["id"].as_str().unwrap());
            let key = (space.to_owned(), kind.to_owned(), id.to_owned());
            self.objects.get(&key).cloned().unwrap_or_else(|| {
                let error =
                    json!({"statusCode": 404, "error": "Not Found", "message": "not found"});
                json!({"type": kind, "id": id, "error": error})
            })
        });
        (200, json!({"saved_objects": found.collect::<Vec<_>>()}))
    }

    fn import(&mut self, space: &str, request: &Request, overwrite: bool) -> (u16, Value) {
        let form = request.head.header("content-type");
        let boundary = form.and_then(|form| form.strip_prefix("multipart/form-data; boundary="));
        let Some(boundary) = boundary else {
            return refusal(415, "Unsupported Media Type");
        };
        let text = std::str::from_utf8(&request.body).unwrap();
        let part = text.strip_prefix(&format!("--{boundary}\r\n")).unwrap();
        let part = part
            .strip_suffix(&format!("\r\n--{boundary}--\r\n"))
            .unwrap();
        assert!(!part.contains(boundary), "one part");
        let (head, file) = part.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("form-data; name=\"file\";"), "{head}");
        if !head.lines().next().unwrap().ends_with(".ndjson\"") {
            return refusal(400, "Invalid file extension .json");
        }
        let objects: Vec<Value> = file
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let known: BTreeSet<(String, String)> = objects
            .iter()
            .map(|object| (text_of(object, "type"), text_of(object, "id")))
            .chain(self.objects.keys().filter(|key| key.0 == space).map(|key| {
                let (_, kind, id) = key.clone();
                (kind, id)
            }))
            .collect();
        let mut errors = Vec::new();
        let mut taken = Vec::new();
        for object in objects {
            let destination = match wrong(&object, &text_of(&object, "type"), &known) {
                Some(error) => Err(error),
                None => self.destination(space, &object, overwrite),
            };
            match destination {
                Ok(id) => taken.push((object, id)),
                Err(error) => errors.push((object, error)),
            }
        }
        // An import with a problem that a person could resolve writes nothing.
        let resolvable = ["conflict", "ambiguous_conflict", "missing_references"];
        let is_resolvable = |error: &Value| resolvable.iter().any(|kind| error["type"] == *kind);
        let writes = !errors.iter().any(|(_, error)| is_resolvable(error));
        let moved: BTreeMap<(String, String), String> = taken
            .iter()
            .map(|(object, id)| ((text_of(object, "type"), text_of(object, "id")), id.clone()))
            .collect();
        let mut done = Vec::new();
        for (object, id) in taken {
            let mut result = json!({"type": object["type"], "id": object["id"]});
            let is_elsewhere = object["id"] != *id;
            if is_elsewhere {
                result["destinationId"] = json!(id);
            }
            if self.unwritable.contains(&id) {
                let error = json!({"type": "unknown", "statusCode": 500, "message": "disk full"});
                errors.push((object, error));
                continue;
            }
            done.push(result);
            if !writes {
                continue;
            }
            let mut held = object.clone();
            held["id"] = json!(id);
            if is_elsewhere {
                held["originId"] = object["id"].clone();
            }
            for reference in held["references"].as_array_mut().unwrap() {
                let to = (text_of(reference, "type"), text_of(reference, "id"));
                if let Some(id) = moved.get(&to) {
                    reference["id"] = json!(id);
                }
            }
            let key = (space.to_owned(), text_of(&object, "type"), id);
            self.objects.insert(key, held);
        }
        let mut answer = json!({"success": errors.is_empty(), "successCount": done.len()});
        if !done.is_empty() {
            answer["successResults"] = json!(done);
        }
        if !errors.is_empty() {
            let told = errors.iter().map(
                |(object, error)| json!({"type": object["type"], "id": object["id"], "error": error}),
            );
            answer["errors"] = told.collect();
        }
        (200, answer)
    }

    /// The id under which an object comes to stand in the space, or the conflict that keeps it away.
    fn destination(
        &mut self,
        space: &str,
        object: &Value,
        overwrite: bool,
    ) -> Result<String, Value> {
        let (kind, id) = (text_of(object, "type"), text_of(object, "id"));
        let same = |key: &&Key| key.1 == kind && key.2 == id;
        if self
            .objects
            .contains_key(&(space.to_owned(), kind.clone(), id.clone()))
        {
            return if overwrite {
                Ok(id)
            } else {
                Err(json!({"type": "conflict"}))
            };
        }
        if !self.ids_are_global() {
            return Ok(id);
        }
        let copies: Vec<&Key> = self
            .objects
            .iter()
            .filter(|(key, held)| key.0 == space && key.1 == kind && held["originId"] == *id)
            .map(|(key, _)| key)
            .collect();
        match copies[..] {
            [] => {}
            [copy] if overwrite => return Ok(copy.2.clone()),
            [copy] => return Err(json!({"type": "conflict", "destinationId": copy.2})),
            _ => return Err(json!({"type": "ambiguous_conflict"})),
        }
        if self.objects.keys().any(|key| same(&key)) {
            self.regenerated += 1;
            return Ok(format!("00000000-0000-4000-8000-{:012}", self.regenerated));
        }
        Ok(id)
    }

    fn ids_are_global(&self) -> bool {
        let major = self.version.and_then(|version| version.split('.').next());
        !self.dashboards && major.is_some_and(|major| major.parse::<u32>().unwrap() >= 8)
    }
}

/// What is wrong with an object by itself and by what it refers to.
fn wrong(object: &Value, kind: &str, known: &BTreeSet<(String, String)>) -> Option<Value> {
    let unknown = |message: String| Some(json!({"type": "unknown", "message": message}));
    let of = TYPES.iter().find(|(name, ..)| *name == kind);
    let Some((_, newest, allowed)) = of else {
        return Some(json!({"type": "unsupported_type"}));
    };
    let members = object.as_object().unwrap();
    let mut strange = members.keys().filter(|name| {
        !["type", "id", "attributes", "references", "migrationVersion"].contains(&name.as_str())
    });
    if let Some(name) = strange.next() {
        return unknown(format!("strict_dynamic_mapping_exception: [{name}]"));
    }
    let attributes = object["attributes"].as_object().unwrap();
    let mut strange = attributes
        .keys()
        .filter(|name| !allowed.contains(&name.as_str()));
    if let Some(name) = strange.next() {
        return unknown(format!("strict_dynamic_mapping_exception: [{kind}.{name}]"));
    }
    let migration = object["migrationVersion"][kind].as_str().unwrap();
    let mut parts = migration
        .split('.')
        .map(|part| part.parse::<u32>().unwrap());
    let mut part = || parts.next().unwrap();
    if (part(), part(), part()) > *newest {
        return unknown("a more recent version of Kibana".to_owned());
    }
    let references = object["references"].as_array().unwrap();
    let missing: Vec<Value> = references
        .iter()
        .filter(|to| !known.contains(&(text_of(to, "type"), text_of(to, "id"))))
        .map(|to| json!({"type": to["type"], "id": to["id"]}))
        .collect();
    (!missing.is_empty()).then(|| json!({"type": "missing_references", "references": missing}))
}

fn text_of(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}
