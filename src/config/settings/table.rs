//! The table itself: every setting with its kind, default, example and description.
//!
//! Owns the texts, defaults, bounds and words of a choice. Refuses to know how values are parsed. Invariant: nothing else
//! defines them.

use std::time::Duration;

use super::Section::{Elasticsearch, Enrich, Http, Kibana, Log, Logs, Privacy, Routes, Store, Top};
use super::entry::{CENTURY, HOUR, KIB, MIB, count, setting, size, time};
use super::redact::{REDACT_QUERY, REDACT_QUERY_EXCEPT, REDACT_VALUES};
use super::{Setting, SettingKind};
use crate::config::LogLevel;

/// Every setting, in the order of the sample.
pub(crate) static SETTINGS: &[Setting] = &[
    setting(
        Top,
        "host",
        SettingKind::Text,
        "",
        r#""web-07""#,
        "Name of this host, part of each line's identity. It is fixed in data_dir at the first start. Default: the \
         system's host name; in a container set it to a name that outlives the container.",
    ),
    setting(
        Top,
        "data_dir",
        SettingKind::Path,
        r#""/var/lib/logweir""#,
        "",
        "The directory for positions and dead letters. It must survive restarts.",
    ),
    setting(
        Top,
        "nginx_conf",
        SettingKind::Path,
        r#""/etc/nginx/nginx.conf""#,
        "",
        "nginx's configuration, from which logs, formats and server names are read. A missing file is an error only \
         if this is set.",
    ),
    setting(
        Top,
        "discover",
        SettingKind::Bool,
        "",
        "true",
        "Also follow the access logs of nginx.conf that no [[logs]] matches, each with its own format and site, \
         except those that match an exclude of a [[logs]]. Default: true without any [[logs]], otherwise false.",
    ),
    setting(
        Top,
        "history",
        time(Duration::ZERO, CENTURY),
        r#""0d""#,
        r#""7d""#,
        "At the first start, also read rotated files this far back. Live logs are read from their beginning.",
    ),
    setting(
        Top,
        "retention",
        time(HOUR, CENTURY),
        "",
        r#""30d""#,
        "Lines older than this are not indexed, and counted as expired. A rotated file that was last written longer \
         ago is not read, and its bytes are counted in `logweir_passed_over_bytes_total`. A clock that was set ahead \
         has no effect until it has run evenly for a day. Not set: every line is indexed.",
    ),
    setting(
        Top,
        "trusted_proxies",
        SettingKind::Texts,
        "[]",
        r#"["10.0.0.0/8", "fd00::/8"]"#,
        "Addresses of proxies, as CIDRs, whose X-Forwarded-For and other headers with the client's address are \
         trusted. See FIELDS.md.",
    ),
    setting(
        Top,
        "keep_original",
        SettingKind::Bool,
        "false",
        "",
        "Keep each whole line in event.original. Lines that cannot be parsed always keep it.",
    ),
    setting(
        Top,
        "max_line_bytes",
        size(KIB, 16 * MIB),
        r#""1MiB""#,
        "",
        "Longer lines are cut at this length, tagged and counted. At most elasticsearch.batch_bytes.",
    ),
    setting(
        Top,
        "held_open_bytes",
        size(MIB, 1 << 50),
        r#""10GiB""#,
        "",
        "Deleted logs with unread lines are held open up to this total size, which keeps their disk space in use. \
         Beyond it the oldest are closed, and their unread bytes are counted as lost (held_open_limit).",
    ),
    setting(
        Top,
        "reconcile_interval",
        time(Duration::from_millis(100), HOUR),
        r#""10s""#,
        "",
        "How often all folders are scanned, regardless of events of the file system.",
    ),
    setting(
        Top,
        "poll",
        SettingKind::OneOf(&["auto", "true", "false"]),
        r#""auto""#,
        "",
        "Check files regularly instead of waiting for events, for file systems without events (NFS, some overlays).",
    ),
    setting(
        Top,
        "follow_links",
        SettingKind::OneOf(&["safe", "always"]),
        r#""safe""#,
        "",
        "Which links to logs are followed. safe: in a directory that a user other than root or the agent's own may \
         write to (its owner, its group, or all), a symbolic link or a file with several names is skipped with a \
         warning, unless the file belongs to the directory's owner or to nginx's user. Otherwise anybody who may \
         write there could have any file indexed that the agent may read. always: every link is followed.",
    ),
    setting(
        Top,
        "shutdown_timeout",
        time(Duration::ZERO, HOUR),
        r#""25s""#,
        "",
        "How long a stop may take to read and deliver what the logs contain, while the output accepts something; half of \
         it is for reading. If the output accepts nothing (no connection, 401, a missing template), a stop takes at most \
         2s. The rest is read at the next start. \
         Keep this below the limit of whatever stops the agent (Kubernetes kills after 30s, systemd after 90s).",
    ),
    setting(
        Top,
        "dead_letter_bytes",
        size(MIB, 1 << 40),
        r#""100MiB""#,
        "",
        "Size of the dead-letter file at which delivery holds.",
    ),
    setting(
        Top,
        "openapi",
        SettingKind::Paths,
        "",
        r#"["/etc/logweir/openapi.yaml"]"#,
        "OpenAPI 3 documents, JSON or YAML, whose paths name the APIs in http.route, prefixed with the paths of their \
         servers. [[routes]] has precedence. A changed document is loaded without a signal.",
    ),
    setting(
        Logs,
        "paths",
        SettingKind::Texts,
        "",
        r#"["/var/log/nginx/*access.log"]"#,
        "Globs of the live logs (`*`, `?`, `[…]`, `{a,b}`, `**`). As in a shell, a wildcard matches no hidden name. \
         Their rotated files are found automatically. Required in each [[logs]].",
    ),
    setting(
        Logs,
        "exclude",
        SettingKind::Texts,
        "[]",
        r#"["/var/log/nginx/health-*.log"]"#,
        "Globs of files to leave out; one without a slash is matched against the file's name. They also apply to logs \
         that discover finds.",
    ),
    setting(
        Logs,
        "name",
        SettingKind::Text,
        "",
        r#""shop""#,
        "The log's name, part of each line's identity. Default: the live file's path. Set it where the live \
         path changes, such as a name with a date.",
    ),
    setting(
        Logs,
        "format",
        SettingKind::Formats,
        r#""auto""#,
        "",
        "auto (the log's own formats first, then every log_format of nginx.conf and combined, from specific to \
         general; then well-known ones, if nginx.conf does not name the log), combined, the name of a log_format of \
         nginx.conf, a log_format as nginx.conf would define it, or a list of these, tried in order. See FORMATS.md.",
    ),
    setting(
        Logs,
        "escape",
        SettingKind::OneOf(&["default", "json", "none"]),
        r#""default""#,
        "",
        "The escaping of formats without escape=.",
    ),
    setting(
        Logs,
        "framing",
        SettingKind::OneOf(&["raw", "cri", "auto"]),
        "",
        r#""cri""#,
        "How the lines of the files make log lines. raw: each line is one, as nginx writes it. cri: a container runtime of \
         Kubernetes has put a time and a stream before each line and may have split it (/var/log/pods). auto: cri if \
         the first line of a file has such a head, otherwise raw. Default: auto for paths below /var/log/pods and \
         /var/log/containers, otherwise raw. See CRI.md.",
    ),
    setting(
        Logs,
        "fields",
        SettingKind::Constants,
        "{}",
        r#"{ "url.domain" = "shop.example", "user.id" = "$http_x_user_id", "source.ip" = "$my_ip" }"#,
        "Additional fields of every record of these logs: a constant, or a variable of their format. A constant \
         url.domain applies to lines without a site. A variable for @timestamp, source.ip, http.response.status_code, \
         http.response.body.bytes, event.duration, user.name, url.domain, url.original (the request's target) or \
         http.request.id overrides the agent's own choice. See FIELDS.md.",
    ),
    setting(
        Logs,
        "rotated_dirs",
        SettingKind::Texts,
        "[]",
        r#"["/var/log/nginx/old", "/var/log/nginx/20*/"]"#,
        "Other folders to which rotated files are moved (logrotate's olddir); globs are allowed. A glob that matches \
         no folder causes a warning.",
    ),
    setting(
        Logs,
        "rotated",
        SettingKind::Texts,
        "[]",
        r#"["/archive/*/access-*.log"]"#,
        "Globs of rotated files with unusual names (unlike access.log.1 or access.log-20261123.gz). A file that was \
         followed before its rotation is found by its content, whatever its name. This setting is for files that the \
         agent never saw: history, and files that were created and rotated while the agent was stopped.",
    ),
    setting(
        Routes,
        "path",
        SettingKind::Text,
        "",
        r#""/users/{id}/orders""#,
        "A template of paths as back ends see them: {name} is a segment or a part of one, {name*} at the end is the \
         rest. path or regex is required.",
    ),
    setting(
        Routes,
        "regex",
        SettingKind::Text,
        "",
        r#""^/(de|en)/shop/""#,
        "A regular expression for such paths instead of a template. It matches anywhere in a path, unless it has ^ \
         and $. Regexes are tried in their order, after all templates of [[routes]].",
    ),
    setting(
        Routes,
        "name",
        SettingKind::Text,
        "",
        r#""/users/…/orders""#,
        "The value of http.route. Default: path or regex as written.",
    ),
    setting(
        Routes,
        "methods",
        SettingKind::Texts,
        "",
        r#"["GET", "POST"]"#,
        "Methods of the route; GET includes HEAD. Default: all; for a login POST.",
    ),
    setting(
        Routes,
        "kind",
        SettingKind::OneOf(&["login", "sensitive"]),
        "",
        r#""login""#,
        "login: event.category includes authentication, and event.outcome depends on success. sensitive: records get \
         the tag sensitive.",
    ),
    setting(
        Routes,
        "success",
        SettingKind::Texts,
        "",
        r#"["302", "200-204"]"#,
        "Statuses of a successful login, and ranges of them. Required with kind = \"login\".",
    ),
    setting(
        Routes,
        "ignore_case",
        SettingKind::Bool,
        "",
        "true",
        "Small and capital letters are equal, so that /LOGIN matches /login. Default: true with a kind, otherwise \
         false.",
    ),
    setting(
        Privacy,
        "ip",
        SettingKind::OneOf(&["keep", "truncate", "hash"]),
        r#""keep""#,
        r#""truncate""#,
        "Addresses of clients. truncate: to /24 for IPv4 and /48 for IPv6, in source.address and source.ip. hash: \
         source.address contains a keyed hash, and source.ip is absent. Geography and network are looked up first.",
    ),
    setting(
        Privacy,
        "hash_key",
        SettingKind::Secret,
        "",
        r#""…""#,
        "Key of the hashes, at least 16 bytes, chosen at random. Required with ip = \"hash\" and with hash_fields. Equal values \
         have equal hashes only under the same key: keep it, and give all hosts the same key.",
    ),
    setting(
        Privacy,
        "hash_key_file",
        SettingKind::Path,
        "",
        r#""/etc/logweir/hash-key""#,
        "A file with the key.",
    ),
    setting(
        Privacy,
        "hash_fields",
        SettingKind::Texts,
        "[]",
        r#"["user.name", "user.id"]"#,
        "Fields written as keyed hashes: user.name (related.user too), user_agent.original, http.request.id, \
         http.request.referrer, nginx.access.VARIABLE, and the fields of [[logs]] from variables. Lines that no \
         format matches then do not keep their text.",
    ),
    setting(
        Privacy,
        "redact_query",
        SettingKind::Texts,
        REDACT_QUERY,
        "",
        "Keys of queries, cookies, forms and JSON whose values become REDACTED. A key matches if words of it are in \
         this list: reset_token, accessToken, user[password][x] and password1, but not tokens. Case, _, - and . are \
         ignored; at a * the word may continue. Replaces the list; [] redacts no value by its key.",
    ),
    setting(
        Privacy,
        "redact_query_add",
        SettingKind::Texts,
        "[]",
        r#"["member_no", "*kundennummer*"]"#,
        "Additional keys for redact_query.",
    ),
    setting(
        Privacy,
        "redact_query_except",
        SettingKind::Texts,
        REDACT_QUERY_EXCEPT,
        r#"["token_type", "ticket_id", "csrf"]"#,
        "Keys, or words of them, that are not secrets although redact_query matches them. Replaces the list.",
    ),
    setting(
        Privacy,
        "redact_values",
        SettingKind::Texts,
        REDACT_VALUES,
        "",
        "Values that become REDACTED with any key, by the names of their shapes; see ENRICHMENT.md. userinfo: user \
         and password in URLs. [] redacts none.",
    ),
    setting(
        Privacy,
        "redact_values_add",
        SettingKind::Texts,
        "[]",
        r#"["acme_live_"]"#,
        "Prefixes of additional values that become REDACTED if at least 8 letters, digits, _ or - follow.",
    ),
    setting(
        Privacy,
        "redact_values_except",
        SettingKind::Texts,
        "[]",
        r#"["basic", "jwt"]"#,
        "Shapes of redact_values that are not redacted.",
    ),
    setting(
        Enrich,
        "user_agent",
        SettingKind::File,
        "",
        r#""/etc/logweir/regexes.yaml""#,
        "A file of definitions in uap-core's form, for the name, version, operating system and device of user agents \
         (user_agent.*): regexes.yaml of https://github.com/ua-parser/uap-core. A new file is loaded without a \
         signal.",
    ),
    setting(
        Enrich,
        "geoip",
        SettingKind::File,
        "",
        r#""/var/lib/GeoIP/GeoLite2-City.mmdb""#,
        "A database of cities or countries in MaxMind's format, for the location of the client (source.geo.*). It is \
         held in memory as a whole; a new file is loaded without a signal.",
    ),
    setting(
        Enrich,
        "asn",
        SettingKind::File,
        "",
        r#""/var/lib/GeoIP/GeoLite2-ASN.mmdb""#,
        "Such a database of networks, for the owner of the address (source.as.*).",
    ),
    setting(
        Elasticsearch,
        "nodes",
        SettingKind::Texts,
        "",
        r#"["https://es-1:9200", "https://es-2:9200"]"#,
        "Addresses of the cluster's nodes. Required.",
    ),
    setting(
        Elasticsearch,
        "api_key",
        SettingKind::Secret,
        "",
        r#""id:key""#,
        "An API key: id:key, or its base64 form. One kind of authentication can be set: api_key, \
         username and password, or bearer_token.",
    ),
    setting(
        Elasticsearch,
        "api_key_file",
        SettingKind::Path,
        "",
        r#""/etc/logweir/api-key""#,
        "A file with the API key.",
    ),
    setting(
        Elasticsearch,
        "username",
        SettingKind::Text,
        "",
        r#""logweir""#,
        "User name; needs password or password_file.",
    ),
    setting(
        Elasticsearch,
        "password",
        SettingKind::Secret,
        "",
        r#""…""#,
        "The user's password.",
    ),
    setting(
        Elasticsearch,
        "password_file",
        SettingKind::Path,
        "",
        r#""/etc/logweir/password""#,
        "A file with the password.",
    ),
    setting(
        Elasticsearch,
        "bearer_token",
        SettingKind::Secret,
        "",
        r#""…""#,
        "A bearer token (service account, JWT).",
    ),
    setting(
        Elasticsearch,
        "bearer_token_file",
        SettingKind::Path,
        "",
        r#""/etc/logweir/token""#,
        "A file with the bearer token.",
    ),
    setting(
        Elasticsearch,
        "client_cert",
        SettingKind::Path,
        "",
        r#""/etc/logweir/client.pem""#,
        "A client certificate in PEM form, for clusters that require one; needs client_key.",
    ),
    setting(
        Elasticsearch,
        "client_key",
        SettingKind::Path,
        "",
        r#""/etc/logweir/client.key""#,
        "The private key of client_cert, in PEM form.",
    ),
    setting(
        Elasticsearch,
        "ca_file",
        SettingKind::Path,
        "",
        r#""/etc/logweir/ca.pem""#,
        "Certificates of authorities to trust in addition to the system's, in PEM form. A server's own certificate in \
         it, self-signed or not, is accepted as exactly that certificate.",
    ),
    setting(
        Elasticsearch,
        "ca_fingerprint",
        SettingKind::Text,
        "",
        r#""a52dd93511e8c6045e21f16654b77c9ee0f34aea26d9f40320b531c474676228""#,
        "The only authority to trust, as the SHA-256 of its certificate in hexadecimal digits, with or without \
         colons, as Elasticsearch prints it at its first start. The node must send that certificate in its chain; \
         name and validity are checked as usual. Use it instead of ca_file.",
    ),
    setting(
        Elasticsearch,
        "proxy",
        SettingKind::Secret,
        "",
        r#""http://proxy.example:3128""#,
        "The HTTP proxy for the nodes, with user:password@ before the host if it requires them; \"none\" for no \
         proxy. Default: HTTPS_PROXY, HTTP_PROXY or ALL_PROXY of the environment, except for the hosts in NO_PROXY. \
         Loopback addresses never use a proxy. `logweir check` shows which proxy is used.",
    ),
    setting(
        Elasticsearch,
        "index",
        SettingKind::Text,
        r#""nginx-access-%Y.%m.%d""#,
        "",
        "The index of a record, by the event's day in UTC: %Y, %m and %d. Templates and wildcards are derived from \
         it.",
    ),
    setting(
        Elasticsearch,
        "data_stream",
        SettingKind::Text,
        "",
        r#""logs-nginx.access-default""#,
        "Write to this data stream (TYPE-DATASET-NAMESPACE) instead of index. Ids are unique only within one of its \
         backing indices, so each line is there once, except when a rollover falls between a request and its retry, \
         or the checkpoint is lost.",
    ),
    setting(
        Elasticsearch,
        "index_mode",
        SettingKind::OneOf(&["standard", "logsdb"]),
        "",
        r#""logsdb""#,
        "How `logweir setup` lets new indices be stored; existing indices do not change. logsdb (Elasticsearch 8.17 \
         and later) takes far less disk space and sorts each index by host and time. Default: the cluster's own, \
         which is logsdb for new data streams logs-*-* from Elasticsearch 9.0 on, otherwise standard.",
    ),
    setting(
        Elasticsearch,
        "batch_bytes",
        // Elasticsearch refuses a body over `http.max_content_length`, 100 MB if not set.
        size(64 * KIB, 64 * MIB),
        r#""2MiB""#,
        "",
        "Send a bulk request at this size before compression.",
    ),
    setting(
        Elasticsearch,
        "batch_count",
        count(1, 1_000_000),
        "10000",
        "",
        "Send a bulk request at this number of records.",
    ),
    setting(
        Elasticsearch,
        "flush_interval",
        time(Duration::from_millis(1), HOUR),
        r#""1s""#,
        "",
        "Send a bulk request when its first record is this old.",
    ),
    setting(
        Elasticsearch,
        "max_in_flight",
        count(1, 64),
        "2",
        "",
        "Maximum number of concurrent bulk requests; one while the cluster rejects them.",
    ),
    setting(
        Elasticsearch,
        "gzip",
        SettingKind::Bool,
        "true",
        "",
        "Compress requests.",
    ),
    setting(
        Elasticsearch,
        "request_timeout",
        time(Duration::from_secs(1), HOUR),
        r#""60s""#,
        "",
        "Repeat a request without a complete response after this time, even if the response is still arriving.",
    ),
    setting(
        Store,
        "path",
        SettingKind::Path,
        "",
        r#""/srv/logweir/store""#,
        "Where the store is. Default: `store` in data_dir.",
    ),
    setting(
        Store,
        "retention",
        time(HOUR, CENTURY),
        r#""90d""#,
        "",
        "Days that are older as a whole are removed, and lines that are older are not indexed.",
    ),
    setting(
        Store,
        "disk_budget",
        size(64 * MIB, 1 << 50),
        r#""5GiB""#,
        "",
        "Space that the store may take. Beyond it the oldest day is removed, with a warning; its lines are not indexed again.",
    ),
    setting(
        Store,
        "memory",
        size(8 * MIB, 4096 * MIB),
        r#""64MiB""#,
        "",
        "Memory of records that are not on disk; when it is full, they are written before their time.",
    ),
    setting(
        Kibana,
        "url",
        SettingKind::Text,
        "",
        r#""https://kibana:5601""#,
        "Address of Kibana, with its base path if it has one. Required.",
    ),
    setting(
        Kibana,
        "space",
        SettingKind::Text,
        "",
        r#""ops""#,
        "The identifier of the Kibana space for the dashboards. Default: the default space. OpenSearch Dashboards has \
         no spaces.",
    ),
    setting(
        Kibana,
        "api_key",
        SettingKind::Secret,
        "",
        r#""id:key""#,
        "An API key, if it differs from that of [elasticsearch]. One kind of authentication can be set.",
    ),
    setting(
        Kibana,
        "api_key_file",
        SettingKind::Path,
        "",
        r#""/etc/logweir/kibana-key""#,
        "A file with the API key.",
    ),
    setting(
        Kibana,
        "username",
        SettingKind::Text,
        "",
        r#""ops""#,
        "User name; needs password or password_file.",
    ),
    setting(
        Kibana,
        "password",
        SettingKind::Secret,
        "",
        r#""…""#,
        "The user's password.",
    ),
    setting(
        Kibana,
        "password_file",
        SettingKind::Path,
        "",
        r#""/etc/logweir/kibana-password""#,
        "A file with the password.",
    ),
    setting(
        Kibana,
        "ca_file",
        SettingKind::Path,
        "",
        r#""/etc/logweir/kibana-ca.pem""#,
        "Certificates of authorities to trust in addition to the system's, in PEM form. Default, if ca_fingerprint is \
         not set here either: the ca_file of [elasticsearch].",
    ),
    setting(
        Kibana,
        "ca_fingerprint",
        SettingKind::Text,
        "",
        r#""a52dd93511e8c6045e21f16654b77c9ee0f34aea26d9f40320b531c474676228""#,
        "The only authority to trust, as the SHA-256 of its certificate, which Kibana must send in its chain. Use it \
         instead of ca_file. Default, if ca_file is not set here either: that of [elasticsearch].",
    ),
    setting(
        Kibana,
        "proxy",
        SettingKind::Secret,
        "",
        r#""none""#,
        "The HTTP proxy for Kibana, or \"none\". Default: as for [elasticsearch], from the environment.",
    ),
    setting(
        Http,
        "listen",
        SettingKind::Text,
        r#""127.0.0.1:9280""#,
        "",
        "Address and port of the agent's own pages.",
    ),
    setting(
        Http,
        "allowed_hosts",
        SettingKind::Texts,
        "[]",
        r#"["logweir.example.org"]"#,
        "Names that requests to / and /status may use for this host (in the Host header), in addition to addresses, \
         localhost and the host's own name. Other names get a 421, which protects against web sites that point their \
         own name at this host. /metrics, /livez and /readyz accept every name. Read only at the start.",
    ),
    setting(
        Log,
        "level",
        SettingKind::OneOf(&LogLevel::WORDS),
        r#""info""#,
        "",
        "error: data was lost; warn: something needs attention; info: the life of the agent; debug: each file, \
         request, retry and reload. `logweir run --log-level` overrides it.",
    ),
    setting(
        Log,
        "format",
        SettingKind::OneOf(&["text", "json"]),
        r#""text""#,
        "",
        "The form of the log lines.",
    ),
];
