//! Data that a format lacks, and a better format to paste into nginx.conf.
//!
//! Owns the list of the data that a record needs, and the variables that contain it. Invariant: a better format has every
//! field of the present one, in its order, compiles, and parses without ambiguity.

use logweir_parsers::client::{AddressSource, ClientFields};
use logweir_parsers::event_time::has_time;
use logweir_parsers::variable::{FORWARDED, Role};
use logweir_parsers::{Escape, Format};

use crate::config::lacks::{NO_CLIENT, NO_TIME};
use crate::config::{Field, FieldValue, variable_of};

use Need::{
    Agent, Bytes, Client, Duration, Forwarded, Method, Milliseconds, Path, Proof, Site, Status,
    Time, User,
};

/// Data that a record needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    Time,
    Client,
    Proof,
    Forwarded,
    Path,
    Method,
    Status,
    Site,
    Duration,
    Bytes,
    User,
    Agent,
    Milliseconds,
}

/// The data that every format should have; [`Need::Forwarded`] and [`Need::Site`] depend on the log.
const ALWAYS: [Need; 11] = [
    Time,
    Client,
    Proof,
    Path,
    Method,
    Status,
    Duration,
    Bytes,
    User,
    Agent,
    Milliseconds,
];

/// Quotes are added until the end of every field is certain; each round corrects at least one field.
const ROUNDS: usize = 64;
/// The length of a piece of a directive to paste, if it can be divided.
const PIECE_COLUMNS: usize = 72;

impl Need {
    /// The variables that contain it, and the field that can be set to another variable.
    fn variables(self) -> (&'static [&'static str], &'static str) {
        match self {
            // see `is_present`
            Time | Client | Proof => (&[], ""),
            Forwarded => (&FORWARDED, ""),
            Path => (Role::Target.variables(), "url.original"),
            Method => (&["request", "request_method"], ""),
            Status => (Role::Status.variables(), "http.response.status_code"),
            Site => (Role::Site.variables(), "url.domain"),
            Duration => (Role::Duration.variables(), "event.duration"),
            Bytes => (Role::Bytes.variables(), "http.response.body.bytes"),
            User => (Role::User.variables(), "user.name"),
            Agent => (&["http_user_agent"], ""),
            Milliseconds => (&["msec"], "@timestamp"),
        }
    }

    /// The effect of its absence; continues a sentence after "no".
    pub(super) fn missing(self) -> &'static str {
        match self {
            Time => NO_TIME,
            Client => NO_CLIENT,
            Proof => {
                "proof of the client's address: it comes from what clients can send, so records are tagged \
                 client_unverified ($remote_addr)"
            }
            Forwarded => {
                "forwarded address: behind a proxy all clients look like the proxy \
                 ($http_x_forwarded_for)"
            }
            Path => "path: requests have no route ($request)",
            Method => "method ($request_method)",
            Status => "status: success and failure look the same ($status)",
            Site => "site: /login of all servers in this log is one ($host)",
            Duration => "durations ($request_time)",
            Bytes => "response sizes ($body_bytes_sent)",
            User => "user name ($remote_user)",
            Agent => "user agent ($http_user_agent)",
            Milliseconds => "milliseconds: requests of one second have no order ($msec)",
        }
    }

    /// The best variable for it, and whether a client chooses its value.
    fn variable(self) -> (&'static str, bool) {
        match self {
            Time | Milliseconds => ("msec", false),
            Client | Proof => ("remote_addr", false),
            Forwarded => ("http_x_forwarded_for", true),
            Path => ("request", true),
            Method => ("request_method", true),
            Status => ("status", false),
            Site => ("host", true),
            Duration => ("request_time", false),
            Bytes => ("body_bytes_sent", false),
            User => ("remote_user", true),
            Agent => ("http_user_agent", true),
        }
    }

    fn is_present(self, format: &Format, fields: &[Field]) -> bool {
        let has = |name: &str| format.fields().iter().any(|field| field.name() == name);
        let source = || ClientFields::of(format, variable_of(fields, "source.ip")).source();
        match self {
            Time => return has_time(format, variable_of(fields, "@timestamp")),
            Client => return source().is_some(),
            Proof => return source() != Some(AddressSource::Client),
            // the configured field is the time
            Milliseconds if !has("time_iso8601") && !has("time_local") => return true,
            _ => {}
        }
        let (variables, set) = self.variables();
        let is_set = |field: &Field| {
            field.name == set
                && matches!(&field.value, FieldValue::Variable(variable) if has(variable))
        };
        let in_request = self == Path && has("request");
        in_request || variables.iter().any(|name| has(name)) || fields.iter().any(is_set)
    }
}

/// The data that a format lacks in a log with these fields; `forwarded` and `site`: whether the log needs these.
pub(super) fn of(format: &Format, fields: &[Field], forwarded: bool, site: bool) -> Vec<Need> {
    let mut needs: Vec<Need> = ALWAYS.to_vec();
    needs.extend(forwarded.then_some(Forwarded));
    needs.extend(site.then_some(Site));
    needs.retain(|need| !need.is_present(format, fields));
    needs.sort();
    if needs.contains(&Path) {
        needs.retain(|need| *need != Method);
    }
    needs
}

