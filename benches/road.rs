//! Parse, and parse + encode, of combined lines: the two figures that the agent's speed rests on.

#![allow(clippy::expect_used, reason = "a bench has no other way to fail")]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logweir::config::{IndexPattern, Methods, NamedFormat, Route, RouteKind, Routes, Template};
use logweir::output::Batch;
use logweir::record::{LogSettings, Recorder, Settings, Source};
use logweir::tail::StreamId;
use logweir_parsers::{Captures, Format};

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
    let mut encode = |name: &str, routes: Routes| {
        let mut recorder = recorder(routes);
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
    encode("parse_encode", Routes::default());
    encode("parse_encode_5_routes", templates(5));
    encode("parse_encode_5000_routes", templates(5000));
    group.finish();
}

fn source() -> Source<'static> {
    Source {
        log: 0,
        stream: StreamId([7; 10]),
        path: Path::new("/var/log/nginx/access.log"),
    }
}

fn recorder(routes: Routes) -> Recorder {
    Recorder::new(Settings {
        target: IndexPattern::parse("nginx-access-%Y.%m.%d")
            .expect("a pattern")
            .into(),
        host: "web-07".to_owned(),
        trusted_proxies: Vec::new(),
        keep_original: false,
        retention: None,
        routes,
        logs: vec![LogSettings {
            formats: vec![NamedFormat::combined()],
            fields: Vec::new(),
        }],
    })
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
            document: None,
        };
        (Template::parse(&text).expect("a template"), route)
    });
    Routes {
        templates: templates.collect(),
        ..Routes::default()
    }
}

criterion_group!(benches, road);
criterion_main!(benches);
