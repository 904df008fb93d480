#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::token::{End, Flaw, Tokens};
use super::*;

/// Files in memory; the one `*` of a pattern matches any characters except a slash.
#[derive(Default)]
struct Memory(BTreeMap<String, Result<Vec<u8>, String>>);

impl Memory {
    fn with(mut self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.0.insert(path.to_owned(), Ok(text.as_ref().to_vec()));
        self
    }
}

impl ConfSource for Memory {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0
            .get(path)
            .cloned()
            .unwrap_or_else(|| Err("No such file or directory".to_owned()))
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let (before, after) = pattern.split_once('*').unwrap();
        let matches = |path: &&String| {
            path.strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|star| !star.contains('/'))
        };
        Ok(self.0.keys().filter(matches).cloned().collect())
    }
}

fn settings() -> Settings {
    Settings {
        conf: "/etc/nginx/nginx.conf".to_owned(),
        prefix: "/usr/share/nginx".to_owned(),
        default_log: "/var/log/nginx/access.log".to_owned(),
    }
}

fn read_text(text: &str) -> NginxConf {
    read(
        &settings(),
        &Memory::default().with("/etc/nginx/nginx.conf", text),
    )
}

fn http(text: &str) -> NginxConf {
    read_text(&format!("http {{ {text} }}"))
}

/// Everything that was read, one line each.
fn show(conf: &NginxConf) -> String {
    let mut out = String::new();
    for format in &conf.formats {
        let LogFormat {
            name,
            escape,
            value,
            position,
        } = format;
        writeln!(out, "format {name} {escape:?} {position}\n    {value}").unwrap();
    }
    for (at, server) in conf.servers.iter().enumerate() {
        let Server {
            names,
            listens,
            position,
        } = server;
        let host = server.host();
        writeln!(
            out,
            "server {at} {names:?} listens {listens:?} host {host:?} {position}"
        )
        .unwrap();
    }
    for log in &conf.logs {
        let host = conf.host_of(log);
        writeln!(out, "log {} {:?} host {host:?}", log.path, log.tailable).unwrap();
        if let Some(glob) = log.glob() {
            writeln!(out, "    glob {glob}").unwrap();
        }
        for writer in &log.writers {
            let Writer {
                format,
                options,
                servers,
                level,
                position,
                by_default,
            } = writer;
            let by_default = if *by_default { " by default" } else { "" };
            writeln!(
                out,
                "    {format} servers {servers:?} level {level} {position}{by_default}"
            )
            .unwrap();
            if *options != LogOptions::default() {
                writeln!(out, "        {options:?}").unwrap();
            }
        }
    }
    for log in &conf.stream_logs {
        writeln!(out, "stream log {} {}", log.path, log.position).unwrap();
    }
    for file in &conf.files {
        writeln!(out, "file {file}").unwrap();
    }
    for pattern in &conf.patterns {
        writeln!(out, "pattern {pattern}").unwrap();
    }
    for problem in &conf.problems {
        writeln!(out, "problem {problem}").unwrap();
    }
    out
}

fn fixture(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/nginx_conf/");
    std::fs::read_to_string(format!("{folder}{name}")).unwrap()
}

#[test]
fn debian() {
    let source = Memory::default()
        .with("/etc/nginx/nginx.conf", fixture("debian.conf"))
        .with("/etc/nginx/mime.types", "types { text/html html htm; }")
        .with(
            "/etc/nginx/sites-enabled/default",
            fixture("debian-default.conf"),
        );
    insta::assert_snapshot!(show(&read(&settings(), &source)));
}

#[test]
fn docker_image() {
    let source = Memory::default()
        .with("/etc/nginx/nginx.conf", fixture("docker.conf"))
        .with("/etc/nginx/mime.types", "types { text/html html htm; }")
        .with(
            "/etc/nginx/conf.d/default.conf",
            "server { listen 80; server_name localhost; }",
        );
    insta::assert_snapshot!(show(&read(&settings(), &source)));
}

#[test]
fn many_hosts() {
    insta::assert_snapshot!(show(&read_text(&fixture("vhosts.conf"))));
}

#[test]
fn ingress_nginx() {
    insta::assert_snapshot!(show(&read_text(&fixture("ingress.conf"))));
}

