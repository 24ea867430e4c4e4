# $1: how many of this package there will be.
if [ "$1" -eq 0 ]; then
    units='exp-rkt-grpc-query.timer exp-rkt-grpc.socket exp-rkt-grpc.service'
    systemctl --no-reload disable $units || :
    if [ -d /run/systemd/system ]; then
        # All at once, so that no scrape starts the service again in between.
        systemctl stop $units exp-rkt-grpc-trace.socket || :
    fi
fi
