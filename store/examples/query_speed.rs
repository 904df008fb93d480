//! Prints how long questions take over many documents: `cargo run --release -p logweir-store --example query_speed [MILLIONS]`.
//!
//! The documents are spread over 30 days, a segment each: 40 routes and 50,000 clients, few of which make most requests.
#![allow(clippy::disallowed_methods)] // it measures time
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::sync::Arc;
use std::time::Instant;

use logweir_store::query::{Counts, Key, Part, Scope, figures, timeline};
use logweir_store::{DocumentKey, Schema, Segment, SegmentBuilder};

const DAYS: u64 = 30;
const DAY: i64 = 86_400_000;
const RUNS: u64 = 7;
const START: i64 = 1_790_035_200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let millions: u64 = std::env::args()
        .nth(1)
        .map_or(Ok(10), |text| text.parse())?;
    let rows = millions * 1_000_000 / DAYS;
    let folder = std::env::temp_dir().join(format!("query-speed-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let begun = Instant::now();
    let built = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let folder = &folder;
                scope.spawn(move || {
                    (thread..DAYS).step_by(2).try_for_each(|day| {
                        build(folder, day, rows).map_err(|error| error.to_string())
                    })
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err("a thread failed".to_owned()))
        })
    });
    println!("built in {:.1?}", begun.elapsed());
    let measured = built.map_err(Into::into).and_then(|()| measure(&folder));
    fs::remove_dir_all(&folder)?;
    measured
}

fn build(folder: &std::path::Path, day: u64, rows: u64) -> Result<(), Box<dyn Error>> {
    let mappings = include_str!("../../mappings/elasticsearch/component-mappings.json");
    let mut builder = SegmentBuilder::new(Arc::new(Schema::parse(mappings)?));
    let mut random = day + 1;
    let mut next = move |below: u64| {
        // xorshift64*
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        random.wrapping_mul(0x2545_f491_4f6c_dd1d) % below
    };
    let mut document = String::new();
    for row in 0..rows {
        let millis = START + i64::try_from(day)? * DAY + i64::try_from(row * 86_400_000 / rows)?;
        let at = chrono::DateTime::from_timestamp_millis(millis).ok_or("no time")?;
        // the smallest of some are few, and frequent
        let route = next(40).min(next(40)).min(next(40));
        let client = next(50_000).min(next(50_000)).min(next(50_000));
        document.clear();
        write!(
            document,
            "{{\"@timestamp\":\"{}\",\"event\":{{\"duration\":{},\"outcome\":\"success\"}},\
             \"http\":{{\"route\":\"/api/v1/things-{route}/{{id}}\",\"request\":{{\"method\":\"GET\"}},\
             \"response\":{{\"status_code\":{},\"body\":{{\"bytes\":{}}}}}}},\
             \"source\":{{\"address\":\"10.{}.{}.{}\"}},\"log\":{{\"offset\":{}}}}}",
            at.format("%Y-%m-%dT%H:%M:%S%.3fZ"),
            next(2_000) * 1_000_000,
            [200, 200, 200, 304, 404, 500][usize::try_from(next(6))?],
            next(50_000),
            client >> 16,
            client >> 8 & 255,
            client & 255,
            row * 200,
        )?;
        let key = DocumentKey {
            second: u32::try_from(millis / 1_000)?,
            stream: 1,
            offset: row * 200,
        };
        builder.add(key, document.as_bytes())?;
    }
    fs::write(folder.join(format!("{day:02}")), builder.finish()?)?;
    Ok(())
}

fn measure(folder: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let open = |day: u64| {
        let name = format!("{day:02}");
        let segment = Segment::open(File::open(folder.join(&name))?)?;
        Ok::<Part, std::io::Error>(Part { name, segment })
    };
    let end = START + i64::try_from(DAYS)? * DAY;
    let month = Scope {
        from: START,
        to: end,
        filters: vec![],
    };
    let minute = Scope {
        from: end - 60_000,
        ..month.clone()
    };
    let hours: Vec<i64> = (0..24 * i64::try_from(DAYS)?)
        .map(|hour| START + hour * 3_600_000)
        .collect();
    let run = |name: &str, ask: Ask<'_>| {
        let mut times = Vec::new();
        let before = cpu_millis();
        for _ in 0..RUNS {
            let begun = Instant::now();
            let parts = (0..DAYS).map(open).collect::<Result<Vec<_>, _>>()?;
            ask(&parts)?;
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        let cpu = (cpu_millis() - before) / RUNS;
        println!(
            "{name:40} median {:>6.1?}, best {:>6.1?}, processor time {cpu} ms",
            times[times.len() / 2],
            times[0]
        );
        Ok::<(), Box<dyn Error>>(())
    };
    let top = |scope: &Scope, field: &str, parts: &[Part]| {
        let counts = Counts::of(parts, scope, field)?;
        let keys: Vec<Key> = counts.top(10).into_iter().map(|(key, _)| key).collect();
        figures(parts, scope, field, &keys)?;
        Ok::<Vec<Key>, Box<dyn Error>>(keys)
    };
    run("top clients, counts only", &|parts| {
        Counts::of(parts, &month, "source.address")?;
        Ok(())
    })?;
    run("top clients with all figures", &|parts| {
        top(&month, "source.address", parts).map(|_| ())
    })?;
    run("top routes with all figures", &|parts| {
        top(&month, "http.route", parts).map(|_| ())
    })?;
    run("top status with all figures", &|parts| {
        top(&month, "http.response.status_code", parts).map(|_| ())
    })?;
    run("hourly timeline of the top 10 routes", &|parts| {
        let counts = Counts::of(parts, &month, "http.route")?;
        let keys: Vec<Key> = counts.top(10).into_iter().map(|(key, _)| key).collect();
        timeline(parts, &month, &hours, Some(("http.route", &keys)))?;
        Ok(())
    })?;
    run("last minute, top 10 routes", &|parts| {
        top(&minute, "http.route", parts).map(|_| ())
    })?;
    run("last minute, top 10 clients", &|parts| {
        top(&minute, "source.address", parts).map(|_| ())
    })
}

/// A question to ask again and again.
type Ask<'a> = &'a dyn Fn(&[Part]) -> Result<(), Box<dyn Error>>;

/// Processor time of the process so far, by Linux: it does not depend on what else the machine does.
fn cpu_millis() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks = fields
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok());
    ticks.sum::<u64>() * 10
}