#[test]
fn every_problem_is_reported() {
    let mut source = Memory::default()
        .with("/etc/nginx/nginx.conf", fixture("broken.conf"))
        .with("/etc/nginx/loop.conf", "\ninclude loop.conf;")
        .with("/etc/nginx/open.conf", "map $a $b {\n  default 1;\n");
    source.0.insert(
        "/etc/nginx/unreadable/a.conf".to_owned(),
        Err("Permission denied".to_owned()),
    );
    insta::assert_snapshot!(show(&read(&settings(), &source)));
}

#[test]
fn the_user_of_the_workers_is_read_where_it_belongs() {
    assert_eq!(
        read_text("user www-data adm;").user.as_deref(),
        Some("www-data")
    );
    assert_eq!(http("user nobody;").user, None);
    assert_eq!(read_text("user;").user, None);
}

#[test]
fn a_server_without_any_access_log_writes_the_default_one() {
    let conf = http("server { server_name a; } server { server_name b; access_log /b; }");
    let paths: Vec<_> = conf.logs.iter().map(|log| log.path.as_str()).collect();
    assert_eq!(paths, ["/b", "/var/log/nginx/access.log"]);
    assert!(conf.logs[1].writers[0].by_default);
    assert_eq!(conf.host_of(&conf.logs[1]), Some("a"));
}

#[test]
fn no_default_log_if_http_or_every_server_has_a_directive() {
    assert_eq!(http("server { access_log off; }").logs.len(), 1);
    let conf = http("access_log off; server { location / {} }");
    assert_eq!(conf.logs.len(), 1);
    assert_eq!(conf.logs[0].tailable, Tailable::No(Reason::Off));
    assert_eq!(http("").logs, []);
}

#[test]
fn an_outer_log_belongs_to_the_servers_that_have_none_of_their_own() {
    let conf = http("access_log /all; server { access_log /own; } server { location / {} }");
    assert_eq!(conf.logs[0].servers(), [1]);
    assert_eq!(conf.logs[1].servers(), [0]);
}

#[test]
fn off_wins_at_its_level_only() {
    let conf = http("server { access_log /a; access_log off; } server { access_log /a; }");
    let seen: Vec<_> = conf
        .logs
        .iter()
        .map(|log| (&*log.path, log.tailable))
        .collect();
    let off = Tailable::No(Reason::Off);
    assert_eq!(seen, [("/a", off), ("off", off), ("/a", Tailable::Yes)]);
    assert_eq!(conf.logs[2].servers(), [1]);
}

#[test]
fn two_logs_of_one_level_share_it() {
    let conf = http("server { access_log /a; access_log /b; location / { access_log /c; } }");
    let levels: Vec<_> = conf.logs.iter().map(|log| log.writers[0].level).collect();
    assert_eq!(levels[0], levels[1]);
    assert_ne!(levels[1], levels[2]);
}

#[test]
fn gzip_of_one_writer_makes_the_file_gzip() {
    let conf = http("server { access_log /a; } server { access_log /a combined gzip=9; }");
    assert_eq!(conf.logs[0].tailable, Tailable::Gzip);
    assert_eq!(conf.logs[0].writers[1].options.buffer, Some(65536));
}

#[test]
fn formats_are_found_without_regard_to_case() {
    let conf = http("log_format Main '$status'; access_log /a mAIN; access_log /b COMBINED;");
    assert_eq!(conf.logs[0].writers[0].format, "Main");
    assert_eq!(conf.logs[1].writers[0].format, "combined");
    assert_eq!(conf.problems, []);
}

#[test]
fn a_log_has_a_site_only_if_its_servers_agree() {
    let both = |a: &str, b: &str| {
        let conf = http(&format!(
            "access_log /l; server {{ server_name {a}; }} server {{ server_name {b}; }}"
        ));
        conf.host_of(&conf.logs[0]).map(str::to_owned)
    };
    assert_eq!(
        both("shop.example", "shop.example www.shop.example").as_deref(),
        Some("shop.example")
    );
    assert_eq!(both("shop.example", "api.example"), None);
    assert_eq!(both("shop.example", "_"), None);
    assert_eq!(
        both("*.example ~^x$ .shop.example", "shop.example").as_deref(),
        Some("shop.example")
    );
}

