# Before the files are there; $1 is 1 at an installation, 2 at an upgrade.
getent group logweir >/dev/null || groupadd -r logweir
getent passwd logweir >/dev/null ||
    useradd -r -g logweir -d /var/lib/logweir -M -s /sbin/nologin -c logweir logweir
exit 0
