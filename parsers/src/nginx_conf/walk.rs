//! Walks nginx.conf and its includes and collects the directives of each level.
//!
//! Owns blocks, includes and their bounds. Refuses to know the effect of a level (`resolve` owns that). Invariant:
//! blocks are kept in a list, not on the stack, and includes are bounded, so no text can make the walk endless or
//! overflow the stack.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::access_log::{self, Directive};
use super::resolve::{Level, LevelKind, OwnLog, resolve};
use super::token::{End, Tokens};
use super::{
    COMBINED, ConfPosition, ConfSource, LogFormat, NginxConf, Problem, Server, Settings, StreamLog,
    Wrong,
};

/// Includes within includes; real configurations have at most three.
const MAX_DEPTH: usize = 32;
/// Files read, including repeats; the largest shared hosts have about ten thousand.
const MAX_FILES: usize = 50_000;
/// Bytes read, including repeats.
const MAX_BYTES: usize = 256 << 20;

/// How the directives of a block are interpreted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    Main,
    /// `http` and the blocks below it that allow `access_log`, as an index into `Walk::levels`.
    Level(usize),
    /// A block within `server` or `location` whose directives are of the HTTP core and that allows no log.
    NoLog,
    Stream,
    /// A block that is skipped: `events`, `types`, `map`, `upstream`, `mail` …
    Other,
}

struct Block {
    name: String,
    line: u32,
    context: Context,
}

struct Walk<'s> {
    settings: &'s Settings,
    source: &'s dyn ConfSource,
    conf: NginxConf,
    levels: Vec<Level>,
    /// Files that are being read, outermost first.
    open: Vec<String>,
    seen: HashSet<String>,
    /// Indexes of formats in `conf`, by their names as written, and by their names without regard to case.
    formats: [HashMap<String, usize>; 2],
    files: usize,
    bytes: usize,
}

pub(super) fn walk(settings: &Settings, source: &dyn ConfSource) -> NginxConf {
    let mut walk = Walk {
        settings,
        source,
        conf: NginxConf::default(),
        levels: Vec::new(),
        open: Vec::new(),
        seen: HashSet::new(),
        formats: [HashMap::new(), HashMap::new()],
        files: 0,
        bytes: 0,
    };
    let whole = ConfPosition {
        file: settings.conf.as_str().into(),
        line: 1,
    };
    walk.file(&settings.conf, Context::Main, &whole);
    let Walk {
        mut conf, levels, ..
    } = walk;
    resolve(&mut conf, levels, settings);
    conf
}

