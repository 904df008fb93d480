//! Reading adjacent variables that cannot be separated.

use super::*;

/// The values of a line, `name=value` each; names of several variables are joined by `$`.
fn read(source: &str, escape: Escape, line: &str) -> String {
    let format = Format::compile(source, escape).unwrap();
    let mut captures = Captures::new();
    if let Err(error) = format.parse(line.as_bytes(), &mut captures) {
        panic!("{source}: {line}: {}", format.explain(&error));
    }
    let value = |(index, field): (usize, &crate::Field)| {
        let value = captures.get(line.as_bytes(), index)?;
        Some(format!("{}={}", field.name(), value.escape_ascii()))
    };
    let values: Vec<_> = format
        .fields()
        .iter()
        .enumerate()
        .filter_map(value)
        .collect();
    values.join(" ")
}

#[track_caller]
fn check(source: &str, escape: Escape, cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(read(source, escape, line), *expected, "{source}: {line}");
    }
}

#[test]
fn a_target_begins_at_the_first_slash() {
    check(
        "\"$http_host$request_uri\"",
        Escape::Default,
        &[
            (
                "\"shop.example/a?b=1\"",
                "http_host=shop.example request_uri=/a?b=1",
            ),
            (
                "\"shop.example:8080/\"",
                "http_host=shop.example:8080 request_uri=/",
            ),
            ("\"[::1]:80/x\"", "http_host=[::1]:80 request_uri=/x"),
            (
                "\"[2001:db8::7]/x/y\"",
                "http_host=[2001:db8::7] request_uri=/x/y",
            ),
            (
                "\"m\\xC3\\xBC.example/\\x22\"",
                "http_host=m\\\\xC3\\\\xBC.example request_uri=/\\\\x22",
            ),
            // HTTP/1.0 needs no host, and invalid requests have neither.
            ("\"-/a\"", "request_uri=/a"),
            ("\"--\"", ""),
            ("\"shop.example-\"", "http_host=shop.example"),
            // Two possible splits, or none: a target with a scheme, a `?` that may belong to the host, a host alone.
            (
                "\"shop.examplehttp://other.example/a\"",
                "http_host$request_uri=shop.examplehttp://other.example/a",
            ),
            (
                "\"shop.example:80http://a/\"",
                "http_host$request_uri=shop.example:80http://a/",
            ),
            ("\"-http://a/\"", "http_host$request_uri=-http://a/"),
            ("\"a?b/c\"", "http_host$request_uri=a?b/c"),
            (
                "\"shop.example:/a\"",
                "http_host$request_uri=shop.example:/a",
            ),
            ("\"shop.example*\"", "http_host$request_uri=shop.example*"),
        ],
    );
    check(
        "{\"u\":\"$http_host$request_uri\",\"s\":$status}",
        Escape::Json,
        &[
            (
                "{\"u\":\"a.example/\\\\x\\\"\",\"s\":200}",
                "http_host=a.example request_uri=/\\\\\\\\x\\\\\\\" status=200",
            ),
            ("{\"u\":\"/a\",\"s\":200}", "request_uri=/a status=200"),
            ("{\"u\":\"\",\"s\":400}", "status=400"),
            (
                "{\"u\":\"a.example\",\"s\":400}",
                "http_host=a.example status=400",
            ),
        ],
    );
    check(
        "$http_host$request_uri $status",
        Escape::None,
        &[(
            "a.example/b 200",
            "http_host=a.example request_uri=/b status=200",
        )],
    );
}

