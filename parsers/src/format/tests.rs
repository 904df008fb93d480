use super::*;

fn error(source: &str) -> String {
    Format::compile(source, Escape::Default)
        .unwrap_err()
        .to_string()
}

fn warned(source: &str, escape: Escape) -> Vec<String> {
    let format = Format::compile(source, escape).unwrap();
    format
        .warnings()
        .iter()
        .map(|warning| warning.field().to_owned())
        .collect()
}

fn names(format: &Format) -> Vec<&str> {
    format.fields().iter().map(Field::name).collect()
}

#[test]
fn combined_compiles_without_a_warning() {
    assert_eq!(Format::combined().warnings(), []);
    assert_eq!(
        names(&Format::combined()),
        [
            "remote_addr",
            "remote_user",
            "time_local",
            "request",
            "status",
            "body_bytes_sent",
            "http_referer",
            "http_user_agent"
        ]
    );
}

#[test]
fn variables_are_accepted_as_in_nginx() {
    let format = Format::compile("${host}name $Status,$status$time_local", Escape::Json).unwrap();
    assert_eq!(names(&format), ["host", "status", "status", "time_local"]);
    assert_eq!(format.fields()[1].grammar(), Grammar::Status);
}

#[test]
fn parts_are_in_the_order_of_the_line() {
    let source = "{\"t\":\"$date.${ms}é\"} $status$pipe$upstream_status, $host";
    let format = Format::compile(source, Escape::Json).unwrap();
    let text = format.parts().iter().fold(String::new(), |mut all, part| {
        match part {
            Part::Text(text) => all.push_str(text),
            Part::Field(field) => all.push_str(&format!("<{}>", format.fields()[*field].name())),
        }
        all
    });
    let expected = "{\"t\":\"<date>.<ms>é\"} <status><pipe><upstream_status>, <host>";
    assert_eq!(text, expected);
}

