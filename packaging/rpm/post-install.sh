# $1: how many of this package there are now.
systemd-tmpfiles --create exp-rkt-grpc.conf || :
journalctl --update-catalog || :
if [ "$1" -eq 1 ]; then
    systemctl --no-reload preset exp-rkt-grpc.socket exp-rkt-grpc.service exp-rkt-grpc-query.timer || :
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    # The socket stays open, so that an upgrade loses no scrape.
    [ "$1" -eq 1 ] || systemctl try-restart exp-rkt-grpc.service exp-rkt-grpc-query.timer || :
fi
