# $1: number of versions of this package that are left.
if [ "$1" -eq 0 ]; then
    # Directories of tmpfiles.d and systemd, with the copies of /etc/hosts and /etc/resolv.conf.
    rm -rf /run/exp-rkt-grpc /run/exp-rkt-grpc-names /run/private/exp-rkt-grpc-names
    # A mount point for cri.conf; a container's own is not empty.
    rmdir /run/host 2>/dev/null || :
    journalctl --update-catalog || :
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload || :
        systemctl reset-failed 'exp-rkt-grpc*' 2>/dev/null || :
    fi
fi
# A downgrade to version 0.1.0, which does not have these units, would leave them behind.
if [ "$1" -ge 1 ] && [ ! -e /usr/lib/systemd/system/exp-rkt-grpc-names.service ] && [ -d /run/systemd/system ]; then
    systemctl stop 'exp-rkt-grpc-names@*.path' || :
fi
