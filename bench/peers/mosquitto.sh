#!/bin/bash
# Eclipse Mosquitto 2.0, as Debian has it. Needs nothing else.
#   mosquitto.sh install
#   mosquitto.sh start         in the foreground; PORT, DATA_DIR, DURABILITY=none|os|fsync (nothing is kept; a snapshot now and then; one after each
#                              change: it has no log), NODELAY (true; its own default is false), MAX_QUEUED and MAX_INFLIGHT of one client
NAME=mosquitto; . "$(dirname "$0")/lib.sh"
case "${1:-}" in
install) apt_get mosquitto mosquitto-clients ;;
start)
  mkdir -p "$DATA_DIR"
  cfg="$DATA_DIR/mosquitto.conf"
  ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
  {
    echo "listener $PORT $BIND"
    echo "allow_anonymous true"
    echo "user $(id -un)"
    echo "set_tcp_nodelay ${NODELAY:-true}"
    echo "max_queued_messages ${MAX_QUEUED:-1000}"; echo "max_inflight_messages ${MAX_INFLIGHT:-20}"
    echo "log_type error"; echo "log_dest stderr"
    case $DURABILITY in
      none) echo "persistence false" ;;
      fsync) echo "persistence true"; echo "persistence_location $DATA_DIR/"; echo "autosave_on_changes true"; echo "autosave_interval 1" ;;
      *) echo "persistence true"; echo "persistence_location $DATA_DIR/" ;;
    esac
  } > "$cfg"
  exec mosquitto -c "$cfg" ;;
*) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