#[test]
fn an_invalid_format_is_refused_with_its_position() {
    let all = [
        "", "plain", "a $", "a $$b", "a ${b", "a ${}", "a ${b c}", "a $- b", "a\n$b",
    ]
    .map(|source| format!("{source:?}: {}", error(source)));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn a_format_with_only_inseparable_variables_is_refused() {
    let all = [
        "$http_a$http_b",
        "[$http_a$http_b]",
        "$remote_addr$http_a \"$http_b$http_c\"",
        "$upstream_addr$upstream_status",
    ]
    .map(|source| format!("{source:?}: {}", error(source)));
    insta::assert_snapshot!(all.join("\n"));
}

/// The fields of a format; a `!` marks those that are kept as one text.
fn fields_of(source: &str, escape: Escape) -> String {
    let format = Format::compile(source, escape).unwrap();
    let kept = |name: &str| {
        let mut warnings = format.warnings().iter();
        warnings.any(|warning| warning.is_joined() && warning.field() == name)
    };
    let names = names(&format)
        .into_iter()
        .map(|name| format!("{name}{}", if kept(name) { "!" } else { "" }));
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn inseparable_adjacent_variables_are_joined() {
    for (source, fields) in [
        (
            "\"$http_host$request_uri\" $status",
            "http_host$request_uri http_host request_uri status",
        ),
        (
            "$scheme://$host:$server_port$request_uri",
            "scheme host server_port$request_uri server_port request_uri",
        ),
        ("$uri$is_args$args", "uri$is_args$args uri is_args args"),
        ("$is_args$args", "is_args$args is_args args"),
        (
            "$remote_addr$http_host$request_uri",
            "remote_addr$http_host$request_uri remote_addr$http_host request_uri",
        ),
        (
            "\"$upstream_scheme://$upstream_host$upstream_uri\"",
            "upstream_scheme upstream_host$upstream_uri upstream_host upstream_uri",
        ),
        // Only variables that cannot be separated are joined.
        (
            "\"$scheme$host\" $http_a$http_b$time_local \"$http_c\"",
            "scheme$host! http_a$http_b! time_local http_c",
        ),
        (
            "$remote_addr [$body_bytes_sent$status]",
            "remote_addr body_bytes_sent$status!",
        ),
        ("$status $uri$args", "status uri$args!"),
        (
            "$status $request_uri$is_args$args",
            "status request_uri$is_args$args!",
        ),
        (
            "$upstream_status${request_uri}, $pipe",
            "upstream_status$request_uri! pipe",
        ),
        // A value with a distinctive form is read by itself.
        ("$status$body_bytes_sent", "status body_bytes_sent"),
        ("$msec$request", "msec request"),
        (
            "$request_time$upstream_response_time",
            "request_time upstream_response_time",
        ),
        ("$msec$http_a$http_b", "msec http_a$http_b!"),
    ] {
        assert_eq!(fields_of(source, Escape::Default), fields, "{source}");
    }
    // Without a `-` for absent values, more variables are joined.
    for (source, fields) in [
        (
            "{\"u\":\"$scheme://$host$request_uri\"}",
            "scheme host$request_uri host request_uri",
        ),
        (
            "{\"u\":\"$request_method$request_uri\"}",
            "request_method$request_uri request_method request_uri",
        ),
    ] {
        assert_eq!(fields_of(source, Escape::Json), fields, "{source}");
    }
}

#[test]
fn more_sets_of_bytes_than_a_program_has_are_refused() {
    let names = [
        "scheme",
        "request_method",
        "gzip_ratio",
        "is_args",
        "pipe",
        "remote_port",
        "uri",
        "time_local",
    ];
    let mut source = String::from("$msec");
    for set in 1..1 << names.len() {
        let chosen = names
            .iter()
            .enumerate()
            .filter(|(at, _)| set >> at & 1 == 1);
        source.push('\u{1}');
        chosen.for_each(|(_, name)| source.push_str(&format!("${name}$bytes_sent")));
    }
    let outcome = Format::compile(&source, Escape::Default);
    let refused = |error: FormatError| error.to_string().starts_with("too many");
    assert!(outcome.map_or_else(refused, |format| format.program.classes.len() == 256));
}

#[test]
fn separable_adjacent_variables_are_accepted() {
    for source in [
        "$scheme://$host$request_uri",
        "$scheme$status",
        "$pipe$status",
        "$status$pipe",
        "$time_local$msec",
        "\"$http_user_agent$time_local\" x",
        "$is_args$status",
        "$status$request_method$time_iso8601",
    ] {
        let format = Format::compile(source, Escape::Default);
        assert_eq!(format.unwrap().warnings(), [], "{source}");
    }
}

#[test]
fn a_format_that_clients_can_forge_gives_a_warning() {
    // One byte of the text after it occurs in no later field, so its position is certain.
    assert_eq!(warned("$http_user_agent $status", Escape::Default), [""; 0]);
    assert_eq!(
        warned("$remote_addr:$remote_port $status", Escape::Default),
        [""; 0]
    );
    assert_eq!(warned("$status $http_user_agent", Escape::None), [""; 0]);
    assert_eq!(
        warned("$remote_user [$time_local] $request_uri x", Escape::Default),
        ["remote_user"]
    );
    assert_eq!(warned("$http_a $http_b", Escape::Default), ["http_a"]);
    assert_eq!(
        warned("$http_a, \"$http_b\" $http_c $http_d", Escape::Default),
        ["http_c"]
    );
    assert_eq!(warned("\"$http_a\" \"$http_b\"", Escape::None), ["http_a"]);
    assert_eq!(warned("\"$http_a\" \"$http_b\"", Escape::Json), [""; 0]);
    assert_eq!(
        warned("$upstream_addr, $upstream_status", Escape::Default),
        ["upstream_addr"]
    );
    assert_eq!(
        warned("$upstream_status $req_id", Escape::Default),
        ["upstream_status"]
    );
    let format = Format::compile("$http_a $http_b: $upstream_addr $http_c", Escape::None).unwrap();
    let all: Vec<_> = format.warnings().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn directives_as_written_in_nginx_conf() {
    for (text, source, escape) in [
        (
            "log_format main '$host \"$request\"';",
            "$host \"$request\"",
            Escape::None,
        ),
        (
            "log_format main escape=json '$host';",
            "$host",
            Escape::Json,
        ),
        (
            "  log_format main escape=default\n\t'$host'\n\t\" $status\" ; # why\n",
            "$host $status",
            Escape::Default,
        ),
        ("log_format main $host;", "$host", Escape::None),
        (
            "log_format main ${host}\\ $status;",
            "${host}\\ $status",
            Escape::None,
        ),
        ("log_format 'my main' \"\\$\" '';", "", Escape::None),
        ("'$host ' '$status'", "$host $status", Escape::None),
        (
            "'$host' 'name' \"_$status\";",
            "${host}name_$status",
            Escape::None,
        ),
        ("'$host' '' 'name'", "${host}name", Escape::None),
        ("'${host}' 'name'", "${host}name", Escape::None),
        ("escape=json '$host'", "$host", Escape::Json),
        (
            "'a\\'b\\\"c\\\\d\\te\\qf $host'",
            "a'b\"c\\d\te\\qf $host",
            Escape::None,
        ),
        ("'$host' # 'not'\n' $status'", "$host $status", Escape::None),
        ("$host \"$request\"\n", "$host \"$request\"", Escape::None),
        ("{\"a\":\"$host\"}", "{\"a\":\"$host\"}", Escape::None),
        // The pieces could only be kept as one text.
        (
            "\"$http_host$request_uri\" \"$status\"",
            "\"$http_host$request_uri\" \"$status\"",
            Escape::None,
        ),
        // As pieces, the neighbours could not be separated, so this is a bare value.
        (
            "\"$http_a\" \"$http_b\"",
            "\"$http_a\" \"$http_b\"",
            Escape::None,
        ),
    ] {
        match Format::from_directive(text, Escape::None) {
            Ok(format) => {
                assert_eq!(
                    (format.source(), format.escape()),
                    (source, escape),
                    "{text}"
                );
            }
            Err(error) => assert_eq!(source, "", "{text}: {error}"),
        }
    }
}

#[test]
fn directives_that_nginx_refuses() {
    let all = [
        "log_format main;",
        "log_format main 'open $host",
        "log_format main '$host'x;",
        "log_format main '$host'; access_log off;",
        "log_format main escape=xml '$host';",
        "log_format main '$' 'host';",
        "log_format main '${host' '}';",
        "'$http_a' '$http_b'",
    ]
    .map(|text| {
        format!(
            "{text:?}: {}",
            Format::from_directive(text, Escape::Default).unwrap_err()
        )
    });
    insta::assert_snapshot!(all.join("\n"));
}

/// nginx.conf and a text that is pasted from it are read as the same words and the same value.
#[test]
fn pasted_directives_are_read_as_nginx_conf_is() {
    struct Conf(String);
    impl crate::nginx_conf::ConfSource for Conf {
        fn read(&self, _: &str) -> Result<Vec<u8>, String> {
            Ok(self.0.clone().into_bytes())
        }
        fn glob(&self, _: &str) -> Result<Vec<String>, String> {
            Ok(Vec::new())
        }
    }
    let settings = crate::nginx_conf::Settings {
        conf: "/etc/nginx/nginx.conf".to_owned(),
        prefix: "/usr/share/nginx".to_owned(),
        default_log: "/var/log/nginx/access.log".to_owned(),
    };
    for (pieces, value) in [
        ("'a $status' 'b'", "a ${status}b"),
        ("'a $status' '' \"_b\"", "a ${status}_b"),
        ("'a ${status}' 'b'", "a ${status}b"),
        ("a$status b$host", "a${status}b$host"),
        ("'$status' $host\n# a comment\n\t'1'", "$status${host}1"),
        ("escape=json '\"$host' '\"'", "\"$host\""),
        ("'escape=none' 'a\\'b\\\\c\\d $host'", "a'b\\c\\d $host"),
        ("a\"b${host}c", "a\"b${host}c"),
    ] {
        let text = format!("log_format main {pieces};");
        let conf = Conf(format!("events {{}} http {{ {text} }}"));
        let conf = crate::nginx_conf::read(&settings, &conf);
        assert_eq!(conf.problems, [], "{text}");
        let format = Format::from_directive(&text, Escape::Default).unwrap();
        let [found] = &conf.formats[..] else {
            panic!("{text}");
        };
        assert_eq!(
            (format.source(), format.escape()),
            (value, found.escape),
            "{text}"
        );
        assert_eq!(found.value, value, "{text}");
    }
    for pieces in ["'$a $' 'b'", "'${a' '}'", "escape=xml '$a'"] {
        let text = format!("log_format main {pieces};");
        let conf = Conf(format!("http {{ {text} }}"));
        let problems = crate::nginx_conf::read(&settings, &conf).problems;
        let error = Format::from_directive(&text, Escape::Default).unwrap_err();
        let expected = format!("/etc/nginx/nginx.conf:1: log_format main cannot be used: {error}");
        let found: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(found, [expected]);
    }
}

#[test]
fn times_have_the_length_of_their_shape() {
    for (fixed, example) in [
        (Fixed::TimeLocal, &b"23/Nov/2026:05:41:14 -0330"[..]),
        (Fixed::TimeIso8601, b"2026-11-23T05:41:14+01:00"),
        (Fixed::Pipe, b"."),
    ] {
        assert_eq!(fixed.len(), example.len());
        for (place, byte) in example.iter().enumerate() {
            assert!(fixed.at(place).has(*byte), "{fixed:?} {place}");
        }
    }
}
