//! `log_format` as a real nginx reads it: random pieces, and the lines that nginx writes with them.
//!
//! The expected values come from nginx: it writes each variable into a separate log, with each escaping, at the same
//! moment as the tested lines.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use logweir_parsers::nginx_conf::{self, NginxConf};
use logweir_parsers::{Captures, Escape, Format};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::servers;
use crate::support::agent::{Home, section_cluster};
use testkit::nginx::{self, Nginx, temp_paths};
use testkit::ports::free_port;
use testkit::stage::Stage;
use testkit::wait::Deadline;

/// Formats of one run.
const FORMATS: usize = 240;
/// Texts that are tested with nginx one by one.
const TEXTS: usize = 120;

/// Names that are prefixes of others, and variables that people write without a separator.
const VARIABLES: &[&str] = &[
    "a",
    "ab",
    "a_b",
    "a1",
    "A",
    "empty",
    "odd",
    "http_x",
    "http_absent",
    "arg_b",
    "request",
    "request_method",
    "request_uri",
    "uri",
    "is_args",
    "args",
    "host",
    "http_host",
    "server_port",
    "scheme",
    "status",
    "body_bytes_sent",
    "remote_addr",
    "remote_user",
    "time_local",
    "msec",
    "request_time",
    "pipe",
];

const ESCAPES: [(&str, Escape); 3] = [
    ("default", Escape::Default),
    ("json", Escape::Json),
    ("none", Escape::None),
];

/// Requests with and without a host, a query and a body, and an invalid request.
const REQUESTS: &[&str] = &[
    "GET /a/b?b=1&c=%20 HTTP/1.1\r\nHost: shop.example\r\nX: a \"b\" \\ \u{e9}\r\n",
    "GET /x%22y%20z- HTTP/1.1\r\nHost: shop.example:8080\r\nX: -\r\n",
    "GET /a HTTP/1.0\r\n",
    "POST http://shop.example/p?q HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 0\r\n",
    "\u{16}\u{3}\u{1}\r\n",
];

/// A part of a word.
#[derive(Debug, Clone)]
enum Token {
    Text(String),
    Variable { name: &'static str, braces: bool },
}

fn token(text: &'static str) -> impl Strategy<Value = Token> {
    let variable = (prop::sample::select(VARIABLES), any::<bool>());
    prop_oneof![
        2 => text.prop_map(Token::Text),
        3 => variable.prop_map(|(name, braces)| Token::Variable { name, braces }),
    ]
}

/// A name ends at a byte that no name contains, at its own braces, or at the end of its word.
fn join(tokens: &[Token]) -> String {
    let mut word = String::new();
    for (at, token) in tokens.iter().enumerate() {
        let name_goes_on = match tokens.get(at + 1) {
            Some(Token::Text(text)) => {
                text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            }
            _ => false,
        };
        match token {
            Token::Text(text) => word.push_str(text),
            Token::Variable { name, braces } if *braces || name_goes_on => {
                word.push_str(&format!("${{{name}}}"));
            }
            Token::Variable { name, .. } => word.push_str(&format!("${name}")),
        }
    }
    word
}

/// A word of the directive: in quotes or without, as nginx's reader takes it.
fn word() -> impl Strategy<Value = String> {
    let quoted = |quote: &'static str, text: &'static str| {
        prop::collection::vec(token(text), 0..4)
            .prop_map(move |tokens| format!("{quote}{}{quote}", join(&tokens)))
    };
    let text = "([a-z0-9_|\\[\\]:/?.}#\"',-]|\\\\[ ;'\"\\\\ta]){1,3}";
    let bare = prop::collection::vec(token(text), 1..5)
        .prop_map(|tokens| join(&tokens))
        .prop_filter("begins as a bare word does", |word| {
            !word.starts_with(['"', '\'', '#', '}'])
        });
    prop_oneof![
        4 => quoted("'", "([a-zA-Z0-9_ |\\[\\]:/?.{};#\",-]|\\\\['\"\\\\ta]){1,3}"),
        3 => quoted("\"", "([a-zA-Z0-9_ |\\[\\]:/?.{};#',-]|\\\\['\"\\\\ta]){1,3}"),
        1 => bare,
    ]
}

/// The text after `log_format NAME`, without the `;`.
fn pieces() -> impl Strategy<Value = String> {
    let gap = prop::sample::select(&[" ", "\n  ", " # it's \"odd\";\n", "\t"][..]);
    let escape =
        prop::sample::select(&["", "escape=default ", "escape=json\n", "'escape=none' "][..]);
    let words = prop::collection::vec((word(), gap), 1..6);
    (escape, words).prop_map(|(escape, words)| {
        let mut text = escape.to_owned();
        for (word, gap) in words {
            text.push_str(&word);
            text.push_str(gap);
        }
        text
    })
}

/// One text of a strategy.
fn draw<T: std::fmt::Debug>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).unwrap().current()
}

