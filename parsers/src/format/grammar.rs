//! Describes the possible values of each nginx variable. Owns the table of variables and, for each grammar under each
//! escaping, the bytes that can occur. Refuses to know how values are read.
//!
//! The sets are supersets of what nginx writes: an extra byte only makes the compiler more careful, a missing byte
//! would make a valid line unreadable.

use crate::bytes::ByteSet;
use crate::escape::Escape;

/// The form of a variable's value. Any value may also be absent: `-`, or empty under `escape=json` and `escape=none`.
/// Only the times, `$status` and the other values that ngx_http_log_module.c writes itself are never absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grammar {
    /// Digits: `$body_bytes_sent`.
    Number,
    /// Digits, or empty where a connection has no port: `$remote_port`.
    Port,
    /// Three digits, 000 and 009 too (`%03ui`): `$status`.
    Status,
    /// Seconds with three digits of milliseconds: `$request_time`.
    Seconds,
    /// A decimal number: `$gzip_ratio`.
    Decimal,
    /// `23/Nov/2026:05:41:14 +0100`: `$time_local`.
    TimeLocal,
    /// `2026-11-23T05:41:14+01:00`: `$time_iso8601`.
    TimeIso8601,
    /// `1795412474.123`: `$msec`.
    Msec,
    /// An IPv4 or IPv6 address, or `unix:` and a path: `$remote_addr`.
    Address,
    /// A host name that nginx accepts, without port: `$host`.
    Host,
    /// `http` or `https`: `$scheme`.
    Scheme,
    /// Upper-case letters, `_`, `-`: `$request_method`.
    Method,
    /// `HTTP/1.1`, and the spaces after it: `$server_protocol`.
    Protocol,
    /// Hexadecimal digits: `$request_id`.
    HexId,
    /// A list of addresses, one per server tried: `$upstream_addr`.
    UpstreamAddress,
    /// A list of statuses: `$upstream_status`.
    UpstreamStatus,
    /// A list of seconds: `$upstream_response_time`.
    UpstreamSeconds,
    /// A list of byte counts: `$upstream_response_length`.
    UpstreamBytes,
    /// The request's target as sent, beginning with `/` or `?`: `$request_uri`. nginx before 1.21.1 accepts spaces in
    /// it; they are read where the format allows it.
    RequestUri,
    /// A decoded path, any byte: `$uri`. Where it matters, it is assumed to begin with `/`.
    Path,
    /// A query string as sent: `$args`.
    Query,
    /// `?` or nothing: `$is_args`.
    IsArgs,
    /// `p` or `.`: `$pipe`.
    Pipe,
    /// Capital letters: `$upstream_cache_status`.
    CacheStatus,
    /// A word from the server's configuration, without spaces or quotes: `$ssl_protocol`.
    Word,
    /// Any text, usually from a client: `$http_user_agent`, and all variables that are not listed here.
    Text,
}

