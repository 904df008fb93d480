//! The attacks. Each returns figures when the agent holds it off, or an error with the way in which it succeeded.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rustix::process::Signal;
use testkit::hostile::{answer, bomb, endless, endless_head};
use testkit::http_server::Reply;
use testkit::lines::line;

use super::crowd::Crowd;
use super::stage::{Setting, Stage};

pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) run: fn(program: &Path, folder: &Path) -> Result<String>,
}

macro_rules! attacks {
    ($($name:literal => $run:expr),* $(,)?) => {
        &[$(Attack { name: $name, run: $run }),*]
    };
}

pub(super) const ATTACKS: &[Attack] = attacks![
    "half-sent requests" => half_sent_requests,
    "idle connections" => idle_connections,
    "readers that do not read" => slow_readers,
    "endless request bodies" => endless_request_bodies,
    "a page asked for under another name" => rebinding,
    "a gzip bomb as answer" => |program, folder| answers(program, folder, Reply::Say(bomb())),
    "an endless answer" => |program, folder| answers(program, folder, endless()),
    "an answer that drips" => |program, folder| answers(program, folder, drip()),
    "an answer nested a million deep" => |program, folder| answers(program, folder, deep()),
    "endless headers of an answer" => |program, folder| answers(program, folder, endless_head()),
    "terminal escapes in an answer" => |program, folder| answers(program, folder, escapes()),
    "more logs than descriptors" => many_logs,
    "crossing routes" => crossing_routes,
    "links to files of others" => links,
    "lines of every kind" => hostile_lines,
    "signals" => signals,
    "a stop while nobody is let in" => stop_while_unauthorized,
];

/// After this a connection that sends nothing useful is closed.
const CLOSED_WITHIN: Duration = Duration::from_secs(15);
/// Connections that the agent holds at the most.
const CONNECTIONS: usize = 64;
const LOOK: Duration = Duration::from_millis(100);

fn plain(program: &Path, folder: &Path) -> Result<Stage> {
    Stage::open(program, folder, &Setting::default())
}

fn half_sent_requests(program: &Path, folder: &Path) -> Result<String> {
    crowd(
        program,
        folder,
        1_100,
        b"GET /status HTTP/1.1\r\nHost: localhost\r\nX-Half: ",
    )
}

fn idle_connections(program: &Path, folder: &Path) -> Result<String> {
    crowd(program, folder, 3_000, b"")
}

fn slow_readers(program: &Path, folder: &Path) -> Result<String> {
    let requests = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2_000);
    let mut stage = plain(program, folder)?;
    let crowd = Crowd::gather(stage.http, 200, &requests);
    let took = stage.still_indexes()?;
    let (status, _) = stage.get("/livez", "localhost")?;
    ensure!(status == 200, "/livez answers {status}");
    drop(crowd);
    Ok(format!("{}, {}", lines_in(took), stage.memory()?))
}

fn crowd(program: &Path, folder: &Path, count: usize, sends: &[u8]) -> Result<String> {
    let mut stage = plain(program, folder)?;
    let mut crowd = Crowd::gather(stage.http, count, sends);
    let open = crowd.open();
    ensure!(open <= 2 * CONNECTIONS, "{open} connections stay open");
    let took = stage.still_indexes()?;
    for page in ["/livez", "/metrics"] {
        let (status, _) = stage.get(page, "localhost")?;
        ensure!(status == 200, "{page} answers {status}");
    }
    let start = Instant::now();
    while crowd.open() > 0 {
        if start.elapsed() > CLOSED_WITHIN {
            bail!("{} connections stay open", crowd.open());
        }
        sleep(LOOK);
    }
    Ok(format!("{}, {}", lines_in(took), stage.memory()?))
}

fn endless_request_bodies(program: &Path, folder: &Path) -> Result<String> {
    let mut stage = plain(program, folder)?;
    let head = b"POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n";
    let filler = vec![b'x'; 1 << 16];
    let mut sent = 0;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(stage.http)?;
        stream.set_write_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(head)?;
        for _ in 0..200 {
            match stream.write(&filler) {
                Ok(length) => sent += length,
                Err(_) => break,
            }
        }
    }
    let took = stage.still_indexes()?;
    Ok(format!(
        "{}, {}, {} MB were sent",
        lines_in(took),
        stage.memory()?,
        sent / 1_000_000
    ))
}

