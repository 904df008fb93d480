//! `cargo xtask manifests`: the Kubernetes manifests against the schemas of Kubernetes, and the alerts against their tests.
//!
//! A tool that is absent is named with its installation, and its checks are left out; with `--all` that is an error.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};

use testkit::place;

/// The versions whose schemas kubectl-validate contains and in which native sidecars exist.
const VERSIONS: [&str; 2] = ["1.29", "1.30"];
const MANIFESTS: [&str; 2] = ["sidecar", "daemonset"];

/// The tools, and how each is installed.
const TOOLS: [(&str, &str); 3] = [
    ("kubectl", "https://kubernetes.io/docs/tasks/tools/"),
    (
        "kubectl-validate",
        "go install sigs.k8s.io/kubectl-validate@v0.0.4, with the directory of its binary in the PATH",
    ),
    ("promtool", "apt-get install prometheus"),
];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Fail if a tool is absent
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let missing: Vec<&str> = TOOLS
        .iter()
        .filter(|(tool, _)| !is_there(tool))
        .map(|(tool, install)| {
            println!("left out: the checks with {tool}, which is absent; to install it: {install}");
            *tool
        })
        .collect();
    ensure!(
        missing.is_empty() || !arguments.all,
        "absent: {}",
        missing.join(", ")
    );
    let has = |tool| !missing.contains(&tool);
    let packaging = place::root().join("packaging");
    let folder = place::Folder::empty("manifests")?;
    let mut checks = 0;
    if has("kubectl") {
        for name in MANIFESTS {
            let rendered = folder.join(format!("{name}.yaml"));
            let source = packaging.join("kubernetes").join(name);
            let output = Command::new("kubectl")
                .arg("kustomize")
                .arg(&source)
                .output()?;
            ensure!(
                output.status.success(),
                "{}: {}",
                source.display(),
                String::from_utf8_lossy(&output.stderr)
            );
            std::fs::write(&rendered, output.stdout)?;
            println!("rendered: {name}");
            checks += 1;
            for version in VERSIONS.iter().filter(|_| has("kubectl-validate")) {
                succeed(
                    Command::new("kubectl-validate")
                        .args(["--version", version])
                        .arg(&rendered),
                    &packaging,
                )?;
                checks += 1;
            }
        }
    }
    if has("promtool") {
        for arguments in [
            ["check", "rules", "alerts.yaml"],
            ["check", "config", "scrape.yaml"],
            ["test", "rules", "alerts_test.yaml"],
        ] {
            let place = packaging.join("prometheus");
            succeed(Command::new("promtool").args(arguments), &place)?;
            checks += 1;
        }
    }
    println!("{checks} passed, 0 failed");
    Ok(ExitCode::SUCCESS)
}

fn is_there(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

fn succeed(command: &mut Command, folder: &Path) -> Result<()> {
    let status = command
        .current_dir(folder)
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "failed: {command:?}");
    Ok(())
}
