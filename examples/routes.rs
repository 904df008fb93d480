//! How many routes paths with values become: a row for each kind of value. Ends with 1 when a kind misses its target.
//! `cargo xtask routes` runs it.

#![allow(clippy::expect_used, reason = "an example has no other way to fail")]

use std::process::ExitCode;

use logweir::config::{IndexPattern, NamedFormat, Privacy, Routes};
use logweir::enrich::Enrich;
use logweir::output::elasticsearch::ActionLines;
use logweir::record::{LogSettings, Recorder, Settings};
use logweir_parsers::{Captures, Format};
use testkit::route_kinds;

fn main() -> ExitCode {
    let mut recorder = recorder();
    let format = Format::combined();
    let mut captures = Captures::new();
    let rows = route_kinds::rows(|path, status| {
        let line = format!(
            "203.0.113.9 - - [23/Nov/2026:05:41:14 +0000] \"GET {path} HTTP/1.1\" {status} 1 \"-\" \"-\""
        );
        let parsed = format.parse(line.as_bytes(), &mut captures);
        parsed.expect("a line of combined");
        let route = recorder.route(0, &captures, line.as_bytes());
        route.map_or_else(String::new, |(name, _)| name)
    });
    println!(
        "{} paths of each kind; a stray is one that has another route, and nobody can tell from a word\n",
        route_kinds::SAMPLES
    );
    println!(
        "{:28} {:>6} {:>7} {:>7}  wanted",
        "kind", "paths", "routes", "strays"
    );
    let mut is_good = true;
    for row in rows {
        let mark = if row.is_good() { "" } else { "   MISSED" };
        println!(
            "{:28} {:>6} {:>7} {:>7}  {}{mark}",
            row.name, row.paths, row.routes, row.strays, row.wanted
        );
        if !row.is_good() {
            is_good = false;
            row.examples
                .iter()
                .for_each(|example| println!("    {example}"));
        }
    }
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Without any configured route.
fn recorder() -> Recorder<ActionLines> {
    let index = IndexPattern::parse("nginx-access-%Y.%m.%d").expect("a pattern");
    let settings = Settings {
        data_stream: None,
        host: "web-07".to_owned(),
        trusted_proxies: Vec::new(),
        keep_original: false,
        retention: None,
        routes: Routes::default(),
        privacy: Privacy::default(),
        enrich: Enrich::default(),
        logs: vec![LogSettings {
            formats: vec![NamedFormat::combined()].into(),
            fields: Vec::new(),
            pods: false,
        }],
    };
    Recorder::new(settings, ActionLines::new(index.into()))
}
