//! Writes small databases in MaxMind's format, version 2.0 (maxmind.github.io/MaxMind-DB), for tests and benches:
//! MaxMind's own may not be handed on.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

/// A database of this type with what it says of each network; no two may overlap.
pub fn write(database_type: &str, networks: &[(&str, Value)]) -> Vec<u8> {
    let mut nodes = vec![[Record::Empty; 2]];
    let mut data = Vec::new();
    for (network, value) in networks {
        let offset = data.len();
        encode(value, &mut data);
        let (bits, length) = bits(network.parse().unwrap());
        let mut node = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                nodes[node][side] = Record::Data(offset);
            } else {
                node = match nodes[node][side] {
                    Record::Node(next) => next,
                    Record::Empty => {
                        nodes.push([Record::Empty; 2]);
                        let next = nodes.len() - 1;
                        nodes[node][side] = Record::Node(next);
                        next
                    }
                    Record::Data(_) => panic!("networks overlap"),
                };
            }
        }
    }
    let count = nodes.len();
    let mut out = Vec::new();
    for record in nodes.iter().flatten() {
        let value = match record {
            Record::Empty => count,
            Record::Node(node) => *node,
            Record::Data(offset) => count + SEPARATOR + offset,
        };
        out.extend_from_slice(&u32::try_from(value).unwrap().to_be_bytes());
    }
    out.extend_from_slice(&[0; SEPARATOR]);
    out.extend_from_slice(&data);
    out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    let metadata = json!({
        "node_count": count, "record_size": 32, "ip_version": 6, "database_type": database_type,
        "languages": ["en"], "binary_format_major_version": 2, "binary_format_minor_version": 0,
        "build_epoch": 1_795_000_000, "description": {"en": "for tests"},
    });
    encode(&metadata, &mut out);
    out
}

/// A database of cities with a client's network in it.
pub fn city() -> Vec<u8> {
    let place = json!({
        "city": {"geoname_id": 1, "names": {"en": "Grenoble", "de": "Grenobel"}},
        "continent": {"code": "EU", "names": {"en": "Europe"}},
        "country": {"iso_code": "FR", "names": {"en": "France", "de": "Frankreich"}},
        "location": {"accuracy_radius": 20, "latitude": 45.19, "longitude": 5.72, "time_zone": "Europe/Paris"},
        "subdivisions": [
            {"iso_code": "ARA", "names": {"en": "Auvergne-Rhône-Alpes"}},
            {"iso_code": "38", "names": {"en": "Isère"}},
        ],
    });
    write(
        "GeoLite2-City",
        &[
            ("203.0.113.0/24", place.clone()),
            ("2001:db8:a::/48", place),
        ],
    )
}

/// A database of networks with the same in it.
pub fn asn() -> Vec<u8> {
    let network = json!({
        "autonomous_system_number": 64500, "autonomous_system_organization": "Example \"Net\"",
    });
    write(
        "GeoLite2-ASN",
        &[
            ("203.0.113.0/24", network.clone()),
            ("2001:db8::/32", network),
        ],
    )
}

const SEPARATOR: usize = 16;

#[derive(Debug, Clone, Copy)]
enum Record {
    Empty,
    Node(usize),
    Data(usize),
}

/// IPv4 stands under `::/96`.
fn bits(network: IpNet) -> (u128, u32) {
    match network.network() {
        IpAddr::V4(v4) => (u32::from(v4).into(), u32::from(network.prefix_len()) + 96),
        IpAddr::V6(v6) => (v6.into(), network.prefix_len().into()),
    }
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => {
            control(2, text.len(), out);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Number(number) if number.is_f64() => {
            control(3, 8, out);
            out.extend_from_slice(&number.as_f64().unwrap().to_be_bytes());
        }
        Value::Number(number) => unsigned(UINT32, number.as_u64().unwrap(), out),
        Value::Object(members) => {
            control(7, members.len(), out);
            for (key, member) in members {
                encode(&Value::from(key.as_str()), out);
                // each number of the metadata has a type of its own
                match (key.as_str(), member.as_u64()) {
                    ("build_epoch", Some(number)) => unsigned(UINT64, number, out),
                    ("node_count", Some(number)) => unsigned(UINT32, number, out),
                    (
                        "record_size"
                        | "ip_version"
                        | "binary_format_major_version"
                        | "binary_format_minor_version"
                        | "accuracy_radius",
                        Some(number),
                    ) => unsigned(UINT16, number, out),
                    _ => encode(member, out),
                }
            }
        }
        Value::Array(elements) => {
            control(11, elements.len(), out);
            elements.iter().for_each(|element| encode(element, out));
        }
        other => panic!("{other} in a database"),
    }
}

const UINT16: (u8, usize) = (5, 2);
const UINT32: (u8, usize) = (6, 4);
const UINT64: (u8, usize) = (9, 8);

fn unsigned((kind, size): (u8, usize), number: u64, out: &mut Vec<u8>) {
    control(kind, size, out);
    out.extend_from_slice(&number.to_be_bytes()[8 - size..]);
}

fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    assert!(size < 29 + 256);
    let short = u8::try_from(size.min(29)).unwrap();
    if kind > 7 {
        out.extend_from_slice(&[short, kind - 7]);
    } else {
        out.push(kind << 5 | short);
    }
    if size >= 29 {
        out.push(u8::try_from(size - 29).unwrap());
    }
}