fn read_conf(text: &str) -> NginxConf {
    struct One<'t>(&'t str);
    impl nginx_conf::ConfSource for One<'_> {
        fn read(&self, _: &str) -> Result<Vec<u8>, String> {
            Ok(self.0.as_bytes().to_vec())
        }
        fn glob(&self, _: &str) -> Result<Vec<String>, String> {
            Ok(vec![])
        }
    }
    let settings = nginx_conf::Settings {
        conf: "/nginx.conf".to_owned(),
        prefix: "/".to_owned(),
        default_log: "/access.log".to_owned(),
    };
    nginx_conf::read(&settings, &One(text))
}

fn head(folder: &Path) -> String {
    format!(
        "daemon off; master_process off; pid {0}/pid; error_log stderr crit; events {{}}\nhttp {{ {1}\n",
        folder.display(),
        temp_paths(folder),
    )
}

/// Sends each request, and waits until nginx has closed the connection: its lines are written by then.
fn send(port: u16) {
    for request in REQUESTS {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        // each char is a byte
        let bytes: Vec<u8> = request
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap())
            .collect();
        stream.write_all(&bytes).unwrap();
        stream.write_all(b"Connection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
}

/// The lines of a log, once all are there.
fn lines(path: &Path) -> Vec<Vec<u8>> {
    let deadline = Deadline::new();
    loop {
        let text = fs::read(path).unwrap();
        let lines: Vec<Vec<u8>> = text
            .split_inclusive(|byte| *byte == b'\n')
            .filter_map(|line| line.strip_suffix(b"\n").map(<[u8]>::to_vec))
            .collect();
        if lines.len() >= REQUESTS.len() {
            return lines;
        }
        deadline.pause(|| format!("{}: {} lines", path.display(), lines.len()));
    }
}

/// The texts of the variables of one request under one escaping.
type Texts = BTreeMap<&'static str, Vec<u8>>;

/// The expected value of a field, from the values that nginx writes for its variables.
fn fill(value: &str, texts: &Texts) -> Vec<u8> {
    let mut line = Vec::new();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        line.extend_from_slice(&rest.as_bytes()[..at]);
        let name = &rest[at + 1..];
        let (name, after) = match name.strip_prefix('{') {
            Some(name) => name.split_once('}').unwrap(),
            None => name.split_at(
                name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(name.len()),
            ),
        };
        line.extend_from_slice(&texts[name]);
        rest = after;
    }
    line.extend_from_slice(rest.as_bytes());
    line
}