#[test]
fn a_port_ends_where_the_target_begins() {
    let source = "$status \"$scheme://$host:$server_port$request_uri\" $server_protocol";
    check(
        source,
        Escape::Default,
        &[
            (
                "200 \"http://shop.example:80/a?b=1\" HTTP/1.1",
                "status=200 scheme=http host=shop.example server_port=80 request_uri=/a?b=1 server_protocol=HTTP/1.1",
            ),
            (
                "200 \"https://[::1]:443/x:1/2\" HTTP/2.0",
                "status=200 scheme=https host=[::1] server_port=443 request_uri=/x:1/2 server_protocol=HTTP/2.0",
            ),
            // A Unix socket has no port; an invalid request has no target.
            (
                "200 \"http://a:/x:80/\" HTTP/1.1",
                "status=200 scheme=http host=a server_port= request_uri=/x:80/ server_protocol=HTTP/1.1",
            ),
            (
                "400 \"http://shop.example:80-\" -",
                "status=400 scheme=http host=shop.example server_port=80",
            ),
            (
                "400 \"http://shop.example:--\" -",
                "status=400 scheme=http host=shop.example",
            ),
            (
                "200 \"http://a:80http://b/c\" HTTP/1.1",
                "status=200 scheme=http host=a server_port$request_uri=80http://b/c server_protocol=HTTP/1.1",
            ),
        ],
    );
    check(
        "\"$request_method$request_uri\"",
        Escape::Json,
        &[
            ("\"GET/a-b\"", "request_method=GET request_uri=/a-b"),
            ("\"GET?x\"", "request_method=GET request_uri=?x"),
            ("\"M-SEARCH*\"", "request_method$request_uri=M-SEARCH*"),
        ],
    );
}

/// If unlimited text follows, an address must not end at a `:` of its own.
#[test]
fn an_address_before_a_colon_is_read_whole_or_not_at_all() {
    let source = "$remote_addr:$remote_port$http_x $status";
    check(
        source,
        Escape::Default,
        &[
            (
                "10.0.0.1:443x:1 200",
                "remote_addr=10.0.0.1 remote_port$http_x=443x:1 status=200",
            ),
            (
                "unix::-x 200",
                "remote_addr=unix: remote_port$http_x=-x status=200",
            ),
        ],
    );
    let format = Format::compile(source, Escape::Default).unwrap();
    for line in [
        "2001:db8::1:443x 200",
        "::ffff:10.0.0.1:443x 200",
        "fe80::1:443x 200",
    ] {
        assert!(
            format.parse(line.as_bytes(), &mut Captures::new()).is_err(),
            "{line}"
        );
    }
}

/// A port and the limiting text after it determine where an IPv6 address ends.
#[test]
fn an_address_before_a_port_is_read_whatever_follows() {
    for (source, line, expected) in [
        (
            "$remote_addr:$remote_port $http_host$request_uri",
            "2001:db8::1:2:443 h:1/a:2 b",
            "remote_addr=2001:db8::1:2 remote_port=443 http_host=h:1 request_uri=/a:2 b",
        ),
        (
            "$remote_addr:$remote_port $http_host$request_uri",
            "10.0.0.1:443 h/a",
            "remote_addr=10.0.0.1 remote_port=443 http_host=h request_uri=/a",
        ),
        (
            "$remote_addr:$remote_port $http_host$request_uri",
            "unix::- h/a",
            "remote_addr=unix: http_host=h request_uri=/a",
        ),
        (
            "$remote_addr: $http_host$request_uri",
            "2001:db8::1: h/a",
            "remote_addr=2001:db8::1 http_host=h request_uri=/a",
        ),
        (
            "$remote_addr://$msec$request",
            "0::a://0000000000.000-",
            "remote_addr=0::a msec=0000000000.000",
        ),
        (
            "$http_host$request_uri $server_addr:$server_port",
            "h/a ::1:443",
            "http_host=h request_uri=/a server_addr=::1 server_port=443",
        ),
        (
            "{\"c\":\"$remote_addr:$remote_port\",\"u\":\"$http_host$request_uri\"}",
            "{\"c\":\"::ffff:10.0.0.1:443\",\"u\":\"h/a\"}",
            "remote_addr=::ffff:10.0.0.1 remote_port=443 http_host=h request_uri=/a",
        ),
    ] {
        assert_eq!(read(source, Escape::Default, line), expected, "{line}");
    }
}

