//! A strict Kibana, or OpenSearch Dashboards, as far as an import of saved objects needs one.
//!
//! It refuses what the real ones refuse (seen on Kibana 7.10.2 and 8.12.2 and OpenSearch Dashboards 2.8): a request
//! that writes without the product's own header, a file whose name does not end in `.ndjson`, an unknown type or
//! attribute, a migration from the future, a reference to nothing, an object that is there without `overwrite`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

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

/// What it is and holds.
#[derive(Debug, Default)]
pub(crate) struct Inside {
    /// `7.10.2`; OpenSearch Dashboards counts from 1. None: it does not tell.
    pub(crate) version: Option<&'static str>,
    pub(crate) dashboards: bool,
    pub(crate) spaces: BTreeSet<String>,
    /// The header `authorization` that it wants.
    pub(crate) authorization: Option<&'static str>,
    pub(crate) objects: BTreeMap<Key, Value>,
    /// First lines of all requests.
    pub(crate) seen: Vec<String>,
    /// Ids of objects that it cannot write.
    pub(crate) unwritable: BTreeSet<String>,
}

pub(crate) struct FakeKibana {
    pub(crate) address: SocketAddr,
    inside: Arc<Mutex<Inside>>,
}

impl FakeKibana {
    pub(crate) fn kibana() -> Self {
        Self::of(Inside {
            version: Some("7.10.2"),
            ..Inside::default()
        })
    }

    pub(crate) fn dashboards() -> Self {
        Self::of(Inside {
            version: Some("2.8.0"),
            dashboards: true,
            ..Inside::default()
        })
    }

    pub(crate) fn of(inside: Inside) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inside = Arc::new(Mutex::new(inside));
        let shared = inside.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Self { address, inside }
    }

    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    /// What it holds in a space (the default one: the empty name).
    pub(crate) fn held(&self, space: &str) -> BTreeMap<String, Value> {
        let inside = self.inside();
        let objects = inside.objects.iter();
        objects
            .filter(|((of, ..), _)| of == space)
            .map(|((_, kind, id), object)| (format!("{kind} {id}"), object.clone()))
            .collect()
    }
}

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

fn serve(stream: TcpStream, inside: &Mutex<Inside>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read(&mut reader) {
        let (status, body) = inside.lock().unwrap().answer(&request);
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let sent = (&stream).write_all(format!("{head}{body}").as_bytes());
        if sent.is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl std::io::BufRead) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        headers,
        body,
    })
}

fn refusal(status: u16, message: &str) -> (u16, Value) {
    (
        status,
        json!({"statusCode": status, "error": "X", "message": message}),
    )
}

impl Inside {
    fn answer(&mut self, request: &Request) -> (u16, Value) {
        self.seen
            .push(format!("{} {}", request.method, request.path));
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        if self.authorization.is_some() && header("authorization") != self.authorization {
            return refusal(401, "Unauthorized");
        }
        if request.path == "/api/status" {
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
        if request.method == "POST" && header(wanted).is_none() {
            return refusal(400, &format!("Request must contain a {wanted} header."));
        }
        let (space, path) = match request.path.strip_prefix("/s/") {
            Some(rest) => {
                let (space, _) = rest.split_once('/').unwrap();
                (space.to_owned(), &rest[space.len()..])
            }
            None => (String::new(), request.path.as_str()),
        };
        if !space.is_empty() && (self.dashboards || !self.spaces.contains(&space)) {
            return refusal(404, &format!("Saved object [space/{space}] not found"));
        }
        match (request.method.as_str(), path) {
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
        let form = request.headers.get("content-type");
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
        for object in &objects {
            let (kind, id) = (text_of(object, "type"), text_of(object, "id"));
            let key = (space.to_owned(), kind.clone(), id.clone());
            let wrong = wrong(object, &kind, &known)
                .or_else(|| {
                    (self.objects.contains_key(&key) && !overwrite)
                        .then(|| json!({"type": "conflict"}))
                })
                .or_else(|| {
                    self.unwritable.contains(&id).then(
                        || json!({"type": "unknown", "statusCode": 500, "message": "disk full"}),
                    )
                });
            match wrong {
                Some(error) => errors.push(json!({"type": kind, "id": id, "error": error})),
                None => {
                    self.objects.insert(key, object.clone());
                }
            }
        }
        let done = objects.len() - errors.len();
        let mut answer = json!({"success": errors.is_empty(), "successCount": done});
        if !errors.is_empty() {
            answer["errors"] = json!(errors);
        }
        (200, answer)
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
