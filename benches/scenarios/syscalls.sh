# shellcheck shell=bash
scenario syscalls "system calls per request at 100 connections, by name"

syscalls() {
  local requests=50000
  need strace strace
  build
  start
  seed_board
  count_syscalls "$pid" "$requests"
  stop_server
  say "system calls per GET /gift/top, 100 connections, $requests requests:"
  awk -v n="$requests" '$1 ~ /^[0-9.]+$/ && $NF != "total" {
    printf "  %-16s %8.4f\n", $NF, $4 / n
  }' "$work/strace"
  record "system calls a read" value "$(syscalls_per_request "$requests")"
}
