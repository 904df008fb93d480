//! The life of the .deb, without systemd and under it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::debian::{Booted, Debian};
use super::step;

/// The worst exposure that `systemd-analyze security` may find.
const EXPOSURE: f64 = 1.5;

/// Installation, removal and purge in a root without a running systemd, as in the build of an image; and the archive.
pub(super) fn without_systemd(debian: &Debian) -> Result<()> {
    step("install, remove and purge the .deb where no systemd runs");
    debian.sh("apt-get install -y /made/logweir_*-1_*.deb >/dev/null 2>&1; logweir --version")?;
    ensure!(
        debian.sh("stat -c '%a %U:%G' /etc/logweir /etc/logweir/logweir.toml")?
            == "750 root:logweir\n640 root:logweir\n",
        "/etc/logweir is for the group logweir alone"
    );
    ensure!(debian.sh("id -nG logweir")? == "logweir adm\n");
    debian.sh(
        "man_page=/usr/share/man/man1/logweir.1.gz; test ! -e $man_page || gzip -t $man_page",
    )?;
    debian.sh("install -d -o logweir -g logweir -m 0750 /var/lib/logweir")?;
    debian.sh("apt-get remove -y logweir 2>&1; test -d /var/lib/logweir; test -f /etc/logweir/logweir.toml")?;
    debian
        .sh("apt-get purge -y logweir 2>&1; test ! -e /var/lib/logweir; test ! -e /etc/logweir")?;
    step("run the binary of the archive");
    debian.sh("tar -xzf /made/logweir-*.tar.gz -C /tmp; cd /tmp/logweir-*; ./logweir --version; test -s logweir.1")?;
    Ok(())
}

/// Everything else, under systemd.
pub(super) fn with_systemd(debian: &Debian, folder: &Path) -> Result<()> {
    step("boot systemd");
    let machine = debian.boot(folder.join("boot.log"))?;
    machine.sh("systemctl enable --now nginx")?;
    serve(&machine, "before-installation", 20)?;

    step("install: nothing runs before the operator says so");
    machine.sh("apt-get install -y /made/logweir_*-1_*.deb 2>&1")?;
    ensure!(machine.sh("systemctl is-active logweir || true")? == "inactive\n");
    ensure!(machine.sh("systemctl is-enabled logweir || true")? == "disabled\n");

    step("enable and start: ready at once, reads the logs of www-data, as its own user");
    machine.sh("systemctl enable --now logweir; systemctl is-active logweir")?;
    serve(&machine, "first", 20)?;
    until_counted(&machine, &[("before-installation", 20), ("first", 20)])?;
    ensure!(
        machine.sh("ps -o user= -p $(systemctl show -p MainPID --value logweir)")? == "logweir\n"
    );
    machine.until("its status in systemctl", |machine| {
        let status = machine.sh("systemctl show -p StatusText --value logweir")?;
        Ok(status.contains(": delivering"))
    })?;
    let problems = machine.sh("curl -fsS 127.0.0.1:9280/status")?;
    ensure!(problems.contains("\"problems\":[]"), "{problems}");

    step("root and members of the group may ask, others may not");
    machine.sh("useradd -G logweir reader; runuser -u reader -- logweir top --by path --where path=/first-1 | grep first-1")?;
    let refused =
        machine.sh("useradd stranger; runuser -u stranger -- logweir top 2>&1 || true")?;
    println!("   {}", refused.trim());
    ensure!(refused.contains("this user may not read it"), "{refused}");
    ensure!(machine.sh("stat -c '%a %U:%G' /var/lib/logweir")? == "750 logweir:logweir\n");

    hardening(&machine)?;
    rotation(&machine)?;
    reload(&machine)?;
    watchdog(&machine)?;
    upgrade(&machine, folder)?;
    later_nginx(&machine)?;
    credentials(&machine)?;

    step("remove: the state stays; purge: it goes");
    machine.sh("apt-get remove -y logweir 2>&1")?;
    ensure!(machine.sh("systemctl is-active logweir || true")? == "inactive\n");
    machine.sh("test -d /var/lib/logweir/store; test -f /etc/logweir/logweir.toml")?;
    machine.sh("apt-get install -y /made/logweir_*-2_*.deb 2>&1")?;
    machine
        .sh("apt-get purge -y logweir 2>&1; test ! -e /var/lib/logweir; test ! -e /etc/logweir")?;
    machine.sh("test ! -e /etc/systemd/system/multi-user.target.wants/logweir.service")?;
    machine.stop()
}