impl Grammar {
    /// The label of [`crate::ParseError::reason`].
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Grammar::Number | Grammar::Port | Grammar::Decimal => "number",
            Grammar::Status => "status",
            Grammar::Seconds => "seconds",
            Grammar::TimeLocal | Grammar::TimeIso8601 | Grammar::Msec => "time",
            Grammar::Address => "address",
            Grammar::Host => "host",
            Grammar::Scheme | Grammar::Method | Grammar::Protocol => "request",
            Grammar::HexId => "hex",
            Grammar::UpstreamAddress
            | Grammar::UpstreamStatus
            | Grammar::UpstreamSeconds
            | Grammar::UpstreamBytes => "upstream",
            Grammar::RequestUri | Grammar::Path | Grammar::Query | Grammar::IsArgs => "uri",
            Grammar::Pipe | Grammar::CacheStatus | Grammar::Word => "word",
            Grammar::Text => "text",
        }
    }

    /// The expected form, for messages.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Grammar::Number | Grammar::Port => "a number",
            Grammar::Status => "a status of three digits",
            Grammar::Seconds => "seconds with milliseconds such as 0.123",
            Grammar::Decimal => "a decimal number",
            Grammar::TimeLocal => "a time such as 23/Nov/2026:05:41:14 +0000",
            Grammar::TimeIso8601 => "a time such as 2026-11-23T05:41:14+00:00",
            Grammar::Msec => "seconds since 1970 such as 1795412474.123",
            Grammar::Address => "an address",
            Grammar::Host => "a host name",
            Grammar::Scheme => "http or https",
            Grammar::Method => "a request method",
            Grammar::Protocol => "a protocol such as HTTP/1.1",
            Grammar::HexId => "hexadecimal digits",
            Grammar::UpstreamAddress => "a list of upstream addresses",
            Grammar::UpstreamStatus => "a list of upstream statuses",
            Grammar::UpstreamSeconds => "a list of upstream times",
            Grammar::UpstreamBytes => "a list of upstream byte counts",
            Grammar::RequestUri => "a request target",
            Grammar::Path => "a path",
            Grammar::Query => "a query string",
            Grammar::IsArgs => "? or nothing",
            Grammar::Pipe => "p or .",
            Grammar::CacheStatus => "a cache status",
            Grammar::Word => "a word",
            Grammar::Text => "text",
        }
    }

    /// The minimum number of bytes of a value with a distinctive form; `None` if the value can be nearly any word or
    /// text.
    pub(crate) fn shape(self) -> Option<usize> {
        match self {
            Grammar::TimeLocal => Some(26),
            Grammar::TimeIso8601 => Some(25),
            Grammar::Msec => Some(14),
            Grammar::Seconds => Some(5),
            Grammar::Decimal | Grammar::Scheme => Some(4),
            Grammar::Status => Some(3),
            Grammar::Number
            | Grammar::Address
            | Grammar::Method
            | Grammar::HexId
            | Grammar::UpstreamStatus
            | Grammar::UpstreamSeconds
            | Grammar::UpstreamBytes
            | Grammar::Pipe
            | Grammar::CacheStatus => Some(1),
            Grammar::Port => Some(0),
            Grammar::Host
            | Grammar::Protocol
            | Grammar::UpstreamAddress
            | Grammar::RequestUri
            | Grammar::Path
            | Grammar::Query
            | Grammar::IsArgs
            | Grammar::Word
            | Grammar::Text => None,
        }
    }

    /// The grammar of the variable `name` (in lower case).
    pub fn of(name: &str) -> Grammar {
        match name {
            "time_local" => Grammar::TimeLocal,
            "time_iso8601" => Grammar::TimeIso8601,
            "msec" => Grammar::Msec,
            "pipe" => Grammar::Pipe,
            "status" => Grammar::Status,
            "request_time" | "connection_time" => Grammar::Seconds,
            "bytes_sent"
            | "body_bytes_sent"
            | "request_length"
            | "connection"
            | "connection_requests"
            | "connections_active"
            | "connections_reading"
            | "connections_writing"
            | "connections_waiting"
            | "pid"
            | "limit_rate"
            | "tcpinfo_rtt"
            | "tcpinfo_rttvar"
            | "tcpinfo_snd_cwnd"
            | "tcpinfo_rcv_space" => Grammar::Number,
            "remote_port"
            | "server_port"
            | "request_port"
            | "realip_remote_port"
            | "proxy_port"
            | "proxy_protocol_port"
            | "proxy_protocol_server_port" => Grammar::Port,
            "gzip_ratio" => Grammar::Decimal,
            "remote_addr"
            | "realip_remote_addr"
            | "server_addr"
            | "proxy_protocol_addr"
            | "proxy_protocol_server_addr" => Grammar::Address,
            "host" | "server_name" | "hostname" | "proxy_host" => Grammar::Host,
            "scheme" => Grammar::Scheme,
            "request_method" => Grammar::Method,
            "server_protocol" => Grammar::Protocol,
            "request_id" | "ssl_session_id" | "ssl_client_fingerprint" | "ssl_client_serial" => {
                Grammar::HexId
            }
            "upstream_addr" => Grammar::UpstreamAddress,
            "upstream_status" => Grammar::UpstreamStatus,
            "upstream_response_time"
            | "upstream_connect_time"
            | "upstream_header_time"
            | "upstream_queue_time"
            | "upstream_session_time"
            | "upstream_first_byte_time" => Grammar::UpstreamSeconds,
            "upstream_response_length" | "upstream_bytes_received" | "upstream_bytes_sent" => {
                Grammar::UpstreamBytes
            }
            "request_uri" => Grammar::RequestUri,
            "uri" | "document_uri" => Grammar::Path,
            "args" | "query_string" => Grammar::Query,
            "is_args" => Grammar::IsArgs,
            "upstream_cache_status" => Grammar::CacheStatus,
            // Includes the variables that ingress-nginx sets from Kubernetes names (its template nginx.tmpl).
            "ssl_protocol"
            | "ssl_cipher"
            | "ssl_ciphers"
            | "ssl_curve"
            | "ssl_curves"
            | "ssl_session_reused"
            | "ssl_early_data"
            | "ssl_alpn_protocol"
            | "https"
            | "http2"
            | "http3"
            | "nginx_version"
            | "request_completion"
            | "limit_req_status"
            | "limit_conn_status"
            | "proxy_upstream_name"
            | "proxy_alternative_upstream_name"
            | "namespace"
            | "ingress_name"
            | "service_name"
            | "service_port" => Grammar::Word,
            _ => Grammar::Text,
        }
    }

    fn is_list(self) -> bool {
        self.reason() == "upstream"
    }
}