#[test]
fn random_pieces_are_read_as_a_real_nginx_reads_them() {
    let servers = servers();
    let Some(program) = &servers.nginx else {
        return;
    };
    let home = Home::new();
    let folder = home.path("nginx");
    fs::create_dir_all(&folder).unwrap();
    let mut runner = TestRunner::deterministic();
    let texts: Vec<String> = (0..FORMATS).map(|_| draw(&mut runner, &pieces())).collect();
    let port = free_port();
    let (mut formats, mut logs) = (String::new(), String::new());
    for (at, text) in texts.iter().enumerate() {
        formats.push_str(&format!("log_format f{at} {text};\n"));
        logs.push_str(&format!(
            "access_log {}/f{at}.log f{at};\n",
            folder.display()
        ));
    }
    for (escape, _) in ESCAPES {
        for name in VARIABLES {
            formats.push_str(&format!(
                "log_format {escape}_{name}_ escape={escape} \"${name}\";\n"
            ));
            let path = folder.join(format!("{escape}_{name}_.log"));
            logs.push_str(&format!(
                "access_log {} {escape}_{name}_;\n",
                path.display()
            ));
        }
    }
    let conf = format!(
        "{}{formats}\nserver {{ listen 127.0.0.1:{port}; {logs}\n\
         set $a va; set $ab vab; set $a_b va_b; set $a1 va1; set $empty \"\"; set $odd \"o\\\"d/\\\\?d-\";\n\
         location / {{ return 200 page; }} }} }}\n",
        head(&folder)
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, &conf).unwrap();
    let nginx = Nginx::start(&nginx::command(program, &folder, &path), &folder, &[port]).unwrap();
    send(port);
    let read = |name: &str| lines(&folder.join(format!("{name}.log")));
    let mut said: BTreeMap<&str, Vec<Texts>> = BTreeMap::new();
    for (escape, _) in ESCAPES {
        let mut by_request = vec![Texts::new(); REQUESTS.len()];
        for name in VARIABLES {
            for (texts, line) in by_request
                .iter_mut()
                .zip(read(&format!("{escape}_{name}_")))
            {
                texts.insert(name, line);
            }
        }
        said.insert(escape, by_request);
    }
    let found = read_conf(&conf);
    assert_eq!(found.problems, []);
    let (mut certain, mut joined) = (0, 0);
    for (at, text) in texts.iter().enumerate() {
        let format = found.format(&format!("f{at}")).unwrap();
        let (escape, _) = ESCAPES
            .iter()
            .find(|(_, escape)| *escape == format.escape)
            .unwrap();
        let lines = read(&format!("f{at}"));
        for (texts, line) in said[escape].iter().zip(&lines) {
            let filled = fill(&format.value, texts);
            assert_eq!(
                filled.escape_ascii().to_string(),
                line.escape_ascii().to_string(),
                "log_format f{at} {text};"
            );
        }
        let Ok(compiled) = Format::compile(&format.value, format.escape) else {
            continue;
        };
        let pasted = Format::from_directive(&format!("log_format f{at} {text};"), Escape::Default);
        assert_eq!(pasted.unwrap().source(), format.value, "{text}");
        if !compiled
            .warnings()
            .iter()
            .all(|warning| warning.is_joined())
        {
            continue;
        }
        certain += 1;
        joined += usize::from(
            compiled
                .fields()
                .iter()
                .any(|field| field.name().contains('$')),
        );
        check(&compiled, &said[escape], &lines);
    }
    drop(nginx);
    assert!(certain > FORMATS / 8, "{certain}");
    assert!(joined > FORMATS / 40, "{joined}");
}

/// Fails unless the parsed values are those that nginx wrote.
fn check(format: &Format, said: &[Texts], lines: &[Vec<u8>]) {
    let mut captures = Captures::new();
    for (texts, line) in said.iter().zip(lines) {
        let shown = || format!("{}: {}", format.source(), line.escape_ascii());
        if let Err(error) = format.parse(line, &mut captures) {
            panic!("{}: {}", shown(), format.explain(&error));
        }
        for (at, field) in format.fields().iter().enumerate() {
            let Some((from, to)) = captures.span(at) else {
                continue;
            };
            let read = &line[from as usize..to as usize];
            let written: Vec<u8> = field
                .name()
                .split('$')
                .flat_map(|name| texts[name].clone())
                .collect();
            assert_eq!(
                read.escape_ascii().to_string(),
                written.escape_ascii().to_string(),
                "${}: {}",
                field.name(),
                shown()
            );
        }
    }
}

/// The compiler refuses what nginx refuses, and accepts what nginx accepts.
#[test]
fn odd_texts_are_refused_where_a_real_nginx_refuses_them() {
    let servers = servers();
    let Some(program) = &servers.nginx else {
        return;
    };
    let home = Home::new();
    let folder = home.path("nginx");
    fs::create_dir_all(&folder).unwrap();
    let mut runner = TestRunner::default();
    // somewhere one byte is added, taken away or changed
    let odd = (
        pieces(),
        any::<prop::sample::Index>(),
        prop::sample::select(&["", "'", "\"", "$", "\\", " ", "a", "${", "escape="][..]),
        any::<bool>(),
    )
        .prop_map(|(text, at, byte, replaces)| {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            let end = at + usize::from(replaces);
            bytes.splice(at..end, byte.bytes());
            String::from_utf8(bytes).unwrap()
        });
    let path = folder.join("nginx.conf");
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..TEXTS {
        let text = draw(&mut runner, &odd);
        let conf = format!(
            "{}log_format f {text}\n;\nserver {{ access_log off; {}\n}} }}\n",
            head(&folder),
            ["a", "ab", "a_b", "a1", "empty", "odd"]
                .map(|name| format!("set ${name} v;"))
                .concat(),
        );
        fs::write(&path, &conf).unwrap();
        let (takes, words) = nginx::accepts(program, &folder, &path).unwrap();
        // unknown variables, and text after a quote that now ends elsewhere
        if [
            "unknown \"",
            "unknown directive",
            "is not terminated",
            "has no opening",
        ]
        .iter()
        .any(|known| words.contains(known))
        {
            continue;
        }
        let problems = read_conf(&conf).problems;
        assert_eq!(
            problems.is_empty(),
            takes,
            "log_format f {text};\n{words}\n{problems:?}"
        );
        if takes {
            taken += 1;
        } else {
            refused += 1;
        }
    }
    assert!(taken > 5 && refused > 5, "{taken} {refused}");
}

