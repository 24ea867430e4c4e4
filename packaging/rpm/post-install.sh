# $1: number of installed versions of this package.
systemd-tmpfiles --create exp-rkt-grpc.conf || :
journalctl --update-catalog || :
if [ "$1" -eq 1 ]; then
    systemctl --no-reload preset exp-rkt-grpc.socket exp-rkt-grpc.service exp-rkt-grpc-query.timer || :
fi
# Version 0.1.0 had timers.target start the timer, which then outlives the socket.
if [ -L /etc/systemd/system/timers.target.wants/exp-rkt-grpc-query.timer ]; then
    systemctl --no-reload --quiet reenable exp-rkt-grpc-query.timer || :
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    # The socket stays open, so that an upgrade loses no scrape.
    [ "$1" -eq 1 ] || systemctl try-restart exp-rkt-grpc.service exp-rkt-grpc-query.timer || :
    # See exp-rkt-grpc-trace.socket.
    case "$(systemctl show --property=Requires --value exp-rkt-grpc.service)" in
    *exp-rkt-grpc-trace.socket*)
        echo "exp-rkt-grpc.service has a drop-in like cri.conf of version 0.1.0, and cannot send traces with it: copy" \
            "/usr/share/doc/exp-rkt-grpc/examples/cri.conf to /etc/systemd/system/exp-rkt-grpc.service.d, then systemctl" \
            "daemon-reload and systemctl restart exp-rkt-grpc" >&2
        ;;
    esac
fi
