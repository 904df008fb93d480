//! Members of the document from the configuration, and members that are the same in every record.
//!
//! Owns the nesting of `fields`: one object for each name, merged with the members that the record writes itself.
//! Invariant: constant members are written once, at the start. A value that does not fit the type of its field leaves no
//! member, so that the index never refuses the document for it.

use std::collections::BTreeMap;

use logweir_parsers::{Format, client, number, time};

use super::members::{Text, Value, address, integer};
use super::privacy::Masked;
use super::{Values, route, stamp};
use crate::config::{DataStream, Field, FieldType, FieldValue};
use crate::framing::Pod;
use crate::json::{self, open};

/// One or several members of an object, each ending with a comma.
#[derive(Debug, Clone)]
pub(super) enum Member {
    /// Ready bytes.
    Fixed(Vec<u8>),
    /// A value of the line.
    Value {
        /// `"id":"`, or `"port":` for a number.
        key: Vec<u8>,
        capture: usize,
        kind: FieldType,
    },
    /// A name of the pod that writes the file, by its place in [`POD`].
    Pod {
        /// `"name":"`
        key: Vec<u8>,
        at: usize,
    },
    /// An object whose members may all be absent.
    Object {
        /// `"geo":{`
        key: Vec<u8>,
        members: Vec<Member>,
    },
}

/// Members by the object that holds them.
#[derive(Debug, Clone, Default)]
pub(super) struct Extras {
    pub(super) event: Vec<Member>,
    pub(super) url: Vec<Member>,
    pub(super) source: Vec<Member>,
    pub(super) destination: Vec<Member>,
    pub(super) user: Vec<Member>,
    pub(super) related: Vec<Member>,
    pub(super) user_agent: Vec<Member>,
    pub(super) tls: Vec<Member>,
    /// The values for the end of the document.
    pub(super) ending: Vec<Member>,
}

/// Members at the end of every record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending<'s> {
    pub(super) host: &'s str,
    pub(super) stream: Option<&'s DataStream>,
    /// Whether records may name a pod.
    pub(super) pods: bool,
}

/// The fields of a pod: those of ECS, and those of Elastic's Kubernetes integrations.
const POD: [(&str, PodName); 9] = [
    ("container.name", |pod| pod.container),
    ("kubernetes.container.name", |pod| pod.container),
    ("kubernetes.namespace", |pod| pod.namespace),
    ("kubernetes.pod.name", |pod| pod.name),
    ("kubernetes.pod.uid", |pod| pod.uid),
    ("orchestrator.namespace", |pod| pod.namespace),
    ("orchestrator.resource.name", |pod| pod.name),
    ("orchestrator.resource.type", |_| "pod"),
    ("orchestrator.type", |_| "kubernetes"),
];

/// Takes one text of a pod. None needs escaping in JSON.
type PodName = for<'p> fn(&Pod<'p>) -> &'p str;

/// The texts of [`POD`] for the file that is read; none without a pod.
#[derive(Debug, Default)]
pub(super) struct PodNames {
    texts: [String; POD.len()],
    is_known: bool,
}

impl PodNames {
    /// Sets the pod of the following records.
    pub(super) fn set(&mut self, pod: Option<Pod<'_>>) {
        self.is_known = pod.is_some();
        let Some(pod) = pod else { return };
        for (text, (_, name)) in self.texts.iter_mut().zip(POD) {
            text.clear();
            text.push_str(name(&pod));
        }
    }

    fn get(&self, at: usize) -> Option<&str> {
        let text = self.texts.get(at)?;
        self.is_known.then_some(text)
    }
}