/// A format with all fields of this one and those that it needs.
pub(super) fn better(format: &Format, needs: &[Need]) -> Option<Format> {
    let source = format.source().trim_end();
    let json = source.trim_start().starts_with('{') && source.ends_with('}');
    let escape = match format.escape() {
        Escape::None if json => Escape::Json,
        Escape::None => Escape::Default,
        escape => escape,
    };
    let mut better = if json {
        source[..source.len() - 1].trim_end().to_owned()
    } else {
        source.to_owned()
    };
    for need in needs {
        let (name, quoted) = need.variable();
        better.push_str(&match (json, quoted) {
            (true, _) => format!(",\"{name}\":\"${name}\""),
            (false, true) => format!(" \"${name}\""),
            (false, false) => format!(" ${name}"),
        });
    }
    if json {
        better.push('}');
    }
    for _ in 0..ROUNDS {
        let compiled = Format::compile(&better, escape).ok()?;
        // Only the operator knows which text could separate adjacent variables.
        let mut doubts = compiled.warnings().iter();
        let Some(warning) = doubts.rfind(|warning| !warning.is_joined()) else {
            let differs = better != source || escape != format.escape();
            return differs.then_some(compiled);
        };
        better = quoted(&better, warning.offset())?;
    }
    None
}

/// The source with the variable at `offset` in double quotes.
fn quoted(source: &str, offset: usize) -> Option<String> {
    let (before, rest) = source.split_at_checked(offset)?;
    let name = rest.strip_prefix('$')?;
    let length = if name.starts_with('{') {
        name.find('}')? + 1
    } else {
        name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(name.len())
    };
    let (variable, after) = rest.split_at(length + 1);
    // nested quotes would end these
    let inside = before.matches('"').count() % 2 == 1;
    (!inside).then(|| format!("{before}\"{variable}\"{after}"))
}

/// The directive that makes this format, in pieces of readable length.
pub(super) fn directive(name: &str, format: &Format) -> String {
    let escape = match format.escape() {
        Escape::Default => "",
        Escape::Json => " escape=json",
        Escape::None => " escape=none",
    };
    let mut out = format!("log_format {name}{escape}");
    let mut piece = String::new();
    // a piece must not end within a variable's name, which is then another one
    for word in format.source().split_inclusive([' ', ',']) {
        let word = word.replace('\\', "\\\\").replace('\'', "\\'");
        if !piece.is_empty() && piece.len() + word.len() > PIECE_COLUMNS {
            out.push_str(&format!("\n    '{piece}'"));
            piece.clear();
        }
        piece.push_str(&word);
    }
    out.push_str(&format!("\n    '{piece}'"));
    out.push(';');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn names(format: &Format) -> Vec<&str> {
        format.fields().iter().map(|field| field.name()).collect()
    }

    #[test]
    fn combined_lacks_the_commonly_needed_data() {
        let combined = Format::combined();
        assert_eq!(
            of(&combined, &[], false, true),
            [Site, Duration, Milliseconds]
        );
        assert_eq!(
            of(&combined, &[], true, false),
            [Forwarded, Duration, Milliseconds]
        );
        let better = better(&combined, &of(&combined, &[], true, true)).unwrap();
        assert!(of(&better, &[], true, true).is_empty());
        insta::assert_snapshot!(directive("logweir", &better));
    }

    #[test]
    fn a_json_format_stays_json() {
        let source = r#"{"time":"$time_iso8601","status":$status,"uri":"$request_uri" }"#;
        let format = Format::compile(source, Escape::Json).unwrap();
        let better = better(&format, &of(&format, &[], false, true)).unwrap();
        assert_eq!(better.escape(), Escape::Json);
        insta::assert_snapshot!(directive("json", &better));
    }

    #[test]
    fn an_ambiguous_field_is_quoted() {
        let source = "$remote_addr $http_x_a $http_x_b ${http_user_agent} $status";
        let format = Format::compile(source, Escape::Default).unwrap();
        assert!(!format.warnings().is_empty());
        let better = better(&format, &[]).unwrap();
        assert!(better.warnings().is_empty());
        assert_eq!(names(&better), names(&format));
        // the quote, which no value contains, then separates the next field from the one before
        let expected = "$remote_addr $http_x_a \"$http_x_b\" ${http_user_agent} $status";
        assert_eq!(better.source(), expected);
    }

    #[test]
    fn a_quoted_text_of_several_variables_stays_as_it_is() {
        let source = r#"{"time":"$date.$millisec","status":$status}"#;
        let format = Format::compile(source, Escape::Json).unwrap();
        assert!(!format.warnings().is_empty());
        assert!(better(&format, &[Site]).is_none());
    }

    #[test]
    fn without_escaping_there_is_no_safe_format() {
        let format = Format::compile("$remote_addr \"$request\" $status", Escape::None).unwrap();
        assert_eq!(better(&format, &[Site]).unwrap().escape(), Escape::Default);
    }

    proptest! {
        #[test]
        fn nginx_parses_the_directive_as_intended(
            words in proptest::collection::vec(r#"(\$status|\$\{host\}|"\$args"|[a-z ,'\\"]{1,30}) "#, 1..20),
        ) {
            let source = words.concat();
            let Ok(format) = Format::compile(&source, Escape::Json) else { return Ok(()) };
            let again = Format::from_directive(&directive("x", &format), Escape::Default).unwrap();
            prop_assert_eq!(again.source(), format.source());
            prop_assert_eq!(again.escape(), format.escape());
        }

        #[test]
        fn a_better_format_has_all_the_fields(
            words in proptest::collection::vec(
                prop_oneof![Just("$status"), Just("$http_x_a"), Just("\"$request\""), Just("[$time_local]"),
                            Just("$remote_addr"), Just("$upstream_addr"), Just("x")], 1..8),
        ) {
            let Ok(format) = Format::compile(&words.join(" "), Escape::Default) else { return Ok(()) };
            let needs = of(&format, &[], true, true);
            if let Some(better) = better(&format, &needs) {
                prop_assert!(of(&better, &[], true, true).is_empty());
                prop_assert!(better.warnings().is_empty());
                prop_assert!(names(&better).starts_with(&names(&format)));
            }
        }
    }
}
