//! The logs of the soak: who writes them, and how logrotate is told to rotate them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// Who writes a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    Nginx,
    /// Own code, at a high rate.
    Own {
        /// Lines come in two writes now and then.
        halves: bool,
        /// Some lines are long, some longer than the limit.
        long: bool,
        /// Many lines in one write, as with nginx's `buffer=`.
        blocks: bool,
    },
}

/// One log.
#[derive(Debug, Clone)]
pub(super) struct Log {
    /// Stands in every line, before its number.
    pub(super) letter: char,
    pub(super) path: PathBuf,
    pub(super) writer: Writer,
    pub(super) copytruncate: bool,
    /// Its rotated file may still be written to for a moment; else it is compressed at once.
    pub(super) late: bool,
    /// logrotate's `olddir`.
    old: Option<PathBuf>,
    /// More words of its logrotate section.
    words: &'static str,
}

/// All logs, below `folder`.
pub(super) fn all(folder: &Path) -> Vec<Log> {
    let own = |halves, long, blocks| Writer::Own {
        halves,
        long,
        blocks,
    };
    let log =
        |letter, place: &str, writer, copytruncate, old: Option<&str>, words: &'static str| Log {
            letter,
            path: folder.join(place),
            writer,
            copytruncate,
            late: words.contains("nocompress") || words.contains("delaycompress"),
            old: old.map(|old| folder.join(old)),
            words,
        };
    vec![
        log(
            'a',
            "nginx/access.log",
            Writer::Nginx,
            false,
            None,
            "compress\n    delaycompress",
        ),
        log(
            'b',
            "nginx/api.access.log",
            Writer::Nginx,
            false,
            Some("nginx/old"),
            DATED_AND_COMPRESSED,
        ),
        log(
            'c',
            "own/halves.log",
            own(true, false, false),
            false,
            None,
            "nocompress",
        ),
        log(
            'd',
            "own/long.log",
            own(false, true, false),
            false,
            Some("own/old"),
            DATED_AND_COMPRESSED,
        ),
        log(
            'e',
            "own/copied.log",
            own(false, false, true),
            true,
            None,
            "compress\n    delaycompress",
        ),
        log(
            'f',
            "own/copied_torn.log",
            own(true, true, false),
            true,
            None,
            DATED_AND_COMPRESSED,
        ),
        log(
            'g',
            "own/blocks.log",
            own(true, false, true),
            false,
            None,
            DATED_AND_DELAYED,
        ),
    ]
}

const DATED_AND_COMPRESSED: &str = "compress\n    dateext\n    dateformat -%Y%m%d-%s";
const DATED_AND_DELAYED: &str =
    "compress\n    delaycompress\n    dateext\n    dateformat -%Y%m%d-%s";

/// One log in a directory of its own.
pub(super) fn only(letter: char, folder: &Path) -> Log {
    Log {
        letter,
        path: folder.join("access.log"),
        writer: Writer::Nginx,
        copytruncate: false,
        late: false,
        old: None,
        words: "",
    }
}

impl Log {
    /// The directories with files of this log.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.path.parent().into_iter().chain(self.old.as_deref())
    }

    /// Its name without directories.
    pub(super) fn name(&self) -> &str {
        self.path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }

    /// While this file is there, the writer shall open the log anew.
    pub(super) fn flag(&self, folder: &Path) -> PathBuf {
        folder.join("flags").join(self.name())
    }

    /// Writes the logrotate configuration; `nginx_pid` is where nginx keeps its process id.
    pub(super) fn write_configuration(&self, folder: &Path, nginx_pid: &Path) -> Result<PathBuf> {
        for place in self.folders() {
            fs::create_dir_all(place)?;
        }
        let how = match (self.copytruncate, self.writer) {
            (true, _) => "copytruncate".to_owned(),
            (false, Writer::Nginx) => {
                // Where the file is compressed at once the workers must have left it.
                let pause = if self.late { "" } else { "\n        sleep 0.5" };
                format!(
                    "create 0644\n    postrotate\n        kill -USR1 $(cat '{}'){pause}\n    endscript",
                    nginx_pid.display()
                )
            }
            (false, Writer::Own { .. }) => {
                let flag = self.flag(folder);
                let flag = flag.display();
                format!(
                    "create 0644\n    postrotate\n        touch '{flag}'\n        i=0\n        \
                     while [ -e '{flag}' ] && [ $i -lt 500 ]; do sleep 0.02; i=$((i+1)); done\n    endscript"
                )
            }
        };
        let old = match &self.old {
            Some(old) => format!("olddir {}\n    ", old.display()),
            None => String::new(),
        };
        let text = format!(
            "{} {{\n    rotate 100000\n    {old}{}\n    {how}\n}}\n",
            self.path.display(),
            self.words,
        );
        let text = match self.words.contains("dateext") {
            true => text,
            // logrotate looks at each number up to that one.
            false => text.replace("rotate 100000", "rotate 2000"),
        };
        let path = folder.join(format!("logrotate-{}.conf", self.letter));
        fs::write(&path, text)?;
        Ok(path)
    }
}
