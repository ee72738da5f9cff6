#!/bin/bash
# nats-server, one node with JetStream. Needs: go.
#   nats.sh install
#   nats.sh load ARGS      the load generator beside this (natsload), against -server host:port
#   nats.sh start          in the foreground; PORT, DATA_DIR. DURABILITY=fsync: each message is synced before it is acknowledged (sync_interval always);
#                          os: every two minutes, as shipped.
NAME=nats; . "$(dirname "$0")/lib.sh"
V=v2.15.2; BIN="$PEERS_HOME/bin"
case "${1:-}" in
install)
  command -v go >/dev/null || apt_get golang-go
  [ -x "$BIN/nats-server" ] && [ "$("$BIN/nats-server" --version)" = "nats-server: $V" ] && exit 0
  log "go install nats-server $V"
  mkdir -p "$BIN"; GOBIN="$BIN" go install "github.com/nats-io/nats-server/v2@$V" >&2 ;;
start)
  mkdir -p "$DATA_DIR"; sync=2m; [ "$DURABILITY" != fsync ] || sync=always
  printf 'listen: "%s:%s"\nmax_payload: 8MB\njetstream { store_dir: "%s", sync_interval: %s }\n' "$BIND" "$PORT" "$DATA_DIR" "$sync" > "$DATA_DIR/nats.conf"
  exec "$BIN/nats-server" -c "$DATA_DIR/nats.conf" ;;
load)
  (cd "$(dirname "$0")/../natsload" && go build -o "$BIN/natsload" .) >&2
  shift; exec "$BIN/natsload" "$@" ;;
*) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
