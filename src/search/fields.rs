//! Fields and conditions as people write them.
//!
//! Owns the short names, and how a condition is read. Invariant: every field of the mappings can be named; a value that no
//! request can have in its field is an error.

use std::fmt;
use std::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;
use logweir_store::query::{Filter, Pattern, Test};
use logweir_store::{FieldType, Schema};

use crate::config;

/// Short names of the fields that are asked for most.
pub(crate) const SHORT: [(&str, &str); 8] = [
    ("route", "http.route"),
    ("client", "source.address"),
    ("status", "http.response.status_code"),
    ("method", "http.request.method"),
    ("user-agent", "user_agent.original"),
    ("user", "user.name"),
    ("site", "url.domain"),
    ("path", "url.path"),
];

/// Fields that hold addresses as texts, beside others: what nginx calls a client, and hashes.
const ADDRESSES: [&str; 3] = [
    "source.address",
    "destination.address",
    "nginx.access.remote_ip_list",
];

/// The types of the shipped mappings. They are read by a test, so that reading them cannot fail here.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let mappings = include_str!("../../mappings/elasticsearch/component-mappings.json");
    Schema::parse(mappings).unwrap_or_default()
});

/// A condition that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum FieldError {
    #[error(
        "`{0}` is no condition: write FIELD=VALUE or FIELD!=VALUE, such as status=404 or client!=10.0.0.0/8"
    )]
    Form(String),
    #[error(
        "the condition on {0} has no value: {0}=VALUE; `{0}!=*` are the requests without one, `{0}=*` those with any"
    )]
    NoValue(String),
    #[error("{field} is a number, and `{value}` is none; `*` stands for any digits, as in 4*")]
    Number { field: String, value: String },
    #[error("`{0}` is no network, such as 10.0.0.0/8 or 2001:db8::/32")]
    Network(String),
    #[error("`{0}` is no field")]
    Name(String),
    #[error("{}", unknown(.0, "it has others in it"))]
    Object(String),
}

/// The ECS field that a name stands for.
pub(crate) fn field(name: &str) -> Result<String, FieldError> {
    if let Some((_, field)) = SHORT.iter().find(|(short, _)| *short == name) {
        return Ok((*field).to_owned());
    }
    let is_name = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-@".contains(&byte);
        !part.is_empty() && !part.starts_with('_') && part.bytes().all(allowed)
    };
    if !name.split('.').all(is_name) {
        return Err(FieldError::Name(name.to_owned()));
    }
    let inside = format!("{name}.");
    let is_object = SCHEMA.fields().any(|(field, _)| field.starts_with(&inside));
    if is_object || SCHEMA.get(name) == Some(FieldType::GeoPoint) {
        return Err(FieldError::Object(name.to_owned()));
    }
    Ok(name.to_owned())
}

/// Whether the mappings have the field. Others come from the configuration of the agent that wrote a request.
pub(crate) fn is_mapped(field: &str) -> bool {
    SCHEMA.get(field).is_some()
}

/// Says that a field is unknown, why, and what may have been meant.
pub(crate) fn unknown(name: &str, why: &str) -> String {
    let mut inside: Vec<&str> = SCHEMA
        .fields()
        .map(|(field, _)| field)
        .filter(|field| {
            field
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('.'))
        })
        .collect();
    inside.truncate(5);
    let hint = match config::nearest(name, SHORT.iter().map(|(short, _)| *short))
        .or_else(|| config::nearest(name, SCHEMA.fields().map(|(field, _)| field)))
    {
        _ if !inside.is_empty() => format!("such as {}", inside.join(", ")),
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let short = SHORT.map(|(short, _)| short).join(", ");
            format!("there are {short}, and the fields of ECS")
        }
    };
    format!("`{name}` is not a field to ask for: {why}; {hint}")
}

/// Reads `FIELD=VALUE` or `FIELD!=VALUE`.
pub(crate) fn condition(text: &str) -> Result<Filter, FieldError> {
    let wrong = || FieldError::Form(text.to_owned());
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    let (name, negated) = match name.strip_suffix('!') {
        Some(name) => (name, true),
        None => (name, false),
    };
    if name.is_empty() {
        return Err(wrong());
    }
    let field = field(name.trim())?;
    if value.is_empty() {
        return Err(FieldError::NoValue(name.to_owned()));
    }
    let test = test(&field, value)?;
    Ok(Filter {
        field,
        negated,
        test,
    })
}