fn hardening(machine: &Booted) -> Result<()> {
    step("exposure of the running unit");
    let table = machine.sh("systemd-analyze security --no-pager logweir")?;
    let overall = table.lines().find(|line| line.contains("Overall exposure"));
    let exposure = overall
        .and_then(|line| {
            line.rsplit(": ")
                .next()?
                .split(' ')
                .next()?
                .parse::<f64>()
                .ok()
        })
        .context("systemd-analyze tells no exposure")?;
    println!("   {exposure}");
    ensure!(exposure <= EXPOSURE, "{table}");
    machine.sh("systemd-analyze verify --man=no logweir.service")?;
    let status = machine.sh("cat /proc/$(systemctl show -p MainPID --value logweir)/status")?;
    for fact in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapBnd:\t0000000000000000"] {
        ensure!(status.contains(fact), "no {fact} in\n{status}");
    }
    machine.sh("main=$(systemctl show -p MainPID --value logweir); \
         test \"$(readlink /proc/$main/ns/user)\" != \"$(readlink /proc/1/ns/user)\"; \
         ! nsenter --target $main --mount touch /usr/written /etc/logweir/written 2>/dev/null")?;
    Ok(())
}

fn rotation(machine: &Booted) -> Result<()> {
    step("a rotation is followed by events");
    machine
        .sh("mv /var/log/nginx/access.log /var/log/nginx/access.log.1; invoke-rc.d nginx rotate")?;
    serve(machine, "rotated", 20)?;
    until_counted(machine, &[("first", 20), ("rotated", 20)])
}

fn reload(machine: &Booted) -> Result<()> {
    step("reload by systemctl");
    let main = "systemctl show -p MainPID --value logweir";
    let before = machine.sh(main)?;
    machine.sh("systemctl reload logweir")?;
    machine.until("the reload is over", |machine| {
        let journal = machine.sh("journalctl --no-pager --unit=logweir")?;
        let state = machine.sh("systemctl show -p SubState --value logweir")?;
        Ok(journal.contains("continuing with the new configuration") && state == "running\n")
    })?;
    ensure!(machine.sh(main)? == before, "a reload keeps the process");
    Ok(())
}

fn watchdog(machine: &Booted) -> Result<()> {
    step("the watchdog restarts an agent that hangs");
    drop_in(machine, "watchdog", "WatchdogSec=3s")?;
    machine
        .sh("systemctl restart logweir; kill -STOP $(systemctl show -p MainPID --value logweir)")?;
    machine.until("a restart by the watchdog", |machine| {
        let state = machine
            .sh("systemctl show -p NRestarts --value logweir; systemctl is-active logweir")?;
        Ok(state == "1\nactive\n")
    })?;
    let journal = machine.sh("journalctl --no-pager --unit=logweir")?;
    ensure!(journal.contains("Watchdog timeout"), "{journal}");
    serve(machine, "after-hang", 20)?;
    until_counted(machine, &[("after-hang", 20)])
}

fn upgrade(machine: &Booted, folder: &Path) -> Result<()> {
    step("upgrade while nginx serves: each request once");
    let before = machine.sh("systemctl show -p MainPID --value logweir")?;
    let traffic = machine.start(
        "i=0; while [ ! -e /tmp/enough ]; do i=$((i+1)); curl -sS -o /dev/null 127.0.0.1/during-$i; done; \
         echo served $i",
        folder.join("traffic.log"),
    )?;
    machine.sh("echo '# mine' >> /etc/logweir/logweir.toml")?;
    machine.sh("apt-get install -y /made/logweir_*-2_*.deb 2>&1")?;
    ensure!(
        machine
            .sh("dpkg-query -W -f '${Version}' logweir")?
            .ends_with("-2")
    );
    machine.sh("grep -q '# mine' /etc/logweir/logweir.toml")?;
    ensure!(machine.sh("stat -c '%a %U:%G' /etc/logweir/logweir.toml")? == "640 root:logweir\n");
    ensure!(
        machine.sh("systemctl show -p MainPID --value logweir")? != before,
        "an upgrade restarts the service"
    );
    machine.sh("systemctl is-active logweir; touch /tmp/enough")?;
    traffic.wait_for_end(std::time::Duration::from_secs(60), || {})?;
    let served: usize = traffic
        .line("served ")
        .context("the traffic has ended early")?
        .parse()?;
    println!("   {served} requests during the upgrade");
    serve(machine, "after-upgrade", 20)?;
    until_counted(
        machine,
        &[
            ("before-installation", 20),
            ("first", 20),
            ("during", served),
            ("after-upgrade", 20),
        ],
    )
}