impl Extras {
    /// For the lines of one format.
    pub(super) fn new(fields: &[Field], format: &Format, ending: Ending<'_>) -> Self {
        let capture = |variable: &str| {
            let mut fields = format.fields().iter();
            fields.position(|field| field.name() == variable)
        };
        let mut tree = Tree::default();
        // the plan handles fields that replace a member of the record
        for field in fields.iter().filter(|field| !field.replaces()) {
            match &field.value {
                FieldValue::Constant(value) => tree.fix(&field.name, &fixed(value, field.kind)),
                FieldValue::Variable(variable) => {
                    if let Some(capture) = capture(variable) {
                        tree.put(&field.name, Leaf::Line(capture, field.kind));
                    }
                }
            }
        }
        let mut take = |object: &str| tree.take(object);
        Self {
            event: take("event"),
            url: take("url"),
            source: take("source"),
            destination: take("destination"),
            user: take("user"),
            related: take("related"),
            user_agent: take("user_agent"),
            tls: take("tls"),
            ending: ending.members(tree),
        }
    }

    /// For lines that no format takes: the constants.
    pub(super) fn of_unparsed(fields: &[Field], ending: Ending<'_>) -> Self {
        let mut tree = Tree::default();
        for field in fields {
            if let FieldValue::Constant(value) = &field.value {
                tree.fix(&field.name, &fixed(value, field.kind));
            }
        }
        Self {
            event: tree.take("event"),
            ending: ending.members(tree),
            ..Self::default()
        }
    }
}

impl Ending<'_> {
    fn members(self, mut tree: Tree) -> Vec<Member> {
        for (name, value) in [
            ("ecs.version", ECS_VERSION),
            ("host.name", self.host),
            ("agent.name", self.host),
            ("agent.type", "logweir"),
            ("agent.version", env!("CARGO_PKG_VERSION")),
            ("input.type", "log"),
            ("service.type", "nginx"),
        ] {
            tree.fix(name, &quoted(value));
        }
        tree.fix("logweir.route_rule", &route::RULE.to_string());
        if self.pods {
            for (at, (name, _)) in POD.iter().enumerate() {
                tree.put_if_free(name, Leaf::Pod(at));
            }
        }
        if let Some(stream) = self.stream {
            tree.fix("data_stream.type", &quoted(stream.kind()));
            tree.fix("data_stream.dataset", &quoted(stream.dataset()));
            tree.fix("data_stream.namespace", &quoted(stream.namespace()));
        }
        tree.compile()
    }
}

/// The ECS version whose names are used.
const ECS_VERSION: &str = "8.11.0";

fn quoted(value: &str) -> String {
    format!("\"{}\"", json::constant(value))
}

/// Returns a constant as JSON; the configuration has checked its type.
fn fixed(value: &str, kind: FieldType) -> String {
    match (kind, number::unsigned(value.as_bytes())) {
        (FieldType::Long, Some(number)) => number.to_string(),
        _ => quoted(value),
    }
}

/// Members that are being sorted into their objects.
#[derive(Debug, Default)]
struct Tree(BTreeMap<String, Node>);

#[derive(Debug)]
enum Node {
    Leaf(Leaf),
    Object(Tree),
}

#[derive(Debug)]
enum Leaf {
    /// JSON.
    Fixed(String),
    Line(usize, FieldType),
    /// A place in [`POD`].
    Pod(usize),
}

impl Tree {
    fn fix(&mut self, name: &str, json: &str) {
        self.put(name, Leaf::Fixed(json.to_owned()));
    }

    /// The configuration has checked that no name is also the name of an object.
    fn put(&mut self, name: &str, leaf: Leaf) {
        let Some((object, rest)) = name.split_once('.') else {
            self.0.insert(name.to_owned(), Node::Leaf(leaf));
            return;
        };
        let node = self.0.entry(object.to_owned());
        if let Node::Object(tree) = node.or_insert_with(|| Node::Object(Tree::default())) {
            tree.put(rest, leaf);
        }
    }

    /// The same, unless the configuration has set this field.
    fn put_if_free(&mut self, name: &str, leaf: Leaf) {
        let (node, rest) = match name.split_once('.') {
            Some((object, rest)) => (self.0.get_mut(object), Some(rest)),
            None => (self.0.get_mut(name), None),
        };
        match (node, rest) {
            (None, _) => self.put(name, leaf),
            (Some(Node::Object(tree)), Some(rest)) => tree.put_if_free(rest, leaf),
            (Some(_), _) => {}
        }
    }