impl Walk<'_> {
    fn wrong(&mut self, position: &ConfPosition, wrong: impl Into<Wrong>) {
        self.conf.problems.push(Problem {
            position: position.clone(),
            wrong: wrong.into(),
        });
    }

    /// Reads the file at `path`, whose outermost directives belong to `context`.
    fn file(&mut self, path: &str, context: Context, from: &ConfPosition) {
        if self.open.iter().any(|open| open == path) {
            return self.wrong(
                from,
                Wrong::Cycle {
                    path: path.to_owned(),
                },
            );
        }
        if self.open.len() >= MAX_DEPTH {
            return self.wrong(from, Wrong::TooDeep);
        }
        if self.files >= MAX_FILES || self.bytes >= MAX_BYTES {
            // One report is enough.
            if self
                .conf
                .problems
                .last()
                .is_none_or(|last| last.wrong != Wrong::TooMuch)
            {
                self.wrong(from, Wrong::TooMuch);
            }
            return;
        }
        self.files += 1;
        let text = match self.source.read(path) {
            Ok(text) => text,
            Err(reason) => {
                return self.wrong(
                    from,
                    Wrong::Unreadable {
                        path: path.to_owned(),
                        reason,
                    },
                );
            }
        };
        self.bytes += text.len();
        if self.seen.insert(path.to_owned()) {
            self.conf.files.push(path.to_owned());
        }
        self.open.push(path.to_owned());
        self.text(&text, &path.into(), context);
        self.open.pop();
    }

    fn text(&mut self, text: &[u8], file: &Arc<str>, outermost: Context) {
        let mut tokens = Tokens::new(text);
        let mut blocks: Vec<Block> = Vec::new();
        loop {
            let end = tokens.next();
            let position = ConfPosition {
                file: file.clone(),
                line: tokens.start,
            };
            let context = blocks.last().map_or(outermost, |block| block.context);
            match end {
                Ok(End::Semicolon) => self.directive(&tokens.words, context, &position),
                Ok(End::Open) => {
                    let name = word(&tokens.words, 0);
                    if name.ends_with("_by_lua_block") {
                        if let Err(flaw) = tokens.skip_lua() {
                            return self.wrong(&position, flaw);
                        }
                        continue;
                    }
                    let context = self.block(&name, &tokens.words, context, &position);
                    blocks.push(Block {
                        name,
                        line: position.line,
                        context,
                    });
                }
                Ok(End::Close) => {
                    if blocks.pop().is_none() {
                        return self.wrong(&position, Wrong::Unexpected { byte: b'}' });
                    }
                }
                Ok(End::File) => {
                    if let Some(Block { name, line, .. }) = blocks.pop() {
                        let position = ConfPosition { line, ..position };
                        self.wrong(&position, Wrong::UnclosedBlock { name });
                    }
                    return;
                }
                Err(flaw) => return self.wrong(&position, flaw),
            }
        }
    }

    /// How a block's directives are interpreted, by its name and its position.
    fn block(
        &mut self,
        name: &str,
        words: &[Vec<u8>],
        outer: Context,
        position: &ConfPosition,
    ) -> Context {
        let (kind, server) = match (outer, name) {
            (Context::Main, "http") => (LevelKind::Http, None),
            (Context::Main, "stream") => return Context::Stream,
            (Context::Stream, _) => return Context::Stream,
            (Context::Level(at), _) => match (self.levels[at].kind, name) {
                (LevelKind::Http, "server") if words.len() == 1 => {
                    self.conf.servers.push(Server {
                        names: Vec::new(),
                        listens: Vec::new(),
                        position: position.clone(),
                    });
                    (LevelKind::Server, Some(self.conf.servers.len() - 1))
                }
                (LevelKind::Server | LevelKind::Nested, "location")
                | (LevelKind::Nested, "if" | "limit_except") => {
                    (LevelKind::Nested, self.levels[at].server)
                }
                (LevelKind::Server, "if") => return Context::NoLog,
                _ => return Context::Other,
            },
            _ => return Context::Other,
        };
        self.levels.push(Level::new(kind, server));
        Context::Level(self.levels.len() - 1)
    }

    fn directive(&mut self, words: &[Vec<u8>], context: Context, position: &ConfPosition) {
        if context == Context::Other {
            return;
        }
        let name = words.first().map(Vec::as_slice).unwrap_or_default();
        let arguments = words.get(1..).unwrap_or_default();
        match (name, context) {
            (b"include", _) => self.include(arguments, context, position),
            (b"user", Context::Main) => self.conf.user = arguments.first().map(|word| lossy(word)),
            (b"access_log", Context::Level(at)) => self.access_log(arguments, at, position),
            (b"access_log", Context::Stream) => {
                let path = word(words, 1);
                if path != "off" {
                    self.conf.stream_logs.push(StreamLog {
                        path,
                        position: position.clone(),
                    });
                }
            }
            (b"access_log", _) => self.wrong(
                position,
                Wrong::NotAllowed {
                    directive: "access_log",
                },
            ),
            // The formats of a stream block are separate.
            (b"log_format", Context::Stream) => {}
            (b"log_format", Context::Level(at)) if self.levels[at].kind == LevelKind::Http => {
                self.log_format(arguments, position);
            }
            (b"log_format", _) => self.wrong(
                position,
                Wrong::NotAllowed {
                    directive: "log_format",
                },
            ),
            (b"server_name" | b"listen", Context::Level(at)) => {
                let level = &self.levels[at];
                let Some(server) = level.server.filter(|_| level.kind == LevelKind::Server) else {
                    return;
                };
                let server = &mut self.conf.servers[server];
                let mut texts = arguments.iter().map(|word| lossy(word));
                if name == b"listen" {
                    server.listens.extend(texts.next());
                } else {
                    server.names.extend(texts);
                }
            }
            _ => {}
        }
    }

    fn access_log(&mut self, arguments: &[Vec<u8>], at: usize, position: &ConfPosition) {
        let mut wrong = Vec::new();
        let directive = access_log::access_log(arguments, &mut wrong);
        match directive {
            None => {}
            Some(Directive::Off) => self.levels[at].off = Some(position.clone()),
            Some(Directive::Log {
                target,
                format,
                options,
            }) => {
                let [_, any_case] = &self.formats;
                let known = any_case.get(&format.to_ascii_lowercase());
                let known = known.and_then(|at| self.conf.formats.get(*at));
                let known = known.map(|known| known.name.clone());
                let combined = format.eq_ignore_ascii_case(COMBINED);
                let format = match known {
                    Some(name) => name,
                    None if combined => COMBINED.to_owned(),
                    None => {
                        wrong.push(Wrong::UnknownFormat {
                            name: format.clone(),
                        });
                        format
                    }
                };
                let position = position.clone();
                self.levels[at].logs.push(OwnLog {
                    target,
                    format,
                    options,
                    position,
                });
            }
        }
        for wrong in wrong {
            self.wrong(position, wrong);
        }
    }

    fn log_format(&mut self, arguments: &[Vec<u8>], position: &ConfPosition) {
        match access_log::log_format(arguments) {
            Err(wrong) => self.wrong(position, wrong),
            // nginx compares names exactly here, but ignores case when a format is used.
            Ok((name, ..)) if name == COMBINED || self.formats[0].contains_key(&name) => {
                self.wrong(position, Wrong::DuplicateFormat { name });
            }
            Ok((name, escape, value)) => {
                let position = position.clone();
                let at = self.conf.formats.len();
                let [as_written, any_case] = &mut self.formats;
                as_written.insert(name.clone(), at);
                any_case.entry(name.to_ascii_lowercase()).or_insert(at);
                self.conf.formats.push(LogFormat {
                    name,
                    escape,
                    value,
                    position,
                });
            }
        }
    }

    fn include(&mut self, arguments: &[Vec<u8>], context: Context, position: &ConfPosition) {
        let [path] = arguments else {
            return self.wrong(
                position,
                Wrong::Arguments {
                    directive: "include",
                },
            );
        };
        let Ok(path) = std::str::from_utf8(path) else {
            return self.wrong(
                position,
                Wrong::NotUtf8 {
                    directive: "include",
                },
            );
        };
        let folder = self
            .settings
            .conf
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        let path = full_path(folder, path);
        // `ngx_conf_include`: only these three characters make it a pattern, and a pattern may match nothing.
        if !path.contains(['*', '?', '[']) {
            return self.file(&path, context, position);
        }
        if !self.conf.patterns.contains(&path) {
            self.conf.patterns.push(path.clone());
        }
        match self.source.glob(&path) {
            Ok(files) => files
                .iter()
                .for_each(|file| self.file(file, context, position)),
            Err(reason) => self.wrong(position, Wrong::Unreadable { path, reason }),
        }
    }
}

/// `ngx_get_full_name` (`src/core/ngx_file.c`): the prefix is prepended to any path that does not begin with `/`.
pub(super) fn full_path(folder: &str, path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{}/{path}", folder.trim_end_matches('/'))
    }
}

fn word(words: &[Vec<u8>], at: usize) -> String {
    words.get(at).map(|word| lossy(word)).unwrap_or_default()
}

fn lossy(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}
