//! nginx's log formats, access-log lines and configuration files: bytes in, borrowed fields out.
//!
//! The crate does no I/O, uses no clock and no async runtime, and allocates nothing per line after its buffers have
//! grown. Untrusted input cannot make it panic: each function returns either a value or a small error with the
//! position.
//!
//! ```
//! use logweir_parsers::{Captures, Format};
//!
//! let format = Format::combined();
//! let line = br#"203.0.113.9 - - [23/Nov/2026:05:41:14 +0000] "GET / HTTP/1.1" 200 612 "-" "curl/8.5""#;
//! let mut captures = Captures::new();
//! format.parse(line, &mut captures).expect("nginx wrote this line");
//! let status = format.fields().iter().position(|field| field.name() == "status").unwrap();
//! assert_eq!(captures.get(line, status), Some(&b"200"[..]));
//! ```
//!
//! - [`mod@format`]: a `log_format` string, compiled once to a sequence of steps.
//! - [`mod@line`]: running those steps over one line.
//! - [`nginx_conf`]: nginx.conf, to find the logs and their formats.
//! - [`cri`]: the head that a container runtime puts before each line.
//! - [`error_log`]: recognising lines of an error log, which is not an access log.
//! - [`escape`], [`time`], [`request`], [`number`], [`list`], [`client`]: the values of single fields.
//! - [`event_time`]: which time of a line is that of its request.
//! - [`variable`]: the meaning of variables, and which of them a client can set.

pub mod client;
pub mod cri;
pub mod error_log;
pub mod escape;
pub mod event_time;
pub mod format;
pub mod line;
pub mod list;
pub mod nginx_conf;
pub mod number;
pub mod request;
pub mod time;
pub mod variable;

mod bytes;
mod error;

pub use error::{Expected, Explained, ParseError};
pub use escape::Escape;
pub use format::{Field, Format, FormatError, FormatWarning, Grammar, Part};
pub use line::{Captures, Plainness};