    /// Removes the members of an object and returns them.
    fn take(&mut self, object: &str) -> Vec<Member> {
        match self.0.remove(object) {
            Some(Node::Object(tree)) => tree.compile(),
            _ => Vec::new(),
        }
    }

    fn compile(self) -> Vec<Member> {
        let mut members = Vec::new();
        let mut fixed = Vec::new();
        for (name, node) in self.0 {
            let name = json::constant(&name);
            match node {
                Node::Leaf(Leaf::Fixed(json)) => {
                    fixed.extend_from_slice(format!("\"{name}\":{json},").as_bytes());
                }
                Node::Leaf(Leaf::Line(capture, kind)) => {
                    let quote = if kind == FieldType::Long { "" } else { "\"" };
                    let key = format!("\"{name}\":{quote}").into_bytes();
                    members.push(Member::Value { key, capture, kind });
                }
                Node::Leaf(Leaf::Pod(at)) => {
                    let key = format!("\"{name}\":\"").into_bytes();
                    members.push(Member::Pod { key, at });
                }
                Node::Object(tree) => {
                    let key = format!("\"{name}\":{{").into_bytes();
                    let inner = tree.compile();
                    if let [Member::Fixed(bytes)] = inner.as_slice() {
                        fixed.extend_from_slice(&key);
                        fixed.extend_from_slice(bytes);
                        json::end(&mut fixed);
                    } else {
                        members.push(Member::Object {
                            key,
                            members: inner,
                        });
                    }
                }
            }
        }
        if !fixed.is_empty() {
            members.push(Member::Fixed(fixed));
        }
        members
    }
}

impl Text<'_> {
    /// Appends members; members of the line need `values`. Most objects have none.
    #[inline(always)]
    pub(super) fn extras(&mut self, members: &[Member], values: Option<&Values<'_>>) {
        if !members.is_empty() {
            self.append(members, values);
        }
    }

    fn append(&mut self, members: &[Member], values: Option<&Values<'_>>) {
        for member in members {
            match member {
                Member::Fixed(bytes) => self.out.extend_from_slice(bytes),
                Member::Value { key, capture, kind } => {
                    if let Some(value) = values.and_then(|values| values.value(Some(*capture))) {
                        self.extra(key, *kind, value);
                    }
                }
                Member::Pod { key, at } => {
                    if let Some(text) = self.pod.get(*at) {
                        self.out.extend_from_slice(key);
                        self.out.extend_from_slice(text.as_bytes());
                        self.out.extend_from_slice(b"\",");
                    }
                }
                Member::Object { key, members } => {
                    let mark = open(self.out, key);
                    self.append(members, values);
                    json::close(self.out, mark);
                }
            }
        }
    }

    fn extra(&mut self, key: &[u8], kind: FieldType, value: Value<'_>) {
        let raw = value.raw;
        let mark = self.out.len();
        match kind {
            FieldType::Text => self.member(key, Some(value)),
            FieldType::Long => integer(self.out, key, Some(raw)),
            FieldType::Ip => {
                match client::address(raw).map(|ip| self.redactor.show(ip)) {
                    Some(Masked::Address(ip)) => address(self.out, key, ip),
                    // the value fits, but its field cannot hold a hash
                    Some(Masked::Hash(_)) => return,
                    None => {}
                }
            }
            FieldType::Date => {
                if let Some(at) = time::read(raw).filter(time::Stamp::is_readable) {
                    self.out.extend_from_slice(key);
                    stamp::timestamp(self.out, at.seconds, at.nanos);
                    self.out.extend_from_slice(b"\",");
                }
            }
        }
        self.scratch.marks.type_mismatch |= self.out.len() == mark;
    }
}
