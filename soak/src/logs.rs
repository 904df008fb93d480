//! The logs of the soak: their writers and their logrotate configuration.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::Result;

/// In a flag: the writer may keep the old file for a moment.
pub(super) const LATE: &str = "late";

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

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl From<&Metadata> for FileId {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// One log.
#[derive(Debug, Clone)]
pub(super) struct Log {
    /// The letter in every line, before its number.
    pub(super) letter: char,
    pub(super) path: PathBuf,
    pub(super) writer: Writer,
    pub(super) copytruncate: bool,
    /// logrotate does not compress its rotated file at once: that may still be written to for a moment.
    late: bool,
    /// logrotate's `olddir`.
    pub(super) old: Option<PathBuf>,
    /// Its path is a link, and leads here at first: a file that logrotate would not touch.
    target: Option<PathBuf>,
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
            target: None,
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
        Log {
            target: Some(folder.join("behind/linked.log")),
            ..log(
                'h',
                "own/linked.log",
                own(false, false, false),
                false,
                None,
                "nocompress",
            )
        },
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
        target: None,
        words: "",
    }
}

impl Log {
    /// The directories with files of this log, some of them in directories below.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        let target = self.target.as_deref().and_then(Path::parent);
        let folder = self.path.parent().into_iter();
        folder.chain(self.old.as_deref()).chain(target)
    }

    /// Whether its path is a link.
    pub(super) fn is_link(&self) -> bool {
        self.target.is_some()
    }

    /// Its name without directories.
    pub(super) fn name(&self) -> &str {
        self.path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }

    /// While this file exists, the writer must reopen the log; it is empty or contains [`LATE`].
    pub(super) fn flag(&self, folder: &Path) -> PathBuf {
        folder.join("flags").join(self.name())
    }

    /// Makes its directories, and its link where it has one.
    pub(super) fn make_place(&self) -> Result<()> {
        for place in self.folders() {
            fs::create_dir_all(place)?;
        }
        if let Some(target) = &self.target {
            symlink(target, &self.path)?;
        }
        Ok(())
    }

    /// Writes the logrotate configuration; `nginx_pid` is where nginx keeps its process id.
    pub(super) fn write_configuration(&self, folder: &Path, nginx_pid: &Path) -> Result<PathBuf> {
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
                let word = if self.late { LATE } else { "" };
                format!(
                    "create 0644\n    postrotate\n        printf '{word}' > '{flag}'\n        i=0\n        \
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
