# After the files are there; $1 is 1 at an installation, 2 at an upgrade.
if [ "$1" -eq 1 ]; then
    chgrp logweir /etc/logweir && chmod 0750 /etc/logweir
fi
/usr/share/logweir/grant-log-access || :
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
fi
if [ "$1" -eq 1 ] && command -v systemctl >/dev/null; then
    systemctl --no-reload preset logweir.service || :
fi
exit 0
