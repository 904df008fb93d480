//! A shop with a few APIs: an nginx whose log formats change while it runs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::nginx::{self, Nginx};
use crate::{ports, tools};

/// The access log's format: combined, who sent it before the proxy, and how long it took.
pub const FORMAT: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
\"$http_referer\" \"$http_user_agent\" \"$http_x_forwarded_for\" $request_time";

/// The number of earlier formats that stay in the configuration.
const EARLIER: usize = 2;

/// A running shop.
pub struct Shop {
    nginx: Nginx,
    pub port: u16,
    pub access_log: PathBuf,
    folder: PathBuf,
    particulars: Particulars,
}

/// What differs from shop to shop.
pub struct Particulars {
    pub workers: u32,
    /// `access_log` directives for everything, in format `shop`.
    pub logs: String,
    /// The same for the API alone; empty where it has none of its own.
    pub api_logs: String,
    /// The formats of `shop`, the current one last; earlier ones keep a name of their own.
    pub formats: Vec<String>,
}

impl Shop {
    pub fn start(folder: &Path) -> Result<Self> {
        let log = folder.join("nginx/access.log");
        Self::start_as(
            folder,
            Particulars {
                workers: 1,
                logs: format!("access_log \"{}\" shop;", log.display()),
                api_logs: String::new(),
                formats: vec![FORMAT.to_owned()],
            },
        )
    }

    pub fn start_as(folder: &Path, particulars: Particulars) -> Result<Self> {
        let program = tools::nginx().context("nginx is not there")?;
        let folder = folder.join("nginx");
        fs::create_dir_all(&folder)?;
        let port = ports::free_port();
        let conf = folder.join("nginx.conf");
        fs::write(&conf, configuration(&folder, port, &particulars))?;
        let nginx = Nginx::start(&nginx::command(&program, &folder, &conf), &folder, &[port])?;
        Ok(Self {
            nginx,
            port,
            access_log: folder.join("access.log"),
            folder,
            particulars,
        })
    }

    /// Goes on with another format: the configuration is put in place whole, and nginx reloads it (`kill -HUP`).
    pub fn change_format(&mut self, format: String) -> Result<()> {
        self.particulars.formats.push(format);
        let earlier = self.particulars.formats.len().saturating_sub(1 + EARLIER);
        self.particulars.formats.drain(..earlier);
        let next = self.folder.join("nginx.conf.next");
        fs::write(
            &next,
            configuration(&self.folder, self.port, &self.particulars),
        )?;
        fs::rename(next, self.folder.join("nginx.conf"))?;
        self.nginx.signal(Signal::HUP)
    }
}

fn configuration(folder: &Path, port: u16, particulars: &Particulars) -> String {
    let (main_part, temp_paths) = (nginx::main_part(folder), nginx::temp_paths(folder));
    let Particulars {
        workers,
        logs,
        api_logs,
        formats,
    } = particulars;
    let formats: String = formats
        .iter()
        .rev()
        .enumerate()
        .map(|(age, format)| match age {
            0 => format!("log_format shop '{format}';\n    "),
            age => format!("log_format shop_before_{age} '{format}';\n    "),
        })
        .collect();
    format!(
        r#"{main_part}
error_log stderr warn;
worker_processes {workers};
events {{ worker_connections 256; }}
http {{
    {temp_paths}
    default_type text/plain;
    keepalive_requests 1000000;
    {formats}{logs}
    server {{
        listen 127.0.0.1:{port};
        server_name shop.example;
        location / {{ return 200 "a page\n"; }}
        location = /login {{ return 302 /; }}
        location /missing/ {{ return 404 "not here\n"; }}
        location /api/ {{ {api_logs} return 200 "{{}}\n"; }}
        location /api/search {{ {api_logs} return 503 "too busy\n"; }}
    }}
}}
"#
    )
}