/// The requests that a foreign web page could send to the agent once its name resolves to this host.
fn rebinding(program: &Path, folder: &Path) -> Result<String> {
    let stage = plain(program, folder)?;
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
    ] {
        let (status, body) = stage.get("/status", host)?;
        ensure!(
            (400..500).contains(&status) && !body.contains("access.log"),
            "/status answers {status} to host {host:?}"
        );
    }
    for host in ["localhost", "127.0.0.1:9280", "[::1]:9280"] {
        let (status, _) = stage.get("/status", host)?;
        ensure!(status == 200, "/status answers {status} to host {host:?}");
    }
    for page in ["/livez", "/metrics"] {
        let (status, _) = stage.get(page, "probe.example")?;
        ensure!(status == 200, "{page} answers {status} to a probe");
    }
    Ok("refused by the name".to_owned())
}

fn answers(program: &Path, folder: &Path, bad: Reply) -> Result<String> {
    let mut stage = plain(program, folder)?;
    stage.cluster.answer(Some(bad));
    stage.write(500);
    stage.hit(2)?;
    let memory = stage.memory()?;
    stage.cluster.answer(None);
    let took = stage.still_indexes()?;
    let printed = stage.printed()?;
    let is_raw = |byte: &u8| byte.is_ascii_control() && *byte != b'\n' && *byte != b'\t';
    ensure!(
        !printed.iter().any(is_raw),
        "control characters of an answer are printed raw"
    );
    Ok(format!("{}, {memory}", lines_in(took)))
}

/// A response that comes a byte at a time.
fn drip() -> Reply {
    Reply::Drip(answer(200, "content-length: 1000000\r\n", b""))
}

fn deep() -> Reply {
    Reply::json(200, "[".repeat(1 << 20))
}

/// The documents are refused with terminal escapes, in the status line and in the body.
fn escapes() -> Reply {
    let body = "{\"error\":{\"type\":\"a\\u001b[2J\\u0007type\",\"reason\":\"\\u001b]0;title\\u0007 \
                \\u202e\\r\\nforged line\"},\"status\":400}";
    let head =
        "HTTP/1.1 400 Bad\x1b[31mRequest\r\ncontent-type: application/json\r\ncontent-length: ";
    Reply::Say(format!("{head}{}\r\n\r\n{body}", body.len()).into_bytes())
}

fn many_logs(program: &Path, folder: &Path) -> Result<String> {
    const LOGS: u32 = 1_100;
    let logs = folder.join("many");
    fs::create_dir_all(&logs)?;
    for number in 0..LOGS {
        fs::write(
            logs.join(format!("site-{number}.log")),
            line(1_000_000 + number),
        )?;
    }
    let setting = Setting {
        logs: vec![logs.join("*.log").display().to_string()],
        ..Setting::default()
    };
    let mut stage = Stage::open(program, folder, &setting)?;
    let start = Instant::now();
    let mut before = 0;
    // As many logs are read as descriptors allow; then the number stays.
    loop {
        let now = stage.cluster.documents();
        if now > before {
            before = now;
        } else if now > 700 && start.elapsed() > Duration::from_secs(5) {
            break;
        }
        ensure!(
            start.elapsed() < Duration::from_secs(60),
            "only {now} of {LOGS} logs are read"
        );
        sleep(LOOK * 5);
    }
    stage.expect_also(u32::try_from(before)? - 1);
    let took = stage.still_indexes()?;
    Ok(format!(
        "{} of {LOGS} logs are followed, {}, {}",
        before - 1,
        lines_in(took),
        stage.memory()?
    ))
}