fn test(field: &str, value: &str) -> Result<Test, FieldError> {
    let pattern = || Test::Pattern(Pattern::parse(value));
    let kind = SCHEMA.get(field);
    if kind == Some(FieldType::Ip) || ADDRESSES.contains(&field) {
        if let Ok(address) = value.parse::<IpAddr>() {
            return Ok(Test::Network(IpNet::from(address.to_canonical())));
        }
        if let Ok(network) = value.parse::<IpNet>() {
            return Ok(Test::Network(network.trunc()));
        }
        if value.contains('/') {
            return Err(FieldError::Network(value.to_owned()));
        }
        return Ok(pattern());
    }
    if kind != Some(FieldType::Long) {
        return Ok(pattern());
    }
    let is_pattern =
        value.contains('*') && value.bytes().all(|byte| b"*-0123456789".contains(&byte));
    match value.parse::<i64>() {
        // as it is written in decimal, without leading zeros
        Ok(number) => Ok(Test::Pattern(Pattern::parse(&number.to_string()))),
        Err(_) if is_pattern => Ok(pattern()),
        Err(_) => Err(FieldError::Number {
            field: field.to_owned(),
            value: value.to_owned(),
        }),
    }
}

/// What a field is called in an answer: its short name, or its own.
pub(crate) struct Called<'f>(pub(crate) &'f str);

impl fmt::Display for Called<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = SHORT.iter().find(|(_, field)| *field == self.0);
        out.write_str(short.map_or(self.0, |(short, _)| short))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_short_name_is_a_mapped_field() {
        for (short, field) in SHORT {
            assert!(is_mapped(field), "{short}");
            assert_eq!(super::field(short).unwrap(), field);
            assert_eq!(super::field(field).unwrap(), field);
            assert_eq!(Called(field).to_string(), short);
        }
        for field in ADDRESSES {
            assert!(is_mapped(field), "{field}");
        }
    }

    #[test]
    fn conditions_are_read_by_the_type_of_their_field() {
        let pattern = |text: &str| Test::Pattern(Pattern::parse(text));
        let network = |text: &str| Test::Network(text.parse().unwrap());
        for (text, field, negated, test) in [
            ("route=/a=b", "http.route", false, pattern("/a=b")),
            ("http.route!=/a*", "http.route", true, pattern("/a*")),
            (
                "status=0404",
                "http.response.status_code",
                false,
                pattern("404"),
            ),
            (
                "status!=4*",
                "http.response.status_code",
                true,
                pattern("4*"),
            ),
            (
                "client=10.1.2.3",
                "source.address",
                false,
                network("10.1.2.3/32"),
            ),
            (
                "client=::ffff:10.1.2.3",
                "source.address",
                false,
                network("10.1.2.3/32"),
            ),
            (
                "source.ip!=10.1.2.3/8",
                "source.ip",
                true,
                network("10.0.0.0/8"),
            ),
            (
                "client=2001:DB8:0::1",
                "source.address",
                false,
                network("2001:db8::1/128"),
            ),
            ("client=10.1.*", "source.address", false, pattern("10.1.*")),
            ("client=h4sh", "source.address", false, pattern("h4sh")),
            (
                "path=/10.0.0.0/8",
                "url.path",
                false,
                pattern("/10.0.0.0/8"),
            ),
            ("labels.tenant=x", "labels.tenant", false, pattern("x")),
        ] {
            let expected = Filter {
                field: field.to_owned(),
                negated,
                test,
            };
            assert_eq!(condition(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_an_error_with_what_to_write() {
        for (text, part) in [
            ("status", "write FIELD=VALUE"),
            ("=x", "write FIELD=VALUE"),
            ("!=x", "write FIELD=VALUE"),
            ("user=", "`user!=*` are the requests without one"),
            ("status=abc", "http.response.status_code is a number"),
            ("status=4xx", "as in 4*"),
            ("client=10.0.0.0/33", "is no network"),
            ("a b=x", "`a b` is no field"),
            ("_stream=1", "is no field"),
            ("tags[]=x", "is no field"),
            ("http.response=x", "such as http.response.body.bytes"),
            ("source.geo.location=x", "it has others in it"),
        ] {
            let error = condition(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn near_names_are_suggested() {
        for (name, near) in [
            ("rout", "`route`?"),
            ("clients", "`client`?"),
            ("useragent", "`user-agent`?"),
            ("http.rout", "`http.route`?"),
            ("zzz", "there are route, client"),
        ] {
            let text = unknown(name, "why");
            assert!(text.contains(near), "{text}");
        }
    }
}