/// A value of fixed length and form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fixed {
    TimeLocal,
    TimeIso8601,
    Pipe,
    /// `$status`, where nothing else determines its end.
    Status,
}

/// For each byte of a fixed value, the lowest and the highest possible byte. There are 32 entries, so that comparing
/// all of them takes a few vector instructions.
pub(crate) struct Shape32 {
    pub(crate) low: [u8; 32],
    pub(crate) high: [u8; 32],
}

const LOCAL: Shape32 = shape(b"00/Aaa/0000:00:00:00 +0000");
const ISO8601: Shape32 = shape(b"0000-00-00T00:00:00+00:00");
const PIPE: Shape32 = shape(b"p");
const STATUS: Shape32 = shape(b"000");

/// `0` stands for a digit, `A` and `a` for a letter, `+` for a sign, and any other character for itself.
const fn shape(pattern: &[u8]) -> Shape32 {
    let mut shape = Shape32 {
        low: [0; 32],
        high: [255; 32],
    };
    let mut index = 0;
    while index < pattern.len() {
        let (low, high) = match pattern[index] {
            b'0' => (b'0', b'9'),
            b'A' => (b'A', b'S'),
            b'a' => (b'a', b'y'),
            b'+' => (b'+', b'-'),
            b'p' => (b'.', b'p'),
            other => (other, other),
        };
        shape.low[index] = low;
        shape.high[index] = high;
        index += 1;
    }
    shape
}

impl Fixed {
    pub(crate) fn len(self) -> usize {
        match self {
            Fixed::TimeLocal => 26,
            Fixed::TimeIso8601 => 25,
            Fixed::Pipe => 1,
            Fixed::Status => 3,
        }
    }

    pub(crate) fn shape(self) -> &'static Shape32 {
        match self {
            Fixed::TimeLocal => &LOCAL,
            Fixed::TimeIso8601 => &ISO8601,
            Fixed::Pipe => &PIPE,
            Fixed::Status => &STATUS,
        }
    }

    /// The possible bytes at `place` of the value.
    pub(crate) fn at(self, place: usize) -> ByteSet {
        match self {
            Fixed::Pipe => ByteSet::of(b"p."),
            _ => ByteSet::range(self.shape().low[place], self.shape().high[place]),
        }
    }
}

/// The structure of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Fixed(Fixed),
    /// A run of bytes of a set.
    Run,
    /// Elements joined by `, ` and ` : `; the sets are those of an element.
    List,
}

/// The possible values under one escaping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) layout: Layout,
    /// All bytes that occur, except the `-` of an absent value.
    pub(crate) wide: ByteSet,
    /// A smaller set that holds all but unusual values, for positions where the wide set cannot be separated from the
    /// following text.
    pub(crate) narrow: Option<ByteSet>,
    /// The bytes that a value can begin with.
    pub(crate) first: ByteSet,
    /// Whether the value can be empty.
    pub(crate) empty: bool,
    /// Whether the value can be a `-`, as all absent values under `escape=default`.
    pub(crate) dash: bool,
    /// Whether a `\` escapes the byte after it.
    pub(crate) pairs: bool,
}

const DIGITS: ByteSet = ByteSet::range(b'0', b'9');
const UPPER: ByteSet = ByteSet::range(b'A', b'Z');
const LOWER: ByteSet = ByteSet::range(b'a', b'z');
const ALNUM: ByteSet = DIGITS.or(UPPER).or(LOWER);
const SPACE: ByteSet = ByteSet::of(b" ");
const DASH: ByteSet = ByteSet::of(b"-");
const ADDRESS: ByteSet = DIGITS
    .or(ByteSet::range(b'a', b'f'))
    .or(ByteSet::range(b'A', b'F'))
    .or(ByteSet::of(b".:unix"));

/// The bytes of any text in a line. Bytes from 0x80 are also accepted under `escape=default`, for servers built on
/// nginx that do not escape them.
fn text(escape: Escape) -> ByteSet {
    let printable = ByteSet::range(b' ', b'~').or(ByteSet::range(0x80, 0xff));
    match escape {
        Escape::Default => printable.without(ByteSet::of(b"\"")),
        Escape::Json => printable
            .or(ByteSet::of(&[0x7f]))
            .without(ByteSet::of(b"\"")),
        Escape::None => ByteSet::range(0, 0xff).without(ByteSet::of(b"\n")),
    }
}

