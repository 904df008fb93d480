//! The life of the .rpm, by rpm itself in the folder of the Debian, beside logs with the rights that RHEL gives them.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::debian::Debian;
use super::step;
use crate::dist::Packages;

pub(super) fn by_rpm(debian: &Debian, first: &Packages, second: &Packages) -> Result<()> {
    step("what the .rpm needs");
    let needs = rpm(debian, &["-qp", "--requires"], Some(&first.rpm))?;
    for need in ["/usr/sbin/useradd", "libc.so.6(GLIBC_2.28)(64bit)"] {
        ensure!(needs.contains(need), "{needs}");
    }

    step("install the .rpm beside logs as on RHEL: for root and nginx alone");
    debian.sh(
        "userdel logweir; rm -f /etc/debian_version; useradd -r nginx; cd /var/log/nginx; rm -f *; chmod 0711 .; \
         chown root:root .; echo x > access.log; chmod 0640 access.log; chown nginx:root access.log",
    )?;
    // rpm knows nothing of Debian's packages
    rpm(debian, &["-i", "--nodeps"], Some(&first.rpm))?;
    let rights = "stat -c '%a %U:%G' /etc/logweir /etc/logweir/logweir.toml";
    ensure!(debian.sh(rights)? == "750 root:logweir\n640 root:logweir\n");
    let as_logweir = "setpriv --reuid=logweir --regid=logweir --init-groups";
    let may_read = format!("{as_logweir} cat");
    debian.sh(&format!("{may_read} /var/log/nginx/access.log"))?;
    step("a log that logrotate creates is readable too, and so is the directory");
    debian.sh(&format!(
        "printf '/var/log/nginx/*.log {{\\n create 0640 nginx root\\n rotate 3\\n}}\\n' > /tmp/rotate; \
         logrotate --force /tmp/rotate; cd /var/log/nginx; \
         stat -c '%a %U:%G' access.log | grep -x '640 nginx:root'; \
         {may_read} access.log access.log.1; {as_logweir} ls /var/log/nginx"
    ))?;

    step("upgrade and remove: settings and state stay, the access control list goes");
    debian.sh("install -d -o logweir -g logweir -m 0750 /var/lib/logweir; echo '# mine' >> /etc/logweir/logweir.toml")?;
    rpm(debian, &["-U", "--nodeps"], Some(&second.rpm))?;
    debian.sh(
        "grep -q '# mine' /etc/logweir/logweir.toml; test -d /var/lib/logweir; logweir --version",
    )?;
    rpm(debian, &["-e", "logweir"], None)?;
    debian.sh("test -d /var/lib/logweir; test -f /etc/logweir/logweir.toml.rpmsave; test ! -e /usr/bin/logweir")?;
    debian.sh(&format!(
        "! {may_read} /var/log/nginx/access.log 2>/dev/null"
    ))?;

    step("a group that may read the logs is joined instead");
    debian.sh(
        "groupadd -r weblog; cd /var/log/nginx; setfacl -b . access.log*; chgrp weblog . access.log*; \
         chmod 0750 .; chmod 0640 access.log*",
    )?;
    rpm(debian, &["-i", "--nodeps"], Some(&first.rpm))?;
    ensure!(debian.sh("id -nG logweir")?.contains("weblog"));
    debian.sh(&format!(
        "{may_read} /var/log/nginx/access.log; ! getfacl -cp /var/log/nginx | grep -q user:logweir"
    ))?;
    rpm(debian, &["-e", "logweir"], None)?;
    Ok(())
}

fn rpm(debian: &Debian, arguments: &[&str], package: Option<&Path>) -> Result<String> {
    let output = Command::new("rpm")
        .arg("--root")
        .arg(debian.root())
        .args(arguments)
        .args(package)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "rpm {arguments:?}: {}\n{errors}",
        output.status
    );
    // a script that fails is only warned of
    ensure!(!errors.contains("scriptlet failed"), "{errors}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
