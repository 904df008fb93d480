//! Client, status, duration, size, user and site by other variables than nginx's own.

use super::*;
use crate::config::AddressRule;

/// The document of a line under a format, with fields, behind these trusted proxies.
struct Log {
    settings: Settings,
}

impl Log {
    fn of(source: &str) -> Self {
        let format = Format::compile(source, Escape::Default).unwrap();
        let mut settings = settings(vec![format]);
        settings.trusted_proxies.clear();
        Self { settings }
    }

    fn fields(mut self, fields: &str) -> Self {
        self.settings.logs[0].fields = routes::fields(fields);
        self
    }

    fn trusting(mut self, proxy: &str) -> Self {
        self.settings.trusted_proxies.push(proxy.parse().unwrap());
        self
    }

    fn document(&self, line: &str) -> Value {
        let mut recorder = recorder(self.settings.clone());
        take_apart(&item(&mut recorder, 0, line.as_bytes()).unwrap())
            .unwrap()
            .2
    }

    /// Address and tags.
    fn client(&self, line: &str) -> (String, String) {
        let document = self.document(line);
        let address = document["source"]["address"].as_str().unwrap_or_default();
        if !address.is_empty() && address != "unix:" {
            assert_eq!(document["source"]["ip"], address);
        }
        let tags = document["tags"].as_array().cloned().unwrap_or_default();
        let tags: Vec<_> = tags.iter().filter_map(Value::as_str).collect();
        (address.to_owned(), tags.join(" "))
    }
}

fn known(address: &str) -> (String, String) {
    (address.to_owned(), String::new())
}

fn unverified(address: &str) -> (String, String) {
    (address.to_owned(), "client_unverified".to_owned())
}

