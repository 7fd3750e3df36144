# shellcheck shell=bash
scenario syscalls "system calls per request at 100 connections, by name"

syscalls() {
  local tracer requests=50000
  need strace strace
  build
  start
  seed_board
  strace -c -f -p "$pid" -o "$work/strace" 2>"$work/tracer" &
  tracer=$!
  children+=("$tracer")
  until grep -q attached "$work/tracer"; do
    is_running "$tracer" || { cat "$work/tracer" >&2; fail "strace may not attach"; }
    sleep 0.05
  done
  load --connections 100 --requests "$requests"
  kill -INT "$tracer"
  wait "$tracer" || true
  stop_server
  say "system calls per GET /gift/top, 100 connections, $requests requests:"
  awk -v n="$requests" '$1 ~ /^[0-9.]+$/ && $NF != "total" {
    printf "  %-16s %8.4f\n", $NF, $4 / n
  }' "$work/strace"
  record "system calls a read" value "$(awk -v n="$requests" '
    $1 ~ /^[0-9.]+$/ && $NF != "total" { sum += $4 } END { printf "%.3f", sum / n }' "$work/strace")"
}
