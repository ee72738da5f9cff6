#!/bin/bash
# Apache Kafka, one node that is broker and controller. Needs: java 17+, mvn.
#   kafka.sh install           the jars of the broker and of its performance tools, and kcat
#   kafka.sh start             in the foreground; PORT, DATA_DIR, ADVERTISED_PORT (what clients are told; PORT), DURABILITY=os|fsync (fsync: each append is flushed), HEAP (1g)
#   kafka.sh tool CLASS ARGS   e.g. tool org.apache.kafka.tools.ProducerPerformance ...
NAME=kafka; . "$(dirname "$0")/lib.sh"
V=${KAFKA_VERSION:-4.3.1}
LIB="$PEERS_HOME/kafka/lib"; TOOLS="$PEERS_HOME/kafka/tools"; LOG4J="$PEERS_HOME/kafka/log4j2.properties"
L4="org.apache.logging.log4j:log4j-slf4j-impl:2.25.2 org.apache.logging.log4j:log4j-core:2.25.2"
HEAP=${HEAP:-1g}
case "${1:-}" in
install)
  command -v mvn >/dev/null && command -v java >/dev/null || apt_get default-jdk-headless maven
  apt_get kcat
  # shellcheck disable=SC2086
  maven_libs "$LIB" "org.apache.kafka:kafka_2.13:$V" $L4
  # shellcheck disable=SC2086
  maven_libs "$TOOLS" "org.apache.kafka:kafka-tools:$V" $L4
  printf 'rootLogger.level=WARN\nrootLogger.appenderRef.c.ref=C\nappender.c.type=Console\nappender.c.name=C\nappender.c.target=SYSTEM_ERR\nappender.c.layout.type=PatternLayout\nappender.c.layout.pattern=%%d %%p %%c{1} %%m%%n\n' > "$LOG4J" ;;
start)
  mkdir -p "$DATA_DIR"
  cfg="$DATA_DIR.properties"
  {
    echo "process.roles=broker,controller"; echo "node.id=1"
    echo "controller.quorum.voters=1@$BIND:$((PORT+1))"
    echo "listeners=PLAINTEXT://$BIND:$PORT,CONTROLLER://$BIND:$((PORT+1))"
    echo "advertised.listeners=PLAINTEXT://$BIND:${ADVERTISED_PORT:-$PORT}"
    echo "controller.listener.names=CONTROLLER"
    echo "log.dirs=$DATA_DIR"; echo "num.partitions=1"
    echo "offsets.topic.replication.factor=1"; echo "transaction.state.log.replication.factor=1"; echo "transaction.state.log.min.isr=1"
    echo "group.initial.rebalance.delay.ms=0"
    [ "$DURABILITY" = fsync ] && echo "log.flush.interval.messages=1"
  } > "$cfg"
  [ -f "$DATA_DIR/meta.properties" ] || java -Xmx128m "-Dlog4j2.configurationFile=$LOG4J" -cp "$LIB/*" kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ -c "$cfg" >&2
  exec java "-Xmx$HEAP" "-Xms$HEAP" -XX:+UseG1GC "-Dlog4j2.configurationFile=$LOG4J" -cp "$LIB/*" kafka.Kafka "$cfg" ;;
tool)
  shift; exec java "-Xmx${TOOL_HEAP:-512m}" "-Dlog4j2.configurationFile=$LOG4J" -cp "$TOOLS/*" "$@" ;;
*) sed -n '2,5p' "$0" >&2; exit 2 ;;
esac
