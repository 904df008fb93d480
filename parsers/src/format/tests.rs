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
fn combined_compiles_without_doubt() {
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
fn variables_as_nginx_takes_them() {
    let format = Format::compile("${host}name $Status,$status$time_local", Escape::Json).unwrap();
    assert_eq!(names(&format), ["host", "status", "status", "time_local"]);
    assert_eq!(format.fields()[1].grammar(), Grammar::Status);
}

#[test]
fn parts_stand_in_the_order_of_the_line() {
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
fn what_is_no_format_is_refused_with_its_place() {
    let all = [
        "", "plain", "a $", "a $$b", "a ${b", "a ${}", "a ${b c}", "a $- b", "a\n$b",
    ]
    .map(|source| format!("{source:?}: {}", error(source)));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn neighbours_that_cannot_be_told_apart_are_refused() {
    let all = [
        "$http_a$http_b",
        "$remote_addr [$status$body_bytes_sent]",
        "$uri$is_args$args",
        "$upstream_addr$upstream_status",
        "$upstream_status${request_uri}, ",
        "$status$is_args$body_bytes_sent",
    ]
    .map(|source| format!("{source:?}: {}", error(source)));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn neighbours_that_can_be_told_apart_are_taken() {
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
fn a_client_that_can_forge_is_warned_of() {
    // One byte of the text after it occurs in no later field: its place is certain.
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
fn directives_as_they_stand_in_nginx_conf() {
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
        // Pieces would be neighbours that cannot be told apart, so it is a bare value.
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

#[test]
fn joined_pieces_keep_their_names_apart() {
    assert_eq!(
        Format::join_pieces(&["$a", "b $c", ""]).unwrap(),
        "${a}b $c"
    );
    assert!(Format::join_pieces(&["$a $", "b"]).is_err());
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