/// A client's address that no client can set is separated from the target like a host, including IPv6.
#[test]
fn a_clients_address_ends_where_the_target_begins() {
    check(
        "$scheme://$the_real_ip$request_uri $status",
        Escape::Default,
        &[
            (
                "https://203.0.113.9/a?b=/c 200",
                "scheme=https the_real_ip=203.0.113.9 request_uri=/a?b=/c status=200",
            ),
            (
                "https://2001:db8::7/a b 200",
                "scheme=https the_real_ip=2001:db8::7 request_uri=/a b status=200",
            ),
            (
                "https://2001:db8::7- 400",
                "scheme=https the_real_ip=2001:db8::7 status=400",
            ),
            // a value that is not an address stays whole: a `/` in it would shift the path
            (
                "https://203.0.113.9, 10.0.0.1/a 200",
                "scheme=https the_real_ip$request_uri=203.0.113.9, 10.0.0.1/a status=200",
            ),
            (
                "https://unix:/a 200",
                "scheme=https the_real_ip$request_uri=unix:/a status=200",
            ),
        ],
    );
    check(
        "{\"u\":\"$client_ip$uri$is_args$args\",\"s\":$status}",
        Escape::Json,
        &[(
            "{\"u\":\"2001:db8::7/a?b\",\"s\":200}",
            "client_ip=2001:db8::7 uri=/a is_args=? args=b status=200",
        )],
    );
    // a client can write any text into a header
    check(
        "$http_x_real_ip$request_uri $status",
        Escape::Default,
        &[(
            "203.0.113.9/a/b 200",
            "http_x_real_ip$request_uri=203.0.113.9/a/b status=200",
        )],
    );
}

#[test]
fn a_decoded_path_ends_at_its_first_question_mark() {
    check(
        "$host$uri$is_args$args",
        Escape::Default,
        &[
            (
                "a.example/x y?b=1",
                "host=a.example uri=/x y is_args=? args=b=1",
            ),
            (
                "a.example/x?b=?/",
                "host=a.example uri=/x is_args=? args=b=?/",
            ),
            ("a.example/x-", "host=a.example uri=/x is_args="),
            ("a.example/x--", "host=a.example uri=/x- is_args="),
            // A rewrite emptied `$args`: it is present and empty.
            ("a.example/x", "host=a.example uri=/x is_args= args="),
            ("a.example--", "host=a.example is_args="),
            // A `?` alone is not `$is_args`.
            ("a.example/x?", "host$uri$is_args$args=a.example/x?"),
        ],
    );
    check(
        "{\"u\":\"$uri$is_args$args\"}",
        Escape::Json,
        &[
            ("{\"u\":\"/x?b=\\\"\"}", "uri=/x is_args=? args=b=\\\\\\\""),
            ("{\"u\":\"/x-\"}", "uri=/x-"),
            ("{\"u\":\"\"}", ""),
        ],
    );
    check(
        "\"$uri\" \"$is_args$args\"",
        Escape::Default,
        &[
            ("\"/a\" \"?b\"", "uri=/a is_args=? args=b"),
            ("\"/a\" \"-\"", "uri=/a is_args="),
            ("\"/a\" \"\"", "uri=/a is_args= args="),
            ("\"/a\" \"?\"", "uri=/a is_args$args=?"),
            ("\"/a\" \"b\"", "uri=/a is_args$args=b"),
        ],
    );
}

#[test]
fn several_variables_before_a_target_stay_one_text() {
    check(
        "$scheme://$http_host$server_port$request_uri",
        Escape::Default,
        &[
            (
                "http://a.example:8080/x",
                "scheme=http http_host$server_port=a.example:8080 request_uri=/x",
            ),
            (
                "http://--/x",
                "scheme=http http_host$server_port=-- request_uri=/x",
            ),
            ("http://---", "scheme=http http_host$server_port=--"),
        ],
    );
    check(
        "\"$remote_addr$http_host$request_uri\"",
        Escape::Default,
        &[
            (
                "\"10.0.0.1a.example:80/x\"",
                "remote_addr$http_host=10.0.0.1a.example:80 request_uri=/x",
            ),
            (
                "\"2001:db8::1a.example/x\"",
                "remote_addr$http_host$request_uri=2001:db8::1a.example/x",
            ),
        ],
    );
}