fn later_nginx(machine: &Booted) -> Result<()> {
    step("an installation of nginx lets the user join the group again");
    machine.sh("gpasswd -d logweir adm >/dev/null")?;
    let before = machine.sh("systemctl show -p MainPID --value logweir")?;
    machine.sh(
        "dpkg-trigger --by-package=nginx-common /etc/nginx/nginx.conf; dpkg --configure -a 2>&1",
    )?;
    ensure!(machine.sh("id -nG logweir")? == "logweir adm\n");
    ensure!(
        machine.sh("systemctl show -p MainPID --value logweir")? != before,
        "a new group counts after a restart only"
    );
    machine.sh("systemctl is-active logweir")?;
    Ok(())
}

fn credentials(machine: &Booted) -> Result<()> {
    step("a secret of root's by LoadCredential, and a cluster that is away: no restart");
    machine.sh("cat > /etc/logweir/logweir.toml <<'TOML'\n\
         [elasticsearch]\nnodes = [\"http://127.0.0.1:1\"]\nTOML\n\
         echo a2V5 | install -m 0600 /dev/stdin /etc/logweir/api-key\n\
         install -D -m 0644 /usr/share/doc/logweir/examples/api-key.conf \
         /etc/systemd/system/logweir.service.d/api-key.conf\n\
         systemctl daemon-reload; systemctl restart logweir; systemctl is-active logweir")?;
    machine.until("the reason in systemctl", |machine| {
        let status = machine.sh("systemctl show -p StatusText --value logweir")?;
        Ok(status.contains(": waiting: "))
    })?;
    // its watchdog takes 3 s
    machine.sh("sleep 10")?;
    ensure!(
        machine.sh("systemctl show -p NRestarts --value logweir; systemctl is-active logweir")?
            == "0\nactive\n"
    );
    step("a configuration that is wrong is not tried again and again");
    machine.sh("echo 'retention = 3' > /etc/logweir/logweir.toml; ! systemctl restart logweir")?;
    let state = machine.sh(
        "systemctl show -p NRestarts --value logweir; systemctl show -p ExecMainStatus --value logweir",
    )?;
    ensure!(state == "0\n78\n", "{state}");
    machine.sh(
        "rm -r /etc/systemd/system/logweir.service.d; systemctl daemon-reload; \
         echo 'keep_original = true' > /etc/logweir/logweir.toml; systemctl start logweir",
    )?;
    Ok(())
}

fn drop_in(machine: &Booted, name: &str, settings: &str) -> Result<()> {
    let folder = "/etc/systemd/system/logweir.service.d";
    machine.sh(&format!(
        "mkdir -p {folder}; printf '[Service]\\n{settings}\\n' > {folder}/{name}.conf; systemctl daemon-reload"
    ))?;
    Ok(())
}

/// Has nginx serve requests for the paths `/NAME-1` to `/NAME-COUNT`.
fn serve(machine: &Booted, name: &str, count: usize) -> Result<()> {
    machine.sh(&format!(
        "for i in $(seq {count}); do curl -sS -o /dev/null 127.0.0.1/{name}-$i; done"
    ))?;
    Ok(())
}

/// Waits until `logweir top` shows that many paths of each name, and fails if one is counted twice.
fn until_counted(machine: &Booted, expected: &[(&str, usize)]) -> Result<()> {
    for (name, count) in expected {
        let mut counted = BTreeMap::new();
        machine.until(&format!("{count} requests for {name}"), |machine| {
            let question = "logweir top --by path --limit 10000 --csv";
            let table = machine.sh(&format!("{question} --where 'path=/{name}-*'"))?;
            counted = table.lines().skip(1).filter_map(row).collect();
            Ok(counted.len() >= *count)
        })?;
        let twice: Vec<_> = counted.iter().filter(|(_, times)| **times != 1).collect();
        ensure!(
            counted.len() == *count && twice.is_empty(),
            "{name}: {} of {count} paths, not once: {twice:?}",
            counted.len()
        );
    }
    Ok(())
}

/// A path, and how often it was requested.
fn row(line: &str) -> Option<(String, u64)> {
    let mut cells = line.split(',');
    Some((cells.next()?.to_owned(), cells.next()?.parse().ok()?))
}
