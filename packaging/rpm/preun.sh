# Before the files go; $1 is 0 at a removal, 1 at an upgrade.
if [ "$1" -eq 0 ]; then
    if [ -d /run/systemd/system ]; then
        systemctl --no-reload disable --now logweir.service || :
    elif command -v systemctl >/dev/null; then
        systemctl --no-reload disable logweir.service || :
    fi
    /usr/share/logweir/grant-log-access --revoke || :
fi
exit 0