#[test]
fn a_value_with_a_fixed_shape_needs_no_following_text() {
    check(
        "$status$body_bytes_sent $msec$request",
        Escape::Default,
        &[(
            "2001234 1795412474.123GET /1 HTTP/1.1",
            "status=200 body_bytes_sent=1234 msec=1795412474.123 request=GET /1 HTTP/1.1",
        )],
    );
    check(
        "$request_time$upstream_response_time $status$upstream_status",
        Escape::Default,
        &[(
            "0.0120.001, 0.010 200502, 200",
            "request_time=0.012 upstream_response_time=0.001, 0.010 status=200 upstream_status=502, 200",
        )],
    );
    let format = Format::compile("$status$body_bytes_sent $msec$request", Escape::Default).unwrap();
    for (line, at) in [
        ("20 1795412474.123x", 2),
        ("2001 1795412474.12x", 18),
        ("2001 1795412474,123x", 15),
        ("2001 x", 5),
        ("2001 123456789012345678901234567890.123", 25),
    ] {
        let error = format
            .parse(line.as_bytes(), &mut Captures::new())
            .unwrap_err();
        assert_eq!(error.offset, at, "{line}");
    }
}

#[test]
fn an_unsplit_text_does_not_affect_other_fields() {
    check(
        "$remote_addr$http_x [$time_local] \"$scheme$host\" $status",
        Escape::Default,
        &[(
            "10.0.0.12 [x [23/Nov/2026:05:41:14 +0000] \"httpsshop.example\" 200",
            "remote_addr$http_x=10.0.0.12 [x time_local=23/Nov/2026:05:41:14 +0000 \
             scheme$host=httpsshop.example status=200",
        )],
    );
    check(
        "$remote_addr \"$upstream_scheme://$upstream_host$upstream_uri\"",
        Escape::Default,
        &[
            (
                "1.2.3.4 \"http://shop.example/a?b\"",
                "remote_addr=1.2.3.4 upstream_scheme=http upstream_host=shop.example upstream_uri=/a?b",
            ),
            (
                "1.2.3.4 \"http://shop.example\"",
                "remote_addr=1.2.3.4 upstream_scheme=http upstream_host$upstream_uri=shop.example",
            ),
        ],
    );
}

#[test]
fn a_carriage_return_at_the_end_belongs_to_no_field() {
    for (source, escape, line, expected) in [
        (
            "$status $http_a",
            Escape::Default,
            "200 x\r",
            "status=200 http_a=x",
        ),
        (
            "$status \"$http_a\"",
            Escape::Default,
            "200 \"x\"\r",
            "status=200 http_a=x",
        ),
        (
            "$status $http_a",
            Escape::None,
            "200 x\r",
            "status=200 http_a=x",
        ),
        (
            "$status $http_a end",
            Escape::None,
            "200 x end\r",
            "status=200 http_a=x",
        ),
        (
            "{\"a\":\"$http_a\"}",
            Escape::Json,
            "{\"a\":\"\\r\"}\r",
            "http_a=\\\\r",
        ),
        (
            "[$time_local]",
            Escape::Default,
            "[23/Nov/2026:05:41:14 +0000]\r",
            "time_local=23/Nov/2026:05:41:14 +0000",
        ),
        ("$bytes_sent", Escape::Default, "17\r", "bytes_sent=17"),
        // Only the last one is part of the line end.
        (
            "$status $http_a",
            Escape::None,
            "200 x\r\r",
            "status=200 http_a=x\\r",
        ),
        // A format that ends with one itself reads lines with it and without it.
        (
            "$status $http_a\r",
            Escape::Default,
            "200 x\r",
            "status=200 http_a=x",
        ),
        (
            "$status $http_a\r",
            Escape::Default,
            "200 x",
            "status=200 http_a=x",
        ),
        (
            "$status \"$http_a\"\r",
            Escape::Default,
            "200 \"x\"\r",
            "status=200 http_a=x",
        ),
    ] {
        assert_eq!(read(source, escape, line), expected, "{source:?}: {line:?}");
    }
}
