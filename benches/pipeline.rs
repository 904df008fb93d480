//! Parse, and parse + encode, of combined lines: the two figures that the agent's speed rests on.

#![allow(clippy::expect_used, reason = "a bench has no other way to fail")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logweir::config::{
    AddressRule, HashKey, IndexPattern, Methods, NamedFormat, Privacy, Route, RouteKind, Routes,
    Template,
};
use logweir::enrich::{Content, Enrich, EnrichFile};
use logweir::event::{Batch, StreamId};
use logweir::output::elasticsearch::ActionLines;
use logweir::record::{LineSource, LogSettings, Recorder, Settings};
use logweir_parsers::{Captures, Format};
use regex::bytes::{Regex, RegexSet};
use testkit::mmdb;

/// Lines as a busy site has them: 100 lines a second, many paths, five browsers.
fn lines() -> Vec<String> {
    const AGENTS: [&str; 5] = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
        "curl/8.5.0",
        "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
        "Googlebot/2.1 (+http://www.google.com/bot.html)",
    ];
    const PATHS: [&str; 6] = [
        "/api/users/{n}/orders",
        "/api/export?from={n}",
        "/static/app.{n}.js",
        "/login",
        "/search?q=shoes&page={n}",
        "/",
    ];
    (0..10_000_usize)
        .map(|n| {
            let path = PATHS[n % PATHS.len()].replace("{n}", &(n * 7919 % 100_000).to_string());
            format!(
                "203.0.113.{} - - [23/Nov/2026:05:{:02}:{:02} +0000] \"GET {path} HTTP/1.1\" {} {} \
                 \"https://shop.example/\" \"{}\"",
                n % 250,
                n / 6000 % 60,
                n / 100 % 60,
                [200, 200, 200, 304, 404][n % 5],
                n * 31 % 50_000,
                AGENTS[n % AGENTS.len()],
            )
        })
        .collect()
}

fn road(criterion: &mut Criterion) {
    let lines = lines();
    let mut group = criterion.benchmark_group("combined");
    group.throughput(Throughput::Elements(lines.len() as u64));
    let format = Format::combined();
    let mut captures = Captures::new();
    group.bench_function("parse", |bencher| {
        bencher.iter(|| {
            for line in &lines {
                let parsed = format.parse(black_box(line.as_bytes()), &mut captures);
                assert!(black_box(parsed).is_ok());
            }
        });
    });
    let mut encode = |name: &str, setup: Setup| {
        let mut recorder = recorder(setup);
        let mut batch = Batch::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                batch.clear();
                recorder.begin(source(), 1_795_411_620_000, None);
                let mut offset = 0;
                for line in &lines {
                    recorder.record(offset, black_box(line.as_bytes()), false, &mut batch);
                    offset += line.len() as u64 + 1;
                }
                black_box(batch.body.len())
            });
        });
    };
    encode("parse_encode", Setup::default());
    let with = |routes| Setup {
        routes,
        ..Setup::default()
    };
    encode("parse_encode_5_routes", with(templates(5)));
    encode("parse_encode_5000_routes", with(templates(5000)));
    encode("parse_encode_5_regexes", with(regexes()));
    let privacy = |ip, redact_query: Vec<String>| Setup {
        privacy: Privacy {
            ip,
            hash_key: Some(HashKey::new("a key of a bench")),
            redact_values: match redact_query.is_empty() {
                true => Vec::new(),
                false => Privacy::default().redact_values,
            },
            redact_query,
            ..Privacy::default()
        },
        ..Setup::default()
    };
    let names = Privacy::default().redact_query;
    encode(
        "parse_encode_no_redaction",
        privacy(AddressRule::Keep, Vec::new()),
    );
    encode(
        "parse_encode_truncate",
        privacy(AddressRule::Truncate, names.clone()),
    );
    encode("parse_encode_hash", privacy(AddressRule::Hash, names));
    let enrich = |enrich| Setup {
        enrich,
        ..Setup::default()
    };
    let user_agent = Enrich {
        user_agent: file(definitions()),
        ..Enrich::default()
    };
    encode("parse_encode_user_agent", enrich(user_agent));
    let places = Enrich {
        geoip: file(mmdb::city()),
        asn: file(mmdb::asn()),
        ..Enrich::default()
    };
    encode("parse_encode_geoip_asn", enrich(places));
    group.finish();
}

