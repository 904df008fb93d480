//! nginx's log formats, access-log lines and configuration files: bytes in, borrowed fields out.
//!
//! The crate does no I/O, knows no clock and no async runtime, and allocates nothing per line once
//! its buffers are warm. What comes from outside never stops it: each function either gives a value
//! or a small error that names the place.
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
//! - [`mod@line`]: those steps run over one line.
//! - [`nginx_conf`]: nginx.conf, to find the logs and their formats.
//! - [`error_log`]: whether a line is one of an error log, which is no access log.
//! - [`escape`], [`time`], [`request`], [`number`], [`list`], [`client`]: the values of single fields.
//! - [`event_time`]: which time of a line is that of its request.
//! - [`variable`]: which variables tell what, and whose word they are.

pub mod client;
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
