//! Named formats, and the order in which they are tried.
//!
//! Owns the formats that are known without nginx.conf. Invariant: among the formats that a log does not name itself, a
//! specific one is tried before a general one. A format that accepts nearly every line is not tried: it would match
//! lines of other formats and lose their time.

use std::cmp::Reverse;
use std::collections::HashSet;

use logweir_parsers::nginx_conf::COMBINED;
use logweir_parsers::{Escape, Format};

/// A format and its name.
#[derive(Debug, Clone)]
pub struct NamedFormat {
    /// The `log_format`'s name, or `format N` for one without.
    pub name: String,
    /// The format.
    pub format: Format,
}

impl NamedFormat {
    /// nginx's predefined format.
    pub fn combined() -> Self {
        NamedFormat {
            name: COMBINED.to_owned(),
            format: Format::combined(),
        }
    }

    /// Whether it reads every line the same way as the other.
    pub fn is_same(&self, other: &NamedFormat) -> bool {
        self.key() == other.key()
    }

    /// The parser's definition.
    pub fn key(&self) -> (&str, Escape) {
        (self.format.source(), self.format.escape())
    }

    /// The `log_format` directive; `Config::add_formats` parses it.
    pub fn directive(&self) -> String {
        let escape = match self.format.escape() {
            Escape::Default => "default",
            Escape::Json => "json",
            Escape::None => "none",
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let mut name = self.name.replace(|c| !is_plain(c), "-");
        if name.is_empty() {
            name.push('-');
        }
        let mut value = String::with_capacity(self.format.source().len() + 2);
        for char in self.format.source().chars() {
            if matches!(char, '\'' | '\\') {
                value.push('\\');
            }
            value.push(char);
        }
        format!("log_format {name} escape={escape} '{value}';")
    }
}

/// Removes duplicates; the first of equal formats stays.
pub(super) fn distinct(formats: impl IntoIterator<Item = NamedFormat>) -> Vec<NamedFormat> {
    let mut seen = HashSet::new();
    let is_new = |named: &NamedFormat| {
        let (source, escape) = named.key();
        seen.insert((source.to_owned(), escape))
    };
    formats.into_iter().filter(is_new).collect()
}

/// Sorts from specific to general. Formats at least as strict as combined do not match each other's lines by chance, so
/// they keep their order.
pub(super) fn sort(formats: &mut [NamedFormat]) {
    let enough = Format::combined().prescribes();
    formats.sort_by_key(|named| Reverse(named.format.prescribes().min(enough)));
}

/// The formats to try on a log that names none of them, each once, in order.
pub(crate) fn for_any_log(formats: impl IntoIterator<Item = NamedFormat>) -> Vec<NamedFormat> {
    let specific = formats
        .into_iter()
        .filter(|named| !named.format.takes_anything());
    let mut tried = distinct(specific);
    sort(&mut tried);
    tried
}

/// nginx's predefined format, then the formats that other products are known to use. A line of one of them does not match
/// another, with two exceptions: a host at the beginning may include the port that another format has after it, and the
/// `$remote_user` of combined may look like the beginning of a line with a host. Their order in the list resolves these.
pub(crate) fn well_known() -> impl Iterator<Item = NamedFormat> {
    let others = WELL_KNOWN.iter().filter_map(|(name, source)| {
        let format = Format::compile(source, Escape::Default).ok()?;
        let name = (*name).to_owned();
        Some(NamedFormat { name, format })
    });
    std::iter::once(NamedFormat::combined()).chain(others)
}

/// Sources: `main` of nginx.org's packages and container image, of Red Hat's packages and of F5's ingress controller;
/// `upstreaminfo` of ingress-nginx (its documentation, "Log format"); Apache's `vhost_combined` as people write it for
/// nginx; `vhost` of nginx-proxy (nginx.tmpl), in earlier versions without `$upstream_addr`; `gitlab_access` of GitLab's
/// own nginx; Kong (nginx_kong.lua); Apache APISIX (config-default); `proxy` and `standard` of Nginx Proxy Manager
/// (nginx.conf).
const WELL_KNOWN: &[(&str, &str)] = &[
    (
        "nginx-main",
        "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
         \"$http_user_agent\" \"$http_x_forwarded_for\"",
    ),
    (
        "ingress-nginx",
        "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
         \"$http_user_agent\" $request_length $request_time [$proxy_upstream_name] \
         [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length \
         $upstream_response_time $upstream_status $req_id",
    ),
    (
        "vhost-combined",
        "$host:$server_port $remote_addr - $remote_user [$time_local] \"$request\" $status \
         $body_bytes_sent \"$http_referer\" \"$http_user_agent\"",
    ),
    (
        "nginx-proxy",
        "$host $remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
         \"$http_referer\" \"$http_user_agent\"",
    ),
    (
        "nginx-proxy-upstream",
        "$host $remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
         \"$http_referer\" \"$http_user_agent\" \"$upstream_addr\"",
    ),
    (
        "gitlab",
        "$remote_addr - $remote_user [$time_local] \"$request_method $filtered_request_uri $server_protocol\" \
         $status $body_bytes_sent \"$filtered_http_referer\" \"$http_user_agent\" $gzip_ratio",
    ),
    (
        "kong",
        "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
         \"$http_user_agent\" kong_request_id: \"$kong_request_id\"",
    ),
    (
        "apisix",
        "$remote_addr - $remote_user [$time_local] $http_host \"$request\" $status $body_bytes_sent \
         $request_time \"$http_referer\" \"$http_user_agent\" $upstream_addr $upstream_status \
         $upstream_response_time \"$upstream_scheme://$upstream_host$upstream_uri\"",
    ),
    (
        "npm-proxy",
        "[$time_local] $upstream_cache_status $upstream_status $status - $request_method $scheme $host \
         \"$request_uri\" [Client $remote_addr] [Length $body_bytes_sent] [Gzip $gzip_ratio] \
         [Sent-to $server] \"$http_user_agent\" \"$http_referer\"",
    ),
    (
        "npm-standard",
        "[$time_local] $status - $request_method $scheme $host \"$request_uri\" [Client $remote_addr] \
         [Length $body_bytes_sent] [Gzip $gzip_ratio] \"$http_user_agent\" \"$http_referer\"",
    ),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use logweir_parsers::Captures;

    use super::*;

    fn named(name: &str, source: &str, escape: Escape) -> NamedFormat {
        NamedFormat {
            name: name.to_owned(),
            format: Format::compile(source, escape).unwrap(),
        }
    }

    #[test]
    fn what_is_well_known_compiles() {
        assert_eq!(well_known().count(), WELL_KNOWN.len() + 1);
    }

    /// Only the format itself matches its documented line.
    #[test]
    fn lines_of_well_known_formats_match_no_other_well_known_format() {
        let time = "[23/Nov/2026:05:41:14 +0000]";
        let rest = format!("{time} \"GET /a?b HTTP/1.1\" 200 12 \"-\" \"curl/8.5\"");
        let lines = [
            ("combined", format!("203.0.113.7 - - {rest}")),
            ("combined", format!("203.0.113.7 - - me {rest}")),
            (
                "nginx-main",
                format!("203.0.113.7 - - {rest} \"10.0.0.1, 10.0.0.2\""),
            ),
            (
                "ingress-nginx",
                format!(
                    "203.0.113.7 - - {rest} 353 0.003 [shop-api-80] [] 10.1.2.3:8080, 10.1.2.4:8080 0, 12 \
                     0.001, 0.002 502, 200 8f3b2c6d9e0a4b1c8d7e6f5a4b3c2d1e"
                ),
            ),
            (
                "nginx-proxy",
                format!("shop.example 203.0.113.7 - me {rest}"),
            ),
            ("nginx-proxy", format!("203.0.113.1 203.0.113.7 - - {rest}")),
            (
                "vhost-combined",
                format!("shop.example:443 203.0.113.7 - - {rest}"),
            ),
            (
                "vhost-combined",
                format!("[::1]:443 2001:db8::7 - - {rest}"),
            ),
            (
                "nginx-proxy-upstream",
                format!("shop.example 203.0.113.7 - - {rest} \"10.0.0.2:80\""),
            ),
            (
                "nginx-proxy-upstream",
                format!("shop.example 203.0.113.7 - - {rest} \"-\""),
            ),
            ("gitlab", format!("203.0.113.7 - - {rest} -")),
            ("gitlab", format!("203.0.113.7 - me {rest} 2.50")),
            (
                "kong",
                format!(
                    "203.0.113.7 - - {rest} kong_request_id: \"548ea46ea9f2e1059b5da07a5f8c5e1c\""
                ),
            ),
            (
                "apisix",
                format!(
                    "203.0.113.7 - - {time} shop.example \"GET /a HTTP/1.1\" 200 12 0.004 \"-\" \"curl/8\" \
                     10.1.2.3:80 200 0.003 \"http://shop.example/a\""
                ),
            ),
            (
                "npm-proxy",
                format!(
                    "{time} - 200 200 - GET https shop.example \"/a?b\" [Client 203.0.113.7] [Length 12] \
                     [Gzip 2.50] [Sent-to 10.1.2.3] \"curl/8\" \"-\""
                ),
            ),
            (
                "npm-standard",
                format!(
                    "{time} 301 - GET http shop.example \"/a\" [Client 203.0.113.7] [Length 12] [Gzip -] \
                     \"curl/8\" \"-\""
                ),
            ),
        ];
        let mut captures = Captures::new();
        let tried = for_any_log(well_known());
        for (name, line) in &lines {
            let takes =
                |named: &&NamedFormat| named.format.parse(line.as_bytes(), &mut captures).is_ok();
            let takers: Vec<&str> = tried
                .iter()
                .filter(takes)
                .map(|named| named.name.as_str())
                .collect();
            assert_eq!(takers.first(), Some(name), "{line}");
            // A format with a host also matches a host with a port.
            assert!(
                takers[1..].iter().all(|taker| *taker == "nginx-proxy"),
                "{line}: {takers:?}"
            );
        }
    }

    #[test]
    fn a_more_specific_format_goes_first_and_one_that_matches_any_line_is_left_out() {
        let formats = [
            named("json_log", "$json_log", Escape::None),
            named("two", "$a $b", Escape::Default),
            named("quoted", "\"$x\"", Escape::Default),
            named("tabs", "$a\t$b\t[$c]", Escape::Json),
            named("joined", "$server_port$request_uri", Escape::Default),
            named("at", "$a at $b", Escape::None),
            named("address", "$remote_addr $x", Escape::None),
            named("status", "$status: $x", Escape::None),
            named("message", "{\"message\":\"$x\"}", Escape::None),
            named("timed", "$time_local $x", Escape::None),
            NamedFormat::combined(),
        ];
        let tried = for_any_log(formats);
        let names: Vec<&str> = tried.iter().map(|named| named.name.as_str()).collect();
        assert_eq!(names, ["combined", "timed", "message", "status", "address"]);
    }

    #[test]
    fn a_directive_gives_the_format_again() {
        for (name, source) in [
            ("main", "a ${status}b '\\ $http_x\\t \"$uri\""),
            ("my main; {1}", "${http_a}_ $status\t{}; # $uri"),
            ("", "$http_host$request_uri\r"),
        ] {
            for escape in [Escape::Default, Escape::Json, Escape::None] {
                let one = named(name, source, escape);
                let text = one.directive();
                assert_eq!(
                    text.split(' ').nth(2).unwrap(),
                    text.split_whitespace().nth(2).unwrap()
                );
                let format = Format::from_directive(&text, Escape::Default).unwrap();
                let name = text.split(' ').nth(1).unwrap().to_owned();
                assert!(one.is_same(&NamedFormat { name, format }), "{text}");
            }
        }
    }
}
