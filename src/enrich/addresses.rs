//! Writes `source.geo` and `source.as`: the location and the network of an address.
//!
//! Source of names and types: ECS 8.11, geo and autonomous system fields.

use std::net::IpAddr;
use std::sync::Arc;

use super::Enrich;
use super::database::{Asn, GeoIp, Named};
use super::file::EnrichFile;
use super::memo::Memo;
use crate::json;

/// Size of the cache, in addresses: a few minutes of a busy site, in at most about 2 MiB.
const REMEMBERED: usize = 4096;

/// The databases that are configured.
#[derive(Debug)]
pub(crate) struct Addresses {
    geoip: Option<Arc<EnrichFile<GeoIp>>>,
    asn: Option<Arc<EnrichFile<Asn>>>,
    memo: Memo,
}

impl Addresses {
    pub(super) fn new(enrich: &Enrich) -> Option<Self> {
        let (geoip, asn) = (enrich.geoip.clone(), enrich.asn.clone());
        let is_on = geoip.is_some() || asn.is_some();
        is_on.then(|| Self {
            geoip,
            asn,
            memo: Memo::new(REMEMBERED),
        })
    }

    /// Appends the members for an address.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, ip: IpAddr) {
        let Self { geoip, asn, memo } = self;
        let make = |text: &mut Vec<u8>| {
            if let Some(geoip) = geoip {
                geo(text, &geoip.content, ip);
            }
            if let Some(asn) = asn {
                network(text, &asn.content, ip);
            }
        };
        let members = match ip {
            IpAddr::V4(v4) => memo.get(&v4.octets(), make),
            IpAddr::V6(v6) => memo.get(&v6.octets(), make),
        };
        out.extend_from_slice(members);
    }
}

fn geo(out: &mut Vec<u8>, geoip: &GeoIp, ip: IpAddr) {
    let Some(record) = geoip.location(ip) else {
        return;
    };
    let mark = json::open(out, b"\"geo\":{");
    text(out, "city_name", record.city.names.en);
    text(out, "continent_name", record.continent.names.en);
    text(out, "country_iso_code", record.country.iso_code);
    text(out, "country_name", record.country.names.en);
    if let Some(Named { iso_code, names }) = record.subdivisions.last() {
        // ISO 3166-2 begins with the country
        let code = record.country.iso_code.zip(*iso_code);
        let code = code.map(|(country, region)| format!("{country}-{region}"));
        text(out, "region_iso_code", code.as_deref());
        text(out, "region_name", names.en);
    }
    if let (Some(latitude), Some(longitude)) = (record.location.latitude, record.location.longitude)
        && latitude.abs() <= 90.0
        && longitude.abs() <= 180.0
    {
        let location = format!("\"location\":{{\"lat\":{latitude},\"lon\":{longitude}}},");
        out.extend_from_slice(location.as_bytes());
    }
    json::close(out, mark);
}

fn network(out: &mut Vec<u8>, asn: &Asn, ip: IpAddr) {
    let Some(network) = asn.network(ip) else {
        return;
    };
    let mark = json::open(out, b"\"as\":{");
    if let Some(number) = network.autonomous_system_number {
        out.extend_from_slice(b"\"number\":");
        json::integer(out, number.into());
        out.push(b',');
    }
    if let Some(name) = network.autonomous_system_organization {
        let mark = json::open(out, b"\"organization\":{");
        text(out, "name", Some(name));
        json::close(out, mark);
    }
    json::close(out, mark);
}

pub(super) fn text(out: &mut Vec<u8>, key: &str, value: Option<&str>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":\"");
        json::text(out, value.as_bytes());
        out.extend_from_slice(b"\",");
    }
}