#[test]
fn the_client_is_read_from_many_variables() {
    for name in [
        "proxy_protocol_addr",
        "the_real_ip",
        "client_ip",
        "real_ip",
        "clientRealIp",
        "realip_remote_addr",
        "remote_addr_anon",
    ] {
        let log = Log::of(&format!("${name} [$time_local] \"$request\""));
        let line = |address: &str| {
            log.client(&format!(
                "{address} [23/Nov/2026:05:41:14 +0000] \"GET / HTTP/1.1\""
            ))
        };
        assert_eq!(line("203.0.113.9"), known("203.0.113.9"), "{name}");
        assert_eq!(line("10.1.2.3"), known("10.1.2.3"), "{name}");
        assert_eq!(line("-"), known(""), "{name}");
    }
    for name in [
        "http_x_real_ip",
        "http_cf_connecting_ip",
        "http_true_client_ip",
        "http_fastly_client_ip",
        "http_x_client_ip",
        "http_x_original_forwarded_for",
        "http_x_forwarded_for",
    ] {
        let log = Log::of(&format!("$msec \"${name}\""));
        let line = |value: &str| log.client(&format!("1795412474.123 \"{value}\""));
        for (value, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            ("203.0.113.9:4711", "203.0.113.9"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            ("2001:DB8::7", "2001:db8::7"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
            ("203.0.113.9, 10.0.0.2", "203.0.113.9"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ] {
            assert_eq!(line(value), unverified(expected), "{name} {value}");
        }
        for value in ["-", "", "unknown", "unix:", "\\x22", "203.0.113.9, rubbish"] {
            assert_eq!(line(value), known(""), "{name} {value}");
        }
    }
}

/// nginx itself writes the end of one of the two lists, wherever the list is in the line.
#[test]
fn the_peer_at_the_end_of_a_list_precedes_the_rest_of_the_list() {
    for (source, line) in [
        (
            "\"$http_x_forwarded_for\" \"$proxy_add_x_forwarded_for\" $msec",
            "\"6.6.6.6\" \"6.6.6.6, 203.0.113.9\" 1795412474.123",
        ),
        (
            "\"$proxy_add_x_forwarded_for\" \"$http_x_forwarded_for\" $msec",
            "\"6.6.6.6, 203.0.113.9\" \"6.6.6.6\" 1795412474.123",
        ),
    ] {
        assert_eq!(Log::of(source).client(line), known("203.0.113.9"), "{line}");
    }
    // a list without its end shows no peer
    let log = Log::of("\"$proxy_add_x_forwarded_for\" $msec");
    let line = "\"6.6.6.6,\" 1795412474.123";
    assert_eq!(log.client(line), unverified("6.6.6.6"));
    let line = "\",\" 1795412474.123";
    assert!(log.document(line)["source"].is_null());
}

/// Path, query and route come from any variable that holds the request's target.
#[test]
fn the_target_is_read_from_many_variables() {
    let url = |log: &Log, line: &str| {
        let document = log.document(line);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let url = &document["url"];
        let parts = [
            &url["original"],
            &url["path"],
            &url["query"],
            &document["http"]["route"],
        ];
        parts.map(text)
    };
    let expected = ["/a/b?c=d", "/a/b", "c=d", "/a/b"];
    // the default of GitLab's own nginx
    let log =
        Log::of("[$time_local] \"$request_method $filtered_request_uri $server_protocol\" $status");
    let line = "[23/Nov/2026:05:41:14 +0000] \"GET /a/b?c=d HTTP/1.1\" 200";
    assert_eq!(url(&log, line), expected);
    let log = Log::of("$msec $scheme://$host$original_uri $status");
    assert_eq!(url(&log, "1795412474.123 https://a/a/b?c=d 200"), expected);
    // nginx's own variables precede it
    let log = Log::of("$msec $request_uri $original_uri");
    assert_eq!(url(&log, "1795412474.123 /a/b?c=d /x"), expected);
    let log = Log::of("$msec $uri $upstream_uri");
    assert_eq!(url(&log, "1795412474.123 /a /x?y"), ["", "/a", "", "/a"]);
    // a setting precedes all of them
    let log = Log::of("$msec \"$request\" $my_own").fields("\"url.original\" = \"$my_own\"");
    let line = "1795412474.123 \"GET /?token=x HTTP/1.1\" /a/b?c=d";
    assert_eq!(url(&log, line), expected);
    let document = log.document(line);
    assert_eq!(document["http"]["request"]["method"], "GET");
    assert!(document["nginx"].is_null(), "{document}");
    let line = "1795412474.123 \"GET /a/b?c=d HTTP/1.1\" -";
    assert_eq!(url(&log, line), expected);
}

#[test]
fn the_peer_precedes_headers_unless_it_is_a_trusted_proxy() {
    let source = "$remote_addr \"$http_x_real_ip\" $msec";
    let line = "10.0.0.1 \"203.0.113.9\" 1795412474.123";
    assert_eq!(Log::of(source).client(line), known("10.0.0.1"));
    let trusting = || Log::of(source).trusting("10.0.0.0/8");
    assert_eq!(trusting().client(line), known("203.0.113.9"));
    let stranger = "192.0.2.7 \"203.0.113.9\" 1795412474.123";
    assert_eq!(trusting().client(stranger), known("192.0.2.7"));
    let silent = "10.0.0.1 \"-\" 1795412474.123";
    assert_eq!(trusting().client(silent), known("10.0.0.1"));
    // X-Forwarded-For is proof by more than one address
    let both = Log::of("$remote_addr \"$http_x_forwarded_for\" \"$http_x_real_ip\" $msec")
        .trusting("10.0.0.0/8");
    let line = "10.0.0.1 \"198.51.100.4\" \"203.0.113.9\" 1795412474.123";
    assert_eq!(both.client(line), known("198.51.100.4"));
    let line = "10.0.0.1 \"-\" \"203.0.113.9\" 1795412474.123";
    assert_eq!(both.client(line), known("203.0.113.9"));
    // behind a socket nobody is a proxy that could be trusted, but PROXY protocol is the connection's own
    let socket = Log::of("$remote_addr \"$http_x_real_ip\" $msec");
    let line = "unix: \"203.0.113.9\" 1795412474.123";
    assert_eq!(socket.client(line), known("unix:"));
    let socket = Log::of("$remote_addr $proxy_protocol_addr \"$http_x_real_ip\" $msec");
    let line = "unix: 203.0.113.9 \"6.6.6.6\" 1795412474.123";
    assert_eq!(socket.client(line), known("203.0.113.9"));
}

#[test]
fn without_a_peer_trusted_variables_come_first() {
    let log = Log::of("\"$http_x_real_ip\" \"$http_x_forwarded_for\" \"$client_ip\" $msec");
    let client = |values: [&str; 3]| {
        let [real, forwarded, own] = values;
        log.client(&format!(
            "\"{real}\" \"{forwarded}\" \"{own}\" 1795412474.123"
        ))
    };
    assert_eq!(
        client(["6.6.6.6", "7.7.7.7", "203.0.113.9"]),
        known("203.0.113.9")
    );
    assert_eq!(
        client(["6.6.6.6", "203.0.113.9", "-"]),
        unverified("203.0.113.9")
    );
    assert_eq!(
        client(["203.0.113.9", "unknown", "-"]),
        unverified("203.0.113.9")
    );
    // nginx's own peer is at the end of this one
    let log = Log::of("\"$proxy_add_x_forwarded_for\" $msec");
    let line = "\"6.6.6.6, 203.0.113.9, 10.0.0.1\" 1795412474.123";
    assert_eq!(log.client(line), known("10.0.0.1"));
    let line = "\"203.0.113.9\" 1795412474.123";
    assert_eq!(log.client(line), known("203.0.113.9"));
    let log = log.trusting("10.0.0.0/8");
    let line = "\"6.6.6.6, 203.0.113.9, 10.0.0.1\" 1795412474.123";
    assert_eq!(log.client(line), known("203.0.113.9"));
}

#[test]
fn a_setting_names_the_client() {
    let set = |source: &str| Log::of(source).fields("\"source.ip\" = \"$my_own\"");
    let log = set("$remote_addr \"$my_own\" $msec");
    let line = |value: &str| format!("10.0.0.1 \"{value}\" 1795412474.123");
    assert_eq!(log.client(&line("203.0.113.9:80")), known("203.0.113.9"));
    assert_eq!(log.client(&line("-")), known("10.0.0.1"));
    let (address, tags) = log.client(&line("nobody"));
    assert_eq!((&*address, &*tags), ("10.0.0.1", "field_misfit"));
    let document = log.document(&line("203.0.113.9"));
    assert!(document["nginx"]["access"].get("my_own").is_none());
    assert_eq!(
        document["related"]["ip"],
        serde_json::json!(["203.0.113.9", "10.0.0.1"])
    );
    // a header stays the client's word, and where proxies are named it is taken from them alone
    let header = || {
        let log = Log::of("$remote_addr \"$http_x_my_ip\" $msec");
        log.fields("\"source.ip\" = \"$http_x_my_ip\"")
    };
    let line = "10.0.0.1 \"203.0.113.9\" 1795412474.123";
    assert_eq!(header().client(line), unverified("203.0.113.9"));
    let trusting = header().trusting("10.0.0.0/8");
    assert_eq!(trusting.client(line), known("203.0.113.9"));
    let trusting = header().trusting("192.0.2.0/24");
    assert_eq!(trusting.client(line), known("10.0.0.1"));
}

#[test]
fn addresses_are_hidden_whatever_variable_they_come_from() {
    for source in [
        "\"$the_real_ip\" $msec",
        "\"$http_x_real_ip\" $msec",
        "\"$http_x_forwarded_for\" $msec",
        "\"$my_own\" $msec",
    ] {
        let log = Log::of(source);
        let mut log = if source.contains("my_own") {
            log.fields("\"source.ip\" = \"$my_own\"")
        } else {
            log
        };
        let line = "\"203.0.113.77\" 1795412474.123";
        log.settings.keep_original = true;
        log.settings.privacy.ip = AddressRule::Truncate;
        let document = log.document(line);
        assert_eq!(document["source"]["address"], "203.0.113.0", "{source}");
        assert_eq!(document["source"]["ip"], "203.0.113.0", "{source}");
        assert!(!document.to_string().contains("203.0.113.77"), "{document}");
        log.settings.privacy.ip = AddressRule::Hash;
        log.settings.privacy.hash_key = Some(crate::config::HashKey::new("kJ8s0mVx2Qp7Lw4Zt9"));
        let document = log.document(line);
        assert_eq!(document["source"]["address"].as_str().unwrap().len(), 22);
        assert!(document["source"].get("ip").is_none(), "{source}");
        assert!(!document.to_string().contains("203.0.113"), "{document}");
    }
}

#[test]
fn a_hashed_name_is_hashed_from_every_variable() {
    let mut log = Log::of("\"$http_x_user\" $msec");
    log.settings.keep_original = true;
    log.settings.privacy.hash_fields = vec!["user.name".to_owned()];
    log.settings.privacy.hash_key = Some(crate::config::HashKey::new("kJ8s0mVx2Qp7Lw4Zt9"));
    let document = log.document("\"anna\" 1795412474.123");
    assert_eq!(document["user"]["name"].as_str().unwrap().len(), 22);
    assert!(!document.to_string().contains("anna"), "{document}");
}

#[test]
fn status_duration_and_size_come_from_the_next_best_variable() {
    let at = |source: &str, line: &str, pointer: &str| {
        let document = Log::of(source).document(&format!("{line} 1795412474.123"));
        document.pointer(pointer).cloned().unwrap_or_default()
    };
    let status = "/http/response/status_code";
    let duration = "/event/duration";
    let bytes = "/http/response/body/bytes";
    for (source, line, pointer, expected) in [
        ("$status $upstream_status $msec", "499 200", status, 499),
        (
            "\"$upstream_status\" $msec",
            "\"502, 504 : 200\"",
            status,
            200,
        ),
        ("\"$upstream_status\" $msec", "\"502, -\"", status, 502),
        (
            "$request_time $upstream_response_time $msec",
            "0.250 9.000",
            duration,
            250_000_000,
        ),
        (
            "\"$upstream_response_time\" $msec",
            "\"0.001, - : 0.250\"",
            duration,
            251_000_000,
        ),
        ("$body_bytes_sent $bytes_sent $msec", "7 99", bytes, 7),
        ("$bytes_sent $msec", "99", bytes, 99),
        (
            "\"$upstream_response_length\" $upstream_bytes_received $msec",
            "\"0, 512\" 700",
            bytes,
            512,
        ),
        ("$upstream_bytes_received $msec", "700", bytes, 700),
    ] {
        assert_eq!(at(source, line, pointer), expected, "{source}");
    }
    let none = Value::Null;
    assert_eq!(at("$upstream_status $msec", "-", status), none);
    assert_eq!(at("$upstream_response_time $msec", "-", duration), none);
    // panels count success and failure by it
    assert_eq!(
        at("$upstream_status $msec", "502", "/event/outcome"),
        "failure"
    );
}

#[test]
fn settings_name_status_duration_and_size() {
    let log = Log::of("$status $a $b $took_ms $msec").fields(
        "\"http.response.status_code\" = \"$a\"\n\"http.response.body.bytes\" = \"$b\"\n\
         \"event.duration\" = \"$took_ms\"",
    );
    let document = log.document("200 404 17 12.5 1795412474.123");
    assert_eq!(document["http"]["response"]["status_code"], 404);
    assert_eq!(document["event"]["outcome"], "failure");
    assert_eq!(document["http"]["response"]["body"]["bytes"], 17);
    assert_eq!(document["event"]["duration"], 12_500_000);
    assert_eq!(document["event"]["start"], "2026-11-23T05:41:14.110Z");
    assert!(document.get("tags").is_none());
    let document = log.document("200 - - - 1795412474.123");
    assert_eq!(document["http"]["response"]["status_code"], 200);
    assert!(document.get("tags").is_none());
    let document = log.document("200 OK 17 soon 1795412474.123");
    assert_eq!(document["http"]["response"]["status_code"], 200);
    assert_eq!(document["tags"], serde_json::json!(["field_misfit"]));
    for (variable, nanos) in [
        ("took", 2_500_000_000_u64),
        ("took_us", 2_500),
        ("took_seconds", 2_500_000_000),
    ] {
        let log = Log::of(&format!("${variable} $msec"));
        let log = log.fields(&format!("\"event.duration\" = \"${variable}\""));
        let document = log.document("2.5 1795412474.123");
        assert_eq!(document["event"]["duration"], nanos, "{variable}");
    }
}

#[test]
fn users_and_sites_are_read_from_many_variables() {
    let user = |source: &str, line: &str| {
        let document = Log::of(source).document(&format!("{line} 1795412474.123"));
        (document["user"]["name"].clone(), document["tags"].clone())
    };
    let tag = serde_json::json!(["user_unverified"]);
    let none = Value::Null;
    assert_eq!(
        user("$remote_user \"$http_x_user\" $msec", "anna \"eve\""),
        ("anna".into(), none.clone())
    );
    assert_eq!(
        user("$remote_user \"$http_x_user\" $msec", "- \"eve\""),
        ("eve".into(), tag.clone())
    );
    assert_eq!(
        user("\"$http_x_forwarded_user\" $msec", "\"eve\""),
        ("eve".into(), tag)
    );
    assert_eq!(
        user("\"$jwt_claim_sub\" $msec", "\"anna\""),
        ("anna".into(), none.clone())
    );
    assert_eq!(
        user("\"$auth_user\" $msec", "\"anna\""),
        ("anna".into(), none)
    );

    let site = |source: &str, line: &str| {
        let document = Log::of(source).document(&format!("{line} 1795412474.123"));
        document["url"]["domain"].clone()
    };
    assert_eq!(
        site(
            "$host \"$http_x_forwarded_host\" $msec",
            "a.example \"b.example\""
        ),
        "a.example"
    );
    assert_eq!(
        site("\"$http_x_forwarded_host\" $msec", "\"b.example:8443\""),
        "b.example"
    );
    assert_eq!(
        site("$server_name $ssl_server_name $msec", "_ b.example"),
        "b.example"
    );
    assert_eq!(site("$vhost $msec", "-"), Value::Null);
    // the one site of a log that nginx.conf or a setting knows goes before what clients send
    let log = Log::of("\"$http_x_forwarded_host\" $msec").fields("url.domain = \"shop.example\"");
    let document = log.document("\"evil.example\" 1795412474.123");
    assert_eq!(document["url"]["domain"], "shop.example");
}