fn crossing_routes(program: &Path, folder: &Path) -> Result<String> {
    // Each segment is a word or a parameter, so every path has 4,096 ways through the templates.
    let mut sections = String::new();
    for number in 0..4_096_u32 {
        let segments = (0..12).map(|bit| match number >> bit & 1 {
            0 => "/a".to_owned(),
            _ => format!("/{{p{bit}}}"),
        });
        let path: String = segments.collect();
        writeln!(sections, "[[routes]]\npath = \"{path}/end\"")?;
    }
    let setting = Setting {
        sections: &sections,
        ..Setting::default()
    };
    let mut stage = Stage::open(program, folder, &setting)?;
    let path = "/a".repeat(12);
    let lines = 20_000_u32;
    let text: String = (0..lines)
        .map(|number| line(number).replace("/item", &path))
        .collect();
    let before = stage.cpu()?;
    stage.append(text.as_bytes(), lines);
    stage.all_arrived()?;
    let each = (stage.cpu()? - before) / lines;
    ensure!(each < Duration::from_micros(60), "a line costs {each:?}");
    Ok(format!(
        "a line costs {each:.1?} of CPU, {}",
        stage.memory()?
    ))
}

fn links(program: &Path, folder: &Path) -> Result<String> {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        return Ok(
            "left out: only an agent that runs as root can read what others cannot".to_owned(),
        );
    }
    let secret = folder.join("secret");
    fs::write(&secret, line(0).replace("/item/0", "/the-secret"))?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    let theirs = folder.join("theirs");
    fs::create_dir_all(&theirs)?;
    symlink(&secret, theirs.join("access.log"))?;
    fs::hard_link(&secret, theirs.join("hard.log"))?;
    symlink(&secret, theirs.join("other.log.1"))?;
    fs::write(theirs.join("other.log"), line(2_000_000))?;
    for name in ["", "other.log"] {
        chown(theirs.join(name), Some(NOBODY), Some(NOBODY))?;
    }
    let setting = Setting {
        logs: vec![theirs.join("*.log").display().to_string()],
        ..Setting::default()
    };
    let mut stage = Stage::open(program, folder, &setting)?;
    stage.cluster.forbid("the-secret");
    stage.expect_also(1);
    let took = stage.still_indexes()?;
    ensure!(
        !stage.cluster.leaked(),
        "lines of a file that its owner alone can read were indexed"
    );
    Ok(format!("{}, the secret stays", lines_in(took)))
}

fn hostile_lines(program: &Path, folder: &Path) -> Result<String> {
    let mut stage = plain(program, folder)?;
    let paths = [
        "/\x1b[2J\x07".to_owned(),
        "/\\x22}\\x0A{\\x22create\\x22:{}}".to_owned(),
        "/\"}\r{\"create\":{}}".to_owned(),
        format!("/{}", "a/".repeat(100_000)),
        format!("/{}", "%2e%2e/".repeat(10_000)),
        format!("/?{}", "a=b&".repeat(50_000)),
        "/\u{202e}\u{2066}\u{feff}".to_owned(),
        "\0\0\0".to_owned(),
    ];
    let mut bytes = Vec::new();
    for (number, path) in (0..).zip(&paths) {
        bytes.extend(line(number).replace("/item", path).into_bytes());
    }
    bytes.extend([b"\xff\xfe\x80".repeat(1_000).as_slice(), b"\n"].concat());
    bytes.extend([b"x".repeat(3 << 20).as_slice(), b"\n"].concat());
    stage.append(&bytes, u32::try_from(paths.len())? + 2);
    let took = stage.still_indexes()?;
    Ok(format!("{}, {}", lines_in(took), stage.memory()?))
}

fn signals(program: &Path, folder: &Path) -> Result<String> {
    let mut stage = plain(program, folder)?;
    for signal in [Signal::USR1, Signal::USR2, Signal::PIPE, Signal::HUP] {
        stage.signal(signal)?;
        stage.still_indexes()?;
    }
    Ok("USR1, USR2, PIPE and HUP end nothing".to_owned())
}

fn stop_while_unauthorized(program: &Path, folder: &Path) -> Result<String> {
    let mut stage = plain(program, folder)?;
    let body = r#"{"error":{"type":"security_exception","reason":"no"},"status":401}"#;
    stage.cluster.answer(Some(Reply::json(401, body)));
    stage.write(500);
    stage.hit(1)?;
    let took = stage.stop()?;
    ensure!(took < Duration::from_secs(3), "the stop took {took:.1?}");
    Ok(format!("stopped in {took:.1?}"))
}

fn lines_in(took: Duration) -> String {
    format!("500 lines in {took:.1?}")
}
