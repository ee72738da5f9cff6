#!/bin/bash
# beanstalkd, as Debian ships it.
#   beanstalkd.sh install
#   beanstalkd.sh start        in the foreground; PORT, DATA_DIR, DURABILITY=none (in memory)|os (log, flushed every 50 ms)|fsync (at every write)
NAME=beanstalkd; . "$(dirname "$0")/lib.sh"
case "${1:-}" in
install) command -v beanstalkd >/dev/null || apt_get beanstalkd ;;
start)
  mkdir -p "$DATA_DIR"
  case $DURABILITY in none) log=() ;; fsync) log=(-b "$DATA_DIR" -f0) ;; *) log=(-b "$DATA_DIR" -f50) ;; esac
  exec beanstalkd -l "$BIND" -p "$PORT" "${log[@]}" ;;
*) sed -n '2,4p' "$0" >&2; exit 2 ;;
esac