#[test]
fn targets() {
    let target = |word: &str| http(&format!("access_log {word};")).logs[0].tailable;
    assert_eq!(target("/var/log/a.log"), Tailable::Yes);
    assert_eq!(target("/dev/shm/a.log"), Tailable::Yes);
    // Only error_log has `memory:`; nginx 1.22 makes a file of this name.
    assert_eq!(target("memory:32m"), Tailable::Yes);
    assert_eq!(target("''"), Tailable::No(Reason::Stream));
    assert_eq!(target("/dev/fd/1"), Tailable::No(Reason::Stream));
    assert_eq!(target("/proc/self/fd/2"), Tailable::No(Reason::Stream));
    assert_eq!(target("/proc/1/fd/1"), Tailable::No(Reason::Stream));
    assert_eq!(target("/dev/null"), Tailable::No(Reason::Null));
    assert_eq!(
        target("syslog:server=unix:/dev/log,nohostname"),
        Tailable::No(Reason::Syslog)
    );
    assert_eq!(target("/l/$host.log"), Tailable::No(Reason::Variables));
}

#[test]
fn a_path_with_variables_becomes_a_glob() {
    let glob = |path: &str| http(&format!("access_log '{path}';")).logs[0].glob();
    assert_eq!(glob("/l/$host.log").as_deref(), Some("/l/*.log"));
    assert_eq!(
        glob("/l/${host}_$server_port[1].log").as_deref(),
        Some("/l/*_*[[]1].log")
    );
    assert_eq!(glob("/l/$a$b").as_deref(), Some("/l/*"));
    assert_eq!(glob("/l/a"), None);
}

#[test]
fn sizes_and_times_as_nginx_reads_them() {
    let options = |word: &str| {
        let conf = http(&format!("access_log /l combined {word};"));
        (conf.logs[0].writers[0].options.clone(), conf.problems.len())
    };
    assert_eq!(options("buffer=2M").0.buffer, Some(2 << 20));
    assert_eq!(options("buffer=100").0.buffer, Some(100));
    assert_eq!(options("buffer=1g").1, 1);
    assert_eq!(options("buffer=99999999999999999999k").1, 1);
    assert_eq!(
        options("'flush=1h 30m'").0.flush,
        Some(Duration::from_secs(5400))
    );
    assert_eq!(
        options("flush=250ms").0.flush,
        Some(Duration::from_millis(250))
    );
    assert_eq!(options("flush=7").0.flush, Some(Duration::from_secs(7)));
    assert_eq!(options("flush=0").1, 1);
    assert_eq!(options("flush=m").1, 1);
    assert_eq!(options("gzip").0.gzip, Some(1));
}

#[test]
fn endless_includes_are_cut_off() {
    // Each file includes the next one twice: 2^40 reads without a bound.
    let mut source = Memory::default().with("/etc/nginx/nginx.conf", "include 0.conf;");
    for level in 0..40 {
        let next = level + 1;
        let text = format!("include {next}.conf; include {next}.conf;");
        source = source.with(&format!("/etc/nginx/{level}.conf"), text);
    }
    let conf = read(&settings(), &source);
    assert!(
        conf.problems
            .iter()
            .any(|problem| problem.wrong == Wrong::TooDeep)
    );
    assert!(
        conf.problems
            .iter()
            .any(|problem| problem.wrong == Wrong::TooMuch)
    );
}

#[test]
fn a_million_open_blocks_do_not_overflow_the_stack() {
    let conf = read_text(&"http{server{location{".repeat(300_000));
    assert_eq!(conf.problems.len(), 1);
}

/// The words and ends of a text, up to its end or its error.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Tokens::new(text.as_bytes());
    let mut out = Vec::new();
    loop {
        let end = tokens.next();
        let mut words: Vec<_> = tokens
            .words
            .iter()
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        let (mark, last) = match end {
            Ok(End::Semicolon) => (";".to_owned(), false),
            Ok(End::Open) => ("{".to_owned(), false),
            Ok(End::Close) => ("}".to_owned(), false),
            Ok(End::File) => return out,
            Err(flaw) => (format!("{flaw:?}"), true),
        };
        if last {
            words.clear();
        }
        words.push(mark);
        out.push(format!("{}:{}", tokens.start, words.join("|")));
        if last {
            return out;
        }
    }
}

