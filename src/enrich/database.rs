//! Databases of addresses in MaxMind's format, held in memory as a whole.
//!
//! Owns the check that a file is a database of the right kind, and the selection of its fields. A database is read into
//! memory and not mapped: when someone overwrites a mapped file in place, the process ends (SIGBUS), and mapping is unsafe
//! code. Invariant: a lookup always ends, whatever the file holds; it returns nothing where the file cannot be read.
//! Sources: MaxMind DB file format 2.0; GeoIP2 and GeoLite2 field names (dev.maxmind.com).

use std::fmt;
use std::net::IpAddr;

use maxminddb::Reader;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use super::file::{Content, FileError};

/// The largest (GeoIP2 Enterprise) takes a few hundred MiB.
const MOST: u64 = 1 << 30;

/// The database of locations.
pub struct GeoIp(Reader<Vec<u8>>);

/// The database of networks.
pub struct Asn(Reader<Vec<u8>>);

impl Content for GeoIp {
    const SETTING: &'static str = "geoip";
    const WANTED: &'static str = "a database of cities or countries, such as GeoLite2-City.mmdb (https://dev.maxmind.com/geoip)";
    const FILLS: &'static [&'static str] = &["source.geo"];
    const MOST: u64 = MOST;

    fn read(bytes: Vec<u8>) -> Result<Self, FileError> {
        open(bytes, &["City", "Country", "Enterprise"], Self::WANTED).map(Self)
    }

    fn describe(&self, size: &dyn fmt::Display) -> String {
        describe(&self.0, size)
    }
}

impl Content for Asn {
    const SETTING: &'static str = "asn";
    const WANTED: &'static str =
        "a database of networks, such as GeoLite2-ASN.mmdb (https://dev.maxmind.com/geoip)";
    const FILLS: &'static [&'static str] = &["source.as"];
    const MOST: u64 = MOST;

    fn read(bytes: Vec<u8>) -> Result<Self, FileError> {
        open(bytes, &["ASN", "ISP"], Self::WANTED).map(Self)
    }

    fn describe(&self, size: &dyn fmt::Display) -> String {
        describe(&self.0, size)
    }
}

impl GeoIp {
    pub(super) fn location(&self, ip: IpAddr) -> Option<GeoRecord<'_>> {
        self.0.lookup(ip).ok()?.decode().ok()?
    }
}

impl Asn {
    pub(super) fn network(&self, ip: IpAddr) -> Option<NetworkRecord<'_>> {
        self.0.lookup(ip).ok()?.decode().ok()?
    }
}

/// `types`: parts of the names of types to take (`GeoLite2-City`, `DBIP-ASN-Lite`).
fn open(
    bytes: Vec<u8>,
    types: &[&str],
    wanted: &'static str,
) -> Result<Reader<Vec<u8>>, FileError> {
    let reader =
        Reader::from_source(bytes).map_err(|error| FileError::NoDatabase(error.to_string()))?;
    let found = &reader.metadata().database_type;
    if types.iter().any(|part| found.contains(part)) {
        return Ok(reader);
    }
    Err(FileError::OtherDatabase {
        found: found.clone(),
        wanted,
    })
}

/// The type of the database, the day it was built, and its size in memory.
fn describe(reader: &Reader<Vec<u8>>, size: &dyn fmt::Display) -> String {
    let metadata = reader.metadata();
    let kind = &metadata.database_type;
    let made = i64::try_from(metadata.build_epoch).ok();
    let made = made.and_then(|made| chrono::DateTime::from_timestamp(made, 0));
    match made {
        Some(made) => format!("{kind} of {}, {size} of memory", made.format("%Y-%m-%d")),
        None => format!("{kind}, {size} of memory"),
    }
}

/// The entry of an address in a database of locations.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct GeoRecord<'d> {
    #[serde(borrow)]
    pub(super) city: Named<'d>,
    #[serde(borrow)]
    pub(super) continent: Named<'d>,
    #[serde(borrow)]
    pub(super) country: Named<'d>,
    pub(super) location: Location,
    /// The largest subdivision comes first.
    #[serde(borrow)]
    pub(super) subdivisions: Vec<Named<'d>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named<'d> {
    pub(super) iso_code: Option<&'d str>,
    #[serde(borrow)]
    pub(super) names: Names<'d>,
}

/// English names: records use no other language.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Names<'d> {
    pub(super) en: Option<&'d str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Location {
    #[serde(deserialize_with = "of_any_type")]
    pub(super) latitude: Option<f64>,
    #[serde(deserialize_with = "of_any_type")]
    pub(super) longitude: Option<f64>,
}

/// The entry of an address in a database of networks.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NetworkRecord<'d> {
    #[serde(deserialize_with = "of_any_width")]
    pub(super) autonomous_system_number: Option<u32>,
    pub(super) autonomous_system_organization: Option<&'d str>,
}

/// A number of any type: the decoder takes the type that is asked for and no other, and gives up the whole record.
/// MaxMind has one for each key; other writers take the smallest that holds the number.
struct AnyNumber;

impl Visitor<'_> for AnyNumber {
    type Value = f64;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number")
    }

    fn visit_f64<E>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    fn visit_u64<E>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_i64<E>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }
}

fn of_any_type<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    from.deserialize_any(AnyNumber).map(Some)
}

/// `None`: it is no whole number of 32 bits.
#[allow(clippy::cast_possible_truncation, reason = "it is within 32 bits")]
fn of_any_width<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let number = from.deserialize_any(AnyNumber)?;
    let is_whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    Ok(is_whole.then_some(number as u32))
}
