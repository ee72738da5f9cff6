#!/bin/bash
# ElasticMQ, which keeps messages in memory. Needs: java 17+, mvn.
#   elasticmq.sh install
#   elasticmq.sh start         in the foreground; PORT, DATA_DIR, HEAP (512m). DURABILITY is not looked at: nothing is stored
NAME=elasticmq; . "$(dirname "$0")/lib.sh"
V=${ELASTICMQ_VERSION:-1.7.1}
LIB="$PEERS_HOME/elasticmq/lib"; HEAP=${HEAP:-512m}
case "${1:-}" in
install)
  command -v mvn >/dev/null && command -v java >/dev/null || apt_get default-jdk-headless maven
  maven_libs "$LIB" "org.elasticmq:elasticmq-server_2.13:$V" ;;
start)
  mkdir -p "$DATA_DIR"
  cat > "$DATA_DIR/elasticmq.conf" <<X
include classpath("application.conf")
node-address { protocol = http, host = "$BIND", port = $PORT, context-path = "" }
rest-sqs { enabled = true, bind-port = $PORT, bind-hostname = "$BIND", sqs-limits = strict }
rest-stats { enabled = false }
X
  exec java "-Xmx$HEAP" "-Dconfig.file=$DATA_DIR/elasticmq.conf" -cp "$LIB/*" org.elasticmq.server.Main ;;
*) sed -n '2,4p' "$0" >&2; exit 2 ;;
esac
