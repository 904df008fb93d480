//! `logweir check` as its user sees it: the real binary's output and exit code over fixture logs.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use testkit::http_server::{HttpServer, Reply};

/// A folder with logs, a configuration and state, and the command that works on it.
struct Bench {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// The output of a command.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/check")
        .join(name)
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let variables = vec![("LOGWEIR_HOST".to_owned(), "web-07".to_owned())];
        let bench = Self { folder, variables }
            .set("LOGWEIR_DATA_DIR", "DIR/data")
            .set("LOGWEIR_NGINX_CONF", "DIR/nginx.conf");
        let conf = fs::read_to_string(fixture("nginx.conf")).unwrap();
        bench.write("nginx.conf", conf.replace("LOGS", &bench.at("logs")));
        bench
    }

    /// Only the owner may read the logs, so that the output does not depend on the user that runs the test.
    fn private(self) -> Self {
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(self.folder.path(), mode).unwrap();
        self
    }

    /// A bench whose cluster gets no request.
    fn with_cluster() -> Self {
        Self::new().set("LOGWEIR_ELASTICSEARCH_NODES", "http://127.0.0.1:1")
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        let value = value.replace("DIR", self.folder.path().to_str().unwrap());
        self.variables.push((name.to_owned(), value));
        self
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.folder.path().join(name), content).unwrap();
        self.at(name)
    }

    fn command(&self, binary: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command
            .env_clear()
            .envs(self.variables.iter().cloned())
            .arg("check")
            .args(arguments);
        command
    }

    fn check(&self, arguments: &[&str]) -> Ended {
        self.check_of(self.command(env!("CARGO_BIN_EXE_logweir"), arguments), b"")
    }

    fn check_of(&self, mut command: Command, input: &[u8]) -> Ended {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // a command that ends before it has read everything prints the reason
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| self.stable(&String::from_utf8(bytes).unwrap());
        Ended {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// The output without what differs from run to run.
    fn stable(&self, text: &str) -> String {
        let text = text.replace(self.folder.path().to_str().unwrap(), "DIR");
        let replace = |text: &str, what: &str, by: &str| {
            regex::Regex::new(what)
                .unwrap()
                .replace_all(text, by)
                .into_owned()
        };
        let text = replace(
            &text,
            r#""event.created": "[^"]*""#,
            r#""event.created": "NOW""#,
        );
        let text = replace(&text, r"  user        .*", "  user        USER");
        let text = replace(&text, r"after \d+ ms", "after N ms");
        let text = replace(
            &text,
            r#""agent.version": "[^"]*""#,
            r#""agent.version": "X""#,
        );
        replace(&text, r"127\.0\.0\.1:\d{2,}", "127.0.0.1:PORT")
    }
}

fn good(at: u32) -> String {
    format!(
        "203.0.113.{} - - [23/Nov/2026:05:41:{:02} +0000] \"GET /{at} HTTP/1.1\" 200 612 \"-\" \"curl/8.5.0\"\n",
        at % 250,
        at % 60
    )
}

#[test]
fn each_odd_line_is_explained() {
    let bench = Bench::new();
    let log = bench.write("logs/shop.log", fs::read(fixture("odd.log")).unwrap());
    let ended = bench.check(&["--parse", &log]);
    assert_eq!((ended.code, ended.err.as_str()), (65, ""));
    insta::assert_snapshot!(ended.out);
    assert!(!ended.out.contains('\u{1b}'));
}

#[test]
fn a_log_without_odd_lines_ends_with_0_from_any_source() {
    let bench = Bench::new();
    let text: String = (0..250).map(good).collect();
    let log = bench.write("access.log", &text);
    let plain = bench.check(&["--parse", &log, "--lines", "1"]);
    assert_eq!((plain.code, plain.err.as_str()), (0, ""));
    insta::assert_snapshot!(plain.out);

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let bytes = encoder.finish().unwrap();
    let packed = bench.write("access.log.2.gz", &bytes);
    let unpacked = bench.check(&["--parse", &packed, "--lines", "1"]);
    assert_eq!(
        unpacked.out.replace("access.log.2.gz", "access.log"),
        plain.out
    );
    assert_eq!(unpacked.code, 0);

    let command = bench.command(
        env!("CARGO_BIN_EXE_logweir"),
        &["--parse", "-", "--lines", "1"],
    );
    let piped = bench.check_of(command, &bytes);
    assert_eq!(
        piped
            .out
            .replace("-: formats", "DIR/access.log: formats")
            .lines()
            .last(),
        plain.out.lines().last()
    );
    assert_eq!(piped.code, 0);

    let torn = bench.write("torn.gz", &bytes[..bytes.len() / 2]);
    let torn = bench.check(&["--parse", &torn]);
    assert_eq!(torn.code, 74);
    assert!(
        torn.err.contains("damaged or still being written"),
        "{}",
        torn.err
    );
}

#[test]
fn ten_lines_are_shown_for_each_reason() {
    let bench = Bench::new();
    let odd = |at: u32| good(at).replace(" 200 ", " 20x ");
    let text: String = (0..40).map(odd).chain((0..3).map(good)).collect();
    let log = bench.write("access.log", format!("{text}{}", good(3).trim_end()));
    let ended = bench.check(&["--parse", &log, "--lines", "0"]);
    assert_eq!(ended.code, 65);
    assert_eq!(
        ended
            .out
            .matches("expected a status of three digits")
            .count(),
        10
    );
    assert!(ended.out.contains("30 more odd lines"), "{}", ended.out);
    insta::assert_snapshot!(ended.out.split("summary").last().unwrap());
}

#[test]
fn a_line_over_the_limit_counts_as_one_odd_line() {
    let bench = Bench::new().set("LOGWEIR_MAX_LINE_BYTES", "1KiB");
    let long = good(1).replace("/1 ", &format!("/{} ", "x".repeat(5000)));
    let log = bench.write("access.log", format!("{}{long}{}", good(0), good(2)));
    let ended = bench.check(&["--parse", &log, "--lines", "0"]);
    assert_eq!(ended.code, 65);
    let said = "line 2: has 5086 bytes and is cut at max_line_bytes (1KiB)";
    assert!(ended.out.contains(said), "{}", ended.out);
    assert!(
        ended.out.contains("parsed                      2"),
        "{}",
        ended.out
    );
}

#[test]
fn the_format_can_be_given_as_in_nginx_conf() {
    let bench = Bench::new();
    let log = bench.write("own.log", "200 /a 0.001\n404 /b 1.500\n");
    let formats = [
        "$status $uri $request_time",
        "'$status $uri ' '$request_time'",
        "log_format own '$status $uri ' \"$request_time\";",
    ];
    for format in formats {
        let ended = bench.check(&["--parse", &log, "--format", format]);
        assert_eq!(ended.code, 0, "{}", ended.out);
    }
    let by_name = bench.check(&["--parse", &log, "--format", "api"]);
    assert_eq!(by_name.code, 65);
    assert!(
        by_name.out.contains("formats api (--format api)"),
        "{}",
        by_name.out
    );

    let unknown = bench.check(&["--parse", &log, "--format", "mian"]);
    assert_eq!(unknown.code, 64);
    let neighbours = bench.check(&["--parse", &log, "--format", "ä $http_a$http_b x"]);
    assert_eq!(neighbours.code, 64);
    insta::assert_snapshot!(format!("{}{}", unknown.err, neighbours.err));
}

#[test]
fn a_file_that_cannot_be_read_is_reported() {
    let bench = Bench::new();
    let absent = bench.check(&["--parse", &bench.at("absent.log")]);
    assert_eq!(absent.code, 74);
    assert!(
        absent.err.contains("cannot read DIR/absent.log"),
        "{}",
        absent.err
    );
    assert_eq!(bench.check(&["--parse", &bench.at("logs")]).code, 74);
}

#[test]
fn check_reports_what_run_would_do() {
    let bench = Bench::with_cluster().private();
    bench.write("logs/shop.log", fs::read(fixture("odd.log")).unwrap());
    bench.write("logs/shop.log.1", good(1));
    let through_proxy = |at| good(at).replacen(&format!("203.0.113.{} ", at % 250), "10.0.0.7 ", 1);
    bench.write(
        "logs/blog.log",
        (0..150).map(through_proxy).collect::<String>(),
    );
    std::os::unix::fs::symlink("/dev/stdout", bench.at("logs/api.log")).unwrap();
    let ended = bench.check(&[]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    insta::assert_snapshot!(ended.out);
}

#[test]
fn a_trusted_proxy_needs_its_header_in_the_log() {
    let bench = Bench::with_cluster()
        .private()
        .set("LOGWEIR_TRUSTED_PROXIES", "10.0.0.0/8");
    let toml = format!(
        "[[logs]]\npaths = [\"{}\"]\nformat = \"$remote_addr $http_x_a $http_x_b $status\"\n",
        bench.at("logs/own.log")
    );
    let toml = bench.write("logweir.toml", toml);
    bench.write("logs/own.log", "10.0.0.7 a b 200\n".repeat(120));
    let ended = bench.check(&["-c", &toml]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    insta::assert_snapshot!(ended.out);
}

#[test]
fn a_wrong_configuration_has_the_exit_code_of_run() {
    let bench = Bench::new();
    let nowhere = bench.check(&[]);
    assert_eq!(nowhere.code, 0, "{}", nowhere.out);
    assert!(
        nowhere.out.contains("no cluster is configured"),
        "{}",
        nowhere.out
    );

    let toml = bench.write("logweir.toml", "hots = \"x\"\nhistory = \"soon\"\n");
    let wrong = bench.check(&["-c", &toml]);
    assert_eq!((wrong.code, wrong.out.as_str()), (78, ""));
    assert!(wrong.err.contains("2 problems"), "{}", wrong.err);
    assert_eq!(bench.check(&["-c", &bench.at("absent.toml")]).code, 78);

    let bench = Bench::with_cluster();
    bench.write("data", "a file where a folder should be");
    assert_eq!(bench.check(&[]).code, 73);
}

/// Root may read everything, so the command runs as another user, from a path where that user may run it.
#[test]
fn unreadable_logs_are_reported_with_the_group() {
    use std::os::unix::fs::MetadataExt;
    const NOBODY: u32 = 65_534;
    let bench = Bench::with_cluster();
    let open = |path: &str, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    fs::create_dir(bench.at("data")).unwrap();
    for folder in ["", "data", "logs"] {
        open(&bench.at(folder), 0o777);
    }
    let log = bench.write("logs/blog.log", good(1));
    open(&log, 0o040);
    open(&bench.at("nginx.conf"), 0o644);
    let binary = bench.at("logweir");
    // By another process: were it open for writing here, a child that another test starts just then would
    // inherit it, and a file open for writing cannot be run.
    let copied = Command::new("cp")
        .args([env!("CARGO_BIN_EXE_logweir"), &binary])
        .status();
    assert!(copied.unwrap().success());
    let run = |arguments: &[&str]| {
        let mut command = bench.command(&binary, arguments);
        if fs::metadata(bench.at("")).unwrap().uid() == 0 {
            command.uid(NOBODY).gid(NOBODY);
        }
        bench.check_of(command, b"")
    };
    let ended = run(&[]);
    assert_eq!(ended.code, 77, "{}", ended.out);
    assert!(
        ended.out.contains("may read none of the logs"),
        "{}",
        ended.out
    );
    if fs::metadata(&log).unwrap().uid() == 0 {
        assert!(
            ended.out.contains("the group root may read it"),
            "{}",
            ended.out
        );
    }
    assert_eq!(run(&["--parse", &log]).code, 77);
}

/// A server that responds to each path with the scripted status, headers and body.
pub(crate) fn serve(script: &[(&str, u16, &str, &str)]) -> HttpServer {
    serve_with(script, &[])
}

/// The same, with the objects of setup in the cluster.
fn serve_with(script: &[(&str, u16, &str, &str)], held: &[(String, String)]) -> HttpServer {
    let json = "content-type: application/json\r\n";
    let answer = |status, header: &str, body: &str| Reply::Answer {
        status,
        headers: format!("{json}{header}"),
        body: body.into(),
    };
    let scripted = script
        .iter()
        .map(|(path, status, header, body)| ((*path).to_owned(), answer(*status, header, body)));
    let held = held
        .iter()
        .map(|(path, body)| (path.clone(), answer(200, "", body)));
    let replies: HashMap<String, Reply> = scripted.chain(held).collect();
    HttpServer::start(move |request| {
        let known = replies.get(request.head.path()).cloned();
        known.unwrap_or_else(|| Reply::json(404, "{}"))
    })
}

/// The responses of a cluster after setup.
fn set_up(family: &str, components: &[&str]) -> Vec<(String, String)> {
    let file = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("mappings")
            .join(family);
        fs::read_to_string(path.join(name)).unwrap()
    };
    let component = |part: &&str| {
        let content = file(&format!("component-{part}.json"));
        let path = format!("/_component_template/nginx-access@{part}");
        (
            path,
            format!(r#"{{"component_templates":[{{"component_template":{content}}}]}}"#),
        )
    };
    let content = file("index-template.json");
    let template = format!(r#"{{"index_templates":[{{"index_template":{content}}}]}}"#);
    let none = r#"{"index_templates":[]}"#.to_owned();
    let templates = [
        ("/_index_template/nginx-access".to_owned(), template),
        ("/_index_template".to_owned(), none),
    ];
    components.iter().map(component).chain(templates).collect()
}

const ROOT: &str = r#"{"version":{"number":"8.19.2"},"tagline":"You Know, for Search"}"#;
const SETTINGS: &str = "/nginx-access-*/_settings/index.translog.durability";

fn connect(nodes: &str) -> Ended {
    let bench = Bench::new().set("LOGWEIR_ELASTICSEARCH_NODES", nodes);
    let ended = bench.check(&["--connect"]);
    assert_eq!(ended.err, "");
    let start = ended.out.find("\nnode ").unwrap_or(0);
    Ended {
        out: ended.out[start..].to_owned(),
        ..ended
    }
}

#[test]
fn a_usable_cluster_is_reported() {
    let date = "date: Mon, 23 Nov 2020 05:41:14 GMT\r\n";
    let lax = r#"{"nginx-access-2026.11.23":{"settings":{"index.translog.durability":"async"}},"b":{"settings":{}}}"#;
    let script = [("/", 200, date, ROOT), (SETTINGS, 200, "", lax)];
    let first = serve_with(&script, &set_up("elasticsearch", &["mappings", "settings"]));
    let ended = connect(&first.url());
    let out = regex::Regex::new(r"clock is \d+ s")
        .unwrap()
        .replace(&ended.out, "clock is N s")
        .into_owned();
    assert_eq!(ended.code, 0, "{out}");
    insta::assert_snapshot!(out);
}

#[test]
fn a_405_for_the_root_is_not_a_fault() {
    let nodes = r#"{"nodes":{"a":{"version":"2.19.6"}}}"#;
    let script = [("/", 405, "", "{}"), ("/_nodes", 200, "", nodes)];
    let components = ["mappings", "settings", "custom"];
    let node = serve_with(&script, &set_up("opensearch", &components));
    let ended = connect(&node.url());
    assert_eq!(ended.code, 0, "{}", ended.out);
    insta::assert_snapshot!(ended.out);
}

#[test]
fn an_unusable_node_is_reported_with_the_setting() {
    let stranger = serve(&[("/", 401, "", "Unauthorized")]);
    let none = ("/_index_template", 200, "", r#"{"index_templates":[]}"#);
    let bare = serve(&[("/", 200, "", ROOT), none]);
    let ended = connect(&format!(
        "http://127.0.0.1:1,{},{}",
        stranger.url(),
        bare.url()
    ));
    assert_eq!(ended.code, 69);
    insta::assert_snapshot!(ended.out);
}
