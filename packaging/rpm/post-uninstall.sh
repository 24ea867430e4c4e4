# $1: how many of this package there are left.
if [ "$1" -eq 0 ]; then
    # What tmpfiles.d and systemd made, and copies of /etc/hosts and /etc/resolv.conf.
    rm -rf /run/exp-rkt-grpc /run/exp-rkt-grpc-names /run/private/exp-rkt-grpc-names
    # A mount point for cri.conf, unless it is a container's own.
    rmdir /run/host 2>/dev/null || :
    journalctl --update-catalog || :
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload || :
        systemctl reset-failed 'exp-rkt-grpc*' 2>/dev/null || :
    fi
fi
