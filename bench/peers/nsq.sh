#!/bin/bash
# nsqd and nsqlookupd, built from their module.
#   nsq.sh install
#   nsq.sh start              in the foreground; PORT, HTTP on PORT+1, DATA_DIR, DURABILITY=os (10,000 in memory, then disk)|fsync (all to disk, synced each)
#   nsq.sh load ARGS         the load generator beside this (nsqload), against -server host:port
#   nsq.sh start lookupd      PORT, HTTP on PORT+1
NAME=nsq; . "$(dirname "$0")/lib.sh"
VERSION=v1.3.0
bin=$PEERS_HOME/bin
case "${1:-}" in
install)
  [ -x "$bin/nsqd" ] && [ -x "$bin/nsqlookupd" ] && exit 0
  command -v go >/dev/null || apt_get golang-go
  # Within a module that requires theirs: the commands are no modules of their own.
  dir=$PEERS_HOME/nsq-build; rm -rf "$dir"; mkdir -p "$dir" "$bin"; cd "$dir"
  go mod init peers.example/nsq 2>/dev/null
  # As its own go.mod replaces it.
  go mod edit -require "github.com/nsqio/nsq@$VERSION" \
    -replace github.com/judwhite/go-svc=github.com/mreiferson/go-svc@v1.2.2-0.20210815184239-7a96e00010f6
  log "go build github.com/nsqio/nsq $VERSION"
  GOFLAGS=-mod=mod go build -o "$bin/" github.com/nsqio/nsq/apps/nsqd github.com/nsqio/nsq/apps/nsqlookupd >&2 ;;
start)
  if [ "${2:-}" = lookupd ]; then exec "$bin/nsqlookupd" -tcp-address "$BIND:$PORT" -http-address "$BIND:$((PORT+1))" -broadcast-address "$BIND"; fi
  mkdir -p "$DATA_DIR"
  case $DURABILITY in fsync) queue=(-mem-queue-size 0 -sync-every 1) ;; *) queue=() ;; esac
  exec "$bin/nsqd" -tcp-address "$BIND:$PORT" -http-address "$BIND:$((PORT+1))" -broadcast-address "$BIND" -data-path "$DATA_DIR" -log-level warn "${queue[@]}" ;;
load)
  (cd "$(dirname "$0")/../nsqload" && go build -o "$bin/nsqload" .) >&2
  shift; exec "$bin/nsqload" "$@" ;;
*) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
