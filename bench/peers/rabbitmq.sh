#!/bin/bash
# RabbitMQ (Debian's), one node. Needs: mvn and java for PerfTest.
#   rabbitmq.sh install
#   rabbitmq.sh start          in the foreground; PORT, DATA_DIR, PLUGINS (with commas between; none). Confirms of persistent messages in durable classic queues wait for an fsync as
#                              shipped, and no setting changes that; DURABILITY=os therefore changes nothing here.
#   rabbitmq.sh perf ARGS      PerfTest against URL
NAME=rabbitmq; . "$(dirname "$0")/lib.sh"
PERF="$PEERS_HOME/rabbitmq/perf"; LIB=/usr/lib/rabbitmq/bin
case "${1:-}" in
install)
  apt_get rabbitmq-server
  command -v mvn >/dev/null && command -v java >/dev/null || apt_get default-jdk-headless maven
  maven_libs "$PERF" com.rabbitmq:perf-test:2.22.1 ;;
start)
  mkdir -p "$DATA_DIR/home"; export HOME="$DATA_DIR/home"
  ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
  export RABBITMQ_NODENAME="anymq-bench-$PORT@localhost" ERL_EPMD_ADDRESS=$BIND RABBITMQ_DIST_PORT=$((PORT+1)) RABBITMQ_CONF_ENV_FILE=/dev/null
  export RABBITMQ_MNESIA_BASE="$DATA_DIR/mnesia" RABBITMQ_LOG_BASE="$DATA_DIR/log" RABBITMQ_ENABLED_PLUGINS_FILE="$DATA_DIR/plugins"
  export RABBITMQ_CONFIG_FILE="$DATA_DIR/rabbitmq"
  echo "[${PLUGINS:-}]." > "$DATA_DIR/plugins"
  printf 'listeners.tcp.1 = %s:%s\nloopback_users = none\ndisk_free_limit.absolute = 500MB\nlog.console = true\nlog.console.level = warning\nlog.file.level = warning\n' "$BIND" "$PORT" > "$DATA_DIR/rabbitmq.conf"
  exec $LIB/rabbitmq-server ;;
perf)
  shift; exec java "-Xmx${TOOL_HEAP:-512m}" -cp "$PERF/*" com.rabbitmq.perf.PerfTest -h "$URL" "$@" ;;
*) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