/// Those that the agent's own variable names, or else a few of ours.
fn definitions() -> Vec<u8> {
    match std::env::var_os("LOGWEIR_ENRICH_USER_AGENT") {
        Some(path) => std::fs::read(path).expect("a file of definitions"),
        None => testkit::USER_AGENTS.as_bytes().to_vec(),
    }
}

fn file<T: Content>(content: Vec<u8>) -> Option<Arc<EnrichFile<T>>> {
    let file = EnrichFile::new("sample".into(), content, &"1 MiB");
    Some(Arc::new(file.expect("a file of its kind")))
}

/// What is on.
#[derive(Default)]
struct Setup {
    routes: Routes,
    privacy: Privacy,
    enrich: Enrich,
}

fn source() -> LineSource<'static> {
    LineSource {
        log: 0,
        stream: StreamId([7; 10]),
        path: Path::new("/var/log/nginx/access.log"),
        is_framed: false,
    }
}

fn recorder(setup: Setup) -> Recorder<ActionLines> {
    let Setup {
        routes,
        privacy,
        enrich,
    } = setup;
    let pattern = IndexPattern::parse("nginx-access-%Y.%m.%d").expect("a pattern");
    let settings = Settings {
        data_stream: None,
        host: "web-07".to_owned(),
        trusted_proxies: Vec::new(),
        keep_original: false,
        retention: None,
        routes,
        privacy,
        enrich,
        logs: vec![LogSettings {
            formats: vec![NamedFormat::combined()].into(),
            fields: Vec::new(),
            pods: false,
        }],
    };
    Recorder::new(settings, ActionLines::new(pattern.into()))
}

/// So many templates: those that the lines ask for, then some of a large API.
fn templates(count: usize) -> Routes {
    const ASKED: [&str; 5] = [
        "/api/users/{id}/orders",
        "/api/export",
        "/static/{file*}",
        "/login",
        "/search",
    ];
    let others = (0..).map(|n| match n % 3 {
        0 => format!("/api/service-{n}/items/{{id}}"),
        1 => format!("/api/users/{{id}}/part-{n}"),
        _ => format!("/resource-{n}/{{id}}.json"),
    });
    let texts = ASKED.map(str::to_owned).into_iter().chain(others);
    let templates = texts.take(count).map(|text| {
        let route = Route {
            name: text.clone(),
            methods: Methods::ANY,
            kind: RouteKind::Plain,
            ignore_case: false,
            document: None,
        };
        (Template::parse(&text).expect("a template"), route)
    });
    Routes {
        templates: templates.collect(),
        ..Routes::default()
    }
}

/// Regexes of which one takes a sixth of the lines.
fn regexes() -> Routes {
    const TEXTS: [&str; 5] = [
        r"^/(de|en|fr)/help/",
        r"\.(bak|sql|old)$",
        r"^/api/v[0-9]+/export",
        r"/wp-[a-z]+/",
        r"^/api/users/[0-9]+/orders$",
    ];
    let regexes = TEXTS.map(|text| {
        let route = Route {
            name: text.to_owned(),
            methods: Methods::ANY,
            kind: RouteKind::Plain,
            ignore_case: false,
            document: None,
        };
        (Regex::new(text).expect("a regex"), route)
    });
    Routes {
        any_regex: Some(RegexSet::new(TEXTS).expect("regexes")),
        regexes: regexes.into(),
        ..Routes::default()
    }
}

criterion_group!(benches, road);
criterion_main!(benches);
