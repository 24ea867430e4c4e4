# $1: number of versions of this package that will be left.
if [ "$1" -eq 0 ]; then
    systemctl --no-reload disable exp-rkt-grpc-query.timer exp-rkt-grpc.socket exp-rkt-grpc.service || :
    if [ -d /run/systemd/system ]; then
        # All at once, so that no scrape starts the service again in between.
        systemctl stop exp-rkt-grpc-query.timer exp-rkt-grpc.socket exp-rkt-grpc.service || :
    fi
fi
