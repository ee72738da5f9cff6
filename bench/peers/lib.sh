# Shared by the peers' scripts; sourced, not run.
set -eu
PEERS_HOME=${PEERS_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/anymq-peers}
BIND=127.0.0.1
DURABILITY=${DURABILITY:-os}          # os | fsync
mkdir -p "$PEERS_HOME"
log() { echo "[$NAME] $*" >&2; }

# apt_get PACKAGE...: installs what is missing without letting Debian start a service
apt_get() {
  missing=
  for p in "$@"; do dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"; done
  [ -z "$missing" ] && return 0
  [ "$(id -u)" = 0 ] || { log "as root: apt-get install$missing"; exit 1; }
  [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; }
  log "apt-get install$missing"
  apt-get update -qq >&2
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2
}

# maven_libs DIR GROUP:ARTIFACT:VERSION...: copies the jars and what they need at run time to DIR
maven_libs() {
  dir=$1; shift
  [ -f "$dir/.coords" ] && [ "$(cat "$dir/.coords")" = "$*" ] && return 0
  rm -rf "$dir"; mkdir -p "$dir/.pom"
  {
    echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
    echo "<groupId>peers</groupId><artifactId>$NAME</artifactId><version>1</version><packaging>pom</packaging><dependencies>"
    for c in "$@"; do echo "$c" | awk -F: '{print "<dependency><groupId>"$1"</groupId><artifactId>"$2"</artifactId><version>"$3"</version></dependency>"}'; done
    echo '</dependencies></project>'
  } > "$dir/.pom/pom.xml"
  log "resolving $*"
  mvn -q -B -ntp -f "$dir/.pom/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$dir" >&2
  echo "$*" > "$dir/.coords"
}