#[test]
fn words_are_split_as_in_nginx() {
    assert_eq!(tokens("a b;c{d;}"), ["1:a|b|;", "1:c|{", "1:d|;", "1:}"]);
    assert_eq!(tokens("# x;\n\na # y {\n b\n;"), ["3:a|b|;"]);
    assert_eq!(tokens(r#"a"b c#d e} ;"#), [r#"1:a"b|c#d|e}|;"#]);
    assert_eq!(tokens(r"a 'b;{}#' '';"), ["1:a|b;{}#||;"]);
    assert_eq!(tokens(r"a ${b}c $$d $;"), ["1:a|${b}c|$$d|$|;"]);
    assert_eq!(tokens(r"a b{c;"), ["1:a|b|{", "1:c|;"]);
    assert_eq!(
        tokens(r#"a "\"\\\n\d\$" \;\ x '\'"';"#),
        ["1:a|\"\\\n\\d\\$|\\;\\ x|'\"|;"]
    );
    assert_eq!(tokens("if ($a = \"b\") {"), ["1:if|($a|=|b|)|{"]);
    assert_eq!(tokens("a 'b'{"), ["1:a|b|{"]);
}

#[test]
fn errors_have_the_position_of_their_cause() {
    assert_eq!(tokens("a\nb"), ["1:End"]);
    assert_eq!(tokens("a;\nb \\"), ["1:a|;", "2:End"]);
    assert_eq!(tokens("a\n  'b\n;\n"), ["2:Quote(39)"]);
    assert_eq!(tokens("a \"b\"c;"), ["1:Unexpected(99)"]);
    assert_eq!(tokens("a\n}"), ["2:Unexpected(125)"]);
    assert_eq!(tokens("\n;"), ["2:Unexpected(59)"]);
    assert_eq!(tokens("a 'b'"), ["1:End"]);
}

#[test]
fn an_unclosed_lua_block_is_an_error() {
    for body in ["{", "'}", "[[}", "--}", "--[[}", r#""\"#] {
        let mut tokens = Tokens::new(body.as_bytes());
        assert_eq!(tokens.skip_lua(), Err(Flaw::Lua), "{body}");
    }
}

/// A word as an operator may write it: bare if possible, else quoted.
fn written(word: &[u8], style: u8) -> Vec<u8> {
    let quote = match style % 3 {
        0 => None,
        1 => Some(b'"'),
        _ => Some(b'\''),
    };
    let special = |byte: &u8| b" \t\r\n;{}\"'\\$#)".contains(byte);
    let quote = if word.is_empty() || word.iter().any(special) {
        quote.or(Some(b'"'))
    } else {
        quote
    };
    let Some(quote) = quote else {
        return word.to_vec();
    };
    let mut out = vec![quote];
    for &byte in word {
        match byte {
            b'\n' if style > 128 => out.extend(b"\\n"),
            b'\t' if style > 128 => out.extend(b"\\t"),
            b'\\' => out.extend(b"\\\\"),
            _ if byte == quote => out.extend([b'\\', byte]),
            _ => out.push(byte),
        }
    }
    out.push(quote);
    out
}

/// Text with many characters that are special to the tokenizer.
fn tricky() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => prop::sample::select(&b"{};\"'\\#$ \n\t)[]-="[..]),
        2 => prop::sample::select(&b"abnrt"[..]),
        1 => any::<u8>(),
    ];
    prop::collection::vec(byte, 0..60)
}

proptest! {
    #[test]
    fn written_words_are_read_back(
        lines in prop::collection::vec(
            prop::collection::vec((tricky(), any::<u8>()), 1..5), 0..8),
        gap in "[ \t\r\n]|[ ]#[^\n]*\n",
    ) {
        let mut text = Vec::new();
        for line in &lines {
            for (word, style) in line {
                text.extend(written(word, *style));
                text.extend(gap.as_bytes());
            }
            text.push(b';');
        }
        let mut tokens = Tokens::new(&text);
        for line in &lines {
            prop_assert_eq!(tokens.next(), Ok(End::Semicolon));
            let expected: Vec<_> = line.iter().map(|(word, _)| word.clone()).collect();
            prop_assert_eq!(&tokens.words, &expected);
        }
        prop_assert_eq!(tokens.next(), Ok(End::File));
    }

    #[test]
    fn no_text_makes_reading_fail(texts in prop::collection::vec(tricky(), 1..6)) {
        let words: [&[u8]; 8] = [b"http{", b"server{", b"access_log ", b"log_format ",
            b"x_by_lua_block{", b"include *;", b"location /{", b";}"];
        let mut text = Vec::new();
        for (at, piece) in texts.iter().enumerate() {
            text.extend(words[(piece.len() + at) % words.len()]);
            text.extend(piece);
        }
        let lines = text.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let conf = read(&settings(), &Memory::default().with("/etc/nginx/nginx.conf", &text));
        for problem in &conf.problems {
            prop_assert!(problem.position.line as usize <= lines);
        }
        for log in &conf.logs {
            prop_assert!(!log.writers.is_empty());
        }
    }
}
