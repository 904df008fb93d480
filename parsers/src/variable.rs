//! The meaning of variables: which well-known ones hold the client, the site and the result of a request, and which of
//! them a client can set.
//!
//! Owns the tables of names. Refuses to know formats and lines. Names are in lower case and without `$`, as in
//! [`crate::Field::name`]. Sources: nginx's index of variables, ingress-nginx (nginx.tmpl), and the documentation of the
//! CDNs and proxies that send the headers.
//!
//! Invariant: no variable that a client can set precedes one that it cannot.

/// A property of requests that dashboards use, and that variables of several names can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The address of the client, if it is not the peer of the connection.
    Client,
    /// The status of the response.
    Status,
    /// Seconds that the request took.
    Duration,
    /// Bytes of the response.
    Bytes,
    /// The name of the user.
    User,
    /// The requested site.
    Site,
    /// The request's target, or at least its path.
    Target,
}

impl Role {
    /// The variables that hold it, the best one first.
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Role::Client => &CLIENT,
            Role::Status => &["status", "upstream_status"],
            Role::Duration => &["request_time", "upstream_response_time"],
            Role::Bytes => &[
                "body_bytes_sent",
                "bytes_sent",
                "upstream_response_length",
                "upstream_bytes_received",
            ],
            Role::User => &USER,
            Role::Site => &SITE,
            Role::Target => &TARGET,
        }
    }
}

/// The peer of the connection. The second holds the value of the first from before nginx's real_ip module replaced it.
pub const PEER: [&str; 2] = ["remote_addr", "realip_remote_addr"];

/// Lists of addresses to which each proxy appends its peer. In the second, nginx has appended its own peer.
pub const FORWARDED: [&str; 2] = ["http_x_forwarded_for", "proxy_add_x_forwarded_for"];

/// Between [`PEER`] and [`FORWARDED`] come those that a client cannot set; the headers come last.
const CLIENT: [&str; 50] = [
    "proxy_protocol_addr",
    // ingress-nginx
    "the_real_ip",
    // usual names of a `map` or a Lua variable
    "real_ip",
    "realip",
    "client_ip",
    "clientip",
    "client_addr",
    "client_address",
    "client_real_ip",
    "client_realip",
    "clientrealip",
    "real_client_ip",
    "real_addr",
    "real_remote_addr",
    "remote_real_ip",
    "remote_ip",
    "remote_addr_real",
    "remote_addr_anon",
    "remote_addr_anonymized",
    "anonymized_addr",
    "anonymized_ip",
    "ip_anonymized",
    "source_ip",
    "src_ip",
    "user_ip",
    "user_real_ip",
    "visitor_ip",
    "original_ip",
    "http_cf_connecting_ip",
    "http_cf_connecting_ipv6",
    "http_true_client_ip",
    "http_fastly_client_ip",
    "http_fly_client_ip",
    "http_do_connecting_ip",
    "http_x_azure_clientip",
    "http_x_appengine_user_ip",
    "http_x_nf_client_connection_ip",
    "http_x_vercel_forwarded_for",
    "http_x_envoy_external_address",
    "http_ali_cdn_real_ip",
    "http_cdn_src_ip",
    "http_incap_client_ip",
    "http_x_sucuri_clientip",
    "http_x_real_ip",
    "http_x_client_ip",
    "http_client_ip",
    "http_x_cluster_client_ip",
    "http_x_original_forwarded_for",
    "http_x_forwarded",
    "http_x_remote_addr",
];

const USER: [&str; 27] = [
    "remote_user",
    "user",
    "username",
    "user_name",
    "auth_user",
    "auth_username",
    "authenticated_user",
    "current_user",
    "login_user",
    "oidc_user",
    "jwt_claim_preferred_username",
    "jwt_claim_sub",
    "ssl_client_s_dn_cn",
    "upstream_http_x_user",
    "upstream_http_x_remote_user",
    "upstream_http_x_auth_request_user",
    "upstream_http_x_forwarded_user",
    "sent_http_x_user",
    "http_x_user",
    "http_x_username",
    "http_x_user_name",
    "http_x_remote_user",
    "http_remote_user",
    "http_x_forwarded_user",
    "http_x_auth_request_user",
    "http_x_authenticated_user",
    "http_x_webauth_user",
];

