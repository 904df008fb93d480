//! Requests that nginx logs more than once.
//!
//! Owns the interpretation of nginx.conf's levels for this purpose. Invariant: two logs are reported only when each request of
//! a level is in both; logs with different conditions (`if=`) may divide the requests between them.

use std::collections::{BTreeMap, BTreeSet};

use logweir_parsers::nginx_conf::{AccessLog, NginxConf, Tailable, Writer};

/// Names of servers in a message.
const NAMED_SERVERS: usize = 3;

/// A sentence for each set of followed logs that hold the same requests.
pub(super) fn find(conf: &NginxConf, is_followed: impl Fn(&str) -> bool) -> Vec<String> {
    let mut levels: BTreeMap<usize, Vec<(&AccessLog, &Writer)>> = BTreeMap::new();
    let followed = conf
        .logs
        .iter()
        .filter(|log| log.tailable == Tailable::Yes && is_followed(&log.path));
    for log in followed {
        for writer in &log.writers {
            levels.entry(writer.level).or_default().push((log, writer));
        }
    }
    // one pair of directives in an included file may apply to many levels
    let mut found: BTreeMap<Vec<String>, BTreeSet<usize>> = BTreeMap::new();
    for writers in levels.values() {
        let Some(((first_log, first), others)) = writers.split_first() else {
            continue;
        };
        let same = others.iter().filter(|(_, writer)| {
            writer.options.condition == first.options.condition
                || writer.options.condition.is_none()
                || first.options.condition.is_none()
        });
        let mut places = vec![format!("{} ({})", first_log.path, first.position)];
        places.extend(same.map(|(log, writer)| format!("{} ({})", log.path, writer.position)));
        if places.len() > 1 {
            found.entry(places).or_default().extend(&first.servers);
        }
    }
    let sentence = |(places, servers): (Vec<String>, BTreeSet<usize>)| {
        format!(
            "each request of {} is logged {}, and counted as often: in {}; exclude all but one",
            names(conf, &servers),
            if places.len() == 2 {
                "twice".to_owned()
            } else {
                format!("{} times", places.len())
            },
            places.join(" and in ")
        )
    };
    found.into_iter().map(sentence).collect()
}

fn names(conf: &NginxConf, servers: &BTreeSet<usize>) -> String {
    let all = servers.iter().filter_map(|at| conf.servers.get(*at));
    let named: Vec<&str> = all
        .filter_map(|server| server.names.first())
        .map(String::as_str)
        .collect();
    match named.len() {
        0 => "a server".to_owned(),
        more if more > NAMED_SERVERS => {
            let rest = more - NAMED_SERVERS;
            format!("{} and {rest} more", named[..NAMED_SERVERS].join(", "))
        }
        _ => named.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logweir_parsers::nginx_conf::{ConfSource, Settings, read};

    struct One(&'static str);

    impl ConfSource for One {
        fn read(&self, _: &str) -> Result<Vec<u8>, String> {
            Ok(self.0.as_bytes().to_vec())
        }
        fn glob(&self, _: &str) -> Result<Vec<String>, String> {
            Ok(Vec::new())
        }
    }

    fn found(text: &'static str) -> Vec<String> {
        let settings = Settings {
            conf: "/n.conf".to_owned(),
            prefix: "/p".to_owned(),
            default_log: "/p/access.log".to_owned(),
        };
        find(&read(&settings, &One(text)), |path| {
            path != "/not-followed.log"
        })
    }

    #[test]
    fn two_logs_of_one_level_are_reported() {
        let text =
            "http { server { server_name a.example;\naccess_log /a.log;\naccess_log /all.log; } }";
        let expected = "each request of a.example is logged twice, and counted as often: in /a.log (/n.conf:2) \
                        and in /all.log (/n.conf:3); exclude all but one";
        assert_eq!(found(text), [expected]);
    }

    #[test]
    fn logs_that_divide_the_requests_are_not_reported() {
        let apart = "http { access_log /all.log; server { access_log /a.log; } server { } }";
        assert!(found(apart).is_empty());
        let conditions = "http { server { access_log /a.log combined if=$good; access_log /b.log combined if=$bad; } }";
        assert!(found(conditions).is_empty());
        let elsewhere = "http { server { access_log /a.log; access_log /not-followed.log; access_log syslog:server=x; } }";
        assert!(found(elsewhere).is_empty());
    }
}
