//! The nginx of a test: its virtual hosts, its upstream server, and its rotation.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::process::Signal;

use testkit::nginx;
use testkit::ports::free_port;
use testkit::wait::Deadline;

/// A virtual host with a log of its own.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
}

/// A running nginx.
pub(crate) struct Nginx {
    nginx: nginx::Nginx,
    folder: PathBuf,
    pub(crate) conf: PathBuf,
    pub(crate) sites: Vec<Site>,
    /// It listens on `::1` too.
    pub(crate) ipv6: bool,
    _upstream: Upstream,
}

/// The sites' names; each has the format that is named so in [`FORMATS`].
pub(crate) const SHOP: &str = "shop";
pub(crate) const API: &str = "api";
pub(crate) const INGRESS: &str = "ingress";
pub(crate) const TIMING: &str = "timing";
pub(crate) const BEHIND: &str = "behind";

/// `shop` has nginx's own, combined. That of `ingress` is ingress-nginx's `upstreaminfo`.
const FORMATS: &str = r#"
    log_format api escape=json
        '{"time":"$time_iso8601","msec":$msec,"client":"$remote_addr","port":"$remote_port","user":"$remote_user",'
        '"host":"$host","server":"$server_name","scheme":"$scheme","request":"$request","method":"$request_method",'
        '"uri":"$uri","args":"$args","request_uri":"$request_uri","protocol":"$server_protocol","status":$status,'
        '"sent":$body_bytes_sent,"bytes":$bytes_sent,"length":$request_length,"took":$request_time,'
        '"referer":"$http_referer","agent":"$http_user_agent","xff":"$http_x_forwarded_for","id":"$request_id",'
        '"connection":$connection,"nth":$connection_requests,"pipe":"$pipe","tls":"$ssl_protocol",'
        '"upstream":"$upstream_addr","upstream_took":"$upstream_response_time"}';
    log_format ingress
        '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
        '"$http_user_agent" $request_length $request_time [$proxy_upstream_name] '
        '[$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time '
        '$upstream_status $request_id';
    log_format timing '$msec $request_time $status "$request"';
    log_format behind '$remote_addr - $remote_user [$time_iso8601] "$request" $status $body_bytes_sent '
        '"$http_referer" "$http_user_agent" "$http_x_forwarded_for"';
"#;

/// The response of sites without an upstream server.
const PAGES: &str = r#"
        location / { return 200 "a page\n"; }
        location = /login { return 302 /; }
        location /missing/ { return 404 "not here\n"; }
        location /api/search { return 503 "too busy\n"; }
"#;

impl Nginx {
    /// Starts `program` with everything that it writes in `folder`.
    pub(crate) fn start(program: &Path, folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let ipv6 = TcpListener::bind("[::1]:0").is_ok();
        let sites: Vec<Site> = [SHOP, API, INGRESS, TIMING, BEHIND]
            .into_iter()
            .map(|name| Site {
                name,
                port: free_port(),
            })
            .collect();
        let upstream = Upstream::start();
        let conf = folder.join("nginx.conf");
        fs::write(&conf, configuration(folder, &sites, ipv6, upstream.address)).unwrap();
        let mut command = nginx::command(program, folder, &conf);
        // an unusual time zone, without whole hours
        command.env("TZ", "IST-5:30");
        let ports: Vec<u16> = sites.iter().map(|site| site.port).collect();
        Self {
            nginx: nginx::Nginx::start(&command, folder, &ports).unwrap(),
            folder: folder.to_owned(),
            conf,
            sites,
            ipv6,
            _upstream: upstream,
        }
    }

    /// Its error log.
    pub(crate) fn words(&self) -> String {
        self.nginx.tail()
    }

    /// The live log of a site.
    pub(crate) fn log(&self, site: &str) -> PathBuf {
        self.folder.join(format!("{site}.log"))
    }

    fn rotated(&self, site: &str, number: u32) -> PathBuf {
        self.folder.join(format!("{site}.log.{number}"))
    }

    /// All logs of a site: the live one, then the rotated ones.
    pub(crate) fn logs(&self, site: &str) -> Vec<PathBuf> {
        let rotated = (1..).map(|number| self.rotated(site, number));
        let mut logs = vec![self.log(site)];
        logs.extend(rotated.take_while(|path| path.exists()));
        logs
    }

    /// Rotates as logrotate does: files are renamed, then nginx gets a signal and opens new files.
    pub(crate) fn rotate(&self) {
        for site in &self.sites {
            let count = u32::try_from(self.logs(site.name).len()).unwrap();
            for number in (1..count).rev() {
                let (from, to) = (
                    self.rotated(site.name, number),
                    self.rotated(site.name, number + 1),
                );
                fs::rename(from, to).unwrap();
            }
            fs::rename(self.log(site.name), self.rotated(site.name, 1)).unwrap();
        }
        self.nginx.signal(Signal::USR1).unwrap();
        let deadline = Deadline::new();
        while !self.sites.iter().all(|site| self.log(site.name).exists()) {
            deadline.pause(|| format!("new logs; nginx printed:\n{}", self.words()));
        }
    }

    /// Lets every request end, with its line written.
    pub(crate) fn quit(self) {
        self.nginx.quit().unwrap();
    }
}

impl Site {
    /// Connects over IPv4 or IPv6.
    pub(crate) fn connect(&self, ipv6: bool) -> Option<TcpStream> {
        let host = if ipv6 { "::1" } else { "127.0.0.1" };
        TcpStream::connect((host, self.port)).ok()
    }
}

fn configuration(folder: &Path, sites: &[Site], ipv6: bool, live: SocketAddr) -> String {
    let (main_part, temp_paths) = (nginx::main_part(folder), nginx::temp_paths(folder));
    let dead = free_port();
    let folder = folder.display();
    let servers: String = sites
        .iter()
        .map(|Site { name, port }| {
            let pages = if *name == INGRESS {
                // both are tried in turn, however often the one has failed
                "set $proxy_upstream_name shop-api-80; set $proxy_alternative_upstream_name \"\";
        location / { proxy_pass http://shop_api; }"
            } else {
                PAGES
            };
            let format = if *name == SHOP { "" } else { name };
            let ipv6 = if ipv6 {
                format!("listen [::1]:{port};")
            } else {
                String::new()
            };
            format!(
                "    server {{
        listen 127.0.0.1:{port}; {ipv6}
        server_name {name}.example;
        access_log {folder}/{name}.log {format};
        {pages}
    }}\n"
            )
        })
        .collect();
    format!(
        r#"{main_part}
error_log stderr error;
worker_processes 2;
events {{ worker_connections 512; }}
http {{
    {temp_paths}
    default_type text/plain;
    {FORMATS}
    upstream shop_api {{
        server 127.0.0.1:{dead} max_fails=0;
        server {live} max_fails=0;
    }}
{servers}}}
"#
    )
}

/// The upstream server of `ingress`: it responds, except for `/slow`, where it waits until nginx gives up.
struct Upstream {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                std::thread::spawn(move || answer(stream));
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default();
    if path.starts_with("/slow") {
        let _ = stream.read(&mut byte);
        return;
    }
    let status = if path.starts_with("/missing") {
        404
    } else if path.starts_with("/api/search") {
        503
    } else {
        200
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
}