impl Look {
    pub(crate) fn of(grammar: Grammar, escape: Escape) -> Look {
        // Values of ngx_http_log_module.c itself are never absent.
        let fixed = |fixed| Look {
            layout: Layout::Fixed(fixed),
            wide: ByteSet::EMPTY,
            narrow: None,
            first: ByteSet::EMPTY,
            empty: false,
            dash: false,
            pairs: false,
        };
        let absent = escape != Escape::Default;
        let run = |wide: ByteSet| Look {
            layout: if grammar.is_list() {
                Layout::List
            } else {
                Layout::Run
            },
            wide,
            narrow: None,
            first: wide,
            empty: absent,
            dash: true,
            pairs: false,
        };
        let client = |wide: ByteSet| Look {
            pairs: escape == Escape::Json,
            empty: true,
            ..run(wide)
        };
        let text = text(escape);
        match grammar {
            Grammar::TimeLocal => fixed(Fixed::TimeLocal),
            Grammar::TimeIso8601 => fixed(Fixed::TimeIso8601),
            Grammar::Pipe => fixed(Fixed::Pipe),
            Grammar::Number | Grammar::Status => run(DIGITS),
            Grammar::Port => Look {
                empty: true,
                ..run(DIGITS)
            },
            Grammar::Seconds | Grammar::Msec | Grammar::Decimal => Look {
                first: DIGITS,
                ..run(DIGITS.or(ByteSet::of(b".")))
            },
            Grammar::Address => Look {
                narrow: Some(ADDRESS),
                first: ADDRESS,
                ..run(ADDRESS.or(ALNUM).or(ByteSet::of(b"/_-+@,=%~")))
            },
            Grammar::Host => {
                let wide = text.without(ByteSet::of(b" /"));
                Look {
                    narrow: Some(wide.without(ByteSet::of(b"?"))),
                    ..client(wide)
                }
            }
            Grammar::Scheme => run(LOWER),
            Grammar::Method => run(UPPER.or(ByteSet::of(b"_-"))),
            Grammar::Protocol => {
                let narrow = UPPER.or(DIGITS).or(ByteSet::of(b"/."));
                Look {
                    narrow: Some(narrow),
                    first: UPPER,
                    empty: true,
                    ..run(narrow.or(SPACE))
                }
            }
            Grammar::HexId => run(ALNUM),
            Grammar::UpstreamAddress => Look {
                first: ALNUM.or(ByteSet::of(b"[_.-")),
                empty: true,
                ..run(printable_word())
            },
            Grammar::UpstreamStatus | Grammar::UpstreamBytes => run(DIGITS.or(DASH)),
            Grammar::UpstreamSeconds => Look {
                first: DIGITS.or(DASH),
                ..run(DIGITS.or(ByteSet::of(b".-")))
            },
            Grammar::RequestUri => Look {
                narrow: Some(text.without(SPACE)),
                first: ByteSet::of(b"/?"),
                empty: absent,
                ..client(text)
            },
            Grammar::Path => Look {
                first: ByteSet::of(b"/"),
                dash: true,
                empty: absent,
                ..client(text)
            },
            Grammar::Query => Look {
                narrow: Some(text.without(SPACE)),
                ..client(text)
            },
            // Always found, and empty without arguments (`ngx_http_variable_is_args`).
            Grammar::IsArgs => Look {
                empty: true,
                dash: false,
                ..run(ByteSet::of(b"?"))
            },
            Grammar::CacheStatus => run(UPPER),
            Grammar::Word => Look {
                empty: true,
                ..run(ALNUM.or(ByteSet::of(b"_.:+/@-")))
            },
            Grammar::Text => client(text),
        }
    }

    /// The bytes that it can begin with, including the `-` of an absent value.
    pub(crate) fn begins(&self) -> ByteSet {
        if self.dash {
            self.first.or(DASH)
        } else {
            self.first
        }
    }

    /// All bytes that occur, including the `-` of an absent value.
    pub(crate) fn all(&self) -> ByteSet {
        if self.dash {
            self.wide.or(DASH)
        } else {
            self.wide
        }
    }
}

/// An element of `$upstream_addr`: `10.0.0.1:80`, `[::1]:80`, `unix:/run/app.sock`, or the name of the upstream group
/// when none of its servers is available.
fn printable_word() -> ByteSet {
    ALNUM.or(ByteSet::of(b".:[]/_-@%+~"))
}
