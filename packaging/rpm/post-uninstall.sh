# $1: how many of this package there are left.
if [ "$1" -eq 0 ]; then
    # What tmpfiles.d and systemd made: an empty directory, and mount points in it.
    rm -rf /run/exp-rkt-grpc
    journalctl --update-catalog || :
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload || :
        systemctl reset-failed 'exp-rkt-grpc*' 2>/dev/null || :
    fi
fi
