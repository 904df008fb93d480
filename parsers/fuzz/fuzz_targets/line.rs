//! Any line, under formats of every kind: no panic, and spans that lie in the line, in its order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logweir_parsers::{Captures, Escape, Format, client, list, number, request, time};
use std::sync::LazyLock;

static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let sources = [
        "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
         \"$http_referer\" \"$http_user_agent\"",
        "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
         \"$http_referer\" \"$http_user_agent\" $request_length $request_time \
         [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr \
         $upstream_response_length $upstream_response_time $upstream_status $req_id",
        "{\"t\":\"$time_iso8601\",\"m\":$msec,\"r\":\"$request\",\"s\":$status,\"u\":\"$upstream_addr\"}",
        "$scheme://$host$request_uri $pipe $gzip_ratio",
        "$http_a $http_b,$http_c $http_d $http_a $status",
        "$upstream_addr, $upstream_status : $http_x : $upstream_response_time",
        "$scheme://$host:$server_port$request_uri $status$body_bytes_sent $msec$request",
        "\"$http_host$request_uri\" \"$uri$is_args$args\" $remote_addr$http_a",
        "$remote_addr$http_host$server_port$request_uri $upstream_addr$upstream_status $pipe",
    ];
    let escapes = [Escape::Default, Escape::Json, Escape::None];
    let compile = |source: &&str| escapes.map(|escape| Format::compile(source, escape));
    sources.iter().flat_map(compile).flatten().collect()
});

fuzz_target!(|line: &[u8]| {
    let mut captures = Captures::new();
    let mut text = Vec::new();
    for format in FORMATS.iter() {
        match format.parse(line, &mut captures) {
            Ok(()) => {
                let mut last = 0;
                for index in 0..format.fields().len() {
                    // Of variables side by side either each is known or the whole of them.
                    let Some((from, to)) = captures.span(index) else { continue };
                    assert!(last <= from && from <= to && to as usize <= line.len());
                    last = to;
                    let Some(value) = captures.get(line, index) else {
                        continue;
                    };
                    text.clear();
                    format.escape().decode(value, &mut text);
                    std::str::from_utf8(&text).unwrap();
                    let _ = (time::local(value), time::iso8601(value), time::msec(value));
                    let _ = (number::unsigned(value), number::seconds_to_nanos(value));
                    let _ = (request::split(value), list::upstream(value).count());
                    let _ = client::choose(value, Some(line), &[]);
                }
            }
            Err(error) => {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                assert!(error.offset as usize <= line.len());
                assert_eq!(error.found, line.get(error.offset as usize).copied());
                assert!(!format.explain(&error).to_string().is_empty());
            }
        }
    }
});
