//! The programs that the commands need, and their installation: by apt on a Debian where that is allowed; otherwise they are
//! named.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// The oldest Java that runs any of the test servers.
pub const OLDEST_JAVA: u32 = 17;

/// A program that a chore runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// A web server.
    Nginx,
    /// A Java compiler and runtime of version 17 or newer.
    Jdk,
    /// It makes the certificates of those servers that have one.
    Openssl,
    /// It fetches the servers' artefacts.
    Maven,
    /// It rotates logs.
    Logrotate,
    /// It shows a program another time than the machine's.
    Faketime,
    /// `objcopy` and `objdump`.
    Binutils,
    /// Python with `venv`.
    PythonVenv,
    /// It makes a Debian in a folder.
    Mmdebstrap,
    /// It boots a Debian that is in a folder.
    Nspawn,
    /// It looks into packages for RHEL and its relatives.
    Rpm,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Jdk => "a JDK, 17 or newer",
            Self::Openssl => "openssl",
            Self::Maven => "Maven",
            Self::Logrotate => "logrotate",
            Self::Faketime => "libfaketime",
            Self::Binutils => "binutils",
            Self::PythonVenv => "Python's venv",
            Self::Mmdebstrap => "mmdebstrap",
            Self::Nspawn => "systemd-nspawn",
            Self::Rpm => "rpm",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Nginx => "nginx-light",
            Self::Jdk => "default-jdk-headless",
            Self::Openssl => "openssl",
            Self::Maven => "maven",
            Self::Logrotate => "logrotate",
            Self::Faketime => "faketime",
            Self::Binutils => "binutils",
            Self::PythonVenv => "python3-venv",
            Self::Mmdebstrap => "mmdebstrap",
            Self::Nspawn => "systemd-container",
            Self::Rpm => "rpm",
        }
    }

    fn is_there(self) -> bool {
        match self {
            Self::Nginx => nginx().is_some(),
            Self::Jdk => jdk(OLDEST_JAVA).is_some(),
            Self::Openssl => system_program("openssl").is_some(),
            Self::Maven => answers("mvn", "-version"),
            Self::Logrotate => logrotate().is_some(),
            Self::Faketime => faketime().is_some(),
            Self::Binutils => system_program("objcopy").is_some(),
            Self::PythonVenv => succeeds(&["python3"], &["-c", "import ensurepip"]),
            Self::Mmdebstrap => system_program("mmdebstrap").is_some(),
            Self::Nspawn => system_program("systemd-nspawn").is_some(),
            Self::Rpm => system_program("rpm").is_some(),
        }
    }
}

/// Installs what is missing, or says what to install.
pub fn provide(tools: &[Tool]) -> Result<()> {
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
    // A new machine has no list of packages yet.
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
pub fn nginx() -> Option<PathBuf> {
    system_program("nginx")
}

/// Where logrotate is.
pub fn logrotate() -> Option<PathBuf> {
    system_program("logrotate")
}

/// Where libfaketime is, the one for programs with threads: in a folder of Debian's for this architecture, or of
/// a build by hand.
pub fn faketime() -> Option<PathBuf> {
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

/// A JDK of this version or newer for the test servers: what `JAVA_HOME` names, else the oldest that fits, since the
/// servers were tried with it.
pub fn jdk(oldest: u32) -> Option<PathBuf> {
    let fits = |home: &PathBuf| java_version(home).is_some_and(|version| version >= oldest);
    let named = std::env::var_os("JAVA_HOME").map(PathBuf::from);
    named.filter(fits).or_else(|| {
        let installed = std::fs::read_dir("/usr/lib/jvm").into_iter().flatten();
        let installed = installed.filter_map(|entry| Some(entry.ok()?.path()));
        // JDK/bin/javac, wherever the link in the PATH leads
        let compiler = system_program("javac").and_then(|javac| javac.canonicalize().ok());
        let of_path = compiler.and_then(|javac| Some(javac.parent()?.parent()?.to_owned()));
        installed
            .chain(of_path)
            .filter(fits)
            .min_by_key(|home| (java_version(home), home.clone()))
    })
}

/// The version of the JDK in a folder, as its file `release` tells: `JAVA_VERSION="17.0.15"`.
fn java_version(home: &Path) -> Option<u32> {
    if !home.join("bin/javac").is_file() {
        return None;
    }
    let release = std::fs::read_to_string(home.join("release")).ok()?;
    let version = release
        .lines()
        .find_map(|line| line.strip_prefix("JAVA_VERSION="))?;
    version.trim_matches('"').split('.').next()?.parse().ok()
}

/// Whether a program can be run at all.
pub fn answers(program: &str, argument: &str) -> bool {
    let quiet = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

/// The words before a command that run it as root; None where that needs a password.
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
