#!/bin/bash
# Redis (Debian's), one server.
#   redis.sh install
#   redis.sh start             in the foreground; PORT, DATA_DIR. DURABILITY=fsync: appendfsync always; os: everysec
NAME=redis; . "$(dirname "$0")/lib.sh"
PORT=${PORT:-6379}
case "${1:-}" in
install) apt_get redis-server redis-tools ;;
start)
  mkdir -p "$DATA_DIR"
  sync=everysec; [ "$DURABILITY" = fsync ] && sync=always
  exec redis-server --bind "$BIND" --port "$PORT" --dir "$DATA_DIR" --save "" --appendonly yes --appendfsync $sync --daemonize no ;;
*) echo "usage: redis.sh install|start"; exit 2 ;;
esac