/// A log of each kind, read once: no format matches the lines of another log, adjacent variables affect no other field,
/// and changes by an editor, such as carriage returns, have no effect.
#[test]
fn each_log_is_read_by_the_format_of_its_lines() {
    let (home, stage) = (Home::new(), Stage::new());
    let folder = home.path("logs");
    fs::create_dir_all(&folder).unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    let conf = home.path("own.conf");
    fs::write(
        &conf,
        format!(
            "events {{}}\nhttp {{\nlog_format json_log escape=none '$json_log';\n\
             log_format beside '$status $request_method \"$scheme://$host:$server_port$request_uri\" '\n\
             '$server_protocol [$time_local] $remote_addr \"$http_user_agent\"';\n\
             server {{ access_log {} json_log; }}\nserver {{ access_log {} beside; }}\n\
             server {{ access_log {}; }}\n}}\n",
            at("json.log"),
            at("beside.log"),
            at("plain.log"),
        ),
    )
    .unwrap();
    let time = "[23/Nov/2026:05:41:14 +0000]";
    let combined =
        format!("203.0.113.7 - - {time} \"GET /plain HTTP/1.1\" 200 12 \"-\" \"curl/8\"");
    for (name, text) in [
        ("json.log", "{\"any\": \"thing\"}\n".to_owned()),
        (
            "beside.log",
            format!(
                "200 GET \"http://shop.example:80/a?b=1\" HTTP/1.1 {time} 203.0.113.9 \"curl/8\"\n\
                 400 - \"http://shop.example:80-\" - {time} 203.0.113.9 \"-\"\n"
            ),
        ),
        (
            "plain.log",
            format!(
                "{combined}\r\n\r\n\n{}\r\n",
                combined.replace("plain", "json-like")
            ),
        ),
        // nginx.conf does not name this one
        (
            "other.log",
            format!(
                "shop.example:443 {combined}\n203.0.113.8 - - {time} \"GET /main HTTP/1.1\" 200 1 \"-\" \"-\" \"-\"\n"
            ),
        ),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    let log = format!("[[logs]]\npaths = ['{}']\n", at("*.log"));
    home.configure_nginx(
        &conf,
        "",
        &format!("{log}{}", section_cluster(&stage.address())),
    );
    home.once();

    let documents = stage.documents();
    let found = |path: &str| {
        let mut documents = documents.iter();
        documents.find(|document| document["url"]["path"] == path)
    };
    assert_eq!(documents.len(), 7, "{documents:#?}");
    let unparsed = documents
        .iter()
        .filter(|document| document.get("error").is_some())
        .count();
    assert_eq!(unparsed, 0, "{documents:#?}");
    let json = documents
        .iter()
        .filter(|document| document["nginx"]["access"]["json_log"].is_string());
    assert_eq!(json.count(), 1);
    let beside = found("/a").unwrap();
    for (pointer, value) in [
        ("/source/address", "203.0.113.9"),
        ("/http/request/method", "GET"),
        ("/url/query", "b=1"),
        ("/url/domain", "shop.example"),
        ("/url/scheme", "http"),
    ] {
        assert_eq!(beside.pointer(pointer).unwrap(), value, "{beside:#}");
    }
    assert_eq!(beside["destination"]["port"], 80);
    assert_eq!(beside["http"]["response"]["status_code"], 200);
    for path in ["/plain", "/json-like"] {
        assert_eq!(found(path).unwrap()["user_agent"]["original"], "curl/8");
    }
    assert_eq!(found("/main").unwrap()["source"]["ip"], "203.0.113.8");
    let with_host = |document: &&serde_json::Value| {
        document["url"]["path"] == "/plain" && document["url"]["domain"] == "shop.example"
    };
    assert_eq!(documents.iter().filter(with_host).count(), 1);
}
