# After the files are gone, at an upgrade after the new ones are there; $1 is 0 at a removal, 1 at an upgrade. The state in
# /var/lib/logweir stays.
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    if [ "$1" -ge 1 ]; then
        systemctl try-restart logweir.service || :
    fi
fi
exit 0
