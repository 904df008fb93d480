//! Any bytes are read as nginx.conf with includes: it ends, does not panic, and what it says fits together.
//!
//! The input is cut at zero bytes: the first piece is nginx.conf, piece N is the file `/N`, and a glob
//! matches all of them, so that cycles and deep includes come up by themselves.

#![no_main]

use libfuzzer_sys::fuzz_target;
use logweir_parsers::nginx_conf::{self, NginxConf, Settings, ConfSource, Tailable};

/// More pieces than this only make a run slow.
const MAX_PIECES: usize = 3;

struct Pieces<'d>(Vec<&'d [u8]>);

impl ConfSource for Pieces<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let at: Option<usize> = path.strip_prefix('/').and_then(|name| name.parse().ok());
        let piece = at.and_then(|at| self.0.get(at)).ok_or("No such file or directory")?;
        Ok(piece.to_vec())
    }

    fn glob(&self, _: &str) -> Result<Vec<String>, String> {
        Ok((0..self.0.len()).map(|at| format!("/{at}")).collect())
    }
}

fuzz_target!(|data: &[u8]| {
    let pieces = Pieces(data.splitn(MAX_PIECES, |&byte| byte == 0).collect());
    let settings = Settings {
        conf: "/0".to_owned(),
        prefix: "/prefix".to_owned(),
        default_log: "/default.log".to_owned(),
    };
    let conf: NginxConf = nginx_conf::read(&settings, &pieces);
    assert_eq!(conf.files.first().map(String::as_str), Some("/0"));
    for problem in &conf.problems {
        let file = &pieces.0[problem.place.file[1..].parse::<usize>().unwrap()];
        let lines = file.iter().filter(|&&byte| byte == b'\n').count() + 1;
        assert!((1..=lines).contains(&(problem.place.line as usize)), "{problem}");
    }
    for log in &conf.logs {
        assert!(!log.writers.is_empty());
        assert!(log.tailable != Tailable::Yes || log.path.starts_with('/'));
        assert!(log.servers().into_iter().all(|server| server < conf.servers.len()));
        let _ = (log.glob(), conf.host_of(log));
    }
});