const SITE: [&str; 13] = [
    "host",
    "http_host",
    "server_name",
    "best_http_host",
    "the_host",
    "real_host",
    "vhost",
    "virtual_host",
    "site",
    "domain",
    "ssl_server_name",
    "http_x_forwarded_host",
    "http_x_original_host",
];

/// nginx's own variables come first, then GitLab's and usual names of a `map` that removes secrets from a target, and
/// last the one with which Apache APISIX requests its upstream.
const TARGET: [&str; 14] = [
    "request_uri",
    "uri",
    "document_uri",
    "filtered_request_uri",
    "filtered_uri",
    "original_request_uri",
    "original_uri",
    "masked_request_uri",
    "masked_uri",
    "clean_request_uri",
    "safe_request_uri",
    "sanitized_request_uri",
    "loggable_request_uri",
    "upstream_uri",
];

/// Whether a client sends this value with its request and can therefore choose it freely: a header, a cookie, an
/// argument.
pub fn is_sent_by_client(name: &str) -> bool {
    ["http_", "cookie_", "arg_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Whether a value may contain text that a client chose: everything for which [`is_sent_by_client`] is true, and
/// everything that nginx or an upstream server derives from a request.
pub fn may_hold_clients_text(name: &str) -> bool {
    const FROM_OUTSIDE: [&str; 13] = [
        "sent_http_",
        "sent_trailer_",
        "upstream_http_",
        "upstream_trailer_",
        "upstream_cookie_",
        "jwt_",
        "oidc_",
        "ssl_client_",
        "ssl_preread_",
        "proxy_protocol_tlv_",
        "form_",
        "post_",
        "secure_link",
    ];
    const DERIVED: [&str; 29] = [
        "args",
        "content_length",
        "content_type",
        "cookies",
        "document_root",
        "document_uri",
        "fastcgi_path_info",
        "fastcgi_script_name",
        "host",
        "invalid_referer",
        "is_args",
        "memcached_key",
        "modern_browser",
        "msie",
        "proxy_add_x_forwarded_for",
        "query_string",
        "realpath_root",
        "remote_user",
        "request",
        "request_body",
        "request_body_file",
        "request_filename",
        "request_method",
        "request_uri",
        "ssl_server_name",
        "uid_got",
        "uid_reset",
        "uid_set",
        "uri",
    ];
    let is_capture = name.bytes().all(|byte| byte.is_ascii_digit());
    is_sent_by_client(name)
        || is_capture
        || DERIVED.contains(&name)
        || FROM_OUTSIDE.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 7] = [
        Role::Client,
        Role::Status,
        Role::Duration,
        Role::Bytes,
        Role::User,
        Role::Site,
        Role::Target,
    ];

    #[test]
    fn names_are_in_lower_case_and_unique() {
        for role in ROLES {
            let names = role.variables();
            for (at, name) in names.iter().enumerate() {
                assert_eq!(*name, name.to_ascii_lowercase());
                assert!(!names[..at].contains(name), "{name} stands twice");
            }
        }
        let all = PEER.iter().chain(&FORWARDED);
        assert!(
            all.clone().all(|name| !CLIENT.contains(name)),
            "those have tables of their own"
        );
    }

    #[test]
    fn values_from_the_client_come_last() {
        for role in [Role::Client, Role::User] {
            let sent: Vec<bool> = role
                .variables()
                .iter()
                .map(|name| is_sent_by_client(name))
                .collect();
            assert!(sent.is_sorted(), "{role:?}");
        }
    }

    #[test]
    fn variables_that_a_client_can_choose() {
        for name in [
            "http_x_time",
            "arg_t",
            "cookie_since",
            "request",
            "uri",
            "host",
            "sent_http_x_date",
            "upstream_http_x_date",
            "jwt_claim_iat",
            "secure_link_expires",
            "1",
        ] {
            assert!(may_hold_clients_text(name), "{name}");
        }
        for name in [
            "my_time",
            "time_iso8601_p1",
            "millisec",
            "request_time_ms",
            "request_date",
        ] {
            assert!(!may_hold_clients_text(name), "{name}");
        }
    }
}
