//! What the chores need from the machine, and how it gets there: by apt on a Debian where that is allowed, else named.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// A program that a chore runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// A web server.
    Nginx,
    /// A Java compiler and runtime of version 17 or newer.
    Jdk,
    /// It fetches the servers' artefacts.
    Maven,
    /// It rotates logs.
    Logrotate,
    /// It shows a program another time than the machine's.
    Faketime,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Jdk => "a JDK, 17 or newer",
            Self::Maven => "Maven",
            Self::Logrotate => "logrotate",
            Self::Faketime => "libfaketime",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Nginx => "nginx-light",
            Self::Jdk => "default-jdk-headless",
            Self::Maven => "maven",
            Self::Logrotate => "logrotate",
            Self::Faketime => "faketime",
        }
    }

    fn is_there(self) -> bool {
        match self {
            Self::Nginx => nginx().is_some(),
            Self::Jdk => jdk().is_some() || answers("javac", "-version"),
            Self::Maven => answers("mvn", "-version"),
            Self::Logrotate => logrotate().is_some(),
            Self::Faketime => faketime().is_some(),
        }
    }
}

/// Installs what is missing, or says what to install.
pub(crate) fn provide(tools: &[Tool]) -> Result<()> {
    let missing: Vec<Tool> = tools
        .iter()
        .copied()
        .filter(|tool| !tool.is_there())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|tool| tool.name()).collect();
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package()).collect();
    let by_hand = format!("apt-get install {}", packages.join(" "));
    let Some(mut prefix) = root_prefix() else {
        bail!("missing: {}; on Debian: {by_hand}", names.join(", "));
    };
    println!("missing: {}; installing: {by_hand}", names.join(", "));
    prefix.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    let install = [
        &["install", "--yes", "--no-install-recommends"],
        &packages[..],
    ]
    .concat();
    // A machine that was never updated has no list of packages yet.
    if !(succeeds(&prefix, &install)
        || succeeds(&prefix, &["update"]) && succeeds(&prefix, &install))
    {
        bail!("apt-get failed; by hand: {by_hand}");
    }
    match missing.iter().find(|tool| !tool.is_there()) {
        Some(tool) => bail!("{} is still missing after {by_hand}", tool.name()),
        None => Ok(()),
    }
}

/// Where nginx is.
pub(crate) fn nginx() -> Option<PathBuf> {
    system_program("nginx")
}

/// Where logrotate is.
pub(crate) fn logrotate() -> Option<PathBuf> {
    system_program("logrotate")
}

/// Where libfaketime is, the one for programs with threads: in a folder of Debian's for this architecture, or of
/// a build by hand.
pub(crate) fn faketime() -> Option<PathBuf> {
    let in_lib = std::fs::read_dir("/usr/lib").into_iter().flatten();
    let in_lib = in_lib.filter_map(|entry| Some(entry.ok()?.path()));
    in_lib
        .chain([PathBuf::from("/usr/local/lib")])
        .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
}

/// Where a program is that Debian keeps where an ordinary user's PATH does not look.
fn system_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// The JDK for the test servers, when the environment names none: 17, the one that all of them take, else 21. None
/// leaves the choice to the PATH.
pub(crate) fn jdk() -> Option<PathBuf> {
    if std::env::var_os("JAVA_HOME").is_some() {
        return None;
    }
    let mut homes: Vec<PathBuf> = std::fs::read_dir("/usr/lib/jvm")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|home| home.join("bin/javac").is_file())
        .collect();
    homes.sort();
    ["java-17-", "java-21-"].iter().find_map(|wanted| {
        let named = |home: &&PathBuf| {
            home.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(wanted))
        };
        homes.iter().find(named).cloned()
    })
}

/// Whether a program can be run at all.
pub(crate) fn answers(program: &str, argument: &str) -> bool {
    let quiet = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

/// What stands before a command to run it as root; None where that is not possible without a question.
fn root_prefix() -> Option<Vec<&'static str>> {
    if !Path::new("/usr/bin/apt-get").exists() {
        None
    } else if rustix::process::geteuid().is_root() {
        Some(vec![])
    } else {
        succeeds(&["sudo", "-n"], &["true"]).then(|| vec!["sudo", "-n"])
    }
}

fn succeeds(prefix: &[&str], arguments: &[&str]) -> bool {
    let mut words = prefix.iter().chain(arguments);
    let Some(program) = words.next() else {
        return false;
    };
    Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
