//! `cargo bench -p logweir-parsers`: lines per second through [`Format::parse`] alone.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logweir_parsers::{Captures, Escape, Format};
use std::hint::black_box;

const COMBINED: &str = "203.0.113.195 - - [23/Nov/2026:05:41:14 +0000] \
    \"GET /api/v1/users/18345/orders?page=2&size=50 HTTP/1.1\" 200 1843 \
    \"https://shop.example.com/account\" \
    \"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\"";

const INGRESS: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status \
    $body_bytes_sent \"$http_referer\" \"$http_user_agent\" $request_length $request_time \
    [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr \
    $upstream_response_length $upstream_response_time $upstream_status $req_id";

const JSON: &str = "{\"time\":\"$time_iso8601\",\"client\":\"$remote_addr\",\
    \"request\":\"$request\",\"status\":$status,\"bytes\":$body_bytes_sent,\
    \"duration\":$request_time,\"referer\":\"$http_referer\",\"agent\":\"$http_user_agent\"}";

const JSON_LINE: &str = "{\"time\":\"2026-11-23T05:41:14+00:00\",\"client\":\"203.0.113.195\",\
    \"request\":\"GET /api/v1/users/18345/orders?page=2&size=50 HTTP/1.1\",\"status\":200,\
    \"bytes\":1843,\"duration\":0.012,\"referer\":\"https://shop.example.com/account\",\
    \"agent\":\"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\"}";

fn parse(criterion: &mut Criterion) {
    let ingress_line = format!(
        "{COMBINED} 512 0.012 [shop-web-80] [] 10.42.0.17:8080, 10.42.0.18:8080 0, 1843 \
         0.001, 0.011 502, 200 8f3b2c6d9e0a4b1c8d7e6f5a4b3c2d1e"
    );
    let cases = [
        ("combined", Format::combined(), COMBINED),
        ("json", compile(JSON, Escape::Json), JSON_LINE),
        ("ingress", compile(INGRESS, Escape::Default), &ingress_line),
    ];
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(1));
    for (name, format, line) in cases {
        let mut captures = Captures::new();
        assert!(
            format.parse(line.as_bytes(), &mut captures).is_ok(),
            "{name} does not parse"
        );
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let parsed = format.parse(black_box(line.as_bytes()), &mut captures);
                black_box((parsed.is_ok(), &captures));
            });
        });
    }
    group.finish();
}

fn compile(source: &str, escape: Escape) -> Format {
    match Format::compile(source, escape) {
        Ok(format) => format,
        Err(error) => unreachable!("{error}"),
    }
}

criterion_group!(benches, parse);
criterion_main!(benches);
