//! Records with looked-up members.

use std::sync::Arc;

use super::*;
use crate::config::{AddressRule, HashKey};
use testkit::mmdb;

pub(super) fn enrich() -> Enrich {
    let definitions = testkit::USER_AGENTS.as_bytes();
    Enrich {
        user_agent: Some(file(definitions.to_vec()).unwrap()),
        geoip: Some(file(mmdb::city()).unwrap()),
        asn: Some(file(mmdb::asn()).unwrap()),
    }
}

fn file<T: Content>(bytes: Vec<u8>) -> Result<Arc<EnrichFile<T>>, FileError> {
    EnrichFile::new("x".into(), bytes, &"1 KiB").map(Arc::new)
}

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                      Version/18.1 Mobile/15E148 Safari/604.1";

/// A document of a client at `address`, with everything on.
pub(super) fn document(address: &str, privacy: Privacy) -> Value {
    // the second one is in the cache
    let [_, document] = documents([(address, IPHONE); 2], privacy);
    document
}

fn documents<const N: usize>(clients: [(&str, &str); N], privacy: Privacy) -> [Value; N] {
    let mut settings = settings(vec![Format::combined()]);
    settings.enrich = enrich();
    settings.privacy = privacy;
    let mut recorder = recorder(settings);
    clients.map(|(address, agent)| {
        let line = format!(
            "{address} - - [23/Nov/2026:05:26:59 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"{agent}\""
        );
        let item = item(&mut recorder, 0, line.as_bytes()).unwrap();
        take_apart(&item).unwrap().2
    })
}

fn hidden(ip: AddressRule) -> Privacy {
    Privacy {
        ip,
        hash_key: Some(HashKey::new("0123456789abcdef of a test")),
        ..Privacy::default()
    }
}

#[test]
fn a_client_has_a_location_a_network_and_a_device() {
    for address in ["203.0.113.77", "2001:db8:a::1"] {
        let document = document(address, Privacy::default());
        assert_eq!(
            document["source"],
            serde_json::json!({
                "address": address, "ip": address,
                "geo": {
                    "city_name": "Grenoble", "continent_name": "Europe", "country_iso_code": "FR",
                    "country_name": "France", "region_iso_code": "FR-38", "region_name": "Isère",
                    "location": {"lat": 45.19, "lon": 5.72},
                },
                "as": {"number": 64500, "organization": {"name": "Example \"Net\""}},
            })
        );
        assert_eq!(
            document["user_agent"],
            serde_json::json!({
                "original": IPHONE, "name": "Mobile Safari", "version": "18.1",
                "os": {"name": "iOS", "version": "18.1", "full": "iOS 18.1"},
                "device": {"name": "iPhone"},
            })
        );
    }
    let elsewhere = document("198.51.100.1", Privacy::default());
    assert!(elsewhere["source"].get("geo").is_none() && elsewhere["source"].get("as").is_none());
}

#[test]
fn the_location_is_looked_up_before_the_address_is_hidden() {
    for ip in [AddressRule::Truncate, AddressRule::Hash] {
        let document = document("203.0.113.77", hidden(ip));
        assert_eq!(document["source"]["geo"]["city_name"], "Grenoble");
        assert_ne!(document["source"]["address"], "203.0.113.77");
    }
}

#[test]
fn a_client_has_its_own_cached_values() {
    for (one, other) in [
        ("203.0.113.77", "203.0.114.77"),
        ("2001:db8:a::1", "2001:db8:b::1"),
    ] {
        let clients = [(one, IPHONE), (other, "curl/8.5.0"), (one, IPHONE)];
        let [first, other, again] = documents(clients, Privacy::default());
        assert_eq!(first["source"]["geo"]["city_name"], "Grenoble");
        assert!(other["source"].get("geo").is_none());
        assert_eq!(other["user_agent"]["name"], "curl");
        assert_eq!(again["source"], first["source"]);
        assert_eq!(again["user_agent"], first["user_agent"]);
    }
}

/// Parts of a user agent are written, so it must not be looked up as the client sent it.
#[test]
fn a_secret_in_a_user_agent_is_hidden_in_its_parsed_fields() {
    let agent = "Chrome/203.0.113.78 (Windows NT 10)";
    let version = |privacy| {
        let [document] = documents([("203.0.113.78", agent)], privacy);
        document["user_agent"]["version"].clone()
    };
    assert_eq!(version(Privacy::default()), "203.0.113.78");
    assert_eq!(version(hidden(AddressRule::Truncate)), "203.0.113.0");
    assert_eq!(version(hidden(AddressRule::Hash)), Value::Null);
}

#[test]
fn an_unusable_database_gives_the_reason() {
    fn error<T: Content>(bytes: &[u8]) -> String {
        file::<T>(bytes.to_vec()).unwrap_err().to_string()
    }
    assert!(error::<GeoIp>(b"<html>").starts_with("is no database"));
    assert!(error::<GeoIp>(b"").starts_with("is no database"));
    let city = mmdb::city();
    assert!(error::<GeoIp>(&city[..city.len() - 40]).starts_with("is no database"));
    assert!(error::<Asn>(b"user_agent_parsers: []").starts_with("is no database"));
    assert_eq!(
        error::<GeoIp>(&mmdb::asn()),
        "is a database of type \"GeoLite2-ASN\"; this takes a database of cities or countries, such as \
         GeoLite2-City.mmdb (https://dev.maxmind.com/geoip)"
    );
    assert!(error::<Definitions>(&mmdb::asn()).starts_with("holds no definitions"));
}

/// Writers other than MaxMind's use the smallest type that can hold a number.
#[test]
fn a_number_of_a_database_may_have_any_type() {
    let with = |bytes: Vec<u8>, from: &[u8], to: &[u8]| {
        let at = bytes.windows(from.len()).rposition(|part| part == from);
        let at = at.unwrap();
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    };
    let mut settings = settings(vec![Format::combined()]);
    // 64500 in 32 bits becomes one in 16
    let network = serde_json::json!({"autonomous_system_number": 64500});
    let networks = mmdb::write("GeoLite2-ASN", &[("203.0.113.0/24", network)]);
    let networks = with(networks, b"\xc4\x00\x00\xfb\xf4", b"\xa2\xfb\xf4");
    settings.enrich.asn = Some(file(networks).unwrap());
    // a latitude in 64 bits becomes one in 32, a longitude a whole number
    let place = serde_json::json!({"location": {"latitude": 45.5, "longitude": 5}});
    let places = mmdb::write("GeoLite2-City", &[("203.0.113.0/24", place)]);
    let latitude = [&b"\x68"[..], &45.5_f64.to_be_bytes()].concat();
    let short = [&b"\x04\x08"[..], &45.5_f32.to_be_bytes()].concat();
    settings.enrich.geoip = Some(file(with(places, &latitude, &short)).unwrap());
    let line =
        b"203.0.113.77 - - [23/Nov/2026:05:26:59 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"";
    let item = item(&mut recorder(settings), 0, line).unwrap();
    let source = &take_apart(&item).unwrap().2["source"];
    assert_eq!(source["as"]["number"], 64500);
    assert_eq!(
        source["geo"]["location"],
        serde_json::json!({"lat": 45.5, "lon": 5})
    );
}

/// A damaged file may contain anything; the agent continues.
#[test]
fn a_damaged_database_gives_no_fields_and_causes_no_panic() {
    let whole = mmdb::city();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        let Ok(database) = file(damaged) else {
            continue;
        };
        let mut settings = settings(vec![Format::combined()]);
        settings.enrich.geoip = Some(database);
        let line =
            b"203.0.113.77 - - [23/Nov/2026:05:26:59 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"";
        let item = item(&mut recorder(settings), 0, line).unwrap();
        take_apart(&item).unwrap();
    }
}
